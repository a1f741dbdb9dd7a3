"""The history, filtered and page by page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from django.db.models import Q

from approvals.models import Event
from approvals.selectors.decisions import optional_relations

PAGE = 50

# The group's key in the address → (its name, the beginnings of its kinds).
GROUPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "promotions": ("Promotions and reviews", ("promotion.", "review.")),
    "deployments": ("Deployments", ("deployment.", "queue.", "registry.")),
    "watching": ("Signals and out-of-band changes", ("signal.", "out_of_band.", "mark.")),
    "evidence": ("Evidence", ("evidence.",)),
    "restrictions": ("Freezes, locks, quarantines", ("environment.", "target.", "version.")),
    "overrides": ("Broken glass", ("promotion.overridden",)),
    "configuration": (
        "Configuration and accounts",
        ("configuration.", "delegation.", "person.", "slack.", "token."),
    ),
}


@dataclass(frozen=True)
class Page:
    """One page of the history, newest first. ``older`` is the id to go on from, 0 at the end."""

    days: list[tuple[date, list[Event]]]
    older: int
    count: int


def page_of_history(filters: Mapping[str, str], before: int | None = None) -> Page:
    """The events that match, older than ``before``. Keyset paging: links stay true as events come."""
    events = Event.objects.select_related(
        "actor",
        "target__model",
        "target__environment",
        "promotion__version__model",
        "promotion__overridden_by",
        "promotion__deployment__step",
        *optional_relations("promotion__"),
    )
    if filters.get("model"):
        # What is about a version everywhere has no target; it names its model.
        name = filters["model"]
        events = events.filter(Q(target__model__name=name) | Q(target=None, data__model=name))
    if filters.get("environment"):
        name = filters["environment"]
        # A freeze is about an environment, not about one target in it.
        events = events.filter(
            Q(target__environment__name=name) | Q(target=None, data__environment=name)
        )
    if filters.get("person"):
        events = events.filter(actor__username=filters["person"])
    if filters.get("kind") in GROUPS:
        about = Q()
        for beginning in GROUPS[filters["kind"]][1]:
            about |= Q(kind__startswith=beginning)
        events = events.filter(about)
    if before is not None:
        events = events.filter(pk__lt=before)
    rows = list(events[: PAGE + 1])
    shown = rows[:PAGE]
    days: dict[date, list[Event]] = {}
    for event in shown:
        days.setdefault(event.at.date(), []).append(event)
    return Page(list(days.items()), shown[-1].pk if len(rows) > PAGE else 0, len(shown))
