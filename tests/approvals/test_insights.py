"""The figures of the insights: what each one counts, case by case."""

from __future__ import annotations

import statistics

import pytest

from approvals import services
from approvals.models import OutOfBandChange
from approvals.rollouts import PlanStep
from approvals.rules import Policy
from approvals.selectors.insights.measuring import (
    latency_by_team,
    measure_all,
    scope_of,
)
from approvals.states import ChangeKind, MarkKind, Via
from tests.approvals.counting import DAY, EVERYTHING, MARCH, MONDAY, keys_of, lists_agree, versions
from tests.past import MINUTE, Past
from tests.world import World


@pytest.fixture
def past(world: World) -> Past:
    return Past(world)


def test_nothing_is_nothing_and_not_zero(world: World) -> None:
    measured = measure_all(EVERYTHING, MARCH).figures
    for each in measured.values():
        assert (each.now.n, each.now.median, each.now.share, each.buckets) == (0, None, None, {})
    found = measure_all(EVERYTHING, MARCH, "model")
    assert (found.lines, found.more) == ([], False)
    assert latency_by_team(EVERYTHING, MARCH) == []


def test_one_promotion_by_the_clock(world: World, past: Past) -> None:
    (version,) = versions(world, 1)
    deployment = past.promote(version, MONDAY, waits=90, queued=7, runs=3)
    measured = measure_all(EVERYTHING, MARCH).figures
    live = MONDAY + 100 * MINUTE
    assert deployment.finished_at == live
    seconds = {
        key: each.now.median for key, each in measured.items() if each.now.median is not None
    }
    assert seconds == {
        "lead_time": (live - version.registered_at).total_seconds(),
        "training_lead": (live - version.registered_at).total_seconds(),
        "approval": 90 * 60,
        "queue": 7 * 60,
        "duration": 3 * 60,
        "run_duration": 3 * 60,
    }
    assert {
        key: (each.now.hits, each.now.n) for key, each in measured.items() if each.figure.counted
    } == {
        "change_failure": (0, 1),
        "rollbacks": (0, 1),
        "out_of_band": (0, 1),
        "overrides": (0, 1),
        "run_success": (1, 1),
    }
    teams = {each.team: each.measure for each in latency_by_team(EVERYTHING, MARCH)}
    assert teams["ml-leads"].median == 89 * 60 and teams["risk"].median == 90 * 60
    lists_agree(measured, EVERYTHING, MARCH)


def test_what_is_a_failed_change(world: World, past: Past) -> None:
    """Rolled back, marked as bad, run failed, rollout gone back: failed. Called off, taken back, replaced: not."""
    v1, v2, v3, v4, v5 = versions(world, 5)
    fine = past.promote(v1, MONDAY)
    undone = past.promote(v2, MONDAY + DAY)
    rollback = past.promote(v1, MONDAY + 2 * DAY, rollback=True, actor="dave")
    marked = past.promote(v3, MONDAY + 3 * DAY)
    past.mark(marked, MarkKind.BAD, MONDAY + 4 * DAY)
    broken = past.promote(v4, MONDAY + 5 * DAY, conclusion="failure")
    good = past.promote(v4, MONDAY + 6 * DAY)
    past.mark(good, MarkKind.BAD, MONDAY + 7 * DAY)
    past.mark(good, MarkKind.GOOD, MONDAY + 8 * DAY)
    off = past.approve(past.ask(v5, MONDAY + 9 * DAY), MONDAY + 9 * DAY + 60 * MINUTE)
    services.call_off(
        actor=world.person("alice"), via=Via.BROWSER, deployment_id=off.pk, reason="Not now.",
        now=MONDAY + 10 * DAY,
    )  # fmt: skip
    measured = measure_all(EVERYTHING, MARCH).figures
    assert set(keys_of("change_failure")) == {
        each.promotion_id for each in (undone, marked, broken)
    }
    assert set(keys_of("change_failure", part="all")) == {
        each.promotion_id for each in (fine, undone, marked, broken, good)
    }
    # v2 was bad until the rollback, v3 until v4 (which is good) was live; v4's first run served nobody.
    assert undone.finished_at and rollback.finished_at and marked.finished_at and good.finished_at
    assert sorted(keys_of("restore")) == [undone.promotion_id, marked.promotion_id]
    assert measured["restore"].now.median == statistics.median(
        [
            (rollback.finished_at - undone.finished_at).total_seconds(),
            (good.finished_at - marked.finished_at).total_seconds(),
        ]
    )
    assert measured["rollback_time"].now.median == 67 * 60
    lists_agree(measured, EVERYTHING, MARCH)


