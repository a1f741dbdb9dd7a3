"""The slash command: one table of subcommands, from which the help is made.

What only shows something is answered privately. What changes something is told where the command was written, by
one sentence; a refusal is private. Where something is missing, a dialog asks for it, with what was given filled
in.
"""

from __future__ import annotations

from slack_bolt import Ack, App

from approvals.services import Refused
from approvals.wording import listed
from integrations.slack.identities import FOREIGN, user_of
from integrations.slack.listeners.answers import Body
from integrations.slack.listeners.commands.call import Answer, Call, Dialog
from integrations.slack.listeners.commands.table import SUBCOMMANDS, help_answer, subcommand_named
from integrations.slack.listeners.commands.words import Words, near
from integrations.slack.listeners.dialogs import open_dialog
from integrations.slack.text import inert

COMMAND = "/countersign"


def register(app: App) -> None:
    """Tell bolt of the command."""
    app.command(COMMAND)(command)


def command(ack: Ack, body: Body) -> None:
    """``/countersign …``: one subcommand, one answer."""
    try:
        answer = _answer(body)
    except Refused as refusal:
        answer = Answer(inert(refusal.sentence, 3000))
    if isinstance(answer, Dialog):
        if open_dialog(body, answer.view):
            ack()
            return
        answer = Answer(
            f"Slack did not open the dialog. Write it all at once: `{inert(answer.usage)}`"
        )
    ack(
        text=answer.text,
        blocks=answer.blocks or None,
        response_type="in_channel" if answer.public else "ephemeral",
        unfurl_links=False,
    )


def _answer(body: Body) -> Answer | Dialog:
    user = user_of(body)
    if user.is_foreign:
        raise Refused("foreign", FOREIGN)
    call = Call(body, user, Words(str(body.get("text") or "")))
    first = call.words.take()
    if first is None:
        return help_answer(call)
    found = subcommand_named(first)
    if found is None:
        names = [each.name for each in SUBCOMMANDS]
        close = near(first.text, names) or names
        raise Refused(
            "unknown_command",
            f"There is no “{first.text[:40]}”. Did you mean {listed(close, 'or')}? "
            f"{COMMAND} help tells what each of them does.",
        )
    if not found.for_anybody:
        call.identify()
    answer = found.run(call)
    return Dialog(answer.view, found.usage) if isinstance(answer, Dialog) else answer
