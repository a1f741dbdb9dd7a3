"""What adversarial tests found, each held by a case of its own."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.utils import timezone

from approvals import services
from approvals.gates import MetricLimit
from approvals.models import Deployment, Event, Promotion, Review
from approvals.services import locks
from approvals.states import DeploymentStatus, PromotionStatus, Verdict, Via
from tests.approvals.test_refusals import refused
from tests.world import World


def lend(world: World, lender: str, delegate: str) -> None:
    services.delegate(
        actor=world.person(lender),
        via=Via.BROWSER,
        delegate_id=world.person(delegate).pk,
        until=timezone.now() + timedelta(days=2),
    )


def test_two_delegates_one_after_the_other_are_one_authority(world: World) -> None:
    """The second one's rejection ran into the database's constraint instead of a sentence."""
    promotion = world.request()
    lend(world, "bob", "dave")
    world.review(promotion, "dave")
    lend(world, "bob", "mallory")
    for verdict in Verdict.values:
        decide = partial(world.review, promotion, "mallory", verdict)
        sentence = refused("already_reviewed", decide)
        assert "Dave Diaz for Bob Brandt" in sentence
    assert world.review(promotion, "bob", Verdict.REJECT).status == PromotionStatus.REJECTED


@pytest.mark.parametrize("order", [("carol", "dave"), ("dave", "carol")])
def test_a_delegate_counts_where_it_helps(world: World, order: tuple[str, str]) -> None:
    """dave is of risk himself and holds bob's approvals: beside carol he is needed for bob."""
    from approvals.models import Team

    Team.objects.get(slug="risk").members.add(world.person("dave"))
    promotion = world.request()
    lend(world, "bob", "dave")
    for name in order:
        promotion = world.review(promotion, name)
    if order[0] == "carol":
        assert promotion.status == PromotionStatus.APPROVED
        assert str(Review.objects.get(person__username="dave").on_behalf_of) == "Bob Brandt"
    else:  # as themselves first, as it helped then
        assert promotion.is_pending
        assert world.review(promotion, "bob").status == PromotionStatus.APPROVED


def automatic(world: World) -> Deployment:
    target = world.rules(
        world.target("staging"),
        automatic=True,
        promote=(),
        gates=(MetricLimit("accuracy", "0.1"),),
    )
    promotion = world.request(target=target)
    assert promotion.status == PromotionStatus.APPROVED
    return Deployment.objects.get(promotion=promotion)


def test_what_was_approved_automatically_can_be_settled_by_people(world: World) -> None:
    """Nobody is asked to approve, so nobody could say what became of it: the target stayed closed for ever."""
    deployment = automatic(world)
    services.begin_dispatch(
        deployment_id=deployment.pk, observed=world.observed(deployment.version)
    )
    services.record_unconfirmed(deployment_id=deployment.pk, detail="No answer.")

    def give_up(name: str) -> Deployment:
        return services.give_up(
            actor=world.person(name),
            via=Via.BROWSER,
            deployment_id=deployment.pk,
            reason="No run is there.",
        )

    refused("requester", lambda: give_up("alice"))
    refused("not_in_team", lambda: give_up("mallory"))
    refused("machine", lambda: give_up("ci"))
    given_up = give_up("bob")
    assert given_up.status == DeploymentStatus.CANCELLED
    # Told once: the settling itself is the outcome.
    told = given_up.promotion.events.order_by("id").values_list("kind", flat=True)
    assert list(told)[-2:] == ["deployment.unconfirmed", "deployment.given_up"]
    assert world.request(world.version(3), target=world.target("staging"))


def test_no_time_is_set_for_an_approval_that_lapsed(world: World) -> None:
    """Until the next beat it is still queued, and a new time would have brought it back to life."""
    deployment = world.approve(world.request())
    lapse = Promotion.objects.get(pk=deployment.promotion_id).grant_lapses_at
    assert lapse is not None

    def schedule(**more: Any) -> Promotion:
        return services.schedule(
            actor=world.person("bob"), via=Via.BROWSER, promotion_id=deployment.promotion_id, **more
        )

    later = lapse + timedelta(hours=5)
    assert "lapsed" in refused("expired", lambda: schedule(run_at=later, now=lapse))
    refused("expired", lambda: schedule(run_at=None, now=lapse))
    promotion = schedule(run_at=later, now=lapse - timedelta(seconds=1))
    assert promotion.grant_lapses_at is not None and promotion.grant_lapses_at > later
    assert services.close_overdue(now=lapse) == 0
    assert Deployment.objects.get(pk=deployment.pk).status == DeploymentStatus.QUEUED
    assert not Event.objects.filter(kind="deployment.lapsed").exists()


def test_a_grant_that_was_moved_while_the_beat_looked_does_not_lapse(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looked at again under the lock."""
    deployment = world.approve(world.request())
    lapse = Promotion.objects.get(pk=deployment.promotion_id).grant_lapses_at
    assert lapse is not None
    real = locks.lock_deployment

    def moved_first(deployment_id: int) -> Deployment:
        services.schedule(
            actor=world.person("bob"),
            via=Via.BROWSER,
            promotion_id=deployment.promotion_id,
            run_at=lapse + timedelta(hours=1),
            now=lapse - timedelta(minutes=1),
        )
        return real(deployment_id)

    monkeypatch.setattr("approvals.services.promotions.lock_deployment", moved_first)
    assert services.close_overdue(now=lapse) == 0
    assert Deployment.objects.get(pk=deployment.pk).status == DeploymentStatus.QUEUED
