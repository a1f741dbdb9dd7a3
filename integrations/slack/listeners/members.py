"""What Slack tells of itself: somebody's account changed, the app was removed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from django.db import transaction
from django.utils import timezone
from slack_bolt import App

from approvals.models import InboundDelivery
from integrations.slack import installations, standings, workspaces
from integrations.slack.listeners.answers import Body

UNINSTALLED = "The app was uninstalled."
REVOKED = "The app's token was revoked."


def register(app: App) -> None:
    """Tell bolt of the events."""
    app.event("user_change")(once(user_changed))
    app.event("app_uninstalled")(once(uninstalled))
    app.event("tokens_revoked")(once(revoked))


def once(listener: Callable[[Body], None]) -> Callable[[Body], None]:
    """An event counts once, however often Slack sends it again; after an error of ours it does the next time."""

    def listen(body: Body) -> None:
        now = timezone.now()
        with transaction.atomic():
            _, new = InboundDelivery.objects.get_or_create(
                source="slack-event",
                delivery_id=str(body["event_id"])[:100],
                defaults={"received_at": now, "processed_at": now},
            )
            if new:
                listener(body)

    return listen


def user_changed(body: Body) -> None:
    """Somebody was deactivated, made a guest, or is a member again."""
    team = workspaces.answering(body)
    said_at = datetime.fromtimestamp(float(body.get("event_time") or 0), UTC)
    standings.heard(team, body["event"]["user"], said_at=said_at, now=timezone.now())


def uninstalled(body: Body) -> None:
    """The app was taken out of the workspace."""
    installations.removed(workspaces.answering(body), now=timezone.now(), why=UNINSTALLED)


def revoked(body: Body) -> None:
    """Tokens were revoked: those of people are none of ours, only the bot's counts."""
    if (body["event"].get("tokens") or {}).get("bot"):
        installations.removed(workspaces.answering(body), now=timezone.now(), why=REVOKED)
