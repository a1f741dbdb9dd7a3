"""What all events have in common: who did it, and whether Slack sent it before."""

from __future__ import annotations

from django.utils import timezone

from approvals.models import InboundDelivery
from approvals.services import Refused
from integrations.slack.identities import SlackUser, user_of
from integrations.slack.listeners.answers import Body


def event_user(body: Body) -> SlackUser | None:
    """Whose doing the event is; None where Slack does not say. An event names the user alone, its envelope the
    workspace where it happened."""
    envelope = {name: value for name, value in body.items() if name != "user"}
    try:
        return user_of({**envelope, "user_id": body["event"].get("user")})
    except Refused:
        return None


def first_time(body: Body) -> bool:
    """Remember the event; False when it was handled before. Slack sends an event again, under the same id and
    with another signature, when our answer was late or lost. Part of the transaction that handles it."""
    now = timezone.now()
    _, created = InboundDelivery.objects.get_or_create(
        source="slack-event",
        delivery_id=str(body["event_id"])[:100],
        defaults={"received_at": now, "processed_at": now},
    )
    return created
