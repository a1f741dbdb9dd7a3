"""Plots over time as shapes for an SVG: bars from zero, and medians with their quartiles. Templates draw them.

A bucket without a value is a gap: nothing is joined across it and nothing is smoothed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from approvals.charts import Scale, line, ticks

WIDTH, HEIGHT = 560, 232
LEFT, RIGHT, TOP, BOTTOM = 50, 14, 30, 44
# So many words fit below the axis.
_MOST_LABELS = 7
_UNITS = (
    (86400 * 1.5, 86400, "days"),
    (5400, 3600, "hours"),
    (90, 60, "minutes"),
    (0, 1, "seconds"),
)


@dataclass(frozen=True)
class Bucket:
    """What is known of one span of days. ``n`` rows are behind it. For bars: ``parts``, how many of each kind,
    from the axis upwards. For times: the quartiles in seconds, None where there is no row."""

    first: date
    label: str
    n: int = 0
    parts: tuple[int, ...] = ()
    lower: float | None = None
    median: float | None = None
    upper: float | None = None


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: where, and what it says. ``minor`` ones are left out on a small screen."""

    at: float
    text: str
    minor: bool = False


@dataclass(frozen=True)
class Shape:
    """A rectangle; ``kind`` chooses its colour, ``title`` tells its value."""

    x: float
    y: float
    width: float
    height: float
    kind: int
    title: str


@dataclass(frozen=True)
class Dot:
    """A median with its quartile range, from ``top`` to ``bottom``."""

    x: float
    y: float
    top: float
    bottom: float
    title: str


@dataclass
class Plot:
    """Everything that ``web/parts/plot.html`` draws. ``legend`` names the kinds of bars; ``columns`` and ``rows``
    are the same data as a table."""

    key: str
    title: str
    unit: str
    label: str
    x_ticks: list[Tick] = field(default_factory=list)
    y_ticks: list[Tick] = field(default_factory=list)
    counts: list[Tick] = field(default_factory=list)
    bars: list[Shape] = field(default_factory=list)
    dots: list[Dot] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    legend: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    rows: list[tuple[str, ...]] = field(default_factory=list)
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    bottom: int = HEIGHT - BOTTOM

    @property
    def is_empty(self) -> bool:
        """There is nothing to draw."""
        return not (self.bars or self.dots)


def span_words(seconds: float | None) -> str:
    """A length of time as people say it, to two or three digits: ``42 s``, ``12 min``, ``5.2 h``, ``3.4 days``."""
    if seconds is None:
        return "–"
    if seconds < 90:
        return f"{seconds:.0f} s"
    for limit, size, unit in (
        (5400, 60, "min"),
        (129600, 3600, "h"),
        (float("inf"), 86400, "days"),
    ):
        if seconds < limit:
            value = seconds / size
            return f"{value:.0f} {unit}" if value >= 10 or size == 60 else f"{value:.1f} {unit}"
    raise AssertionError("no limit is infinite")


def bar_plot(
    key: str, title: str, buckets: Sequence[Bucket], legend: tuple[str, ...], per: str
) -> Plot:
    """Counts from zero, one bar for each bucket, its parts on top of each other. ``per`` is the bucket's width."""
    plot = Plot(key, title, f"number per {per}", "", legend=legend)
    most = max((sum(each.parts) for each in buckets), default=0)
    values = [value for value in _up_to(max(most, 1)) if value == int(value)]
    marks = [(value, f"{value:g}") for value in values]
    step, up = _frame(plot, buckets, values[-1], marks)
    for index, each in enumerate(buckets):
        base = 0
        for kind, count in enumerate(each.parts):
            if count:
                width = round(min(step * 0.72, 34), 2)
                x = round(_centre(step, index) - width / 2, 2)
                y = up(base + count)
                told = f"{each.label}: {count} {legend[kind]}"
                plot.bars.append(Shape(x, y, width, round(up(base) - y, 2), kind, told))
                base += count
    plot.columns = (per.capitalize(), *(name.capitalize() for name in legend))
    plot.rows = [(each.label, *(str(part) for part in each.parts)) for each in buckets]
    plot.label = (
        f"{title}: bars of the number per {per}, {_extent(buckets)}; the highest is {most}. "
        "The figures follow as a table."
    )
    return plot


def time_plot(key: str, title: str, buckets: Sequence[Bucket], per: str) -> Plot:
    """Medians from zero with the range of the middle half, one for each bucket, joined between neighbours."""
    highest = max((each.upper or 0 for each in buckets), default=0)
    size, unit = next((size, unit) for limit, size, unit in _UNITS if highest >= limit)
    plot = Plot(key, title, unit, "")
    values = _up_to(max(highest, 1) / size)
    marks = [(value * size, f"{value:g}") for value in values]
    step, up = _frame(plot, buckets, values[-1] * size, marks)
    stretch: list[tuple[float, float]] = []
    for index, each in enumerate(buckets):
        if each.median is None or each.lower is None or each.upper is None:
            _join(plot, stretch)
            stretch = []
            continue
        x, y = _centre(step, index), up(each.median)
        told = (
            f"{each.label}: median {span_words(each.median)}, the middle half {span_words(each.lower)} to "
            f"{span_words(each.upper)}, n = {each.n}"
        )
        plot.dots.append(Dot(x, y, up(each.upper), up(each.lower), told))
        stretch.append((x, y))
    _join(plot, stretch)
    plot.columns = (per.capitalize(), "n", "Lower quartile", "Median", "Upper quartile")
    plot.rows = [
        (each.label, str(each.n), *map(span_words, (each.lower, each.median, each.upper)))
        for each in buckets
    ]
    known = [each.median for each in buckets if each.median is not None]
    medians = (
        f"medians between {span_words(min(known))} and {span_words(max(known))}"
        if known
        else "none"
    )
    plot.label = (
        f"{title}: median and quartiles for each {per} in {unit}, {_extent(buckets)}; {medians}. "
        "The figures follow as a table."
    )
    return plot


def _join(plot: Plot, stretch: list[tuple[float, float]]) -> None:
    if len(stretch) > 1:
        plot.paths.append(line(stretch))


def _centre(step: float, index: int) -> float:
    return round(LEFT + step * (index + 0.5), 2)


def _up_to(highest: float) -> list[float]:
    """Round values from zero, the last one at least ``highest``: so the axis says how high everything is."""
    values = ticks(0, highest, 4)
    if len(values) > 1 and values[-1] < highest:
        values.append(round(2 * values[-1] - values[-2], 12))
    return values


def _extent(buckets: Sequence[Bucket]) -> str:
    return f"{buckets[0].label} to {buckets[-1].label}" if buckets else "no days"


def _frame(
    plot: Plot, buckets: Sequence[Bucket], highest: float, marks: list[tuple[float, str]]
) -> tuple[float, Scale]:
    """The axes; how wide a bucket is drawn, and the scale upwards."""
    count = max(len(buckets), 1)
    step = (WIDTH - LEFT - RIGHT) / count
    up = Scale(0, highest or 1, HEIGHT - BOTTOM, TOP)
    plot.y_ticks = [Tick(up(value), text) for value, text in marks]
    apart = -(-count // _MOST_LABELS)
    for index, each in enumerate(buckets):
        x = _centre(step, index)
        if index % apart == 0:
            plot.x_ticks.append(Tick(x, each.label, bool(index // apart % 2)))
        if step >= 26 or index % (-(-26 // max(int(step), 1))) == 0:
            plot.counts.append(Tick(x, str(each.n), bool(index % 2)))
    return step, up
