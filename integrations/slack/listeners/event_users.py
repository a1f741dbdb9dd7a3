"""What all events have in common: who did it. That Slack sends one again is seen at the door (``seen``)."""

from __future__ import annotations

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
