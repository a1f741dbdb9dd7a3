"""Candidate against live, as rows to show: value, change, and whether it is better, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

BETTER, WORSE, SAME, UNKNOWN = "better", "worse", "same", "unknown"


@dataclass(frozen=True)
class MetricRow:
    """One metric of both versions. ``verdict`` is better, worse, same or unknown (no direction, or a
    value is missing)."""

    name: str
    candidate: str
    live: str
    change: str
    verdict: str


def number(text: str | None) -> Decimal | None:
    """The decimal of a metric's text; None where it is missing, NaN or infinite."""
    try:
        value = Decimal(text) if text is not None else None
    except InvalidOperation:
        return None
    return value if value is not None and value.is_finite() else None


def shown(value: Decimal | None) -> str:
    """At most five significant digits, or a dash."""
    if value is None:
        return "–"
    return f"{value:.5g}" if abs(value) < 100_000 else f"{value:,.0f}"


def compare_metrics(
    candidate: Mapping[str, str], live: Mapping[str, str], directions: Sequence[Sequence[str]]
) -> list[MetricRow]:
    """The configured metrics first, in their order, then the others by name."""
    better: dict[str, str] = {row[0]: row[1] for row in directions}
    names = [*better, *sorted((candidate.keys() | live.keys()) - better.keys())]
    return [_row(name, candidate, live, better.get(name)) for name in names]


def _row(
    name: str, candidate: Mapping[str, str], live: Mapping[str, str], direction: str | None
) -> MetricRow:
    new, old = number(candidate.get(name)), number(live.get(name))
    if new is None or old is None:
        return MetricRow(name, shown(new), shown(old), "", UNKNOWN)
    change = new - old
    if change == 0:
        verdict = SAME
    elif direction is None:
        verdict = UNKNOWN
    else:
        verdict = BETTER if (change > 0) == (direction == "higher") else WORSE
    sign = "+" if change > 0 else "−" if change < 0 else "±"
    return MetricRow(name, shown(new), shown(old), f"{sign}{shown(abs(change))}", verdict)
