"""The history, filtered and page by page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from django.db import connection
from django.utils import timezone

from approvals.models import Event, EventEntry
from approvals.selectors.decisions import optional_relations
from approvals.selectors.filters import Condition, Filters, condition_of

PAGE = 50
# Newer ones that a picked event is shown with.
AROUND = 12
# So many of the newest that fit the other filters are looked through for words before the index of words is
# asked: a common word is found among them at once, and a rare one has few places in the index.
LOOKED_THROUGH = 3000
MOST_NEWS = 100
_TABLE = EventEntry._meta.db_table

Cursor = tuple[datetime, int]


@dataclass(frozen=True)
class Page:
    """One page of the history, newest first, by days of the reader's time zone. ``older`` and ``newer`` are
    the ids to go on from, 0 at an end; ``top`` the newest id; ``continued``: the first day began on the page
    before; ``problem``: why nothing can match, in a sentence."""

    days: list[tuple[date, list[Event]]] = field(default_factory=list)
    older: int = 0
    newer: int = 0
    count: int = 0
    top: int = 0
    continued: bool = False
    problem: str = ""


def page_of_history(
    filters: Filters | Mapping[str, str],
    before: int | None = None,
    *,
    after: int | None = None,
    around: int | None = None,
) -> Page:
    """The newest events that match; those older than ``before`` or newer than ``after``; or the event ``around``
    with its neighbours. Keyset paging: links stay true as events come."""
    if not isinstance(filters, Filters):
        filters = Filters.of(filters)
    condition = condition_of(filters)
    cursor = _cursor(before or after or around)
    if condition.problem or ((before or after or around) and cursor is None):
        return Page(problem=condition.problem)
    newer: list[int] = []
    if after:
        newer = ids_of(condition, cursor, PAGE + 1, newer=True)
        more, ids = len(newer) > PAGE, newer[:PAGE][::-1]
        older = ids[-1] if ids else after
        return _page(ids, older=older, newer=ids[0] if more and ids else 0)
    if around and cursor:
        newer = ids_of(condition, cursor, AROUND + 1, newer=True)
    found = ids_of(condition, cursor, PAGE + 1, inclusive=bool(around))
    ids = [*newer[:AROUND][::-1], *found[:PAGE]]
    more_newer = bool(before) or len(newer) > AROUND
    return _page(
        ids,
        older=found[PAGE - 1] if len(found) > PAGE else 0,
        newer=ids[0] if ids and more_newer else 0,
        since=cursor if before else None,
    )


def news_since(filters: Filters, top: int) -> int:
    """How many newer events match, at most MOST_NEWS."""
    condition, cursor = condition_of(filters), _cursor(top)
    if condition.problem:
        return 0
    return len(ids_of(condition, cursor, MOST_NEWS, newer=True))


def ids_of(
    condition: Condition,
    cursor: Cursor | None,
    limit: int,
    *,
    newer: bool = False,
    inclusive: bool = False,
) -> list[int]:
    """The ids of at most ``limit`` events on one side of the cursor, the nearest first."""
    where, params = condition.sql, list(condition.params)
    if cursor is not None:
        sign = (">" if newer else "<") + ("=" if inclusive else "")
        where += f" AND (at, event_id) {sign} (%s, %s)"
        params += cursor
    order = "at, event_id" if newer else "at DESC, event_id DESC"
    if not condition.words:
        sql = f"SELECT event_id FROM {_TABLE} WHERE {where} ORDER BY {order} LIMIT %s"  # noqa: S608
        return [row[0] for row in _rows(sql, [*params, limit])]
    sql = f"""
        WITH lane AS MATERIALIZED (
            SELECT event_id, at, words @@ lower(%s)::tsquery AS hit FROM {_TABLE}
            WHERE {where} ORDER BY {order} LIMIT {LOOKED_THROUGH}
        ) SELECT (SELECT count(*) FROM lane),
            ARRAY(SELECT event_id FROM lane WHERE hit ORDER BY {order} LIMIT %s)
    """  # noqa: S608
    [(looked, ids)] = _rows(sql, [condition.words, *params, limit])
    if len(ids) == limit or looked < LOOKED_THROUGH:
        return list(ids)
    # MATERIALIZED: with the LIMIT in sight the planner would rather walk through everything.
    sql = f"""
        WITH hits AS MATERIALIZED (
            SELECT event_id, at FROM {_TABLE} WHERE words @@ lower(%s)::tsquery AND {where}
        ) SELECT event_id FROM hits ORDER BY {order} LIMIT %s
    """  # noqa: S608
    return [row[0] for row in _rows(sql, [condition.words, *params, limit])]


def events_of_ids(ids: Iterable[int], *, whole: bool = True) -> list[Event]:
    """These events in this order; ``whole`` with all that an opened entry shows, else what a sentence needs."""
    related = ["actor", "target__model", "target__environment", "promotion__version__model"]
    if whole:
        related += ["promotion__overridden_by", "promotion__deployment__step"]
        related += optional_relations("promotion__")
    wanted = list(ids)
    found = Event.objects.select_related(*related).in_bulk(wanted)
    return [found[each] for each in wanted if each in found]


def _cursor(event: int | None) -> Cursor | None:
    """Where an event stands. One that is not there stands where the next older one does."""
    if event is None:
        return None
    return Event.objects.filter(pk__lte=event).values_list("at", "pk").first()


def _page(ids: list[int], *, older: int, newer: int, since: Cursor | None = None) -> Page:
    days: dict[date, list[Event]] = {}
    for event in events_of_ids(ids):
        days.setdefault(timezone.localtime(event.at).date(), []).append(event)
    first = next(iter(days), None)
    return Page(
        list(days.items()),
        older,
        newer,
        len(ids),
        ids[0] if ids else 0,
        since is not None and timezone.localtime(since[0]).date() == first,
    )


def _rows(sql: str, params: list[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())
