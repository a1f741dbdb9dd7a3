"""The outbox: order within a lane, one worker at a time, nothing lost, nothing given up by mistake."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone
from kombu.exceptions import OperationalError

from approvals.models import Effect, Promotion
from approvals.models.outbox import EffectKind
from approvals.states import EffectStatus
from config.celery import app
from integrations import outbox
from integrations.errors import Rejected, Unavailable
from tests.world import World


def effect(
    promotion: Promotion, key: str, lane: str = "a", due_at: datetime | None = None
) -> Effect:
    now = timezone.now()
    return Effect.objects.create(
        kind=EffectKind.ANNOUNCE,
        dedupe_key=key,
        lane=lane,
        promotion=promotion,
        created_at=now,
        due_at=due_at or now,
    )


@pytest.fixture
def promotion(committed_world: World) -> Promotion:
    """A promotion whose own effects are out of the way."""
    promotion = committed_world.request()
    Effect.objects.update(status=EffectStatus.DONE)
    return promotion


def handled(act: Callable[[Effect], None]) -> dict[str, outbox.Handler]:
    return {EffectKind.ANNOUNCE: act}


def test_a_lane_is_delivered_in_order_and_lanes_side_by_side(promotion: Promotion) -> None:
    first, second = effect(promotion, "1"), effect(promotion, "2")
    other = effect(promotion, "3", lane="b")
    assert outbox.claim() == first
    assert outbox.claim() == other
    assert outbox.claim() is None  # the second waits for the first, which is being delivered
    Effect.objects.filter(pk=first.pk).update(status=EffectStatus.DONE)
    assert outbox.claim() == second


def test_a_waiting_head_holds_its_lane(promotion: Promotion) -> None:
    effect(promotion, "1", due_at=timezone.now() + timedelta(hours=1))
    effect(promotion, "2")
    assert outbox.claim() is None


def test_a_dispatch_does_not_wait_behind_messages(promotion: Promotion) -> None:
    message = effect(promotion, "1", lane="a")
    start = effect(promotion, "2", lane="b")
    Effect.objects.filter(pk=start.pk).update(kind=EffectKind.DISPATCH)
    assert outbox.claim() == start
    assert outbox.claim() == message


def test_many_workers_deliver_each_effect_once(promotion: Promotion) -> None:
    for number in range(24):
        effect(promotion, str(number), lane=f"lane-{number % 6}")
    seen: list[int] = []

    def work() -> None:
        try:
            outbox.deliver_due(handled(lambda each: seen.append(each.pk)), seconds=10)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outbox.deliver_due(handled(lambda each: seen.append(each.pk)))
    assert len(seen) == len(set(seen)) == 24
    by_lane: dict[str, list[int]] = {}
    for each in Effect.objects.filter(pk__in=seen).order_by("finished_at"):
        by_lane.setdefault(each.lane, []).append(each.pk)
    assert all(pks == sorted(pks) for pks in by_lane.values())


def test_a_dead_workers_lease_runs_out_and_its_late_answer_is_ignored(promotion: Promotion) -> None:
    effect(promotion, "1")
    dead = outbox.claim()
    assert dead is not None
    assert outbox.claim() is None
    Effect.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
    alive = outbox.claim()
    assert alive is not None and alive.claim != dead.claim
    outbox.deliver(dead, handled(lambda each: None))
    assert Effect.objects.get(pk=dead.pk).status == EffectStatus.CLAIMED
    outbox.deliver(alive, handled(lambda each: None))
    assert Effect.objects.get(pk=dead.pk).status == EffectStatus.DONE


def test_a_long_delivery_keeps_its_lease(
    promotion: Promotion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "LEASE", timedelta(seconds=0.6))
    effect(promotion, "1")
    claimed: list[Effect | None] = []

    def slow(each: Effect) -> None:
        time.sleep(1.2)
        claimed.append(outbox.claim())

    outbox.deliver_due(handled(slow))
    assert claimed == [None]


@pytest.mark.parametrize(
    ("error", "status", "attempts", "wait"),
    [
        (Unavailable("Down."), EffectStatus.WAITING, 1, 2),
        (Unavailable("Limited.", after=40), EffectStatus.WAITING, 1, 40),
        (outbox.Later("Not my turn.", 3), EffectStatus.WAITING, 0, 3),
        (RuntimeError("a bug"), EffectStatus.WAITING, 1, 60),
        (Rejected("Never."), EffectStatus.FAILED, 1, None),
    ],
)
def test_what_a_failure_leads_to(
    promotion: Promotion, error: Exception, status: str, attempts: int, wait: float | None
) -> None:
    row = effect(promotion, "1")

    def fail(each: Effect) -> None:
        raise error

    before = timezone.now()
    outbox.deliver_due(handled(fail))
    row.refresh_from_db()
    assert (row.status, row.attempts) == (status, attempts)
    assert row.last_error
    assert "a bug" not in row.last_error  # an internal error's text may hold anything
    if wait is not None:
        assert abs((row.due_at - before).total_seconds() - wait) < 2
        assert row.claim == ""


def test_waits_grow_and_stay_bounded(promotion: Promotion) -> None:
    row = effect(promotion, "1")

    def fail(each: Effect) -> None:
        raise Unavailable("Down.")

    waits = []
    for _ in range(9):
        Effect.objects.update(due_at=timezone.now())
        outbox.deliver_due(handled(fail))
        row.refresh_from_db()
        waits.append(round((row.due_at - timezone.now()).total_seconds()))
    assert waits == [2, 4, 8, 16, 32, 60, 60, 60, 60]


def test_a_vote_does_not_wait_for_a_broker_that_is_away(
    committed_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis is down while people click: the click is quick, kept, and delivered later."""
    promotion = committed_world.request()

    def unreachable(*args: object, **options: object) -> None:
        time.sleep(3)  # what connecting to a broker that is away takes before it gives up
        raise OperationalError("connection refused")

    monkeypatch.setattr(app, "send_task", unreachable)
    began = time.monotonic()
    deployment = committed_world.approve(promotion)
    assert time.monotonic() - began < 2
    waiting = Effect.objects.get(kind=EffectKind.DISPATCH, promotion=deployment.promotion)
    assert waiting.status == EffectStatus.WAITING


def test_one_wake_up_call_for_a_whole_transaction(
    committed_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from approvals.signals import effects_written

    calls: list[object] = []

    def count(**kwargs: object) -> None:
        calls.append(kwargs)

    effects_written.connect(count)
    try:
        promotion = committed_world.request()
        calls.clear()
        committed_world.approve(promotion)
    finally:
        effects_written.disconnect(count)
    assert len(calls) == 2  # bob's review and carol's, each one transaction
