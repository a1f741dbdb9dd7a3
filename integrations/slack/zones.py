"""On whose clocks a person tells the time."""

from __future__ import annotations

import structlog
from django.core.cache import cache
from django.utils import timezone

from approvals.calendar import in_zone
from integrations.errors import Rejected, Unavailable
from integrations.slack.client import slack
from integrations.slack.identities import SlackUser

log = structlog.get_logger(__name__)
DAY, MINUTE = 86_400, 60
# Asked while somebody waits for the answer to a command, of whose three seconds this may take one.
PATIENCE_SECONDS = 1


def zone_of(user: SlackUser) -> str:
    """The zone of the person's Slack profile, such as ``Europe/Amsterdam``; ``UTC`` where it cannot be had.

    Kept for a day, and for a minute where Slack did not say.
    """
    key = f"slack-zone:{user.team_id}:{user.user_id}"
    known = cache.get(key)
    if known:
        return str(known)
    zone, seconds = "UTC", MINUTE
    try:
        with slack(timeout=PATIENCE_SECONDS, team=user.team_id) as client:
            profile = client.users_info(user=user.user_id).get("user") or {}
        found = str(profile.get("tz") or "")
        in_zone(timezone.now(), found)  # raises ValueError for one that is not known here
        zone, seconds = "UTC" if found in ("Etc/UTC", "Etc/GMT") else found, DAY
    except (Unavailable, Rejected, ValueError) as error:
        log.warning("zone not known", error=str(error))
    cache.set(key, zone, seconds)
    return zone
