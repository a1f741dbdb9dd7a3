"""Geometry of the plots that the server draws as SVG: scales, round ticks, lines. Templates draw the shapes.

Plotting libraries draw with inline styles or scripts, which our Content-Security-Policy refuses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Scale:
    """Maps ``low … high`` of the data to ``start … end`` of the drawing, linearly."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Where a value lies, to a hundredth; the middle where the data has no extent."""
        if self.high == self.low:
            return round((self.start + self.end) / 2, 2)
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 2)


def ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round values (1, 2 or 5 times a power of ten apart) within ``low … high``, about so many."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return [low]
    rough = (high - low) / max(about, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(each * power for each in (1, 2, 5, 10) if each * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def line(points: Sequence[tuple[float, float]]) -> str:
    """The points as an SVG path: ``M0,1L2,3``."""
    return "".join(f"{'L' if index else 'M'}{x:g},{y:g}" for index, (x, y) in enumerate(points))


@dataclass(frozen=True)
class Sparkline:
    """A small line of values in a box of ``width`` × ``height``; ``x``, ``y`` is its last point."""

    path: str
    x: float
    y: float
    width: int
    height: int


def sparkline(
    values: Sequence[float | None], width: int = 72, height: int = 20
) -> Sparkline | None:
    """The values in their order; gaps where one is missing. None with fewer than two."""
    known = [(index, value) for index, value in enumerate(values) if value is not None]
    if len(known) < 2:
        return None
    across = Scale(0, len(values) - 1, 2, width - 2)
    numbers = [value for _, value in known]
    up = Scale(min(numbers), max(numbers), height - 3, 3)
    points = [(across(index), up(value)) for index, value in known]
    return Sparkline(line(points), *points[-1], width, height)


def spot(
    values: Sequence[float | None], index: int, width: int = 72, height: int = 20
) -> tuple[float, float] | None:
    """Where the value at ``index`` lies on the :func:`sparkline` of these; None where there is none."""
    value = values[index] if 0 <= index < len(values) else None
    numbers = [each for each in values if each is not None]
    if value is None or len(numbers) < 2:
        return None
    across = Scale(0, len(values) - 1, 2, width - 2)
    return across(index), Scale(min(numbers), max(numbers), height - 3, 3)(value)


# (length, how far apart) of the marks on a time axis.
_SPANS = (
    (timedelta(hours=2), timedelta(minutes=30)),
    (timedelta(hours=8), timedelta(hours=1)),
    (timedelta(days=2), timedelta(hours=6)),
    (timedelta(days=9), timedelta(days=1)),
    (timedelta(days=35), timedelta(days=7)),
    (timedelta(days=120), timedelta(days=14)),
    (timedelta(days=400), timedelta(days=61)),
)


def time_ticks(begin: datetime, end: datetime) -> list[datetime]:
    """Moments for the marks of a time axis, on round hours or midnights of ``begin``'s time zone."""
    length = end - begin
    step = next((apart for span, apart in _SPANS if length <= span), length / 6)
    midnight = begin.replace(hour=0, minute=0, second=0, microsecond=0)
    moment = midnight + math.ceil((begin - midnight) / step) * step
    found = []
    while moment <= end:
        found.append(moment)
        moment += step
    return found
