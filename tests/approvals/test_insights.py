"""The figures of the insights, against a plain computation over the rows and at the edges of periods."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from approvals import services
from approvals.models import Deployment, ModelVersion, OutOfBandChange, Promotion, Review
from approvals.rollouts import PlanStep
from approvals.rules import Policy
from approvals.selectors.insights.counted import PAGE, counted, figure_named
from approvals.selectors.insights.figures import FIGURES
from approvals.selectors.insights.measuring import (
    DIMENSIONS,
    Measured,
    Scope,
    breakdown,
    latency_by_team,
    measure_all,
    scope_of,
)
from approvals.selectors.insights.period import Period, period_of
from approvals.states import ChangeKind, MarkKind, Via
from tests.past import MINUTE, Past
from tests.world import World

MONDAY = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MARCH = Period(date(2026, 3, 1), date(2026, 3, 31), UTC)
DAY = timedelta(days=1)
EVERYTHING = Scope()


@pytest.fixture
def past(world: World) -> Past:
    return Past(world)


def versions(world: World, count: int) -> list[ModelVersion]:
    return [world.version(number, registered_at=MONDAY - 2 * DAY) for number in range(1, count + 1)]


def keys_of(key: str, scope: Scope = EVERYTHING, period: Period = MARCH, **more: str) -> list[int]:
    """The promotions or changes in the list of a figure, over all its pages."""
    figure = figure_named(key)
    assert figure is not None
    found: list[int] = []
    before = ""
    while True:
        page = counted(figure, scope, period, before=before, **more)
        assert len(page.rows) <= PAGE
        for row in page.rows:
            about = row.promotion or row.change
            assert about is not None
            found.append(about.pk)
        before = page.older
        if not before:
            return found


def lists_agree(measured: dict[str, Measured], scope: Scope, period: Period) -> None:
    """Each figure's list has exactly as many rows as the figure counts."""
    for key, each in measured.items():
        share = FIGURES[key].kind == "share"
        assert len(keys_of(key, scope, period)) == (each.now.hits if share else each.now.n), key
        if share:
            assert len(keys_of(key, scope, period, part="all")) == each.now.n, key
        assert len(keys_of(key, scope, period, part="missing")) == each.now.missing, key


def test_nothing_is_nothing_and_not_zero(world: World) -> None:
    measured = measure_all(EVERYTHING, MARCH)
    for each in measured.values():
        assert (each.now.n, each.now.median, each.now.share, each.buckets) == (0, None, None, {})
    assert breakdown(EVERYTHING, MARCH, "model") == ([], False)
    assert latency_by_team(EVERYTHING, MARCH) == []


def test_one_promotion_by_the_clock(world: World, past: Past) -> None:
    (version,) = versions(world, 1)
    deployment = past.promote(version, MONDAY, waits=90, queued=7, runs=3)
    measured = measure_all(EVERYTHING, MARCH)
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
    measured = measure_all(EVERYTHING, MARCH)
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
    measured = measure_all(EVERYTHING, MARCH)["restore"].now
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
    assert measure_all(EVERYTHING, MARCH)["run_success"].now.n == 2
    done = past.run(rollout, MONDAY + DAY + 80 * MINUTE, 2)
    assert keys_of("frequency")[0] == done.promotion_id
    assert measure_all(EVERYTHING, MARCH)["duration"].now.upper == pytest.approx(9.5 * 60, abs=150)

    back = past.approve(past.ask(v3, MONDAY + 2 * DAY), MONDAY + 2 * DAY + 60 * MINUTE)
    past.run(back, MONDAY + 2 * DAY + 70 * MINUTE, 2)
    past.run(back, MONDAY + 2 * DAY + 80 * MINUTE, 2, "failure")
    ended = past.run(back, MONDAY + 2 * DAY + 90 * MINUTE, 2)
    assert ended.status == "failed" and ended.aborting
    assert keys_of("change_failure") == [ended.promotion_id] and len(keys_of("frequency")) == 2
    # From the first tenth (72) until everybody had the former version again (92).
    assert measure_all(EVERYTHING, MARCH)["restore"].now.median == 20 * 60
    lists_agree(measure_all(EVERYTHING, MARCH), EVERYTHING, MARCH)


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
    measured = measure_all(EVERYTHING, MARCH)
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
    measured = measure_all(EVERYTHING, MARCH)["out_of_band"].now
    assert (measured.hits, measured.n) == (1, 2) and len(keys_of("out_of_band")) == 1
    mine = scope_of(model="", group="", environment="", team="ml-engineers")
    assert measure_all(mine, MARCH)["out_of_band"].now.hits == 0


