"""What every page's template sees."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from approvals.models import Person
from approvals.selectors.standing import count_waiting_for

# Who can be tried in the sandbox, and what they are there for.
SANDBOX_PEOPLE = [
    ("alice", "ML engineer", "asks for promotions"),
    ("bob", "ML lead", "approves for the models' owners"),
    ("carol", "Risk", "approves for risk"),
    ("dave", "Platform", "runs the machines, may roll back"),
    ("mallory", "No rights", "is refused, with the reason"),
]


def everywhere(request: HttpRequest) -> dict[str, Any]:
    """Whether this is the sandbox with its stand-ins' addresses, and how much waits for the person."""
    return {
        "sandbox": settings.SANDBOX,
        "sandbox_links": settings.SANDBOX_LINKS if settings.SANDBOX else {},
        "sandbox_people": SANDBOX_PEOPLE if settings.SANDBOX else [],
        "inbox_count": SimpleLazyObject(lambda: _count(request)),
    }


def _count(request: HttpRequest) -> int:
    person = getattr(request, "user", None)
    return count_waiting_for(person) if isinstance(person, Person) else 0
