"""Verifies the history: every line's hash, and that it carries the hash of the line before."""

from __future__ import annotations

from dataclasses import dataclass

from approvals.models import Event
from approvals.services.history import event_hash


@dataclass(frozen=True)
class Verification:
    """``broken_at`` is the id of the first event that does not verify, None when all do."""

    events: int
    broken_at: int | None


def verify_history() -> Verification:
    """Walk the whole chain, oldest first."""
    previous, count = "", 0
    for event in Event.objects.order_by("id").iterator(chunk_size=2000):
        count += 1
        if event.previous_hash != previous or event.hash != event_hash(event):
            return Verification(count, event.pk)
        previous = event.hash
    return Verification(count, None)


def verify_newest(count: int) -> Verification:
    """Check the newest events alone: cheap enough for every look at a page, and no word about those before."""
    newest = list(Event.objects.order_by("-id")[: count + 1])
    for event, before in zip(newest[:count], [*newest[1:], None], strict=False):
        previous = before.hash if before is not None else ""
        if event.previous_hash != previous or event.hash != event_hash(event):
            return Verification(len(newest[:count]), event.pk)
    return Verification(len(newest[:count]), None)
