"""What happens on a press: identify, one verb, acknowledge. Everything slow is an effect.

``process_before_response`` keeps bolt from running listeners in threads of its own, with another
database connection; nothing of bolt calls Slack by itself.
"""

from __future__ import annotations

import json
from contextlib import suppress
from functools import cache
from typing import Any

import structlog
from django.conf import settings
from slack_bolt import App, BoltContext, BoltRequest, BoltResponse
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.error import BoltUnhandledRequestError

from approvals.services.origin import coming_from
from integrations.errors import Unavailable
from integrations.slack import workspaces
from integrations.slack.listeners import (
    commands,
    home,
    links,
    members,
    presses,
    shortcuts,
    steering,
    submissions,
    wishes,
)
from integrations.slack.listeners.answers import Body

log = structlog.get_logger(__name__)


def _authorize(context: BoltContext, **_: Any) -> AuthorizeResult:
    """The token of the workspace that the request came to. Without one it goes on to the listener all the same,
    which says in our own words why not: bolt would tell everybody to install the app."""
    team = ""
    try:
        team = str(context.get("installation") or "")
        token = workspaces.token_of(team) if team else ""
    except Unavailable:
        token = ""
    return AuthorizeResult(enterprise_id=None, team_id=team, bot_token=token, bot_user_id="U0")


class Listening(App):
    """bolt, over HTTP or a socket, with what is recorded naming where in Slack it came from."""

    def dispatch(self, req: BoltRequest) -> BoltResponse:
        """Hand a verified request over to its listener."""
        req.context["installation"] = workspaces.answering(req.body)
        with coming_from(**_place(req.body)):
            return super().dispatch(req)


def _place(body: Body) -> dict[str, str]:
    """Workspace, channel and user of a request, by Slack's ids. A dialog does not know its channel: it carries
    it along (``answers.open_modal``)."""
    user, channel, team = (body.get(name) for name in ("user", "channel", "team"))
    view = body.get("view")
    found = {
        "user": user.get("id") if isinstance(user, dict) else body.get("user_id"),
        "channel": channel.get("id") if isinstance(channel, dict) else body.get("channel_id"),
        "team": team.get("id") if isinstance(team, dict) else body.get("team_id"),
    }
    if not found["channel"] and isinstance(view, dict):
        with suppress(ValueError, AttributeError):  # not one of ours
            found["channel"] = json.loads(view.get("private_metadata") or "{}").get("c")
    return {name: str(value) for name, value in found.items() if value}


@cache
def bolt_app() -> App:
    """The bolt application with all listeners."""
    app = Listening(
        signing_secret=settings.SLACK_SIGNING_SECRET,
        authorize=_authorize,
        process_before_response=True,
        token_verification_enabled=False,
        ignoring_self_events_enabled=False,
        raise_error_for_unhandled_request=True,
    )
    app.error(failed)
    listeners = (presses, submissions, steering, commands, shortcuts, wishes, home, links, members)
    for each in listeners:
        each.register(app)
    return app


def failed(error: Exception) -> BoltResponse:
    """What no listener is for (a message in the channel, another app's button) is answered quietly:
    after a 404 Slack would show an error or send it again. An error of ours is a 500."""
    if isinstance(error, BoltUnhandledRequestError):
        return BoltResponse(status=200)
    log.error("slack listener failed", exc_info=error)
    return BoltResponse(status=500)
