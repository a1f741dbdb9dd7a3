"""Somebody pasted an address of ours. What is shown below it is an effect (``unfolding``)."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone
from slack_bolt import Ack, App

from approvals.models.outbox import EffectKind
from approvals.services.history import enqueue
from integrations.slack import unfolding
from integrations.slack.listeners.answers import Body
from integrations.slack.listeners.event_users import event_user


def register(app: App) -> None:
    """Tell bolt of the event."""
    app.event("link_shared")(shared)


def shared(ack: Ack, body: Body) -> None:
    """Have the addresses unfolded that lead to something of ours, where nobody of another organisation reads
    along. Who pasted them is asked when it is delivered."""
    event, user = body["event"], event_user(body)
    links = [str(each.get("url")) for each in event.get("links") or []]
    ours = [url for url in links if unfolding.leads_to(url) is not None][: unfolding.MOST]
    # Fails closed: Slack says of a channel that it is shared or that it is not. While a message is being
    # written (source "composer") it names no channel; the address is told again when the message is sent.
    readable = body.get("is_ext_shared_channel") is False and event.get("source") != "composer"
    if ours and readable and user is not None and not user.is_foreign:
        with transaction.atomic():
            enqueue(
                EffectKind.UNFOLD,
                None,
                key=str(body["event_id"]),
                now=timezone.now(),
                payload={
                    "team": user.team_id,
                    "user": user.user_id,
                    "channel": str(event["channel"]),
                    "ts": str(event["message_ts"]),
                    "links": ours,
                },
            )
    ack()