@pytest.mark.parametrize(
    ("zone", "end"),
    [
        ("UTC", datetime(2026, 4, 1, tzinfo=UTC)),
        ("Europe/Berlin", datetime(2026, 3, 31, 22, tzinfo=UTC)),  # summer time since the 29th
        ("America/Sao_Paulo", datetime(2026, 4, 1, 3, tzinfo=UTC)),
    ],
)
def test_the_period_ends_at_the_midnight_of_its_zone(
    world: World, past: Past, zone: str, end: datetime
) -> None:
    march = Period(MARCH.since, MARCH.until, ZoneInfo(zone))
    (v1,) = versions(world, 1)
    deployment = past.promote(v1, MONDAY)
    figures = []
    for moment in (end - timedelta(microseconds=1), end, march.begin, march.begin_before):
        Deployment.objects.filter(pk=deployment.pk).update(finished_at=moment)
        each = measure_all(EVERYTHING, march)["frequency"]
        figures.append((each.now.n, each.before.n, list(each.buckets)))
        assert len(keys_of("frequency", period=march)) == each.now.n
    assert figures == [
        (1, 0, [date(2026, 3, 31)]),
        (0, 0, []),
        (1, 0, [date(2026, 3, 1)]),
        (0, 1, []),
    ]


def test_days_and_weeks_are_those_of_the_clock_when_it_changes() -> None:
    """The night of 28 to 29 March has 23 hours in Berlin; days stay days."""
    week = Period(date(2026, 3, 23), date(2026, 3, 29), ZoneInfo("Europe/Berlin"))
    assert week.end - week.begin == timedelta(hours=167) and week.length == 7
    assert week.begin - week.begin_before == timedelta(hours=168)
    assert week.buckets == [date(2026, 3, 23) + n * DAY for n in range(7)]
    quarter = Period(date(2026, 1, 1), date(2026, 3, 31), UTC)
    assert quarter.buckets[0] == date(2025, 12, 29) and len(quarter.buckets) == 14
    long = Period(date(2024, 1, 31), date(2026, 3, 1), UTC)
    assert long.buckets[:3] == [date(2024, 1, 1), date(2024, 2, 1), date(2024, 3, 1)]
    assert long.buckets[-1] == date(2026, 3, 1)


@pytest.mark.parametrize(
    "given_",
    [{"since": "yesterday"}, {"since": "2026-03-02", "until": "2026-03-01"}, {"since": "0001-01-01"},
     {"until": "0001-01-01"}, {"days": "31"}, {"since": "2026-02-30"}],
)  # fmt: skip
def test_a_strange_period_is_the_last_ninety_days(given_: dict[str, str]) -> None:
    period = period_of(given_, MONDAY, UTC)
    assert (period.length, period.until, period.days) == (90, date(2026, 3, 2), 90)
    assert bool(period.problem) is ("days" not in given_)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["promote", "fail", "rollback", "bad", "reject"]),
        st.integers(1, 600),
        st.integers(0, 60),
    ),
    min_size=1,
    max_size=7,
)


@settings(
    max_examples=4,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS)
def test_figures_are_what_one_would_count_by_hand(
    world: World, past: Past, steps: list[tuple[str, int, int]]
) -> None:
    """A made-up past in each of two halves of March; every figure again in plain Python over the rows."""

    class Undo(Exception):
        pass

    def body() -> None:
        many = iter(versions(world, len(steps) + 1))
        live = [past.promote(next(many), MONDAY - 20 * DAY)]
        for index, (what, waits, queued) in enumerate(steps, 1):
            at = MONDAY + index * DAY
            if what == "bad" and len(live) > 1 and not _has_mark(live[-1]):
                past.mark(live[-1], MarkKind.BAD, at)
            elif what == "rollback" and _may_go_back(live):
                live.append(
                    past.promote(live[0].version, at, waits=waits, rollback=True, actor="dave")
                )
            elif what == "reject":
                past.reject(past.ask(next(many), at), at + waits * MINUTE)
            else:
                fails = what == "fail"
                each = past.promote(
                    next(many), at, waits=waits, queued=queued,
                    conclusion="failure" if fails else "success",
                )  # fmt: skip
                live += [] if fails else [each]
        measured = measure_all(EVERYTHING, MARCH)
        for key, expected in by_hand(MARCH).items():
            now = measured[key].now
            if isinstance(expected, tuple):
                assert (now.hits, now.n) == expected, key
            else:
                assert now.n == len(expected), key
                assert now.median == (
                    pytest.approx(statistics.median(expected)) if expected else None
                ), key
            assert sum(each.n for each in measured[key].buckets.values()) == now.n, key
        lists_agree(measured, EVERYTHING, MARCH)
        raise Undo

    with pytest.raises(Undo), transaction.atomic():
        body()


def _has_mark(deployment: Deployment) -> bool:
    return deployment.target.marks.filter(version=deployment.version).exists()


def _may_go_back(live: list[Deployment]) -> bool:
    first, last = live[0], live[-1]
    return last.version_id != first.version_id and not _has_mark(first)


