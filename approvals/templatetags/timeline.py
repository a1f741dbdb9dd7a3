"""Template filters of the timeline's entries."""

from __future__ import annotations

from typing import Any

from django import template

from approvals.models import Event

register = template.Library()

# Lists in an event's data, and how an opened entry calls them.
LISTS = {
    "differences": "What differs",
    "changes": "What changed",
    "over": "Overruled",
    "missing": "Missing",
    "ticked": "Ticked",
    "voided": "Void now",
}
_GONE_BACK = {
    "deployment.aborting",
    "deployment.gone_back",
    "signal.rolled_back",
    "out_of_band.put_back",
}


@register.filter
def entry_mark(event: Event) -> str:
    """What must not be overlooked about an event: ``override``, ``rollback``, ``out-of-band``, or nothing."""
    if event.kind == "promotion.overridden":
        return "override"
    if event.kind in _GONE_BACK or (event.promotion and event.promotion.is_rollback):
        return "rollback"
    return "out-of-band" if event.kind.startswith("out_of_band.") else ""


@register.filter
def entry_lists(event: Event) -> list[tuple[str, list[str]]]:
    """The lists of an event's data with their headings."""
    found: list[tuple[str, list[str]]] = []
    for key, name in LISTS.items():
        values: Any = event.data.get(key)
        if isinstance(values, list) and values:
            found.append((name, [str(each) for each in values[:100]]))
    return found
