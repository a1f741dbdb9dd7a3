"""The workspaces that the app is installed in: whose people may decide, and with which token each is spoken to.

One by SLACK_BOT_TOKEN, whose ids are SLACK_TEAM_ID (the workspace's, on Enterprise Grid the organisation's after
it); any number by OAuth, each a row with its token. Where both name the same workspace, the settings win.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from approvals.wording import day_and_time
from integrations.errors import Unavailable
from integrations.models import SlackWorkspace
from integrations.slack.encryption import Undecryptable, decrypt

Body = Mapping[str, Any]


def default_team() -> str:
    """The id of the workspace meant where none is named; empty where there is none."""
    if settings.SLACK_TEAM_ID:
        return str(settings.SLACK_TEAM_ID[0])
    first = _active().order_by("installed_at", "pk").values_list("team_id", flat=True).first()
    return first or ""


def place_of(channel: str) -> tuple[str, str]:
    """Workspace and channel of the configuration's ``C012ABCDEF`` or ``T012ABCDEF/C012ABCDEF``."""
    team, _, name = channel.rpartition("/")
    return team or default_team(), name


def token_of(team: str) -> str:
    """The bot token of a workspace (the default one for an empty id). Raises Unavailable where there is none,
    where the app was uninstalled, and where its token is over or cannot be read."""
    if settings.SLACK_BOT_TOKEN and team in ("", *settings.SLACK_TEAM_ID):
        return str(settings.SLACK_BOT_TOKEN)
    row = SlackWorkspace.objects.filter(team_id=team or default_team()).first()
    if row is not None and not row.is_active:
        raise Unavailable(f"The Slack app was uninstalled from {row}. Install it again.")
    if row is None or not row.token:
        where = f"the workspace {team}" if team else "any workspace"
        raise Unavailable(f"The Slack app is not installed in {where}.")
    if row.expires_at is not None and row.expires_at <= timezone.now():
        raise Unavailable(f"Slack's token of {row} is over and was not renewed.")
    try:
        return decrypt(row.token)
    except Undecryptable as error:
        raise Unavailable(f"Slack's workspace {row}: {error}.") from None


def is_configured() -> bool:
    """Whether this installation speaks to Slack at all."""
    return bool(settings.SLACK_BOT_TOKEN) or _active().exists()


def is_ours(team: str) -> bool:
    """Whether people of this workspace or organisation may decide: the app is installed there now."""
    rows = SlackWorkspace.objects.filter(team_id=team).values_list("is_active", "token")
    is_active, token = next(iter(rows), (True, ""))
    return is_active and (team in settings.SLACK_TEAM_ID[:1] or bool(token))


def family_of(team: str) -> set[str]:
    """The ids by which Slack may call the people of this workspace: its own, and its organisation's."""
    if team in settings.SLACK_TEAM_ID:
        return set(settings.SLACK_TEAM_ID)
    row = SlackWorkspace.objects.filter(team_id=team).first()
    return {team, row.enterprise_id} - {""} if row is not None else {team}


def name_of(team: str) -> str:
    """The name of a workspace as Slack told it, else its id."""
    row = SlackWorkspace.objects.filter(team_id=team).first()
    return str(row) if row is not None else team


def answering(body: Body) -> str:
    """The id of the installation that a request of Slack's came to, whose token answers it; empty where it is
    not one of ours.

    A dialog names the workspace that the app is installed in; where the app is installed for a whole
    organisation, the organisation stands for its workspaces.
    """
    view, team, enterprise = body.get("view"), body.get("team"), body.get("enterprise")
    ids = [
        view.get("app_installed_team_id") if isinstance(view, Mapping) else None,
        team.get("id") if isinstance(team, Mapping) else None,
        body.get("team_id"),
        enterprise.get("id") if isinstance(enterprise, Mapping) else None,
        body.get("enterprise_id"),
    ]
    if str(body.get("is_enterprise_install")).lower() == "true":
        ids.reverse()
    named = [str(each) for each in ids if each]
    if settings.SLACK_TEAM_ID and set(named) & set(settings.SLACK_TEAM_ID):
        return str(settings.SLACK_TEAM_ID[0])
    here = set(_active().filter(team_id__in=named).values_list("team_id", flat=True))
    return next((each for each in named if each in here), "")


def home_of(belongs: str, body: Body) -> str:
    """The id that stands for somebody's workspace: the one by which their account is linked.

    ``belongs`` is what Slack says of the user. On Enterprise Grid that is the workspace's id or the
    organisation's. An organisation's other workspaces are not known by their ids: where the app is installed
    for all of it, whoever comes from one of them passes for its own until they link, when Slack is asked
    (``standings.ask``); nobody of another organisation gets linked.
    """
    if belongs in settings.SLACK_TEAM_ID:
        return str(settings.SLACK_TEAM_ID[0])
    if not belongs:
        return ""
    rows = list(_active().filter(Q(team_id=belongs) | Q(enterprise_id=belongs)).order_by("pk"))
    if any(row.team_id == belongs for row in rows):
        return belongs
    here = answering(body)
    if rows:
        ids = [row.team_id for row in rows]
        return here if here in ids else ids[0]
    is_organisation = str(body.get("is_enterprise_install")).lower() == "true"
    if is_organisation and here.startswith("E") and here not in settings.SLACK_TEAM_ID:
        return here
    return belongs


def problems() -> list[str]:
    """One sentence for each workspace where something is wrong."""
    rows = SlackWorkspace.objects.exclude(problem="").order_by("name", "team_id")
    return [
        f"Slack, workspace {row}{f', since {day_and_time(row.problem_at)}' if row.problem_at else ''}: "
        f"{row.problem.rstrip('.')}."
        for row in rows
    ]


def _active() -> Any:
    """The installed ones; the row of the workspace that SLACK_BOT_TOKEN belongs to has no token."""
    return SlackWorkspace.objects.filter(is_active=True).exclude(token="")