def by_hand(period: Period) -> dict[str, tuple[int, int] | list[float]]:
    """The figures by loops over the rows, without any of the SQL."""
    ended = [
        each
        for each in Deployment.objects.select_related("promotion", "version").order_by(
            "finished_at", "pk"
        )
        if each.finished_at and not each.promotion.retroactive
    ]
    live = [each for each in ended if each.status == "succeeded"]
    bad: set[int] = set()
    for before, after in pairwise(live):
        if after.promotion.is_rollback and after.version_id != before.version_id:
            bad.add(before.pk)
    for each in live:
        assert each.finished_at
        marks = list(each.target.marks.filter(version=each.version).order_by("placed_at", "pk"))
        again = [
            other.finished_at
            for other in live
            if other.version_id == each.version_id
            and other.finished_at
            and other.finished_at > each.finished_at
        ]
        if (
            marks
            and marks[-1].kind == "bad"
            and any(
                each.finished_at <= mark.placed_at
                and not any(mark.placed_at >= later for later in again)
                for mark in marks
            )
        ):
            bad.add(each.pk)
    here = [
        each for each in ended if each.finished_at and period.begin <= each.finished_at < period.end
    ]
    changes = [each for each in here if not each.promotion.is_rollback]
    went = [each for each in changes if each.status == "succeeded"]
    restored = []
    for each in went:
        later = [
            other
            for other in live
            if other.pk not in bad
            and other.version_id != each.version_id
            and _seconds(each.finished_at, other.finished_at) > 0
        ]
        if each.pk in bad and later:
            restored.append(_seconds(each.finished_at, later[0].finished_at))
    decided = [
        each
        for each in Promotion.objects.filter(status__in=["approved", "rejected"], overridden_by=None)
        if each.decided_at and period.begin <= each.decided_at < period.end
        and Review.objects.filter(promotion=each, voided_at=None).exists()
    ]  # fmt: skip
    first = {each.pk: each.steps.get(ordinal=1) for each in here}
    went_at_all = [each for each in here if each.status == "succeeded"]
    return {
        "frequency": (0, len(went)),
        "lead_time": [_seconds(each.version.registered_at, each.finished_at) for each in went],
        "change_failure": (
            sum(each.pk in bad or each.status == "failed" for each in changes), len(changes),
        ),
        "restore": restored,
        "approval": [_seconds(each.requested_at, each.decided_at) for each in decided],
        "queue": [_seconds(each.promotion.decided_at, first[each.pk].began_at) for each in here],
        "duration": [_seconds(first[each.pk].began_at, each.finished_at) for each in went_at_all],
        "rollbacks": (len(went_at_all) - len(went), len(went_at_all)),
    }  # fmt: skip


def _seconds(since: datetime | None, until: datetime | None) -> float:
    assert since and until
    return (until - since).total_seconds()


@pytest.mark.parametrize("by", list(DIMENSIONS))
def test_side_by_side_adds_up(world: World, past: Past, by: str) -> None:
    v1, v2 = versions(world, 2)
    past.promote(v1, MONDAY, environment="staging")
    past.promote(v1, MONDAY + DAY)
    past.promote(v2, MONDAY + 2 * DAY)
    past.promote(world.version(1, "churn-predictor", registered_at=MONDAY), MONDAY + DAY)
    lines, more = breakdown(EVERYTHING, MARCH, by)
    assert not more
    counts = {line.label: line.measures["frequency"].n for line in lines}
    assert (
        counts
        == {
            "model": {"fraud-detector": 3, "churn-predictor": 1},
            "environment": {"production": 3, "staging": 1},
            "group": {"": 4},
            "team": dict.fromkeys(world.person("alice").teams.values_list("slug", flat=True), 4),
        }[by]
    )
    assert all(line.measures["approval"].n == line.measures["frequency"].n for line in lines)


def test_filters_leave_nothing_else_in(world: World, past: Past) -> None:
    (v1,) = versions(world, 1)
    staging = past.promote(v1, MONDAY, environment="staging")
    production = past.promote(v1, MONDAY + DAY)
    scopes: dict[str, Callable[[], Scope]] = {
        "staging": lambda: scope_of(model="", group="", environment="staging", team=""),
        "production": lambda: scope_of(
            model="fraud-detector", group="", environment="production", team=""
        ),
        "nobody": lambda: scope_of(model="", group="", environment="", team="risk"),
        "unknown": lambda: scope_of(model="no-such", group="", environment="", team=""),
        "group": lambda: scope_of(model="", group="x", environment="", team=""),
    }
    found = {name: keys_of("frequency", scope()) for name, scope in scopes.items()}
    assert found == {
        "staging": [staging.promotion_id],
        "production": [production.promotion_id],
        "nobody": [],
        "unknown": [],
        "group": [],
    }


def test_queries_do_not_grow(world: World, past: Past) -> None:
    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            measure_all(EVERYTHING, MARCH)
            breakdown(EVERYTHING, MARCH, "model")
            latency_by_team(EVERYTHING, MARCH)
        return len(queries)

    few = count()
    for version in versions(world, 3):
        past.promote(version, MONDAY + version.number * DAY)
    assert count() == few
