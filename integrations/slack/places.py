"""Where a target's messages go: its channel, and where Slack does not take them there, the fallback channel."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from approvals.models import Target
from integrations.errors import Unavailable
from integrations.slack.client import code_of, slack
from integrations.slack.pacing import WORKSPACE, put_off
from integrations.slack.text import inert
from integrations.slack.workspaces import place_of

# Slack's codes for a channel that takes nothing from us → how a sentence about it goes on. chat.update says
# is_inactive where chat.postMessage says is_archived.
CLOSED = {
    "is_archived": "which is archived",
    "is_inactive": "which is archived",
    "channel_not_found": "which the app cannot find or see",
    "not_in_channel": "to which the app was not invited",
    "restricted_action": "where the app may not write",
    "restricted_action_read_only_channel": "where the app may not write",
    "restricted_action_thread_only_channel": "where the app may only reply",
    "no_permission": "where the app may not write",
    "team_access_not_granted": "where the app may not write",
    "ekm_access_denied": "where the app may not write",
}
SHUT = "Slack will not let us write there"
_ID = re.compile(r"[CGD][A-Z0-9]{2,}")


class Closed(Exception):
    """A channel does not take messages from us until somebody opens it; ``code`` is Slack's."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class Place:
    """A channel of a workspace; ``note``, inert, says why a message stands there and not where it should."""

    team: str
    channel: str
    note: str = ""


def somewhere(
    target: Target, write: Callable[[Place], None], *, stands: Place | None = None
) -> None:
    """Write at the first place that takes it: where it ``stands``, the target's channel, its fallback channel.

    Raises Unavailable where none does: it is kept until somebody mends it. Whatever else ``write`` raises goes
    through.
    """
    configured = Place(*place_of(target.channel))
    places = [stands, configured] if stands else [configured]
    closed = ""
    for place in dict.fromkeys((each.team, each.channel) for each in places):
        try:
            note = stands.note if stands and place == (stands.team, stands.channel) else ""
            write(Place(*place, note))
            return
        except Closed as error:
            closed = error.code
    if target.fallback_channel:
        team, channel = place_of(target.fallback_channel)
        note = f"This was to go to {_shown(configured.channel)}, {CLOSED[closed]}."
        try:
            write(Place(team, channel, note))
            return
        except Closed as error:
            both = f"({closed}), nor in the fallback channel ({error.code})"
            raise Unavailable(f"{SHUT} {both}. {_MEND}") from error
    raise Unavailable(f"{SHUT} ({closed}). {_MEND}")


_MEND = "Check the channel in the configuration, and that it is not archived and the app was invited to it."


@contextmanager
def client_at(place: Place) -> Iterator[WebClient]:
    """The client for a place. Inside the block a channel that is closed becomes Closed, and a 429 puts off whoever
    else would write there."""
    with slack(team=place.team) as client:
        try:
            yield client
        except SlackApiError as error:
            if (code := code_of(error)) in CLOSED:
                raise Closed(code) from error
            if getattr(error.response, "status_code", 0) == 429:
                after = str(error.response.headers.get("Retry-After", ""))
                posting = str(error.response.api_url).endswith("chat.postMessage")
                put_off(
                    place.team,
                    place.channel if posting else WORKSPACE,
                    float(after) if after.isdigit() else 1.0,
                )
            raise


def _shown(channel: str) -> str:
    return f"<#{channel}>" if _ID.fullmatch(channel) else inert(channel, 100)
