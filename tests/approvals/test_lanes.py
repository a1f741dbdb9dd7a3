"""The lanes say what was live when; what they say at any moment is what :func:`live_at` says."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from approvals.lanes import GLASS, ROLLED_BACK, Arrival, Period, Stretch, axis, bars, laid
from approvals.models import Deployment, ModelVersion, Promotion, RegisteredModel, Review, Target
from approvals.selectors import lanes
from approvals.selectors.live import live_at
from approvals.states import DeploymentStatus, PromotionKind, PromotionStatus, Verdict, Via
from tests.world import World

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def went_live(
    world: World, target: Target, version: ModelVersion, at: datetime, **more: object
) -> Deployment:
    """Rows as they are after a promotion; quicker than the verbs, of which lanes know nothing."""
    status = str(more.pop("status", DeploymentStatus.SUCCEEDED))
    promotion = Promotion.objects.create(
        target=target,
        version=version,
        requester=world.person("alice"),
        via=Via.BROWSER,
        reason=str(more.pop("reason", "Better.")),
        requested_at=at,
        expires_at=at,
        decided_at=at,
        seal="0" * 64,
        **{"status": PromotionStatus.APPROVED, "kind": PromotionKind.PROMOTE, **more},
    )
    return Deployment.objects.create(
        promotion=promotion,
        target=target,
        version=version,
        status=status,
        created_at=at,
        finished_at=at,
    )


def period(days: float = 30, now: datetime = NOW) -> Period:
    return Period(now - days * DAY, now, now)


def a_past(world: World, length: int = 60) -> list[Target]:
    """A random past of two targets, failures among it, some of it far closer together than can be drawn."""
    chance = random.Random(7)
    targets = [world.target("staging"), world.target()]
    versions = [world.version(number) for number in range(1, 6)]
    for _ in range(length):
        at = NOW - chance.random() * 60 * DAY
        if chance.random() < 0.3:
            at = NOW - 9 * DAY + timedelta(seconds=chance.randrange(300))
        failed = chance.random() < 0.2
        went_live(
            world,
            chance.choice(targets),
            chance.choice(versions),
            at,
            status=DeploymentStatus.FAILED if failed else DeploymentStatus.SUCCEEDED,
        )
    return targets


def test_at_every_moment_the_bar_is_what_was_live(world: World) -> None:
    targets = a_past(world)
    drawn = lanes.drawing(targets, period())
    model = RegisteredModel.objects.get(name="fraud-detector")
    chance = random.Random(3)
    compared = several = 0
    for _ in range(60):
        moment = NOW - chance.random() * 30 * DAY
        truth = {each.target.pk: each.deployment for each in live_at(moment, [model])}
        for lane in drawn.lanes:
            here = [each for each in lane.bars if each.begin <= moment < (each.end or NOW)]
            assert len(here) <= 1
            deployment = truth[lane.target.pk]
            if not here:
                assert deployment is None
            elif here[0].several:
                several += 1
            else:
                assert deployment is not None
                assert here[0].arrival.promotion == deployment.promotion_id
                compared += 1
    assert compared > 100 and several < 5
    assert any(each.several for lane in drawn.lanes for each in lane.bars)


def test_before_anything_went_live_there_is_a_gap(world: World) -> None:
    target = world.target()
    went_live(world, target, world.version(1), NOW - 3 * DAY)
    [lane] = lanes.drawing([target], period(30)).lanes
    [bar] = lane.bars
    assert (bar.left, bar.size) == (90.0, 10.0)
    assert bar.end is None and bar.head == "fraud-detector v1 is live in production"
    [lane] = lanes.drawing([target], Period(NOW - 30 * DAY, NOW - 4 * DAY, NOW)).lanes
    assert lane.bars == []


def test_what_was_live_before_the_period_reaches_into_it(world: World) -> None:
    target = world.target()
    went_live(world, target, world.version(1), NOW - 50 * DAY)
    went_live(world, target, world.version(2), NOW - 15 * DAY)
    [lane] = lanes.drawing([target], period(30), at=NOW - 20 * DAY).lanes
    assert [(each.label, each.left, each.size) for each in lane.bars] == [
        ("v1", 0.0, 50.0),
        ("v2", 50.0, 50.0),
    ]
    assert lane.bars[0].begin == NOW - 50 * DAY  # told as it was, not as it is cut
    assert lane.then is not None and lane.then.version == 1


def test_a_bar_says_by_whom_and_how(world: World) -> None:
    target = world.target()
    first = went_live(world, target, world.version(1), NOW - 9 * DAY)
    for name in ("bob", "carol"):
        Review.objects.create(
            promotion=first.promotion,
            person=world.person(name),
            verdict=Verdict.APPROVE,
            seal="0" * 64,
            via=Via.BROWSER,
            created_at=NOW,
        )
    back = went_live(world, target, world.version(2), NOW - 5 * DAY, kind=PromotionKind.ROLLBACK)
    glass = went_live(
        world,
        target,
        world.version(3),
        NOW - 4 * DAY,
        overridden_by=world.person("dave"),
        override_reason="It burns.",
    )
    one, two, three = lanes.drawing([target], period()).lanes[0].bars
    assert one.sentence == (
        "fraud-detector v1 was live in production from 12 Nov 2026, 12:00 to 16 Nov 2026, 12:00, by "
        f"promotion {first.promotion_id}, approved by Bob Brandt and Carol Chen"
    )
    assert two.arrival.kind == ROLLED_BACK and f"by rollback {back.promotion_id}" in two.sentence
    assert three.arrival.kind == GLASS
    assert f"promotion {glass.promotion_id}, with broken glass" in three.sentence
    assert "the glass broken by Dave Diaz" in three.sentence


def test_many_changes_cost_no_more(world: World) -> None:
    """Neither in queries nor in bars."""
    targets = list(lanes.lane_targets(model="fraud-detector"))
    versions = [world.version(number) for number in (1, 2, 3)]
    chance = random.Random(1)

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            found = lanes.drawing(targets, period(), at=NOW - DAY)
        assert sum(len(each.bars) for each in found.lanes) <= lanes.MOST_BARS + 2
        return len(captured)

    went_live(world, targets[0], versions[0], NOW - DAY)
    few = queries()
    for _ in range(lanes.MOST_BARS + 20):
        at = NOW - chance.random() * 30 * DAY
        went_live(world, chance.choice(targets), chance.choice(versions), at)
    assert queries() == few == 8


def test_bars_end_now_and_not_later() -> None:
    shown = Period(NOW - DAY, NOW + DAY, NOW)
    [bar] = bars([Arrival(NOW - 2 * DAY, 3, 17)], shown, "m in e")
    assert (bar.left, bar.size, bar.end) == (0.0, 50.0, None)
    assert laid(Stretch("freeze", NOW + timedelta(hours=1), None, "later"), shown) is None


def test_moving_and_zooming_never_pass_now() -> None:
    shown = period(10)
    assert shown.moved(1).until == NOW and shown.moved(-1).until == NOW - 10 * DAY
    assert shown.zoomed(2).until == NOW and shown.zoomed(2).length == 20 * DAY
    assert shown.zoomed(0.00001).length == timedelta(hours=1)
    middle = shown.zoomed(0.5)
    assert (middle.since, middle.until) == (NOW - 7.5 * DAY, NOW - 2.5 * DAY)


def test_the_axis_is_as_exact_as_the_period_is_short() -> None:
    assert {"12:00", "Sat 21"} <= {each.words for each in axis(period(1.5))}
    assert "5 Nov" in {each.words for each in axis(period(30))}
    assert all(
        0 <= each.left <= 100 for days in (0.05, 1, 7, 30, 365, 3000) for each in axis(period(days))
    )


def test_targets_come_page_by_page_in_their_order(world: World) -> None:
    everything = [str(each) for each in lanes.lane_targets()]
    assert everything == sorted(everything, key=lambda each: each.split(" in ")[0])
    first = list(lanes.lane_targets()[:2])
    rest = [str(each) for each in lanes.lane_targets(after=first[-1].pk)]
    assert [str(each) for each in first] + rest == everything
    assert {each.environment.name for each in lanes.lane_targets(environment="staging")} == {
        "staging"
    }
    gone = world.target("staging")
    went_live(world, gone, world.version(1), timezone.now())
    Target.objects.update(is_active=False)
    assert list(lanes.lane_targets()) == [gone]  # what was live once is told for ever
