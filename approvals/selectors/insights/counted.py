"""The rows that a figure counts, page by page: the same statement as the figure's own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import connection

from approvals.models import OutOfBandChange, Promotion
from approvals.selectors.insights.figures import FIGURES, Figure
from approvals.selectors.insights.measuring import REQUIREMENT, Scope, parameters
from approvals.selectors.insights.period import Period
from approvals.selectors.insights.rows import FAMILIES

PAGE = 50
# What a list shows of a figure: what is counted; everything that a share is of; what has no time.
PARTS = ("counted", "all", "missing")


@dataclass(frozen=True)
class Row:
    """One counted promotion or out-of-band change; ``seconds`` is what is measured, None for a share."""

    moment: datetime
    seconds: float | None
    promotion: Promotion | None
    change: OutOfBandChange | None


@dataclass(frozen=True)
class Listed:
    """One page, newest first. ``older`` goes on from its end, empty at the end of all."""

    rows: list[Row]
    older: str


def figure_named(key: str) -> Figure | None:
    """A figure by its key in the address."""
    return REQUIREMENT if key == REQUIREMENT.key else FIGURES.get(key)


def counted(
    figure: Figure,
    scope: Scope,
    period: Period,
    *,
    part: str = "counted",
    team: str = "",
    before: str = "",
) -> Listed:
    """The rows of a figure. ``team`` is the line of the policies, for the approvals by team; ``before`` is
    :attr:`Listed.older` of the page before. Keyset paging; three queries."""
    condition = {
        "all": figure.of,
        "missing": f"({figure.of}) AND ({figure.seconds}) IS NULL" if figure.seconds else "false",
    }.get(part, figure.condition)
    moment, key = _place(before)
    given: dict[str, Any] = {
        **parameters(scope, period),
        "before": moment,
        "key": key,
        "team": team,
        "limit": PAGE + 1,
    }
    # A promotion may have several runs and several lines of its policy: the measured time tells them apart.
    statement = f"""
        SELECT moment, key, seconds, promotion_id, change_id FROM (
          SELECT moment, promotion_id, change_id, {figure.seconds or "NULL::float8"} AS seconds,
            row_number() OVER (
              PARTITION BY moment ORDER BY promotion_id, change_id, {figure.seconds or "1"}
            ) AS key
          FROM ({FAMILIES[figure.family]}) AS rows
          WHERE ({condition}) {"AND team = %(team)s" if figure is REQUIREMENT else ""}
        ) AS chosen
        WHERE %(before)s::timestamptz IS NULL OR (moment, key) < (%(before)s, %(key)s)
        ORDER BY moment DESC, key DESC LIMIT %(limit)s
    """  # noqa: S608 - put together from constants of ours
    with connection.cursor() as cursor:
        cursor.execute(statement, given)
        found = list(cursor.fetchall())
    shown = found[:PAGE]
    promotions = Promotion.objects.select_related(
        "version__model",
        "target__environment",
        "target__model",
        "requester",
        "deployment",
        "overridden_by",
    ).in_bulk([row[3] for row in shown if row[3]])
    changes = OutOfBandChange.objects.select_related(
        "target__model", "target__environment"
    ).in_bulk([row[4] for row in shown if row[4]])
    rows = [
        Row(moment, seconds, promotions.get(promotion), changes.get(change))
        for moment, _, seconds, promotion, change in shown
    ]
    older = ""
    if len(found) > PAGE:
        older = f"{shown[-1][0].astimezone(UTC).isoformat()}~{shown[-1][1]}"
    return Listed(rows, older)


def _place(text: str) -> tuple[datetime | None, int]:
    """Where the page before ended; the beginning where it cannot be read."""
    at, _, key = text.partition("~")
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        return None, 0
    if moment.tzinfo is None or not (key.isascii() and key.isdigit() and len(key) < 10):
        return None, 0
    return moment, int(key)
