"""Rows in bulk: PostgreSQL's COPY, with the defaults of the models."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from django.core.management.color import no_style
from django.db import connection, models

# Rows are kept until there are so many, then copied: a connection copies into one table at a time.
BATCH = 20_000


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
