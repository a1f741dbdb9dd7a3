"""The workspaces that the app is installed in: whose people may decide, and with which token each is spoken to."""

from __future__ import annotations

from django.conf import settings

from integrations.errors import Unavailable


def default_team() -> str:
    """The id of the workspace meant where none is named; empty where there is none."""
    return settings.SLACK_TEAM_ID[0] if settings.SLACK_TEAM_ID else ""


def place_of(channel: str) -> tuple[str, str]:
    """Workspace and channel of the configuration's ``C012ABCDEF`` or ``T012ABCDEF/C012ABCDEF``."""
    team, _, name = channel.rpartition("/")
    return team or default_team(), name


def token_of(team: str) -> str:
    """The bot token of a workspace (the default one for an empty id). Raises Unavailable where there is none."""
    if team in ("", *settings.SLACK_TEAM_ID) and settings.SLACK_BOT_TOKEN:
        return settings.SLACK_BOT_TOKEN
    raise Unavailable(f"The Slack app is not installed in the workspace {team}.")


def is_configured() -> bool:
    """Whether this installation speaks to Slack at all."""
    return bool(settings.SLACK_BOT_TOKEN)
