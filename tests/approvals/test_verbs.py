"""The verbs beside approving and rejecting: automatic, override, schedule, freeze, delegate, remind, hold."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.utils import timezone

from approvals import services
from approvals.explain import explain
from approvals.gates import Gate, LiveIn, MetricLimit
from approvals.models import (
    Deployment,
    Effect,
    Event,
    Person,
    Promotion,
    Restriction,
    Review,
    Team,
)
from approvals.models.outbox import EffectKind
from approvals.narrative import sentence_of
from approvals.policies import Requirement
from approvals.rules import Condition, Rule
from approvals.selectors.news import REPLY, TOLD
from approvals.states import PromotionStatus, RestrictionKind, Verdict, Via
from tests.approvals.test_refusals import refused
from tests.world import World

S = PromotionStatus
LIMIT = MetricLimit("accuracy", "0.9")


def again(promotion: Promotion) -> Promotion:
    return Promotion.objects.get(pk=promotion.pk)


def override(world: World, promotion: Promotion, who: str = "dave", **more: Any) -> Promotion:
    return services.override(
        actor=world.person(who),
        via=Via.BROWSER,
        promotion_id=promotion.pk,
        **{"seal": promotion.seal, "reason": "Fraud is running now.", **more},
    )


def begin(world: World, promotion: Promotion, now: datetime | None = None) -> object:
    return services.begin_dispatch(
        deployment_id=again(promotion).deployment.pk,
        observed=world.observed(promotion.version),
        now=now,
    )


class TestAutomatic:
    def automatic(self, world: World, *gates: Gate) -> None:
        world.rules(promote=(), automatic=True, gates=gates or (LIMIT,))

    def test_approved_by_itself_once_the_facts_are_sealed(self, world: World) -> None:
        self.automatic(world)
        promotion = world.request(world.version(2))
        assert promotion.status == S.APPROVED
        event = Event.objects.get(kind="promotion.approved")
        assert (event.actor, event.via, event.data["automatic"]) == (None, Via.SYSTEM, True)
        assert Effect.objects.filter(kind=EffectKind.DISPATCH).count() == 1
        assert not Review.objects.exists()
        assert promotion.facts["policy"]["automatic"] is True
        assert begin(world, promotion) is not None

    def test_not_while_a_gate_does_not_pass(self, world: World) -> None:
        self.automatic(world, MetricLimit("accuracy", "0.99"))
        promotion = world.request(world.version(2))
        assert services.approve_due() == 0
        assert promotion.status == S.PENDING
        assert "Nobody has to approve" in " ".join(explain(promotion).sentences)
        refused("not_in_team", lambda: world.review(promotion, "bob"))

    def test_time_alone_may_open_a_gate(self, world: World) -> None:
        world.make_live(world.version(2), "staging")
        self.automatic(world, LiveIn("staging", 3600))
        promotion = world.request(world.version(2))
        assert services.approve_due() == 0
        later = timezone.now() + timedelta(hours=1, seconds=1)
        assert services.approve_due(now=later) == 1
        assert services.approve_due(now=later) == 0
        assert again(promotion).status == S.APPROVED

    def test_never_without_a_gate_nor_where_a_rule_asks_for_people(self, world: World) -> None:
        world.rules(promote=(), automatic=True, gates=())
        promotion = world.request(world.version(2))
        assert promotion.status == S.PENDING
        assert any("No approver is required" in each for each in explain(promotion).blockers)
        self.automatic(world)
        world.rules(rules=(Rule(Condition(first_promotion=True), (Requirement(("ml-leads",)),)),))
        promotion = world.request(world.version(3))
        assert promotion.status == S.PENDING
        assert world.review(promotion, "bob").status == S.APPROVED

    def test_a_hold_stops_it_until_somebody_ends_it(self, world: World) -> None:
        world.make_live(world.version(1))
        world.make_live(world.version(2))
        rollback = services.request_rollback(
            actor=world.person("bob"),
            via=Via.BROWSER,
            target_id=world.target().pk,
            version_id=world.version(1).pk,
            reason="Worse in the afternoon.",
        )
        self.automatic(world)
        world.deploy(world.approve(world.seal(rollback)), 4242)
        held = Restriction.objects.get()
        assert (held.kind, held.placed_by) == (RestrictionKind.HOLD, world.person("bob"))
        assert Event.objects.filter(kind="target.held").count() == 1
        promotion = world.request(world.version(3))
        assert promotion.status == S.PENDING
        assert "on hold" in " ".join(explain(promotion).blockers)
        assert services.approve_due() == 0

        def resume(name: str) -> Restriction:
            return services.resume(
                actor=world.person(name),
                via=Via.BROWSER,
                target_id=promotion.target_id,
                reason="The cause is found.",
            )

        refused("may_not_restrict", lambda: resume("mallory"))
        resume("bob")
        assert services.approve_due() == 1
        assert again(promotion).status == S.APPROVED

    def test_where_people_are_asked_there_is_a_hold_too(self, world: World) -> None:
        world.make_live(world.version(1))
        world.make_live(world.version(2))
        rollback = services.request_rollback(
            actor=world.person("bob"),
            via=Via.BROWSER,
            target_id=world.target().pk,
            version_id=world.version(1).pk,
            reason="Worse in the afternoon.",
        )
        world.deploy(world.approve(world.seal(rollback)), 4242)
        held = Restriction.objects.get(kind=RestrictionKind.HOLD)
        assert (held.target, held.reason) == (world.target(), "Rolled back to fraud-detector v1.")

    def test_a_hold_does_not_stop_people(self, world: World) -> None:
        Restriction.objects.create(
            kind=RestrictionKind.HOLD,
            target=world.target(),
            reason="Rolled back.",
            placed_by=world.person("bob"),
            placed_at=timezone.now(),
        )
        assert world.approve(world.request(world.version(2))).status == "queued"


class TestOverride:
    @pytest.fixture(autouse=True)
    def glass(self, world: World) -> None:
        world.rules(override_team="platform", gates=(MetricLimit("accuracy", "0.99"),))

    def test_over_people_and_gates_and_marked_for_ever(self, world: World) -> None:
        promotion = world.request(world.version(2))
        done = override(world, promotion)
        assert (done.status, done.overridden_by) == (S.APPROVED, world.person("dave"))
        assert done.override_reason == "Fraud is running now."
        event = Event.objects.get(kind="promotion.overridden")
        assert event.data["missing"] == ["1 of ml-leads", "1 of risk"]
        assert event.data["over"] == ["accuracy is 0.92; at least 0.99 is required."]
        assert "broke the glass for fraud-detector v2" in sentence_of(event)
        assert TOLD[event.kind] == REPLY
        assert begin(world, promotion) is not None  # the gate was overruled

    def test_never_over_a_lock_a_quarantine_or_changed_facts(self, world: World) -> None:
        promotion = world.request(world.version(2))
        bob: dict[str, Any] = {"actor": world.person("bob"), "via": Via.BROWSER, "reason": "Stop."}
        services.lock(target_id=promotion.target_id, **bob)
        assert "locked" in refused("blocked", lambda: override(world, promotion))
        services.unlock(target_id=promotion.target_id, **bob)
        services.quarantine(version_id=promotion.version_id, **bob)
        assert "quarantined" in refused("blocked", lambda: override(world, promotion))
        services.release(version_id=promotion.version_id, **bob)
        refused("stale", lambda: override(world, promotion, seal="0" * 64))
        override(world, promotion)
        services.lock(target_id=promotion.target_id, **bob)
        assert begin(world, promotion) is None
        assert again(promotion).deployment.status == "failed"

    def test_it_starts_at_once_whatever_time_was_set(self, world: World) -> None:
        promotion = world.request(world.version(2))
        services.schedule(
            actor=world.person("bob"),
            via=Via.BROWSER,
            promotion_id=promotion.pk,
            run_at=timezone.now() + timedelta(days=3),
        )
        assert override(world, promotion).run_at is None
        assert begin(world, promotion) is not None

    def test_who_may_not(self, world: World) -> None:
        promotion = world.request(world.version(2))
        for name in ("bob", "carol", "mallory", "alice"):
            refused("may_not_override", partial(override, world, promotion, name))
        refused("reason_missing", lambda: override(world, promotion, reason="  "))
        services.delegate(
            actor=world.person("dave"),
            via=Via.BROWSER,
            delegate_id=world.person("mallory").pk,
            until=timezone.now() + timedelta(days=1),
        )
        refused("may_not_override", lambda: override(world, promotion, "mallory"))
        world.rules(override_team="")
        newer = world.request(world.version(3))
        refused("no_override", lambda: override(world, newer))

    def test_the_one_who_asks_only_where_the_policy_lets_them(self, world: World) -> None:
        promotion = world.request(world.version(2), actor="dave")
        refused("requester", lambda: override(world, promotion))
        world.rules(override_by_requester=True)
        promotion = world.request(world.version(3), actor="dave")
        assert override(world, promotion).status == S.APPROVED


class TestDelegation:
    def lend(self, world: World, person: str, to: str, **more: Any) -> None:
        services.delegate(
            actor=world.person(person),
            via=Via.BROWSER,
            delegate_id=world.person(to).pk,
            **{"until": timezone.now() + timedelta(days=2), **more},
        )

    def test_both_names_are_recorded(self, world: World) -> None:
        self.lend(world, "bob", "mallory")
        promotion = world.request(world.version(2))
        assert "Mallory Moss for Bob Brandt" in " ".join(explain(promotion).sentences)
        world.review(promotion, "mallory")
        given = Review.objects.get()
        assert (given.person, given.on_behalf_of) == (world.person("mallory"), world.person("bob"))
        assert Event.objects.get(kind="review.approved").data["on_behalf_of"] == "Bob Brandt"
        assert explain(promotion).rows[0].sentence == (
            "ml-leads: approved by Mallory Moss for Bob Brandt."
        )
        refused("already_reviewed", lambda: world.review(promotion, "bob"))
        assert world.review(promotion, "carol").status == S.APPROVED

    def test_one_approval_counts_once(self, world: World) -> None:
        world.rules(promote=(Requirement(("ml-leads", "risk"), 2),))
        self.lend(world, "bob", "mallory")
        promotion = world.request(world.version(2))
        world.review(promotion, "bob")
        refused("already_reviewed", lambda: world.review(promotion, "mallory"))
        assert again(promotion).status == S.PENDING

    def test_the_lender_may_still_reject(self, world: World) -> None:
        self.lend(world, "bob", "mallory")
        promotion = world.request(world.version(2))
        world.review(promotion, "mallory")
        explained = explain(promotion, world.person("bob"))
        assert (explained.may_act, explained.may_approve) == (True, False)
        assert explained.you == "Mallory Moss has decided for you already; you may still reject it."
        assert world.review(promotion, "bob", Verdict.REJECT).status == S.REJECTED

    def test_it_never_helps_whoever_asks(self, world: World) -> None:
        self.lend(world, "bob", "alice")
        promotion = world.request(world.version(2), actor="alice")
        refused("requester", lambda: world.review(promotion, "alice"))
        assert "alice" not in " ".join(explain(promotion).sentences).lower()

    def test_whoever_asks_cannot_lend_their_own(self, world: World) -> None:
        Team.objects.get(slug="ml-leads").members.add(world.person("alice"))
        self.lend(world, "alice", "mallory")
        promotion = world.request(world.version(2), actor="alice")
        refused("not_in_team", lambda: world.review(promotion, "mallory"))
        assert not Review.objects.exists()

    def test_only_while_it_lasts_and_only_from_the_active(self, world: World) -> None:
        now = timezone.now()
        self.lend(world, "bob", "mallory", until=now + timedelta(hours=1))
        promotion = world.request(world.version(2))
        refused(
            "not_in_team",
            lambda: world.review(promotion, "mallory", now=now + timedelta(hours=2)),
        )
        services.end_delegation(actor=world.person("bob"), via=Via.BROWSER)
        refused("not_in_team", lambda: world.review(promotion, "mallory"))
        self.lend(world, "bob", "mallory")
        services.set_active(
            actor=_admin(world), via=Via.BROWSER, person_id=world.person("bob").pk, active=False
        )
        refused("not_in_team", lambda: world.review(promotion, "mallory"))

    def test_what_cannot_be_lent(self, world: World) -> None:
        refused("own_account", lambda: self.lend(world, "bob", "bob"))
        refused("unknown_person", lambda: self.lend(world, "bob", "ci"))
        refused("nothing_to_delegate", lambda: self.lend(world, "mallory", "bob"))
        past = timezone.now() - timedelta(seconds=1)
        refused("bad_time", lambda: self.lend(world, "bob", "carol", until=past))
        late = timezone.now() + timedelta(days=93)
        refused("bad_time", lambda: self.lend(world, "bob", "carol", until=late))


def _admin(world: World) -> Person:
    dave = world.person("dave")
    dave.is_superuser = True
    dave.save()
    return dave


class TestCallingOff:
    def call_off(self, world: World, promotion: Promotion, who: str, **more: Any) -> Deployment:
        return services.call_off(
            actor=world.person(who),
            via=Via.BROWSER,
            deployment_id=promotion.deployment.pk,
            **{"reason": "The campaign is moved.", **more},
        )

    def test_what_is_approved_and_not_started(self, world: World) -> None:
        promotion = world.request()
        world.approve(promotion)
        promotion = again(promotion)
        refused("may_not_cancel", lambda: self.call_off(world, promotion, "mallory"))
        refused("reason_missing", lambda: self.call_off(world, promotion, "alice", reason=" "))
        assert self.call_off(world, promotion, "alice").status == "cancelled"
        assert begin(world, promotion) is None
        refused("already_started", lambda: self.call_off(world, again(promotion), "bob"))
        assert world.request(world.version(2)).status == S.PENDING, "it can be asked for again"

    def test_not_what_was_begun(self, world: World) -> None:
        promotion = world.request()
        world.approve(promotion)
        begin(world, promotion)
        refused("already_started", lambda: self.call_off(world, again(promotion), "bob"))

    def test_a_lock_is_said_while_it_waits(self, world: World) -> None:
        promotion = world.request()
        world.approve(promotion)
        services.lock(
            actor=world.person("bob"),
            via=Via.BROWSER,
            target_id=promotion.target_id,
            reason="Stop.",
        )
        said = " ".join(explain(again(promotion)).sentences)
        assert (
            "It will be stopped when its turn comes: fraud-detector in production is locked" in said
        )


class TestTicksAndComments:
    def test_what_the_policy_asks_of_each_approver(self, world: World) -> None:
        world.rules(checklist=("Read the model card", "Told support"), comment_required=True)
        promotion = world.request(world.version(2))
        both = ["Read the model card", "Told support"]
        refused("reason_missing", lambda: world.review(promotion, "bob", ticked=both))
        sentence = refused(
            "checklist",
            lambda: world.review(promotion, "bob", comment="Fine.", ticked=both[:1]),
        )
        assert "Told support" in sentence and "Read the model card" not in sentence
        refused(
            "checklist",
            lambda: world.review(promotion, "bob", comment="Fine.", ticked=[*both, "Else"]),
        )
        world.review(promotion, "bob", comment="Fine.", ticked=both)
        assert Review.objects.get().ticked == both
        # A rejection needs no ticks.
        assert world.review(promotion, "carol", Verdict.REJECT).status == S.REJECTED


class TestRules:
    RISK_2 = (Requirement(("risk",), 2),)

    def test_the_rules_that_apply_are_sealed_and_said(self, world: World) -> None:
        world.make_live(world.version(1, metrics={"accuracy": "0.95", "auc": "0.9"}))
        drop = Rule(
            Condition(metric_drops="accuracy", better="higher"),
            (Requirement(("platform",)),),
            ("I know why accuracy is lower",),
        )
        older = Rule(Condition(older_than_live=True), self.RISK_2)
        world.rules(rules=(drop, older))
        promotion = world.request(world.version(2, metrics={"accuracy": "0.94", "auc": "0.9"}))
        policy = promotion.facts["policy"]
        assert [row["teams"] for row in policy["requirements"]] == [
            ["ml-leads"], ["risk"], ["platform"],
        ]  # fmt: skip
        assert policy["because"] == ["accuracy is worse than the live version's"]
        assert (
            "More is asked because accuracy is worse than the live version's."
            in explain(promotion).sentences
        )
        world.review(promotion, "bob", ticked=["I know why accuracy is lower"])
        world.review(promotion, "carol", ticked=["I know why accuracy is lower"])
        assert again(promotion).status == S.PENDING
        world.review(promotion, "dave", ticked=["I know why accuracy is lower"])
        assert again(promotion).status == S.APPROVED

    def test_what_nobody_could_approve_with_the_rules_is_refused(self, world: World) -> None:
        world.rules(rules=(Rule(Condition(first_promotion=True), self.RISK_2),))
        version = world.version(2)
        sentence = refused("nobody_could", lambda: world.request(version))
        assert "2 of risk" in sentence

    def test_a_rule_that_begins_to_apply_voids_what_was_approved(self, world: World) -> None:
        world.make_live(world.version(1))
        drop = Rule(
            Condition(metric_drops="accuracy", better="higher"), (Requirement(("platform",)),)
        )
        world.rules(rules=(drop,))
        promotion = world.request(world.version(2))
        world.review(promotion, "bob")
        moved = world.seal(promotion, metrics={"accuracy": "0.10", "auc": "0.95"})
        assert promotion.reviews.get().voided_at is not None
        differences = Event.objects.get(kind="promotion.resealed").data["differences"]
        assert any("who must approve was" in each for each in differences)
        assert len(moved.facts["policy"]["requirements"]) == 3


def test_people_who_leave_are_said_instead_of_waited_for(world: World) -> None:
    promotion = world.request(world.version(2))
    assert "can never be approved" not in " ".join(explain(promotion).sentences)
    services.set_active(
        actor=_admin(world), via=Via.BROWSER, person_id=world.person("carol").pk, active=False
    )
    refreshed = Effect.objects.filter(dedupe_key__contains=":person-")
    assert [each.promotion for each in refreshed] == [promotion]
    said = " ".join(explain(promotion).sentences)
    assert "can never be approved: there are not enough people left for 1 of risk" in said


def test_several_are_decided_each_by_its_own_policy(world: World) -> None:
    one = world.request(world.version(2))
    two = world.request(world.version(1, "churn-predictor"))
    blocked = world.request(world.version(1, "demand-forecast"))
    services.lock(
        actor=world.person("bob"), via=Via.BROWSER, target_id=blocked.target_id, reason="Stop."
    )
    answers = services.review_many(
        actor=world.person("bob"),
        via=Via.BROWSER,
        verdict=Verdict.APPROVE,
        items={one.pk: one.seal, two.pk: "0" * 64, blocked.pk: blocked.seal, 10**9: "x"},
    )
    codes = [each.refused.code if each.refused else "done" for each in answers]
    assert codes == ["done", "stale", "blocked", "unknown_promotion"]
    assert Review.objects.count() == 1
    assert not Deployment.objects.exists()
