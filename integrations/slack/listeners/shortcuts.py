"""The global shortcut "Ask for a promotion"."""

from __future__ import annotations

from slack_bolt import Ack, App

from approvals.services import Refused
from integrations.slack.identities import person_of, user_of
from integrations.slack.listeners.answers import Body
from integrations.slack.listeners.dialogs import open_dialog
from integrations.slack.modals import asking
from integrations.slack.modals.asking import Wish
from integrations.slack.modals.notice import notice


def register(app: App) -> None:
    """Tell bolt of the shortcut."""
    app.shortcut("ask_for_promotion")(ask_for_promotion)


def ask_for_promotion(ack: Ack, body: Body) -> None:
    """Open the dialog; whoever may not is told so in one. A shortcut belongs to no channel, so there is no other
    place for a private answer."""
    try:
        made = asking.view(Wish(asking.PROMOTE), person_of(user_of(body)))
    except Refused as refusal:
        made = notice(refusal.sentence)
    open_dialog(body, made)
    ack()
