"""The verbs about time: running later, freezing, reminding."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.utils import timezone

from approvals import services
from approvals.calendar import Window
from approvals.explain import explain
from approvals.gates import MetricLimit
from approvals.models import (
    Effect,
    Event,
    Promotion,
)
from approvals.models.outbox import EffectKind
from approvals.selectors.news import called_by
from approvals.services.delivery import NotYet
from approvals.services.schedules import next_window
from approvals.states import PromotionStatus, Verdict, Via
from tests.approvals.test_refusals import refused
from tests.approvals.test_verbs import again, begin, override
from tests.world import World

S = PromotionStatus


class TestSchedule:
    def schedule(
        self, world: World, promotion: Promotion, who: str, at: datetime | None, zone: str = "UTC"
    ) -> Promotion:
        return services.schedule(
            actor=world.person(who),
            via=Via.BROWSER,
            promotion_id=promotion.pk,
            run_at=at,
            zone=zone,
        )

    def test_approved_now_and_run_then(self, world: World) -> None:
        at = timezone.now() + timedelta(days=2)
        promotion = world.request(world.version(2))
        self.schedule(world, promotion, "alice", at, "Europe/Amsterdam")
        world.approve(promotion)
        promotion = again(promotion)
        lapse = timedelta(seconds=promotion.policy["grant_lapses_after"])
        assert promotion.grant_lapses_at == at + lapse
        with pytest.raises(NotYet, match="Waiting for its time") as wait:
            begin(world, promotion)
        assert wait.value.until == at
        assert services.close_overdue(now=at) == 0
        assert begin(world, promotion, at) is not None

    def test_it_holds_up_nothing_else(self, world: World) -> None:
        later = world.request(world.version(2))
        self.schedule(world, later, "bob", timezone.now() + timedelta(days=2))
        world.approve(later)
        sooner = world.request(world.version(3))
        world.approve(sooner)
        lanes = Effect.objects.filter(kind=EffectKind.DISPATCH).values_list("lane", flat=True)
        assert len(set(lanes)) == 2
        assert begin(world, sooner) is not None

    def test_moved_by_those_who_decide_alone_once_somebody_has(self, world: World) -> None:
        promotion = world.request(world.version(2))
        at = timezone.now() + timedelta(days=2)
        self.schedule(world, promotion, "alice", at)
        world.review(promotion, "bob")
        refused("may_not_schedule", lambda: self.schedule(world, promotion, "alice", None))
        refused("may_not_schedule", lambda: self.schedule(world, promotion, "mallory", None))
        world.review(promotion, "carol")
        refused("may_not_schedule", lambda: self.schedule(world, promotion, "alice", None))
        assert again(promotion).run_at == at
        self.schedule(world, promotion, "carol", None)
        effect = Effect.objects.get(kind=EffectKind.DISPATCH)
        assert effect.lane == f"dispatch:{promotion.target_id}"
        begin(world, promotion)
        refused("already_started", lambda: self.schedule(world, promotion, "carol", at))

    @pytest.mark.parametrize(
        ("at", "zone"),
        [
            (timedelta(seconds=-1), "UTC"),
            (timedelta(days=91), "UTC"),
            (timedelta(days=1), "Europe/Atlantis"),
        ],
    )
    def test_times_that_are_none(self, world: World, at: timedelta, zone: str) -> None:
        promotion = world.request(world.version(2))
        moment = timezone.now() + at
        refused("bad_time", lambda: self.schedule(world, promotion, "bob", moment, zone))


class TestFreeze:
    # Fridays at 16:00 until Monday at 08:00, over the change of clocks on 25 October 2026.
    WEEKEND = Window("Weekend", "2026-01-02T16:00", 64 * 3600, "Europe/Amsterdam", "FREQ=WEEKLY")
    SATURDAY = datetime(2026, 10, 24, 12, tzinfo=UTC)
    MONDAY = datetime(2026, 10, 26, 7, tzinfo=UTC)  # 08:00 in winter time

    def weekend(self, world: World) -> None:
        target = world.target()
        target.freezes = [self.WEEKEND.as_data()]
        target.save()

    def test_a_weekend_in_the_file(self, world: World) -> None:
        self.weekend(world)
        promotion = world.request(world.version(2), now=self.SATURDAY)
        sentence = refused("blocked", lambda: world.review(promotion, "bob", now=self.SATURDAY))
        assert "frozen (Weekend) until Mon 26 Oct 2026, 08:00 Europe/Amsterdam" in sentence
        assert next_window(promotion, self.SATURDAY) == self.MONDAY
        services.schedule(
            actor=world.person("bob"),
            via=Via.BROWSER,
            promotion_id=promotion.pk,
            run_at=self.MONDAY,
            zone="Europe/Amsterdam",
            now=self.SATURDAY,
        )
        world.review(promotion, "bob", now=self.SATURDAY)
        world.review(promotion, "carol", now=self.SATURDAY)
        assert again(promotion).status == S.APPROVED
        with pytest.raises(NotYet):
            begin(world, promotion, self.MONDAY - timedelta(seconds=1))
        assert begin(world, promotion, self.MONDAY) is not None

    def test_it_cannot_be_scheduled_into_a_freeze(self, world: World) -> None:
        self.weekend(world)
        promotion = world.request(world.version(2), now=self.SATURDAY - timedelta(days=3))
        refused(
            "frozen_then",
            lambda: services.schedule(
                actor=world.person("bob"),
                via=Via.BROWSER,
                promotion_id=promotion.pk,
                run_at=self.SATURDAY,
                now=self.SATURDAY - timedelta(days=3),
            ),
        )

    def test_placed_by_a_person_it_makes_a_grant_wait(self, world: World) -> None:
        promotion = world.request(world.version(2))
        world.approve(promotion)
        environment_id = promotion.target.environment_id
        who: dict[str, Any] = {"actor": world.person("carol"), "via": Via.BROWSER}
        placed = services.freeze(environment_id=environment_id, reason="Audit week.", **who)
        with pytest.raises(NotYet, match="frozen"):
            begin(world, promotion)
        assert again(promotion).deployment.status == "queued"
        newer = world.request(world.version(3))
        assert "Audit week" in refused("blocked", lambda: world.review(newer, "bob"))
        mallory: dict[str, Any] = {
            "actor": world.person("mallory"),
            "via": Via.BROWSER,
            "reason": "Now!",
        }
        refused("may_not_restrict", lambda: services.unfreeze(freeze_id=placed.pk, **mallory))
        refused(
            "may_not_restrict",
            lambda: services.freeze(environment_id=environment_id, **mallory),
        )
        services.unfreeze(freeze_id=placed.pk, reason="It is over.", **who)
        refused(
            "not_frozen",
            lambda: services.unfreeze(freeze_id=placed.pk, reason="It is over.", **who),
        )
        assert begin(world, promotion) is not None

    def test_rollbacks_and_broken_glass_go_through(self, world: World) -> None:
        world.rules(override_team="platform")
        world.make_live(world.version(1))
        world.make_live(world.version(2))
        services.freeze(
            actor=world.person("carol"),
            via=Via.BROWSER,
            environment_id=world.target().environment_id,
            reason="Audit week.",
        )
        rollback = services.request_rollback(
            actor=world.person("bob"),
            via=Via.BROWSER,
            target_id=world.target().pk,
            version_id=world.version(1).pk,
            reason="It is broken.",
        )
        world.deploy(world.approve(world.seal(rollback)), 4242)
        promotion = world.request(world.version(3))
        override(world, promotion)
        assert begin(world, promotion) is not None

    def test_unreadable_freezes_count_as_frozen(self, world: World) -> None:
        target = world.target()
        target.freezes = [{"name": "?"}]
        target.save()
        promotion = world.request(world.version(2))
        assert "cannot be read" in refused("blocked", lambda: world.review(promotion, "bob"))

    def test_times_that_make_no_freeze(self, world: World) -> None:
        now = timezone.now()
        for begins, ends in (
            (None, now - timedelta(hours=1)),
            (now + timedelta(days=2), now + timedelta(days=1)),
            (now + timedelta(days=400), None),
            (None, now + timedelta(days=400)),
        ):
            attempt = partial(
                services.freeze,
                actor=world.person("bob"),
                via=Via.BROWSER,
                environment_id=world.target().environment_id,
                reason="x",
                begins_at=begins,
                ends_at=ends,
            )
            refused("bad_time", attempt)


class TestReminders:
    def test_those_missing_are_reminded_and_a_second_team_is_told_once(self, world: World) -> None:
        world.rules(remind_after=3600, escalate_after=7200, escalate_to="platform")
        promotion = world.request(world.version(2))
        world.review(promotion, "bob")
        start = promotion.requested_at
        assert "escalated to platform" in " ".join(explain(promotion).sentences)
        assert services.remind_due(now=start + timedelta(seconds=3599)) == 0
        assert services.remind_due(now=start + timedelta(seconds=3600)) == 1
        assert services.remind_due(now=start + timedelta(seconds=3601)) == 0
        reminded = Event.objects.get(kind="promotion.reminded")
        assert reminded.data["people"] == "Carol Chen"
        assert called_by(reminded, promotion) == [world.person("carol")]
        assert services.remind_due(now=start + timedelta(seconds=7200)) == 1
        escalated = Event.objects.get(kind="promotion.escalated")
        assert escalated.data["people"] == "Dave Diaz"
        assert called_by(escalated, promotion) == [world.person("dave")]
        assert services.remind_due(now=start + timedelta(seconds=7201)) == 0
        # Being told gives no vote.
        refused("not_in_team", lambda: world.review(promotion, "dave"))

    def test_nobody_is_reminded_of_what_is_blocked_or_decided(self, world: World) -> None:
        world.rules(remind_after=3600, gates=(MetricLimit("accuracy", "0.99"),))
        promotion = world.request(world.version(2))
        services.remind_due(now=promotion.requested_at + timedelta(seconds=3600))
        assert not Event.objects.filter(kind="promotion.reminded").exists()
        world.review(promotion, "bob", Verdict.REJECT)
        assert services.remind_due(now=promotion.requested_at + timedelta(days=1)) == 0
