"""What somebody is in their workspace: only its members decide, no guest, bot or stranger.

Slack is asked when an account is linked; afterwards its event ``user_change`` tells at once, and a look at every
linked user once an hour finds what no event told. No press waits for Slack.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Q
from slack_sdk.errors import SlackApiError

from approvals.services.history import record, refresh_pending
from approvals.states import Via
from integrations.errors import Rejected
from integrations.models import Poll, SlackIdentity, SlackStanding
from integrations.slack import workspaces
from integrations.slack.client import code_of, slack

EVERY = timedelta(hours=1)
# users.info takes a hundred calls a minute (Slack's tier 4); the rest follows a minute later.
AT_ONCE = 20
NAME = 200
WHY_NOT = {
    SlackStanding.GUEST: "You may not, because guests of the Slack workspace cannot decide.",
    SlackStanding.DEACTIVATED: "You may not, because your Slack account is deactivated.",
    SlackStanding.BOT: "You may not, because this is a bot, and only people decide.",
    SlackStanding.FOREIGN: "You may not, because people of other organisations cannot decide here.",
}


@dataclass(frozen=True)
class Known:
    """What Slack says of a user: what they are, and their name."""

    standing: SlackStanding
    name: str


def standing_of(user: Mapping[str, Any], team: str) -> SlackStanding:
    """What Slack's user object says somebody is, seen from the workspace ``team``. Not told is not ours."""
    if user.get("deleted"):
        return SlackStanding.DEACTIVATED
    if user.get("is_bot") or user.get("is_workflow_bot") or user.get("id") == "USLACKBOT":
        return SlackStanding.BOT
    on_grid = user.get("enterprise_user") or {}
    theirs = {user.get("team_id"), on_grid.get("enterprise_id"), *(on_grid.get("teams") or [])}
    if user.get("is_stranger") or not theirs & workspaces.family_of(team):
        return SlackStanding.FOREIGN
    if user.get("is_restricted") or user.get("is_ultra_restricted"):
        return SlackStanding.GUEST
    return SlackStanding.MEMBER


def known_of(user: Mapping[str, Any], team: str) -> Known:
    """Standing and name of Slack's user object."""
    profile = user.get("profile") or {}
    name = user.get("real_name") or profile.get("real_name") or user.get("name") or ""
    return Known(standing_of(user, team), str(name)[:NAME])


def ask(team: str, user_id: str) -> Known:
    """Ask Slack who somebody is. Raises Unavailable where it cannot be asked, Rejected where it will not say."""
    with slack(team=team) as client:
        try:
            return known_of(client.users_info(user=user_id)["user"], team)
        except SlackApiError as error:
            gone = {
                "user_not_found": SlackStanding.DEACTIVATED,
                "user_not_visible": SlackStanding.FOREIGN,
            }.get(code_of(error))
            if gone is None:
                raise
            return Known(gone, "")


@transaction.atomic
def note(identity_id: int, known: Known, *, at: datetime, via: str = Via.SLACK) -> None:
    """Keep what Slack said at ``at``; a change is recorded, and open requests name others from now on."""
    identity = (
        SlackIdentity.objects.select_for_update(of=("self",))
        .select_related("person")
        .filter(pk=identity_id)
        .first()
    )
    if identity is None:
        return
    before, identity.standing = identity.standing, known.standing
    identity.name, identity.checked_at = known.name or identity.name, at
    identity.save(update_fields=["standing", "name", "checked_at"])
    if before == known.standing:
        return
    record(
        "slack.standing",
        via=via,
        now=at,
        person=identity.person.username,
        team=identity.team_id,
        user=identity.user_id,
        standing=known.standing.label.lower(),
    )
    refresh_pending(f"slack-standing-{identity.pk}", at)


def heard(team: str, user: Mapping[str, Any], *, said_at: datetime, now: datetime) -> None:
    """Slack told of a change. What takes rights away counts at once, whenever it was said; what gives them back
    counts only if nothing newer is known. Anything doubtful is looked at right away."""
    identity = SlackIdentity.objects.filter(team_id=team, user_id=str(user.get("id"))).first()
    if identity is None:
        return
    known = known_of(user, team)
    late = identity.checked_at is not None and said_at < identity.checked_at
    if known.standing == SlackStanding.MEMBER and late:
        return
    note(identity.pk, known, at=now)
    if late:
        SlackIdentity.objects.filter(pk=identity.pk).update(checked_at=None)
        Poll.objects.filter(kind="slack", key=team).update(due_at=now)


def look(team: str, *, now: datetime) -> bool:
    """Ask Slack again about those of a workspace whom it was not asked about for an hour. Returns whether there
    are more. Raises Unavailable."""
    stale = (
        SlackIdentity.objects.filter(team_id=team)
        .filter(Q(checked_at=None) | Q(checked_at__lte=now - EVERY))
        .order_by(F("checked_at").asc(nulls_first=True), "pk")
    )
    rows = list(stale[: AT_ONCE + 1])
    for identity in rows[:AT_ONCE]:
        try:
            known = ask(team, identity.user_id)
        except Rejected:
            continue  # a code that Slack does not document; the next look asks again
        note(identity.pk, known, at=now, via=Via.SYSTEM)
    return len(rows) > AT_ONCE
