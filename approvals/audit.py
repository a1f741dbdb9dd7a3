"""Verifies the history: every line's hash, and that it carries the hash of the line before."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from approvals.models import Event, EventEntry
from approvals.seals import digest
from approvals.services.history import event_hash, hashed_content

__all__ = ["Verification", "hashed_content", "verify_export", "verify_history"]


@dataclass(frozen=True)
class Verification:
    """``broken_at`` is the id of the first event that does not verify, None when all do. ``gaps`` counts the lines
    that do not follow the one before (an export that is filtered leaves lines out); ``last`` is the last hash.
    ``hidden``: so many events that the timeline would not find."""

    events: int
    broken_at: int | None
    gaps: int = 0
    last: str = ""
    hidden: int = 0


def verify_history() -> Verification:
    """Walk the whole chain, oldest first."""
    previous, count = "", 0
    for event in Event.objects.order_by("id").iterator(chunk_size=2000):
        count += 1
        if event.previous_hash != previous or event.hash != event_hash(event):
            return Verification(count, event.pk)
        previous = event.hash
    hidden = Event.objects.exclude(pk__in=EventEntry.objects.values("pk")).count()
    return Verification(count, None, last=previous, hidden=hidden)


def verify_newest(count: int) -> Verification:
    """Check the newest events alone: cheap enough for every look at a page, and no word about those before."""
    newest = list(Event.objects.order_by("-id")[: count + 1])
    for event, before in zip(newest[:count], [*newest[1:], None], strict=False):
        previous = before.hash if before is not None else ""
        if event.previous_hash != previous or event.hash != event_hash(event):
            return Verification(len(newest[:count]), event.pk)
    return Verification(len(newest[:count]), None)


def verify_export(lines: Iterable[str]) -> Verification:
    """The same for an export as JSON Lines, without a database. Raises ValueError, naming the line, where it is
    none of an export's."""
    previous, count, gaps = "", 0, 0
    for number, line in enumerate(lines, 1):
        try:
            event: dict[str, Any] = json.loads(line)
            content = {key: event[key] for key in _HASHED}
            identity, stated = int(event["id"]), str(event["hash"])
            found = digest(content)
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"Line {number} is not a line of an export: {error}") from error
        count += 1
        if found != stated:
            return Verification(count, identity, gaps, previous)
        gaps += content["previous"] != previous
        previous = stated
    return Verification(count, None, gaps, previous)


_HASHED = ("at", "kind", "actor", "via", "target", "promotion", "data", "previous")
