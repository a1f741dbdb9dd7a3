"""Ending the sessions with which somebody is signed in elsewhere."""

from __future__ import annotations

from datetime import datetime

from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.db import transaction
from django.utils import timezone

from approvals.models import Person
from approvals.services.history import record
from approvals.services.refusal import Refused


@transaction.atomic
def end_sessions(
    *,
    actor: Person,
    via: str,
    keep: str,
    session_id: int | None = None,
    now: datetime | None = None,
) -> int:
    """End one of my sessions, or (None) all of them, but never ``keep``: the key of the one that asks.

    Answers how many were ended; whoever holds their cookies is a stranger from then on. Raises Refused
    (``unknown_session``, ``own_session``).
    """
    mine = UserSession.objects.select_for_update().filter(user=actor)
    if session_id is not None:
        mine = mine.filter(pk=session_id)
    rows = list(mine.values_list("pk", "session_key"))
    if session_id is not None and not rows:
        raise Refused("unknown_session", "There is no such session any more.")
    if session_id is not None and rows[0][1] == keep:
        raise Refused("own_session", "This is the session you are in. Sign out to end it.")
    ended = [row for row in rows if row[1] != keep]
    alive, _ = Session.objects.filter(session_key__in=[key for _, key in ended]).delete()
    UserSession.objects.filter(pk__in=[pk for pk, _ in ended]).delete()
    if alive:
        record("sessions.ended", via=via, actor=actor, now=now or timezone.now(), count=alive)
    return alive
