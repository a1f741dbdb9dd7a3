"""Aggregates the families' rows: one statement for each family, however many figures, buckets and rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from django.db import connection

from approvals.models import Person, Target
from approvals.selectors.insights.figures import FEW, FIGURES, Figure
from approvals.selectors.insights.period import Period
from approvals.selectors.insights.rows import FAMILIES


@dataclass(frozen=True)
class Scope:
    """What is looked at: empty texts for everything. ``targets`` and ``people`` are ids, None for all."""

    model: str = ""
    group: str = ""
    environment: str = ""
    team: str = ""
    targets: tuple[int, ...] | None = None
    people: tuple[int, ...] | None = None


def scope_of(*, model: str, group: str, environment: str, team: str) -> Scope:
    """The scope of a page's filters, in two queries at most. What does not exist gives a scope of nothing."""
    targets = people = None
    if model or group or environment:
        rows = Target.objects.order_by()
        rows = rows.filter(model__name=model) if model else rows
        rows = rows.filter(model__group=group) if group else rows
        rows = rows.filter(environment__name=environment) if environment else rows
        targets = tuple(rows.values_list("pk", flat=True))
    if team:
        people = tuple(Person.objects.filter(teams__slug=team).values_list("pk", flat=True))
    return Scope(model, group, environment, team, targets, people)


@dataclass(frozen=True)
class Measure:
    """A figure over some rows: ``n`` of them, ``hits`` of a share, ``missing`` without the time; the quartiles and
    the 90th percentile in seconds, None without a row."""

    n: int = 0
    hits: int = 0
    missing: int = 0
    lower: float | None = None
    median: float | None = None
    upper: float | None = None
    p90: float | None = None

    @property
    def share(self) -> float | None:
        """0 … 1; None without a row."""
        return self.hits / self.n if self.n else None

    @property
    def few(self) -> bool:
        """So few that a share or a percentile says little."""
        return 0 < self.n < FEW


@dataclass
class Measured:
    """A figure now, in the period before, and bucket by bucket (the first day of the bucket → the measure)."""

    figure: Figure
    now: Measure = field(default_factory=Measure)
    before: Measure = field(default_factory=Measure)
    buckets: dict[date, Measure] = field(default_factory=dict)


def parameters(scope: Scope, period: Period, *, with_before: bool = False) -> dict[str, Any]:
    """What the families' statements ask for."""
    return {
        "begin": period.begin_before if with_before else period.begin,
        "since": period.begin,
        "end": period.end,
        "unit": period.unit,
        "zone": str(period.zone),
        "targets": None if scope.targets is None else list(scope.targets),
        "people": None if scope.people is None else list(scope.people),
    }


def measure_all(scope: Scope, period: Period) -> dict[str, Measured]:
    """Every figure now, before and by bucket: one query for each family."""
    found = {key: Measured(figure) for key, figure in FIGURES.items()}
    given = parameters(scope, period, with_before=True)
    for family in dict.fromkeys(figure.family for figure in FIGURES.values()):
        mine = [figure for figure in FIGURES.values() if figure.family == family]
        # The bucket of rows of the period before is NULL, and dropped; GROUPING tells it from the whole.
        statement = f"""
            SELECT current, bucket, grouping(bucket), {_columns(mine)}
            FROM (
              SELECT *, moment >= %(since)s AS current,
                CASE WHEN moment >= %(since)s
                  THEN date_trunc(%(unit)s, moment AT TIME ZONE %(zone)s)::date END AS bucket
              FROM ({FAMILIES[family]}) AS rows
            ) AS placed
            GROUP BY GROUPING SETS ((current), (bucket))
        """  # noqa: S608 - put together from constants of ours
        for current, bucket, whole, *values in _fetch(statement, given):
            for figure, measure in zip(mine, _measures(mine, values), strict=True):
                if not whole and bucket is not None:
                    found[figure.key].buckets[bucket] = measure
                elif whole and current:
                    found[figure.key].now = measure
                elif whole:
                    found[figure.key].before = measure
    return found


# By what the breakdown groups: (its name, the label, what it needs beside the rows).
_TARGET = "JOIN approvals_target t ON t.id = rows.target_id"
DIMENSIONS = {
    "model": (
        "Model",
        "named.name",
        f"{_TARGET} JOIN approvals_registeredmodel named ON named.id = t.model_id",
    ),
    "environment": (
        "Environment",
        "named.name",
        f"{_TARGET} JOIN approvals_environment named ON named.id = t.environment_id",
    ),
    "group": (
        "Group",
        "named.group",
        f"{_TARGET} JOIN approvals_registeredmodel named ON named.id = t.model_id",
    ),
    "team": (
        "Team of the requester",
        "named.slug",
        "JOIN approvals_membership m ON m.person_id = rows.requester_id "
        "JOIN approvals_team named ON named.id = m.team_id",
    ),
}
MOST_LINES = 25
BREAKDOWN = ("frequency", "lead_time", "change_failure", "restore", "queue")


