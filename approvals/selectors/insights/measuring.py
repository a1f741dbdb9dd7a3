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
# The families of the figures that stand side by side; the first one chooses the lines.
SIDE_BY_SIDE = ("deliveries", "decisions")


@dataclass
class Line:
    """A model, an environment, a group or a team beside the others; ``place`` 1 is the busiest."""

    label: str
    place: int
    measures: dict[str, Measure]


@dataclass
class Insights:
    """Every figure by its key, and the busiest lines side by side, busiest first; ``more`` of them exist."""

    figures: dict[str, Measured]
    lines: list[Line] = field(default_factory=list)
    more: bool = False


def measure_all(scope: Scope, period: Period, by: str = "") -> Insights:
    """Every figure now, before and by bucket, and with ``by`` (of :data:`DIMENSIONS`) side by side for the lines
    with the most deployments. One query for each family, which reads its rows once."""
    found = Insights({key: Measured(figure) for key, figure in FIGURES.items()})
    given = parameters(scope, period, with_before=True)
    lines: dict[str, Line] = {}
    for family in dict.fromkeys(figure.family for figure in FIGURES.values()):
        mine = [figure for figure in FIGURES.values() if figure.family == family]
        given |= {"labels": list(lines) if family != SIDE_BY_SIDE[0] else None}
        statement = _statement(family, mine, by if family in SIDE_BY_SIDE else "")
        for kind, current, bucket, label, place, *values in _fetch(statement, given):
            measures = zip(mine, _measures(mine, values), strict=True)
            if kind == "line":
                line = lines.setdefault(
                    label, Line(label, place, dict.fromkeys(FIGURES, Measure()))
                )
                line.measures.update((figure.key, measure) for figure, measure in measures)
                continue
            for figure, measure in measures:
                if kind == "bucket":
                    found.figures[figure.key].buckets[bucket] = measure
                elif current:
                    found.figures[figure.key].now = measure
                else:
                    found.figures[figure.key].before = measure
    ordered = sorted(lines.values(), key=lambda line: line.place)
    found.lines, found.more = ordered[:MOST_LINES], len(ordered) > MOST_LINES
    return found


def _statement(family: str, figures: list[Figure], by: str) -> str:
    """The aggregates of a family's rows: whole periods, buckets and lines, each told by its first column."""
    columns = _columns(figures)
    # PostgreSQL reads the rows once and keeps them where they are asked for twice.
    statement = f"""
        WITH placed AS (
          SELECT *, moment >= %(since)s AS current,
            CASE WHEN moment >= %(since)s
              THEN date_trunc(%(unit)s, moment AT TIME ZONE %(zone)s)::date END AS bucket
          FROM ({FAMILIES[family]}) AS rows
        )"""  # noqa: S608 - put together from constants of ours
    # The bucket of rows of the period before is NULL, and dropped.
    whole = f"""
        SELECT CASE grouping(bucket) WHEN 1 THEN 'whole' ELSE 'bucket' END, current, bucket,
          NULL::text, NULL::bigint, {columns}
        FROM placed GROUP BY GROUPING SETS ((current), (bucket))
        HAVING grouping(bucket) = 1 OR bucket IS NOT NULL
    """  # noqa: S608
    if not by:
        return statement + whole
    _, label, joins = DIMENSIONS[by]
    return f"""{statement}, labelled AS (
          SELECT rows.*, {label} AS label FROM placed AS rows {joins}
          WHERE current AND (%(labels)s::text[] IS NULL OR {label} = ANY(%(labels)s))
        ), busiest AS (
          SELECT label, row_number() OVER (ORDER BY count(*) DESC, label) AS place
          FROM labelled GROUP BY label ORDER BY place LIMIT {MOST_LINES + 1}
        )
        {whole} UNION ALL (
          SELECT 'line', NULL, NULL, label, place, {columns}
          FROM labelled JOIN busiest USING (label) GROUP BY label, place
        )
    """  # noqa: S608


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
