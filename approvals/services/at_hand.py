"""Names under which lists hang on their rows what gates look at, read for all of them together
(``selectors.in_bulk.bring``), so that judging each costs no queries.

Verbs never do: they judge rows that they read themselves, under their lock.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Model

RESTRICTIONS, FREEZES, RUNS, LIVED, EVIDENCE, CHANGES = (
    f"{name}_at_hand"
    for name in ("restrictions", "freezes", "runs", "lived", "evidence", "changes")
)


def at_hand(row: Model, name: str) -> Any:
    """What was hung on this row; None where nothing was: then the database is asked."""
    return row.__dict__.get(name)
