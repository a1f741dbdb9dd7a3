"""Template tags of the lanes."""

from __future__ import annotations

from django import template
from django.utils.http import urlencode

from approvals.lanes import Bar
from approvals.web.lanes import Frame

register = template.Library()


@register.simple_tag
def narrowed(frame: Frame, bar: Bar) -> str:
    """The address of the stretch alone in which many changes followed one another."""
    end = bar.end or frame.drawing.period.horizon
    period = type(frame.drawing.period)(bar.begin, end, frame.drawing.period.now).zoomed(1.2)
    between = [
        ("since", f"{period.since:%Y-%m-%dT%H:%M}"),
        ("until", f"{period.until:%Y-%m-%dT%H:%M}"),
    ]
    return f"?{urlencode([*frame.kept, *between])}"
