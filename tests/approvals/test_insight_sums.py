"""The figures of the insights against a plain computation over the rows, and at the edges of periods."""

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

from approvals.models import Deployment, Promotion, Review
from approvals.selectors.insights.measuring import (
    DIMENSIONS,
    Scope,
    latency_by_team,
    measure_all,
    scope_of,
)
from approvals.selectors.insights.period import Period, period_of
from approvals.states import MarkKind
from tests.approvals.counting import DAY, EVERYTHING, MARCH, MONDAY, keys_of, lists_agree, versions
from tests.past import MINUTE, Past
from tests.world import World


@pytest.fixture
def past(world: World) -> Past:
    return Past(world)


def test_the_period_ends_at_the_midnight_of_its_zone(world: World, past: Past) -> None:
    ends = {
        "UTC": datetime(2026, 4, 1, tzinfo=UTC),
        "Europe/Berlin": datetime(2026, 3, 31, 22, tzinfo=UTC),  # summer time since the 29th
        "America/Sao_Paulo": datetime(2026, 4, 1, 3, tzinfo=UTC),
    }
    (v1,) = versions(world, 1)
    deployment = past.promote(v1, MONDAY)
    for zone, end in ends.items():
        march = Period(MARCH.since, MARCH.until, ZoneInfo(zone))
        figures = []
        for moment in (end - timedelta(microseconds=1), end, march.begin, march.begin_before):
            Deployment.objects.filter(pk=deployment.pk).update(finished_at=moment)
            each = measure_all(EVERYTHING, march).figures["frequency"]
            figures.append((each.now.n, each.before.n, list(each.buckets)))
            assert len(keys_of("frequency", period=march)) == each.now.n
        assert figures == [
            (1, 0, [date(2026, 3, 31)]),
            (0, 0, []),
            (1, 0, [date(2026, 3, 1)]),
            (0, 1, []),
        ], zone


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
        measured = measure_all(EVERYTHING, MARCH).figures
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


def test_side_by_side_adds_up(world: World, past: Past) -> None:
    v1, v2 = versions(world, 2)
    before = past.promote(v2, MARCH.begin_before + DAY, environment="staging")
    assert before.finished_at and before.finished_at < MARCH.begin
    past.reject(past.ask(v1, MONDAY - DAY), MONDAY - DAY + 30 * MINUTE)
    past.promote(v1, MONDAY, environment="staging")
    past.promote(v1, MONDAY + DAY)
    past.promote(v2, MONDAY + 2 * DAY)
    past.promote(world.version(1, "churn-predictor", registered_at=MONDAY), MONDAY + DAY)
    teams = world.person("alice").teams.values_list("slug", flat=True)
    expected = {
        "model": {"fraud-detector": 3, "churn-predictor": 1},
        "environment": {"production": 3, "staging": 1},
        "group": {"Risk": 3, "Customers": 1},
        "team": dict.fromkeys(teams, 4),
    }
    assert set(expected) == set(DIMENSIONS)
    for by, counts in expected.items():
        found = measure_all(EVERYTHING, MARCH, by)
        assert not found.more
        assert {line.label: line.measures["frequency"].n for line in found.lines} == counts
        assert [line.measures["frequency"].n for line in found.lines] == sorted(
            counts.values(), reverse=True
        )
        for key in ("frequency", "lead_time", "queue", "approval"):
            sums = sum(line.measures[key].n for line in found.lines)
            whole = found.figures[key].now.n * (len(teams) if by == "team" else 1)
            assert sums == whole, (by, key)


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
            measure_all(EVERYTHING, MARCH, "model")
            latency_by_team(EVERYTHING, MARCH)
        return len(queries)

    few = count()
    for version in versions(world, 3):
        past.promote(version, MONDAY + version.number * DAY)
    assert count() == few