def test_a_bad_version_after_a_bad_one_restores_nothing(world: World, past: Past) -> None:
    v1, v2, v3 = versions(world, 3)
    past.promote(v1, MONDAY)
    first = past.promote(v2, MONDAY + DAY)
    past.mark(first, MarkKind.BAD, MONDAY + DAY + 120 * MINUTE)
    second = past.promote(v3, MONDAY + 2 * DAY)
    assert keys_of("restore") == [first.promotion_id]
    past.mark(second, MarkKind.BAD, MONDAY + 2 * DAY + 120 * MINUTE)
    assert keys_of("restore") == []
    assert sorted(keys_of("restore", part="missing")) == [first.promotion_id, second.promotion_id]
    back = past.promote(v1, MONDAY + 3 * DAY, rollback=True, actor="dave")
    assert back.finished_at and first.finished_at and second.finished_at
    assert sorted(keys_of("restore")) == [first.promotion_id, second.promotion_id]
    measured = measure_all(EVERYTHING, MARCH).figures["restore"].now
    assert measured.median == statistics.median(
        (back.finished_at - each.finished_at).total_seconds()
        for each in (first, second)
        if each.finished_at
    )


def test_a_rollout_counts_when_everybody_has_it_and_fails_when_it_goes_back(
    world: World, past: Past
) -> None:
    v1, v2, v3 = versions(world, 3)
    past.promote(v1, MONDAY)
    world.strategy(PlanStep(10), PlanStep(100))
    rollout = past.approve(past.ask(v2, MONDAY + DAY), MONDAY + DAY + 60 * MINUTE)
    past.run(rollout, MONDAY + DAY + 70 * MINUTE, 2)
    assert len(keys_of("frequency")) == 1  # it serves a tenth: not yet
    assert measure_all(EVERYTHING, MARCH).figures["run_success"].now.n == 2
    done = past.run(rollout, MONDAY + DAY + 80 * MINUTE, 2)
    assert keys_of("frequency")[0] == done.promotion_id
    assert measure_all(EVERYTHING, MARCH).figures["duration"].now.upper == pytest.approx(
        9.5 * 60, abs=150
    )

    back = past.approve(past.ask(v3, MONDAY + 2 * DAY), MONDAY + 2 * DAY + 60 * MINUTE)
    past.run(back, MONDAY + 2 * DAY + 70 * MINUTE, 2)
    past.run(back, MONDAY + 2 * DAY + 80 * MINUTE, 2, "failure")
    ended = past.run(back, MONDAY + 2 * DAY + 90 * MINUTE, 2)
    assert ended.status == "failed" and ended.aborting
    assert keys_of("change_failure") == [ended.promotion_id] and len(keys_of("frequency")) == 2
    # From the first tenth (72) until everybody had the former version again (92).
    assert measure_all(EVERYTHING, MARCH).figures["restore"].now.median == 20 * 60
    lists_agree(measure_all(EVERYTHING, MARCH).figures, EVERYTHING, MARCH)


def test_who_decided(world: World, past: Past) -> None:
    """Latency is of people's decisions: not of what lapsed, was withdrawn, or broke the glass."""
    v1, v2, v3, v4 = versions(world, 4)
    past.reject(past.ask(v1, MONDAY), MONDAY + 30 * MINUTE)
    superseded = past.ask(v2, MONDAY + DAY)
    kept = past.ask(v3, MONDAY + DAY + 5 * MINUTE)
    past.approve(kept, MONDAY + DAY + 65 * MINUTE)
    policy = Policy.from_data(world.target().policy)
    assert policy.override_team
    broken = past.ask(v4, MONDAY + 2 * DAY)
    services.override(
        actor=world.person("dave"), via=Via.BROWSER, promotion_id=broken.pk, seal=broken.seal,
        reason="Fraud is under way.", now=MONDAY + 2 * DAY + MINUTE,
    )  # fmt: skip
    measured = measure_all(EVERYTHING, MARCH).figures
    assert (measured["approval"].now.n, measured["approval"].now.median) == (2, 45 * 60)
    assert superseded.pk not in keys_of("approval")
    assert (measured["overrides"].now.hits, measured["overrides"].now.n) == (1, 2)
    assert keys_of("overrides") == [broken.pk]
    assert keys_of("team", team="risk") == [kept.pk]
    # Carol leaves: nobody can say any more when the team had approved.
    world.person("carol").teams.clear()
    missing = {each.team: each.measure for each in latency_by_team(EVERYTHING, MARCH)}["risk"]
    assert (missing.n, missing.missing) == (0, 1)
    assert keys_of("team", team="risk", part="missing") == [kept.pk]


def test_out_of_band_changes_have_no_team(world: World, past: Past) -> None:
    (v1,) = versions(world, 1)
    past.promote(v1, MONDAY)
    for key, declared in (("declared", MONDAY + DAY), ("one reading", None)):
        OutOfBandChange.objects.create(
            target=world.target(), kind=ChangeKind.ALIAS, key=key, sentence="champion is v9.",
            seen_at=MONDAY + DAY, first_seen_at=MONDAY + DAY, declared_at=declared,
        )  # fmt: skip
    measured = measure_all(EVERYTHING, MARCH).figures["out_of_band"].now
    assert (measured.hits, measured.n) == (1, 2) and len(keys_of("out_of_band")) == 1
    mine = scope_of(model="", group="", environment="", team="ml-engineers")
    assert measure_all(mine, MARCH).figures["out_of_band"].now.hits == 0
