"""Users as the Web API shows them to one installation, with what the controls changed about them."""

from __future__ import annotations

from sandbox.slack.elsewhere import KINDS, installation
from sandbox.slack.workspace import Workspace
from sandbox.slack.world import BOT_USER, EVERYBODY, JSON, PEOPLE, TEAM, person, user_object


def member(space: Workspace, user_id: str, asking: str = "") -> JSON | None:
    """A user as `users.info` shows them to the installation `asking`; None for one whom it cannot see."""
    who, found = person(user_id), user_object(user_id)
    if found is None or (who is not None and who.id != user_id):
        return None
    theirs = who is None or not asking or installation(who.team) == asking
    # Of other workspaces only those are seen who share one of our channels: the demo's visitor.
    if not theirs and (asking != TEAM["id"] or who not in PEOPLE):
        return None
    return found | KINDS.get(user_id, {}) | (space.store.get("user", user_id) or {})


def visible(space: Workspace, asking: str) -> list[JSON]:
    """Everybody whom `users.list` shows to an installation; the bot comes last."""
    found = [
        member(space, who.id, asking) for who in EVERYBODY if asking != TEAM["id"] or who in PEOPLE
    ]
    return [each for each in [*found, user_object(BOT_USER)] if each is not None]