@dataclass
class Line:
    """One line of the breakdown: a model, an environment, a group or a team."""

    label: str
    measures: dict[str, Measure]


def breakdown(scope: Scope, period: Period, by: str) -> tuple[list[Line], bool]:
    """The busiest models, environments, groups or teams, and whether there are more. Two queries."""
    _, label, joins = DIMENSIONS[by]
    given = {**parameters(scope, period), "limit": MOST_LINES + 1, "labels": None}
    lines: dict[str, Line] = {}
    for family, keys in (("deliveries", BREAKDOWN), ("decisions", ("approval",))):
        mine = [FIGURES[key] for key in keys]
        statement = f"""
            SELECT {label} AS label, {_columns(mine)}
            FROM ({FAMILIES[family]}) AS rows {joins}
            WHERE %(labels)s::text[] IS NULL OR {label} = ANY(%(labels)s)
            GROUP BY {label} ORDER BY count(*) DESC, {label} LIMIT %(limit)s
        """  # noqa: S608
        for name, *values in _fetch(statement, given):
            line = lines.setdefault(
                name, Line(name, dict.fromkeys([*BREAKDOWN, "approval"], Measure()))
            )
            measures = _measures(mine, values)
            line.measures.update(zip(keys, measures, strict=True))
        given["labels"] = list(lines)
    shown = list(lines.values())
    return shown[:MOST_LINES], len(shown) > MOST_LINES


@dataclass(frozen=True)
class TeamLatency:
    """How long it took until a line of the policies was met, ``risk`` or ``risk or ml-leads``."""

    team: str
    measure: Measure


REQUIREMENT = Figure(
    "team",
    "Approval by team",
    "requirements",
    "true",
    "From the request until so many members of the team had approved as the sealed policy asks for, for every "
    "promotion and rollback that people approved in the period. Who is in a team is taken as it is today. "
    "Somebody in two teams counts here for both. Where fewer of today's members approved than were asked for, "
    "the time is not known and the request is left out.",
    "requests that this team approved",
    seconds="met",
    missing="with approvers who are not in the team any more",
)


def latency_by_team(scope: Scope, period: Period) -> list[TeamLatency]:
    """The approver teams, the slowest median first. One query."""
    statement = f"""
        SELECT team, {_columns([REQUIREMENT])} FROM ({FAMILIES["requirements"]}) AS rows
        WHERE team IS NOT NULL GROUP BY team ORDER BY count(*) DESC, team LIMIT {MOST_LINES}
    """  # noqa: S608
    rows = [
        TeamLatency(team, _measures([REQUIREMENT], values)[0])
        for team, *values in _fetch(statement, parameters(scope, period))
    ]
    return sorted(rows, key=lambda row: -(row.measure.median or 0))


def _columns(figures: Iterable[Figure]) -> str:
    """Four columns for each figure: n, hits, without a time, the percentiles."""
    parts = []
    for figure in figures:
        condition = figure.of if figure.counted else figure.condition
        parts.append(f"count(*) FILTER (WHERE {condition})")
        counted = f"({figure.of}) AND ({figure.counted})"
        parts.append(f"count(*) FILTER (WHERE {counted})" if figure.counted else "0")
        if figure.seconds:
            parts.append(f"count(*) FILTER (WHERE ({figure.of}) AND ({figure.seconds}) IS NULL)")
            parts.append(
                f"percentile_cont(ARRAY[0.25, 0.5, 0.75, 0.9]) WITHIN GROUP (ORDER BY {figure.seconds}) "
                f"FILTER (WHERE {figure.of})"
            )
        else:
            parts += ["0", "NULL::float8[]"]
    return ", ".join(parts)


def _measures(figures: list[Figure], values: list[Any]) -> list[Measure]:
    found = []
    for index, _ in enumerate(figures):
        n, hits, missing, percentiles = values[4 * index : 4 * index + 4]
        found.append(Measure(n, hits, missing, *(percentiles or [None] * 4)))
    return found


def _fetch(statement: str, given: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, given)
        return list(cursor.fetchall())
