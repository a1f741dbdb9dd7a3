"""The people and channels that the stand-in for Slack starts with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sandbox.slack import elsewhere

JSON = dict[str, Any]

TEAM: JSON = elsewhere.TEAMS["T0ACME"]
OTHER_TEAM: JSON = {"id": "T0OTHER", "domain": "other", "name": "Other organisation"}
APP_ID, BOT_ID, BOT_USER = "A0COUNTERSIGN", "B0COUNTERSIGN", "U0COUNTERSIGN"
BOT_NAME = "Countersign"
RELEASES = "C0RELEASES"
COMMANDS = ("/countersign",)
# As in the app's manifest: the global shortcuts.
SHORTCUTS: tuple[JSON, ...] = ({"name": "Ask for a promotion", "callback_id": "ask_for_promotion"},)


@dataclass(frozen=True)
class Person:
    """Somebody whom the page lets you be."""

    name: str
    real_name: str
    id: str
    role: str
    team: str = "T0ACME"
    domain: str = "acme.example"
    tz: str = "Etc/UTC"

    @property
    def email(self) -> str:
        return f"{self.name}@{self.domain}"

    @property
    def im(self) -> str:
        """The channel id of this person's conversation with the app."""
        return "D0" + self.id.removeprefix("U0")


PEOPLE = (
    Person("alice", "Alice Anders", "U0ALICE", "ML engineer"),
    Person("bob", "Bob Brandt", "U0BOB", "ML lead"),
    Person("carol", "Carol Chen", "U0CAROL", "Risk"),
    Person("dave", "Dave Diaz", "U0DAVE", "Platform", tz="Europe/Amsterdam"),
    Person("mallory", "Mallory Moss", "U0MALLORY", "No rights"),
    Person("frank", "Frank Fuchs", "U0FRANK", "Not linked"),
    Person("eve", "Eve (other organisation)", "U0EVE", "Other org", "T0OTHER", "other.example"),
)

# With those whom the page does not show by itself.
EVERYBODY = (*PEOPLE, *(Person(*each) for each in elsewhere.OTHERS))
CHANNELS: tuple[JSON, ...] = (
    {"id": RELEASES, "name": "model-releases", "topic": "Which model version goes live"},
    {"id": "C0GENERAL", "name": "general", "topic": "Everything else"},
)


def person(key: str) -> Person | None:
    """The person with this user id or user name."""
    return next((p for p in EVERYBODY if key in (p.id, p.name)), None)


def user_object(user_id: str) -> JSON | None:
    """A user as `users.info` shows it; the app's own bot user included."""
    if user_id == BOT_USER:
        return {
            "id": BOT_USER,
            "team_id": TEAM["id"],
            "name": BOT_NAME.lower(),
            "real_name": BOT_NAME,
            "deleted": False,
            "is_bot": True,
            "profile": {"real_name": BOT_NAME, "display_name": BOT_NAME, "bot_id": BOT_ID},
        }
    who = next((p for p in EVERYBODY if p.id == user_id), None)
    if who is None:
        return None
    profile = {"real_name": who.real_name, "display_name": who.name, "email": who.email}
    stranger = who.team not in elsewhere.TEAMS
    if stranger:  # Slack does not show the address of somebody else's employee
        del profile["email"]
    return {
        "id": who.id,
        "team_id": who.team,
        "name": who.name,
        "real_name": who.real_name,
        "deleted": False,
        "is_bot": False,
        "is_stranger": stranger,
        "tz": who.tz,
        "profile": profile,
    }


def channel_object(channel_id: str) -> JSON | None:
    """A conversation as `conversations.info` shows it; direct messages included."""
    for channel in (*CHANNELS, *elsewhere.CHANNELS):
        if channel["id"] == channel_id:
            return {
                "id": channel_id,
                "name": channel["name"],
                "name_normalized": channel["name"],
                "is_channel": True,
                "is_im": False,
                "is_private": False,
                "is_archived": False,
                "is_member": True,
                "is_ext_shared": channel_id == RELEASES,
                "topic": {"value": channel["topic"]},
                "num_members": len(PEOPLE) + 1,
            }
    for who in EVERYBODY:
        if who.im == channel_id:
            return {"id": who.im, "is_im": True, "is_archived": False, "user": who.id}
    return None


def resolve_channel(key: str) -> str | None:
    """The channel id for an id, a `#name` or a user id (whose direct messages are meant)."""
    if channel_object(key):
        return key
    who = next((p for p in EVERYBODY if p.id == key), None)
    if who:
        return who.im
    name = key.removeprefix("#")
    return next((c["id"] for c in CHANNELS if c["name"] == name), None)


def team_of(channel: str) -> str:
    """The workspace that a channel, or somebody's conversation with the app, is in."""
    for found in elsewhere.CHANNELS:
        if found["id"] == channel:
            return str(found["team"])
    who = next((p for p in EVERYBODY if p.im == channel), None)
    return str(elsewhere.acting_in(who.team)["id"]) if who else str(TEAM["id"])
