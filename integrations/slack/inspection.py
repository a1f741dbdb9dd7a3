"""Whether the app in Slack is the one that Countersign needs: token, scopes, channels, settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.conf import settings
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from approvals.models import Target
from approvals.wording import listed
from integrations.errors import Rejected, Unavailable
from integrations.models import SlackWorkspace
from integrations.slack import manifest, socket_mode
from integrations.slack.client import code_of, slack
from integrations.slack.workspaces import place_of

# The token that reads an app's settings lives twelve hours; these are said when it is over.
EXPIRED = {"token_expired", "invalid_auth", "not_authed", "token_revoked"}


@dataclass
class Report:
    """What was found, in sentences: well, worth knowing, and wrong."""

    well: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def inspect() -> Report:
    """Ask Slack. Raises nothing: that Slack is away is one of the sentences."""
    report = Report()
    for team in _teams():
        if _token(report, team):
            for channel in _channels(team):
                _channel(report, team, channel)
    if settings.SLACK_APP_TOKEN:
        _sockets(report)
    _settings(report)
    return report


def _teams() -> list[str]:
    """The workspaces that the app is installed in; "" stands for that of SLACK_BOT_TOKEN."""
    rows = SlackWorkspace.objects.filter(is_active=True).exclude(token="").order_by("team_id")
    first = [""] if settings.SLACK_BOT_TOKEN else []
    return [
        *first,
        *(row.team_id for row in rows if not (first and row.team_id in settings.SLACK_TEAM_ID)),
    ]


@contextmanager
def _asking(report: Report, about: str) -> Iterator[None]:
    """What Slack refuses or does not answer is a sentence of the report."""
    try:
        yield
    except (Unavailable, Rejected) as error:
        report.wrong.append(f"{about}: {error}")


def _token(report: Report, team: str) -> bool:
    """The bot's token: whose it is, and what it may. False when nothing more can be asked with it."""
    about = f"The bot of workspace {team}" if team else "SLACK_BOT_TOKEN"
    with _asking(report, about):
        with slack(team=team) as client:
            answer = client.auth_test()
        mine = team or str(answer.get("team_id", ""))
        ours = {mine, str(answer.get("enterprise_id") or "")} & set(settings.SLACK_TEAM_ID)
        if not team and not ours:
            report.wrong.append(
                f"SLACK_BOT_TOKEN belongs to the workspace {answer.get('team')} ({mine}), which SLACK_TEAM_ID "
                f"({listed(settings.SLACK_TEAM_ID) or 'empty'}) does not name: nobody could decide."
            )
        else:
            report.well.append(
                f"{about} is valid: {answer.get('user')} in the workspace {answer.get('team')} ({mine})."
            )
        headers = {str(name).lower(): str(value) for name, value in answer.headers.items()}
        granted = [each.strip() for each in headers.get("x-oauth-scopes", "").split(",")]
        missing = [each for each in manifest.bot_scopes() if each not in granted]
        more = [each for each in granted if each and each not in manifest.bot_scopes()]
        if missing:
            report.wrong.append(
                f"{about} lacks {listed(missing)}: add it under OAuth & Permissions (docs/install.md says what "
                "each is for), then reinstall the app."
            )
        else:
            report.well.append("It has every scope of slack-manifest.yaml.")
        if more:
            report.notes.append(f"{about} has {listed(more)}, which Countersign does not need.")
        return True
    return False


def _channels(team: str) -> list[str]:
    """Every channel of the configuration that is in this workspace."""
    named = {
        each for pair in Target.objects.values_list("channel", "fallback_channel") for each in pair
    }
    places = sorted(place_of(each) for each in named if each)
    here = [team] if team else [*settings.SLACK_TEAM_ID, ""]
    return [channel for place, channel in places if place in here]


def _channel(report: Report, team: str, channel: str) -> None:
    with _asking(report, f"The channel {channel}"):
        with slack(team=team) as client:
            found = client.conversations_info(channel=channel)["channel"]
        name = f"#{found.get('name', channel)} ({channel})"
        if found.get("is_archived"):
            report.wrong.append(f"{name} is archived: unarchive it, or name another one.")
        elif not found.get("is_member"):
            report.wrong.append(f"{name}: the app is not in it. There, type: /invite @Countersign")
        else:
            report.well.append(f"{name} is there, and the app is in it.")
        if found.get("is_ext_shared"):
            report.notes.append(
                f"{name} is shared with another organisation, whose people see every request. They cannot decide."
            )


def _sockets(report: Report) -> None:
    with _asking(report, "SLACK_APP_TOKEN"):
        socket_mode.address()
        report.well.append("SLACK_APP_TOKEN is valid: Socket Mode can connect.")


def _settings(report: Report) -> None:
    """The app's own settings, where a token that may read them is given."""
    if not settings.SLACK_CONFIG_TOKEN or not settings.SLACK_APP_ID:
        report.notes.append(
            "Commands, shortcuts, events and addresses were not compared: that needs SLACK_APP_ID and "
            "SLACK_CONFIG_TOKEN (docs/install.md)."
        )
        return
    client = WebClient(
        token=settings.SLACK_CONFIG_TOKEN,
        base_url=settings.SLACK_API_URL,
        timeout=10,
        retry_handlers=[],
    )
    try:
        found = client.apps_manifest_export(app_id=settings.SLACK_APP_ID)["manifest"]
    except SlackApiError as error:
        code = code_of(error) or "no answer"
        hint = "it lives twelve hours, make a new one" if code in EXPIRED else "check SLACK_APP_ID"
        report.wrong.append(
            f"The app's settings could not be read ({code}) with SLACK_CONFIG_TOKEN: {hint}."
        )
        return
    except (SlackClientError, OSError, ValueError) as error:
        report.wrong.append(
            f"The app's settings: Slack could not be reached ({type(error).__name__})."
        )
        return
    wrong, more = manifest.differences(found)
    report.wrong += wrong
    report.notes += more
    if not wrong:
        report.well.append("The app's settings are those of slack-manifest.yaml.")
