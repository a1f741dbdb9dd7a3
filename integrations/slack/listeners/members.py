"""What Slack tells of itself: somebody's account changed, the app was removed."""

from __future__ import annotations

from datetime import UTC, datetime

from django.utils import timezone
from slack_bolt import App

from integrations.slack import installations, standings, workspaces
from integrations.slack.listeners.answers import Body

UNINSTALLED = "The app was uninstalled."
REVOKED = "The app's token was revoked."


def register(app: App) -> None:
    """Tell bolt of the events."""
    app.event("user_change")(user_changed)
    app.event("app_uninstalled")(uninstalled)
    app.event("tokens_revoked")(revoked)


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
