"""When Slack may be written to. Whoever comes too early is told when to come again; no worker sleeps.

Slack's documentation of its limits: chat.postMessage takes about one message a second for each channel;
chat.update is of Tier 3, 50 calls a minute for each workspace, bursts now and then are welcome. A 429 says with
Retry-After for how long nothing is taken.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from approvals.models import Effect
from approvals.models.outbox import EffectKind
from approvals.states import EffectStatus
from integrations.models import SlackPace
from integrations.outbox import Later

# The row of a workspace as a whole has no channel.
WORKSPACE = ""
# Edits, in messages: 50 a minute are one every 1.2 seconds, and so many may come at once.
EDIT, BURST = 1.2, 20
MOST_WAITING = 60


@transaction.atomic
def before_posting(team: str, channel: str) -> None:
    """Take the channel's next moment. Raises Later where it has not come yet."""
    now, every = timezone.now(), timedelta(seconds=settings.SLACK_POST_SECONDS)
    workspace = _row(team, WORKSPACE, now)
    row = _row(team, channel, now)
    free_at = max(row.free_at, workspace.free_at - BURST * EDIT * every)
    if free_at > now:
        raise Later(
            "Slack takes about one message a second in a channel; this one waits its turn.",
            (free_at - now).total_seconds()
            + random.uniform(0, _waiting(channel) * every.total_seconds()),  # noqa: S311
        )
    row.free_at = now + every
    row.save(update_fields=["free_at"])


@transaction.atomic
def before_editing(team: str) -> None:
    """Count an edit in the workspace. Raises Later where there were too many lately."""
    now, every = timezone.now(), timedelta(seconds=settings.SLACK_POST_SECONDS)
    row = _row(team, WORKSPACE, now)
    free_at = row.free_at - BURST * EDIT * every
    if free_at > now:
        raise Later(
            "Slack takes about 50 edits a minute; this one waits its turn.",
            (free_at - now).total_seconds(),
        )
    row.free_at = max(row.free_at, now) + EDIT * every
    row.save(update_fields=["free_at"])


@transaction.atomic
def put_off(team: str, channel: str, seconds: float) -> None:
    """Slack asked not to be written to for so long: in a channel, or with WORKSPACE anywhere."""
    now, every = timezone.now(), timedelta(seconds=settings.SLACK_POST_SECONDS)
    row = _row(team, channel, now)
    ahead = BURST * EDIT * every if channel == WORKSPACE else timedelta(0)
    row.free_at = max(row.free_at, now + timedelta(seconds=seconds) + ahead)
    row.save(update_fields=["free_at"])


def _row(team: str, channel: str, now: datetime) -> SlackPace:
    """The row, locked. The workspace's is always the first one taken."""
    new = SlackPace(team_id=team, channel=channel, free_at=now)
    SlackPace.objects.bulk_create([new], ignore_conflicts=True)
    return SlackPace.objects.select_for_update().get(team_id=team, channel=channel)


def _waiting(channel: str) -> int:
    """How many messages wait for a channel: they come back spread over the time that they need."""
    waiting = Effect.objects.filter(
        status=EffectStatus.WAITING,
        kind__in=[EffectKind.ANNOUNCE, EffectKind.ALERT],
        target__channel__endswith=channel,
    )
    return min(waiting.values("lane").distinct().count(), MOST_WAITING)
