"""Forgets what nobody can need any more. Nothing that people decided, and nothing of the history, is ever here."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils import timezone

from approvals.models import InboundDelivery

# GitHub sends a delivery again on request for three days, Slack signs for five minutes, and a link address lives
# for a quarter of an hour: a repetition that is older than this is refused by its age, not by our memory.
REMEMBERED = timedelta(days=7)
# So many rows a time, so that no lock is held for long.
BATCH = 10_000


def forget_deliveries(now: datetime | None = None) -> int:
    """Delete the memory of what services sent us long ago. Returns how many rows."""
    before = (now or timezone.now()) - REMEMBERED
    old = InboundDelivery.objects.filter(received_at__lt=before)
    gone = 0
    while ids := list(old.values_list("pk", flat=True)[:BATCH]):
        gone += InboundDelivery.objects.filter(pk__in=ids).delete()[0]
    return gone
