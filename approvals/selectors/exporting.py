"""What an export holds: exactly what the filters leave, in the order of the chain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import connection
from django.db.models import Max, Min

from approvals.models import Event, EventEntry
from approvals.selectors.filters import Condition, Filters, condition_of
from approvals.selectors.timeline import events_of_ids

# Ids that are looked at, and events that are held, at a time.
WINDOW = 5000
HELD = 500
_TABLE = EventEntry._meta.db_table


def exported(filters: Filters) -> Iterator[list[Event]]:
    """The events in batches, oldest first, up to the newest one that there is when it begins.

    No cursor of the database is held open while somebody's line is slow: ids only grow and no line is ever
    changed, so windows of ids read one after another are one consistent state. Which ids these are is settled
    before the first line leaves.
    """
    condition = condition_of(filters)
    first, last = _bounds(condition)
    return _batches(condition, first, last)


def _bounds(condition: Condition) -> tuple[int, int]:
    """The ids between which everything lies. (0, -1): nothing does."""
    if condition.problem:
        return 0, -1
    entries = EventEntry.objects.all()
    if condition.begins:
        entries = entries.filter(at__gte=condition.begins)
    if condition.ends:
        entries = entries.filter(at__lt=condition.ends)
    found = entries.order_by().aggregate(first=Min("event_id"), last=Max("event_id"))
    return (found["first"], found["last"]) if found["first"] is not None else (0, -1)


def _batches(condition: Condition, first: int, last: int) -> Iterator[list[Event]]:
    for begin in range(first, last + 1, WINDOW):
        ids = _ids(condition, begin, min(begin + WINDOW - 1, last))
        for start in range(0, len(ids), HELD):
            yield events_of_ids(ids[start : start + HELD], whole=False)


def _ids(condition: Condition, first: int, last: int) -> list[int]:
    where, params = condition.sql, list[Any](condition.params)
    if condition.words:
        where += " AND words @@ lower(%s)::tsquery"
        params.append(condition.words)
    sql = f"SELECT event_id FROM {_TABLE} WHERE event_id BETWEEN %s AND %s AND {where} ORDER BY event_id"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, [first, last, *params])
        return [row[0] for row in cursor.fetchall()]
