"""The slash command."""

from __future__ import annotations

from slack_bolt import Ack, App

from integrations.slack.identities import FOREIGN, link_address, user_of
from integrations.slack.listeners.answers import Body
from integrations.slack.messages import address

HELP = (
    "Requests appear in the channel; press *Approve*, *Reject* or *Details* there. "
    "`/countersign link` links your Slack account to your Countersign account."
)


def register(app: App) -> None:
    """Tell bolt of the command."""
    app.command("/countersign")(command)


def command(ack: Ack, body: Body) -> None:
    """``/countersign``: link, or help. The answer is private."""
    words = str(body.get("text") or "").split()
    user = user_of(body)
    if user.is_foreign:
        text = FOREIGN
    elif words[:1] == ["link"]:
        text = (
            "Open this while you are signed in to Countersign (it works once, for 15 minutes): "
            f"{link_address(user)}"
        )
    else:
        text = f"{HELP}\n{address('/')}"
    ack(text=text, response_type="ephemeral")
