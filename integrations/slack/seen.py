"""What Slack sent already: the same event or envelope is handled once, however often it comes.

Slack sends an event again when its acknowledgement was late or lost, up to three times; over Socket Mode also
what was not acknowledged when a connection ended.
"""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Q, QuerySet
from django.utils import timezone

from approvals.models import InboundDelivery

SOURCE = "slack-once"
# Whoever has held it for so long without an end has died.
HELD = timedelta(seconds=30)


def begin(key: str) -> bool:
    """Take it in hand; False when it was handled before, or somebody has it in hand."""
    now = timezone.now()
    _, created = InboundDelivery.objects.get_or_create(
        source=SOURCE, delivery_id=key, defaults={"received_at": now}
    )
    if created:
        return True
    left = Q(processed_at=None, received_at__lt=now - HELD)
    return bool(_row(key).filter(left).update(received_at=now))


def done(key: str, outcome: str) -> None:
    """It was handled; nothing comes of it a second time."""
    _row(key).update(processed_at=timezone.now(), outcome=outcome)


def failed(key: str) -> None:
    """It was not handled: the next time it is the first time."""
    _row(key).filter(processed_at=None).delete()


def outcome(key: str) -> str | None:
    """What ``done`` was told; None while it is not done."""
    found = _row(key).exclude(processed_at=None).values_list("outcome", flat=True).first()
    return None if found is None else str(found)


def _row(key: str) -> QuerySet[InboundDelivery]:
    return InboundDelivery.objects.filter(source=SOURCE, delivery_id=key)
