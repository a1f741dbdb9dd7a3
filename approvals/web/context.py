"""What every page's template sees."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from approvals.models import Person
from approvals.selectors.preferences import my_preferences
from approvals.selectors.standing import count_waiting_for
from approvals.web.places import PLACES

# Who can be tried in the sandbox, and what they are there for.
SANDBOX_PEOPLE = [
    ("alice", "ML engineer", "asks for promotions"),
    ("bob", "ML lead", "approves for the models' owners"),
    ("carol", "Risk", "approves for risk"),
    ("dave", "Platform", "runs the machines, may roll back"),
    ("mallory", "No rights", "is refused, with the reason"),
]


def everywhere(request: HttpRequest) -> dict[str, Any]:
    """The sandbox with its stand-ins' addresses, how much waits for the person, and what they chose for the pages:
    ``my`` preferences and ``my_zone``, the name of the zone whose clocks the page speaks of."""
    return {
        "sandbox": settings.SANDBOX,
        "sandbox_links": settings.SANDBOX_LINKS if settings.SANDBOX else {},
        "sandbox_people": SANDBOX_PEOPLE if settings.SANDBOX else [],
        "inbox_count": SimpleLazyObject(lambda: _count(request)),
        "my": SimpleLazyObject(lambda: my_preferences(request)),
        "my_zone": timezone.get_current_timezone_name(),
        "keyed_places": [place for place in PLACES if place.key],
    }


def _count(request: HttpRequest) -> int:
    """Counted once for a page: each of its parts is rendered by itself."""
    known: int | None = getattr(request, "_inbox_count", None)
    if known is None:
        person = getattr(request, "user", None)
        known = count_waiting_for(person) if isinstance(person, Person) else 0
        request._inbox_count = known  # type: ignore[attr-defined]
    return known
