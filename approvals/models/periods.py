"""The stretch of time between two columns, as PostgreSQL's range: for asking what was open at a moment."""

from __future__ import annotations

from typing import Any

from django.db.models import Func


class Period(Func):
    """``[begins, ends)``; until infinity where ``ends`` is null. A clock that went back makes it empty, never an
    error: a row must not be refused because of an index."""

    arity = 2

    def as_sql(  # type: ignore[override]
        self, compiler: Any, connection: Any, **extra: Any
    ) -> tuple[str, list[Any]]:
        """The expression, the same in the index and in queries."""
        (begins, first), (ends, second) = (
            compiler.compile(each) for each in self.source_expressions
        )
        until = f"GREATEST({begins}, COALESCE({ends}, 'infinity'::timestamptz))"
        return f"tstzrange({begins}, {until})", [*first, *first, *second]
