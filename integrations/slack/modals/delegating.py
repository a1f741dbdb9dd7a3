"""The dialog in which somebody hands their approvals to a colleague."""

from __future__ import annotations

from integrations.slack.blocks import View, modal, plain, reason_input, section


def delegate() -> View:
    """Asks to whom, until when and why. A day ends at midnight UTC, and the dialog says so."""
    blocks: list[View] = [
        section(
            "While you are away, a colleague may approve what waits for you. It never helps whoever asks, and "
            "both names are recorded."
        ),
        {
            "type": "input",
            "block_id": "colleague",
            "label": plain("To"),
            "element": {"type": "users_select", "action_id": "user"},
        },
        {
            "type": "input",
            "block_id": "until",
            "label": plain("Until the end of"),
            "hint": plain("That day, 23:59 UTC; at most 92 days from now.", 150),
            "element": {"type": "datepicker", "action_id": "day"},
        },
        reason_input("Why?", optional=True),
    ]
    return modal("home_delegate", "Hand on my approvals", {}, blocks, submit="Hand on")
