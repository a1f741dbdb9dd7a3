"""Rows in bulk: PostgreSQL's COPY, with the defaults of the models."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from django.core.management.color import no_style
from django.db import connection, models

# Rows are kept until there are so many, then copied: a connection copies into one table at a time.
BATCH = 20_000
# So many events are entered for the timeline by one statement.
STEP = 50_000


class Table:
    """The rows to come of one model. Ids are given here, from the first free one on."""

    def __init__(self, model: type[models.Model]) -> None:
        self.model = model
        self.fields = model._meta.concrete_fields
        self.defaults = {
            each.attname: self._plain(each, each.get_default()) for each in self.fields
        }
        self.json = {each.attname for each in self.fields if isinstance(each, models.JSONField)}
        last = model._default_manager.aggregate(last=models.Max("pk"))["last"]
        self.last: int = last or 0
        self.rows: list[tuple[Any, ...]] = []

    @staticmethod
    def _plain(field: models.Field[Any, Any], value: Any) -> Any:
        return json.dumps(value) if isinstance(field, models.JSONField) else value

    def add(self, **values: Any) -> int:
        """One more row by its columns (``target_id``, not ``target``); what is not named has the model's default.
        Returns its id."""
        self.last += 1
        row = {**self.defaults, "id": self.last, **values}
        for name in self.json & values.keys():
            row[name] = json.dumps(values[name], ensure_ascii=False)
        assert len(row) == len(self.fields), row.keys() - self.defaults.keys()
        self.rows.append(tuple(row.values()))
        if len(self.rows) >= BATCH:
            self.flush()
        return self.last

    def flush(self) -> None:
        """Copy what is kept."""
        quote = connection.ops.quote_name
        columns = ", ".join(quote(str(each.column)) for each in self.fields)
        into = f"COPY {quote(self.model._meta.db_table)} ({columns}) FROM STDIN"
        with connection.cursor() as cursor, cursor.copy(into) as copy:
            for row in self.rows:
                copy.write_row(row)
        self.rows = []


def finish(tables: Iterable[Table]) -> None:
    """Copy the rest, and let the tables' sequences go on after it."""
    tables = list(tables)
    for table in tables:
        table.flush()
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(
            no_style(), [each.model for each in tables]
        ):
            cursor.execute(statement)


def hold_entries() -> None:
    """Until :func:`enter`, events are copied without their entries, which a trigger would make one by one. Rows
    may point to what is written a little later."""
    with connection.cursor() as cursor:
        # Nothing may wait to be checked on a table that is altered.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE approvals_event DISABLE TRIGGER approvals_event_entry")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def enter(first: int, last: int) -> None:
    """Make the entries of the events of these ids, and let the trigger make those of the next ones."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE approvals_event ENABLE TRIGGER approvals_event_entry")
        for begin in range(first, last + 1, STEP):
            cursor.execute(
                "SELECT approvals_event_enter(%s, %s)", [begin, min(begin + STEP - 1, last)]
            )
