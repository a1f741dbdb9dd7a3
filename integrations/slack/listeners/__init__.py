"""What happens on a press: identify, one verb, acknowledge. Everything slow is an effect.

``process_before_response`` keeps bolt from running listeners in threads of its own, with another
database connection; nothing of bolt calls Slack by itself.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import structlog
from django.conf import settings
from slack_bolt import App, BoltResponse
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.error import BoltUnhandledRequestError

from integrations.slack.listeners import commands, presses, steering, submissions

log = structlog.get_logger(__name__)


def _authorize(**_: Any) -> AuthorizeResult:
    return AuthorizeResult(
        enterprise_id=None, team_id=None, bot_token=settings.SLACK_BOT_TOKEN, bot_user_id="U0"
    )


@cache
def bolt_app() -> App:
    """The bolt application with all listeners."""
    app = App(
        signing_secret=settings.SLACK_SIGNING_SECRET,
        authorize=_authorize,
        process_before_response=True,
        token_verification_enabled=False,
        ignoring_self_events_enabled=False,
        raise_error_for_unhandled_request=True,
    )
    app.error(failed)
    for each in (presses, submissions, steering, commands):
        each.register(app)
    return app


def failed(error: Exception) -> BoltResponse:
    """What no listener is for (a message in the channel, another app's button) is answered quietly:
    after a 404 Slack would show an error or send it again. An error of ours is a 500."""
    if isinstance(error, BoltUnhandledRequestError):
        return BoltResponse(status=200)
    log.error("slack listener failed", exc_info=error)
    return BoltResponse(status=500)
