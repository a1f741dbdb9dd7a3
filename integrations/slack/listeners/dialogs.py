"""Opening a dialog, and telling the channel what came of it."""

from __future__ import annotations

import structlog
from slack_sdk.webhook import WebhookClient

from integrations.errors import Rejected, Unavailable
from integrations.slack.blocks import View
from integrations.slack.listeners.answers import PATIENCE_SECONDS, Body, show

log = structlog.get_logger(__name__)


def tell_channel(answer_to: str, text: str) -> None:
    """Where the command was written, for everybody; what was done is done, also where Slack does not take it."""
    try:
        WebhookClient(answer_to, timeout=PATIENCE_SECONDS, retry_handlers=[]).send(
            text=text, response_type="in_channel", replace_original=False, unfurl_links=False
        )
    except Exception as error:
        log.warning("answer not delivered", error=type(error).__name__)


def open_dialog(body: Body, made: View) -> bool:
    """Whether Slack opened the dialog."""
    try:
        show(body, made)
    except (Unavailable, Rejected) as error:
        log.warning("dialog not opened", error=str(error))
        return False
    return True
