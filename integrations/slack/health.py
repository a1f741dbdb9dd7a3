"""Whether a workspace takes our token: kept beside it, so that the pages say at once when it does not."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Q
from django.utils import timezone

from integrations.models import SlackWorkspace
from integrations.slack.workspaces import default_team

# How old the last yes may grow before it is written again: not every call needs a row written.
FRESH = timedelta(minutes=1)


def refused_token(team: str, code: str) -> None:
    """Slack refused the workspace's token with this error code."""
    now = timezone.now()
    row, _ = SlackWorkspace.objects.get_or_create(team_id=team or default_team())
    if row.problem != code:
        SlackWorkspace.objects.filter(pk=row.pk).update(problem=code, problem_at=now)


def took_token(team: str) -> None:
    """A call went well: what was wrong with the token is over."""
    now, team = timezone.now(), team or default_team()
    stale = Q(succeeded_at=None) | Q(succeeded_at__lt=now - FRESH) | ~Q(problem="")
    well = {"succeeded_at": now, "problem": "", "problem_at": None}
    if SlackWorkspace.objects.filter(stale, team_id=team).update(**well):
        return
    if not SlackWorkspace.objects.filter(team_id=team).exists():
        SlackWorkspace.objects.get_or_create(team_id=team, defaults=well)
