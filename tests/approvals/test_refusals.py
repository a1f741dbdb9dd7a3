"""Every unwelcome request and review: refused with its reason, and nothing written."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from approvals import services
from approvals.explain import explain
from approvals.models import (
    Deployment,
    Effect,
    Event,
    Membership,
    Person,
    Promotion,
    Review,
    Team,
)
from approvals.narrative import sentence_of
from approvals.selectors.news import called_by, is_outcome
from approvals.services import Refused
from approvals.states import PromotionStatus, Verdict, Via
from tests.world import World


def rows() -> tuple[int, ...]:
    """How much there is of everything that a verb writes."""
    return tuple(each.objects.count() for each in (Promotion, Review, Deployment, Effect, Event))


def refused(code: str, act: Callable[[], object]) -> str:
    """``act`` is refused with ``code`` and leaves no trace; returns the sentence."""
    before, states = rows(), list(Promotion.objects.order_by("pk").values_list("status", "seal"))
    with pytest.raises(Refused) as caught:
        act()
    assert caught.value.code == code, caught.value.sentence
    assert rows() == before
    assert list(Promotion.objects.order_by("pk").values_list("status", "seal")) == states
    return caught.value.sentence


def ask(world: World, version_id: int, *, actor: str = "alice", **more: object) -> Promotion:
    return services.request_promotion(
        actor=world.person(actor),
        via=Via.BROWSER,
        target_id=more.pop("target_id", None) or world.target().pk,  # type: ignore[arg-type]
        version_id=version_id,
        reason=str(more.pop("reason", "Because.")),
    )


class TestRequests:
    def test_unfinished_run(self, world: World) -> None:
        version = world.version(run_status="RUNNING")
        assert "RUNNING" in refused("run_unfinished", lambda: ask(world, version.pk))

    def test_not_ready(self, world: World) -> None:
        version = world.version(status="PENDING_REGISTRATION")
        refused("version_not_ready", lambda: ask(world, version.pk))

    def test_deleted(self, world: World) -> None:
        version = world.version()
        services.record_absent_versions(present={"fraud-detector": set()})
        refused("version_deleted", lambda: ask(world, version.pk))

    def test_already_live(self, world: World) -> None:
        version = world.version(1)
        world.make_live(version)
        refused("already_live", lambda: ask(world, version.pk))

    def test_already_pending(self, world: World) -> None:
        promotion = world.request()
        sentence = refused("already_pending", lambda: ask(world, promotion.version_id))
        assert f"promotion {promotion.pk}" in sentence

    def test_on_its_way(self, world: World) -> None:
        deployment = world.approve(world.request())
        refused("already_deploying", lambda: ask(world, deployment.version_id))

    def test_no_reason(self, world: World) -> None:
        version = world.version()
        refused("reason_missing", lambda: ask(world, version.pk, reason=" \n\x00 "))

    @pytest.mark.parametrize("who", ["mallory", "ci"])
    def test_no_right_to_ask(self, world: World, who: str) -> None:
        version = world.version()
        assert "ml-engineers" in refused(
            "may_not_request", lambda: ask(world, version.pk, actor=who)
        )

    def test_inactive_person(self, world: World) -> None:
        version = world.version()
        Person.objects.filter(username="alice").update(is_active=False)
        refused("inactive", lambda: ask(world, version.pk))

    def test_what_only_the_requester_could_approve(self, world: World) -> None:
        """bob is the only lead, and a lead must approve."""
        version = world.version()
        sentence = refused("nobody_could", lambda: ask(world, version.pk, actor="bob"))
        assert "1 of ml-leads" in sentence
        assert "risk" not in sentence
        # A second lead is enough; one who is not active is not.
        lead = Team.objects.get(slug="ml-leads")
        Membership.objects.create(team=lead, person=world.person("dave"))
        Person.objects.filter(username="dave").update(is_active=False)
        refused("nobody_could", lambda: ask(world, version.pk, actor="bob"))
        Person.objects.filter(username="dave").update(is_active=True)
        assert ask(world, version.pk, actor="bob").is_pending

    def test_what_only_its_trainer_could_approve(self, world: World) -> None:
        target = world.target()
        target.policy["trainer_may_approve"] = False
        target.save()
        version = world.version(2, trained_by="BOB@acme.example")
        assert "whoever trained it" in refused("nobody_could", lambda: ask(world, version.pk))
        Membership.objects.create(
            team=Team.objects.get(slug="ml-leads"), person=world.person("dave")
        )
        promotion = world.seal(ask(world, version.pk))
        assert promotion.facts["policy"]["trainer_may_approve"] is False
        sentence = refused("trainer", lambda: world.review(promotion, "bob"))
        assert "you trained this version" in sentence
        assert [str(each) for each in explain(promotion).rows[0].could] == ["Dave Diaz"]
        world.review(promotion, "dave")
        assert world.review(promotion, "carol").status == PromotionStatus.APPROVED

    def test_the_trainer_may_roll_back_to_what_was_approved_before(self, world: World) -> None:
        first = world.version(1, trained_by="bob")
        world.make_live(first)
        world.make_live(world.version(2), run_id=78)
        target = world.target()
        target.policy["trainer_may_approve"] = False
        target.save()
        asked = services.request_rollback(
            actor=world.person("alice"),
            via=Via.BROWSER,
            target_id=target.pk,
            version_id=first.pk,
            reason="False alarms.",
        )
        assert world.review(world.seal(asked), "bob").status == PromotionStatus.APPROVED

    def test_a_rollback_that_the_requester_may_approve_needs_nobody_else(
        self, world: World
    ) -> None:
        world.make_live(world.version(1))
        world.make_live(world.version(2), run_id=78)
        Person.objects.exclude(username="bob").update(is_active=False)
        promotion = services.request_rollback(
            actor=world.person("bob"),
            via=Via.BROWSER,
            target_id=world.target().pk,
            version_id=world.version(1).pk,
            reason="At night, alone.",
        )
        assert promotion.is_pending

    def test_version_of_another_model(self, world: World) -> None:
        other = world.version(1, "churn-predictor")
        refused("unknown_version", lambda: ask(world, other.pk))

    def test_unknown_target(self, world: World) -> None:
        version = world.version()
        refused("unknown_target", lambda: ask(world, version.pk, target_id=10**9))

    def test_rollback_to_what_was_never_live(self, world: World) -> None:
        world.make_live(world.version(1))
        version = world.version(3)
        refused(
            "never_live",
            lambda: services.request_rollback(
                actor=world.person("bob"),
                via=Via.BROWSER,
                target_id=world.target().pk,
                version_id=version.pk,
                reason="Because.",
            ),
        )


class TestReviews:
    @pytest.mark.parametrize(
        ("who", "code"),
        [
            ("alice", "requester"),
            ("mallory", "not_in_team"),
            ("ci", "machine"),
            ("dave", "not_in_team"),
        ],
    )
    @pytest.mark.parametrize("verdict", Verdict.values)
    def test_whoever_may_not(self, world: World, who: str, code: str, verdict: str) -> None:
        promotion = world.request()
        refused(code, lambda: world.review(promotion, who, verdict))

    def test_inactive(self, world: World) -> None:
        promotion = world.request()
        Person.objects.filter(username="bob").update(is_active=False)
        refused("inactive", lambda: world.review(promotion, "bob"))

    def test_twice_over_any_door(self, world: World) -> None:
        promotion = world.request()
        world.review(promotion, "bob", via=Via.BROWSER)
        refused("already_reviewed", lambda: world.review(promotion, "bob", via=Via.SLACK))
        refused(
            "already_reviewed",
            lambda: world.review(promotion, "bob", Verdict.REJECT, via=Via.API),
        )

    def test_after_the_end(self, world: World) -> None:
        promotion = world.request()
        world.review(promotion, "bob", Verdict.REJECT)
        sentence = refused("already_decided", lambda: world.review(promotion, "carol"))
        assert "rejected by Bob Brandt" in sentence

    def test_past_its_time(self, world: World) -> None:
        promotion = world.request()
        late = promotion.expires_at + timedelta(seconds=1)
        refused("expired", lambda: world.review(promotion, "bob", now=late))

    def test_rejection_without_reason(self, world: World) -> None:
        promotion = world.request()
        refused(
            "reason_missing", lambda: world.review(promotion, "bob", Verdict.REJECT, comment=" ")
        )

    def test_before_the_facts_are_known(self, world: World) -> None:
        promotion = ask(world, world.version().pk)
        refused("not_sealed", lambda: world.review(promotion, "bob"))
        refused("not_sealed", lambda: world.review(promotion, "bob", seal="a" * 64))

    def test_a_stale_seal_is_refused_with_the_difference(self, world: World) -> None:
        promotion = world.request(world.version(metrics={"accuracy": "0.913"}))
        seen = promotion.seal
        world.seal(promotion, metrics={"accuracy": "0.871"})
        sentence = refused("stale", lambda: world.review(promotion, "bob", seal=seen))
        assert "accuracy was 0.913 and is 0.871 now" in sentence

    def test_a_made_up_seal(self, world: World) -> None:
        promotion = world.request()
        refused("stale", lambda: world.review(promotion, "bob", seal="0" * 64))

    def test_blocked(self, world: World) -> None:
        promotion = world.request()
        services.record_facts_problem(promotion_id=promotion.pk, problem="The artifact is gone.")
        assert "The artifact is gone." in refused("blocked", lambda: world.review(promotion, "bob"))

    def test_an_unreadable_policy_lets_nobody_approve(self, world: World) -> None:
        promotion = world.request()
        Promotion.objects.filter(pk=promotion.pk).update(policy={"promote": "everybody"})
        refused("not_in_team", lambda: world.review(promotion, "bob"))

    def test_unknown_promotion_and_verdict(self, world: World) -> None:
        promotion = world.request()
        refused("unknown_verdict", lambda: world.review(promotion, "bob", "maybe"))
        promotion.pk = 10**9
        refused("unknown_promotion", lambda: world.review(promotion, "bob"))


class TestCancelling:
    def test_a_stranger_may_not(self, world: World) -> None:
        promotion = world.request()
        refused(
            "may_not_cancel",
            lambda: services.cancel(
                actor=world.person("mallory"), via=Via.BROWSER, promotion_id=promotion.pk
            ),
        )

    @pytest.mark.parametrize("who", ["alice", "bob"])
    def test_the_requester_and_those_who_decide_may(self, world: World, who: str) -> None:
        promotion = world.request()
        services.cancel(actor=world.person(who), via=Via.BROWSER, promotion_id=promotion.pk)
        promotion.refresh_from_db()
        assert promotion.status == PromotionStatus.CANCELLED
        assert promotion.decided_at is not None
        refused(
            "already_decided",
            lambda: services.cancel(
                actor=world.person("alice"), via=Via.BROWSER, promotion_id=promotion.pk
            ),
        )


def test_nothing_expires_early_and_all_in_time(world: World) -> None:
    promotion = world.request()
    assert services.close_overdue(now=promotion.expires_at - timedelta(seconds=1)) == 0
    assert services.close_overdue(now=promotion.expires_at) == 1
    assert services.close_overdue(now=promotion.expires_at + timedelta(days=1)) == 0
    promotion.refresh_from_db()
    assert promotion.status == PromotionStatus.EXPIRED
    assert Event.objects.filter(kind="promotion.expired").count() == 1


def test_an_unused_grant_lapses(world: World) -> None:
    deployment = world.approve(world.request())
    lapse = Promotion.objects.get(pk=deployment.promotion_id).grant_lapses_at
    assert lapse is not None
    assert services.close_overdue(now=lapse) == 1
    deployment.refresh_from_db()
    assert deployment.status == "cancelled"
    observed = world.observed(deployment.version)
    assert services.begin_dispatch(deployment_id=deployment.pk, observed=observed) is None


def test_a_newer_request_supersedes_the_older(world: World) -> None:
    older = world.request(world.version(2))
    world.review(older, "bob")
    newer = world.request(world.version(3))
    older.refresh_from_db()
    assert older.status == PromotionStatus.SUPERSEDED
    assert older.superseded_by == newer
    event = Event.objects.get(kind="promotion.superseded", promotion=older)
    assert "v3 was asked for instead" in sentence_of(event)
    assert is_outcome(event, older) and called_by(event, older) == [], "alice did it herself"
    assert newer.status == PromotionStatus.PENDING
    refused("already_decided", lambda: world.review(older, "carol"))


def test_changed_facts_void_earlier_reviews(world: World) -> None:
    promotion = world.request()
    world.review(promotion, "bob")
    promotion = world.seal(promotion, version={"artifact_digest": "sha256:" + "e" * 64})
    assert Review.objects.get(person__username="bob").voided_at is not None
    event = Event.objects.get(kind="promotion.resealed")
    assert event.data["voided"] == ["Bob Brandt"]
    world.review(promotion, "carol")
    assert not Deployment.objects.exists()
    world.review(promotion, "bob")
    assert Deployment.objects.count() == 1
    assert timezone.now() >= event.at


class TestWithdrawing:
    def test_one_may_take_it_back_and_decide_anew(self, world: World) -> None:
        promotion = world.request()
        world.review(promotion, "bob")
        services.withdraw_review(
            actor=world.person("bob"), via=Via.BROWSER, promotion_id=promotion.pk
        )
        world.review(promotion, "carol")
        promotion.refresh_from_db()
        assert promotion.status == PromotionStatus.PENDING  # bob's approval no longer counts
        world.review(promotion, "bob")
        promotion.refresh_from_db()
        assert promotion.status == PromotionStatus.APPROVED
        assert Event.objects.filter(kind="review.withdrawn").count() == 1

    def test_nobody_takes_back_what_is_not_theirs_or_settled(self, world: World) -> None:
        promotion = world.request()
        world.review(promotion, "bob")

        def withdraw(name: str) -> Promotion:
            return services.withdraw_review(
                actor=world.person(name), via=Via.BROWSER, promotion_id=promotion.pk
            )

        refused("nothing_to_withdraw", lambda: withdraw("carol"))
        refused("nothing_to_withdraw", lambda: withdraw("mallory"))
        world.review(promotion, "carol")
        refused("already_decided", lambda: withdraw("bob"))
        assert Deployment.objects.count() == 1


def test_nothing_of_a_reason_is_cut_off_silently(world: World) -> None:
    version = world.version()
    sentence = refused("reason_too_long", lambda: ask(world, version.pk, reason="x" * 2001))
    assert "2,001" in sentence
    assert ask(world, version.pk, reason="x" * 2000).reason == "x" * 2000
