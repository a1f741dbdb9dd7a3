"""Whether a workspace takes our token: kept beside it, so that the pages say at once when it does not."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Q
from django.utils import timezone

from integrations.models import SlackWorkspace
from integrations.slack.workspaces import default_team

# How old the last yes may grow before it is written again: not every call needs a row written.
FRESH = timedelta(minutes=1)


REFUSED = "Slack refuses the token"


def refused_token(team: str, code: str) -> None:
    """Slack refused the workspace's token with this error code."""
    now = timezone.now()
    row, _ = SlackWorkspace.objects.get_or_create(team_id=team or default_team())
    anew = "" if row.token else " and put the new token into SLACK_BOT_TOKEN"
    problem = (
        f"{REFUSED} ({code}). Install the app there once more{anew}. Nothing that is decided is lost; the "
        "messages are brought up to date then."
    )
    # Whatever else is wrong with it was said first, and says what to do.
    same = Q(problem="") | Q(problem__startswith=REFUSED)
    rows = SlackWorkspace.objects.filter(same, pk=row.pk, is_active=True).exclude(problem=problem)
    rows.update(problem=problem, problem_at=now)


def took_token(team: str) -> None:
    """A call went well: what was wrong with the token is over."""
    now, team = timezone.now(), team or default_team()
    refused = Q(problem__startswith=REFUSED)
    rows = SlackWorkspace.objects.filter(team_id=team)
    if rows.filter(refused).update(succeeded_at=now, problem="", problem_at=None):
        return
    if rows.filter(Q(succeeded_at=None) | Q(succeeded_at__lt=now - FRESH)).update(succeeded_at=now):
        return
    if not rows.exists():
        SlackWorkspace.objects.get_or_create(team_id=team, defaults={"succeeded_at": now})
