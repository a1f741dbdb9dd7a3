"""Locks and quarantines: whoever decides may close and open, and nothing passes what is closed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from approvals import services
from approvals.explain import explain
from approvals.models import Deployment, Effect, Event, Person, Promotion, Restriction
from approvals.narrative import sentence_of
from approvals.services import Refused
from approvals.states import DeploymentStatus, PromotionStatus, Verdict, Via
from tests.world import World


def rows() -> list[int]:
    return [each.objects.count() for each in (Restriction, Event, Effect, Promotion)]


def refused(code: str, act: Callable[[], object]) -> str:
    before = rows()
    with pytest.raises(Refused) as caught:
        act()
    assert caught.value.code == code, caught.value.sentence
    assert rows() == before
    return caught.value.sentence


def act(world: World, verb: str, subject: Any, actor: str = "bob", reason: str = "Drift.") -> Any:
    name = "target_id" if verb in {"lock", "unlock"} else "version_id"
    return getattr(services, verb)(
        actor=world.person(actor), via=Via.BROWSER, reason=reason, **{name: subject.pk}
    )


@pytest.mark.parametrize(("close", "open_"), [("lock", "unlock"), ("quarantine", "release")])
class TestBoth:
    def subject(self, world: World, close: str) -> Any:
        return world.target() if close == "lock" else world.version(2)

    def test_who_may_and_what_is_wrong(self, world: World, close: str, open_: str) -> None:
        subject = self.subject(world, close)
        for who in ("alice", "mallory"):  # alice may ask, not decide
            said = refused("may_not_restrict", lambda who=who: act(world, close, subject, who))  # type: ignore[misc]
            assert "risk" in said
        refused("machine", lambda: act(world, close, subject, "ci"))
        refused("reason_missing", lambda: act(world, close, subject, reason=" \n"))
        refused("not_restricted", lambda: act(world, open_, subject))
        Person.objects.filter(username="bob").update(is_active=False)
        refused("inactive", lambda: act(world, close, subject))
        act(world, close, subject, "carol")
        refused("already_restricted", lambda: act(world, close, subject, "carol", "Again."))
        refused("may_not_restrict", lambda: act(world, open_, subject, "mallory"))

    def test_pending_ones_are_blocked_and_told(self, world: World, close: str, open_: str) -> None:
        promotion = world.request(world.version(2))
        subject = promotion.target if close == "lock" else promotion.version
        told = Effect.objects.filter(kind="announce", promotion=promotion).count()
        placed = act(world, close, subject, "carol", "Drift on tourists.")
        assert Effect.objects.filter(kind="announce", promotion=promotion).count() == told + 1
        (blocker,) = explain(promotion).blockers
        assert blocker == placed.sentence
        assert "by Carol Chen since" in blocker
        assert blocker.endswith(": Drift on tourists.")
        with pytest.raises(Refused) as caught:
            world.review(promotion, "bob")
        assert caught.value.code == "blocked"
        assert blocker in caught.value.sentence
        assert promotion.reviews.count() == 0

        act(world, open_, subject, "bob", "It was the sensor.")
        assert explain(promotion).blockers == []
        assert world.approve(promotion).status == DeploymentStatus.QUEUED
        placed.refresh_from_db()
        assert (str(placed.lifted_by), placed.lifted_reason) == ("Bob Brandt", "It was the sensor.")
        act(world, close, subject, "bob", "Once more.")  # what was lifted does not stand in the way

    def test_a_rejection_is_not_held_up(self, world: World, close: str, open_: str) -> None:
        promotion = world.request(world.version(2))
        act(world, close, promotion.target if close == "lock" else promotion.version)
        world.review(promotion, "bob", Verdict.REJECT)
        assert Promotion.objects.get(pk=promotion.pk).status == PromotionStatus.REJECTED

    def test_an_approved_one_is_not_started(self, world: World, close: str, open_: str) -> None:
        deployment = world.approve(world.request(world.version(2)))
        placed = act(world, close, deployment.target if close == "lock" else deployment.version)
        order = services.begin_dispatch(
            deployment_id=deployment.pk, observed=world.observed(deployment.version)
        )
        assert order is None
        stopped = Deployment.objects.get(pk=deployment.pk)
        assert (stopped.status, stopped.dispatches) == (DeploymentStatus.FAILED, 0)
        assert placed.sentence in stopped.detail

    def test_rollbacks_too(self, world: World, close: str, open_: str) -> None:
        first = world.version(1)
        world.make_live(first)
        world.make_live(world.version(2), run_id=78)
        asked = services.request_rollback(
            actor=world.person("bob"),
            via=Via.BROWSER,
            target_id=world.target().pk,
            version_id=first.pk,
            reason="False alarms.",
        )
        promotion = world.seal(asked)
        act(world, close, promotion.target if close == "lock" else first)
        with pytest.raises(Refused) as caught:
            world.review(promotion, "bob")
        assert caught.value.code == "blocked"

    def test_the_events_read_well(self, world: World, close: str, open_: str) -> None:
        subject = self.subject(world, close)
        act(world, close, subject, "bob", "Drift.")
        act(world, open_, subject, "carol", "Gone.")
        last, former = Event.objects.order_by("-id")[:2]
        expected = {
            "lock": (
                "Bob Brandt locked fraud-detector in production: Drift.",
                "Carol Chen unlocked fraud-detector in production: Gone.",
            ),
            "quarantine": (
                "Bob Brandt quarantined fraud-detector v2: Drift.",
                "Carol Chen released fraud-detector v2 from quarantine: Gone.",
            ),
        }
        assert (sentence_of(former), sentence_of(last)) == expected[close]


def test_a_lock_closes_one_target_only(world: World) -> None:
    act(world, "lock", world.target("production"))
    promotion = world.request(world.version(2), target=world.target("staging"))
    assert explain(promotion).blockers == []


def test_a_quarantined_version_cannot_be_asked_for(world: World) -> None:
    version = world.version(2)
    placed = act(world, "quarantine", version)
    said = refused("quarantined", lambda: world.request(version))
    assert said == placed.sentence
    assert world.request(world.version(3)).is_pending


def test_unknown_subjects(world: World) -> None:
    class Nothing:
        pk = 10**9

    refused("unknown_target", lambda: act(world, "lock", Nothing))
    refused("unknown_version", lambda: act(world, "release", Nothing))


def test_the_database_allows_one_open_lock_and_no_odd_ones(world: World) -> None:
    target, version, now = world.target(), world.version(2), timezone.now()
    same = {"reason": "x", "placed_by": world.person("bob"), "placed_at": now}
    Restriction.objects.create(kind="lock", target=target, **same)
    odd: list[dict[str, Any]] = [
        {"kind": "lock", "target": target},
        {"kind": "lock", "version": version},
        {"kind": "quarantine", "target": world.target("staging")},
        {"kind": "quarantine"},
        {"kind": "quarantine", "version": version, "lifted_at": now},
    ]
    for values in odd:
        with pytest.raises(IntegrityError), transaction.atomic():
            Restriction.objects.create(**values, **same)
