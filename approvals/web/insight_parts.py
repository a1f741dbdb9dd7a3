"""How a measured figure is said and drawn: its value, its change against the period before, its plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from approvals.charts import Sparkline, sparkline
from approvals.plots import Bucket, Plot, bar_plot, span_words, time_plot
from approvals.selectors.insights.figures import Figure
from approvals.selectors.insights.measuring import Measure, Measured
from approvals.selectors.insights.period import Period
from approvals.templatetags.insights import percent

# Two periods whose values lie less than this apart, relative to the larger one, count as the same.
SAME = 0.05


@dataclass(frozen=True)
class Said:
    """A figure in words. ``behind`` says how many rows there are, ``verdict`` is ``better``, ``worse``, ``same``
    or empty, ``change`` tells of the period before, ``link`` leads to the counted rows, ``all`` to those that a
    share is of, ``excluded`` to those without the time."""

    figure: Figure
    measure: Measure
    value: str
    behind: str
    verdict: str
    change: str
    link: str
    all: str
    excluded: str
    spark: Sparkline | None
    counted: int


def value_of(figure: Figure, measure: Measure, weeks: float) -> str:
    """The figure itself: ``3.2 per week``, ``12 %``, ``5.2 h``; of few rows no percentage."""
    if not measure.n:
        return "none"
    if figure.kind == "time":
        return span_words(measure.median)
    if figure.kind == "share":
        return f"{measure.hits} of {measure.n}" if measure.few else percent(measure.share or 0)
    rate = measure.n / weeks
    return f"{rate:.0f} per week" if rate >= 20 else f"{rate:.1f} per week"


def say(measured: Measured, period: Period, address: str) -> Said:
    """A measured figure in words; ``address`` is that of the lists, up to the figure's key."""
    figure, now, before = measured.figure, measured.now, measured.before
    weeks = period.length / 7
    behind = f"n = {now.n}" if now.n else f"No {figure.noun}"
    if figure.kind == "share" and now.n and not now.few:
        behind = f"{now.hits} of {now.n}"
    if now.few:
        behind += ": so few say little" if figure.kind != "count" else ""
    verdict, change = _compared(figure, now, before, weeks)
    link = f"{address}&figure={figure.key}"
    values = [_number(figure, measured.buckets.get(first)) for first in period.buckets]
    return Said(
        figure,
        now,
        value_of(figure, now, weeks),
        behind,
        verdict,
        change,
        link,
        f"{link}&part=all" if figure.kind == "share" else "",
        f"{link}&part=missing" if now.missing else "",
        sparkline(values, 104, 30),
        now.hits if figure.kind == "share" else now.n,
    )


def _number(figure: Figure, measure: Measure | None) -> float | None:
    if figure.kind == "count":
        return float(measure.n) if measure else 0.0
    if measure is None:
        return None
    return measure.share if figure.kind == "share" else measure.median


def _compared(figure: Figure, now: Measure, before: Measure, weeks: float) -> tuple[str, str]:
    """(better, worse, same or nothing, what it was before)."""
    if not before.n and not now.n:
        return "", ""
    if not before.n:
        return "", "none in the period before"
    words = value_of(figure, before, weeks)
    was = f"was {words}"
    if figure.kind != "count" and (not now.n or now.few or before.few):
        counts = "" if figure.kind == "share" and before.few else f" (n = {before.n})"
        return "", f"{was}{counts}; too few to compare"
    new, old = _number(figure, now) or 0.0, _number(figure, before) or 0.0
    # What reads the same is the same, however the digits behind it go on.
    if abs(new - old) <= SAME * max(new, old) or words == value_of(figure, now, weeks):
        return "same", was
    if not figure.better:
        return "", was
    return ("better" if (new > old) == (figure.better == "higher") else "worse"), was


def label_of(first: date, period: Period) -> str:
    """``17 Nov``; ``Nov 2026`` for a month."""
    return f"{first:%b %Y}" if period.unit == "month" else f"{first.day} {first:%b}"


def plot_of(measured: Measured, period: Period) -> Plot:
    """The figure over the period, bucket by bucket."""
    figure = measured.figure
    return plotted(figure, measured.buckets, period.buckets, period)


def plotted(
    figure: Figure, found: dict[date, Measure], firsts: Sequence[date], period: Period
) -> Plot:
    """Measures by bucket as a plot: bars for counts and shares, medians for times."""
    buckets = []
    for first in firsts:
        measure = found.get(first, Measure())
        if figure.kind == "share":
            parts: tuple[int, ...] = (measure.n - measure.hits, measure.hits)
        else:
            parts = (measure.n,)
        buckets.append(
            Bucket(
                first,
                label_of(first, period),
                measure.n,
                parts if figure.kind != "time" else (),
                measure.lower,
                measure.median,
                measure.upper,
            )
        )
    if figure.kind == "time":
        return time_plot(figure.key, figure.name, buckets, period.unit)
    legend = (figure.rest_words, figure.hit_words) if figure.kind == "share" else (figure.noun,)
    return bar_plot(figure.key, figure.name, buckets, legend, period.unit)
