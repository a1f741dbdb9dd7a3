"""With what somebody is signed in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.utils import timezone

from approvals.models import Person

MOST = 50
# The first that is found: every browser claims to be several others too.
BROWSERS = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox|FxiOS", "Firefox"),
    ("Chrome|CriOS|Chromium", "Chrome"),
    ("Safari", "Safari"),
]
SYSTEMS = [
    ("iPhone|iPad", "iOS"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X|Macintosh", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux|X11", "Linux"),
]


@dataclass(frozen=True)
class SignedIn:
    """One session. ``address`` is empty where it is not known; ``here`` is the one that asks."""

    pk: int
    device: str
    is_phone: bool
    address: str
    since: datetime
    seen: datetime
    here: bool


def sessions_of(person: Person, key: str | None) -> list[SignedIn]:
    """The sessions that still open something, the one of ``key`` first, then those used last. One query, whatever
    their number."""
    alive = Session.objects.filter(expire_date__gt=timezone.now()).values("session_key")
    rows = UserSession.objects.filter(user=person, session_key__in=alive)
    found = [
        SignedIn(
            pk=row.pk,
            device=device_in_words(row.user_agent),
            is_phone=bool(re.search("iPhone|Android|Mobile", row.user_agent)),
            address="" if row.ip == "0.0.0.0" else row.ip,  # noqa: S104 - stands for "not known"
            since=row.created_at,
            seen=row.last_seen_at,
            here=row.session_key == key,
        )
        for row in rows.order_by("-last_seen_at")[:MOST]
    ]
    return sorted(found, key=lambda each: not each.here)


def device_in_words(user_agent: str) -> str:
    """``Firefox on Linux``, as far as the browser says."""
    browser = _first(BROWSERS, user_agent) or "A browser that does not say its name"
    system = _first(SYSTEMS, user_agent)
    return f"{browser} on {system}" if system else browser


def _first(table: list[tuple[str, str]], text: str) -> str:
    return next((name for pattern, name in table if re.search(pattern, text)), "")
