"""Template tags of the overview, whose drawings repeat hundreds of times: each is told once on a page."""

from __future__ import annotations

import functools
from datetime import datetime

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from approvals.templatetags.countersign import icon

register = template.Library()


@register.simple_tag
@functools.lru_cache(maxsize=8)
def glyph_sheet(names: str) -> SafeString:
    """The drawings of these icons, told once on a page, for :func:`glyph`."""
    drawn = {
        name: icon(name).partition(">")[2].strip().removesuffix("</svg>") for name in names.split()
    }
    symbols = "".join(
        f'<symbol id="g-{name}" viewBox="0 0 24 24">{drawing}</symbol>'
        for name, drawing in drawn.items()
    )
    return mark_safe(f'<svg class="glyphs" aria-hidden="true" width="0" height="0">{symbols}</svg>')  # noqa: S308 - our own drawings


@register.simple_tag
@functools.lru_cache(maxsize=64)
def glyph(name: str) -> SafeString:
    """An icon of the page's sheet; hidden from assistive technology, because words stand beside it."""
    return mark_safe(f'<svg class="g" aria-hidden="true"><use href="#g-{name}"/></svg>')  # noqa: S308 - names of ours


@register.simple_tag
def on_my_clock(moment: datetime) -> str:
    """``Tuesday 17 November 2026, 14:05 Europe/Zurich``, on the clocks of whoever looks."""
    local = timezone.localtime(moment)
    seconds = f"{local:%H:%M:%S}" if local.second else f"{local:%H:%M}"
    return format_html(
        '<time datetime="{}">{} {} {}, {} {}</time>',
        moment.isoformat(),
        f"{local:%A}",
        local.day,
        f"{local:%B %Y}",
        seconds,
        timezone.get_current_timezone_name(),
    )


@register.simple_tag
def on_my_day(moment: datetime, seconds: bool = False) -> str:
    """``24 Nov, 08:00`` on the clocks of whoever looks, short enough for a cell; ``seconds`` where they matter."""
    local = timezone.localtime(moment)
    year = "" if local.year == timezone.localtime().year else f" {local.year}"
    text = f"{local.day} {local:%b}{year}, {local.strftime('%H:%M:%S' if seconds else '%H:%M')}"
    return format_html('<time datetime="{}">{}</time>', moment.isoformat(timespec="seconds"), text)
