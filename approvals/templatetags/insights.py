"""Filters of the insights and pipelines pages: lengths of time and shares in words."""

from __future__ import annotations

from django import template

from approvals.plots import span_words
from approvals.selectors.insights.measuring import Measure

register = template.Library()


@register.filter
def span(seconds: float | None) -> str:
    """``12 min``, ``5.2 h``, kept on one line; a dash where it is not known."""
    return span_words(seconds).replace(" ", "\u00a0")


@register.filter
def parted(value: str) -> tuple[str, str]:
    """``196 per week`` as ``196`` and ``per week``, which is set smaller; others whole."""
    number, per, unit = value.partition(" per ")
    return number, f"per {unit}" if per else ""


@register.filter
def share(measure: Measure) -> str:
    """``12 % (5 of 41)``; of few rows only the count, because a percentage of three says nothing."""
    if measure.share is None:
        return "–"
    counts = f"{measure.hits} of {measure.n}"
    return counts if measure.few else f"{percent(measure.share)} ({counts})"


def percent(value: float) -> str:
    """``12 %``; ``0.4 %`` below ten where it is not whole."""
    number = value * 100
    return f"{number:.1f} %" if 0 < number < 10 else f"{number:.0f} %"


@register.filter
def share_only(measure: Measure) -> str:
    """``12 %``, where the counts stand beside it."""
    return "–" if measure.share is None else percent(measure.share)
