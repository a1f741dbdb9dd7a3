"""The pieces that messages, dialogs and Home views are made of."""

from __future__ import annotations

import json
from typing import Any

from integrations.slack.text import bare, mrkdwn

Block = dict[str, Any]
View = dict[str, Any]
DIVIDER: Block = {"type": "divider"}


def plain(text: str, limit: int = 75) -> dict[str, str]:
    """A text object without any marks, cut to what its place takes."""
    text = bare(text)
    return {"type": "plain_text", "text": text if len(text) <= limit else text[: limit - 1] + "…"}


def header(text: str) -> Block:
    """The large line at the top."""
    return {"type": "header", "text": plain(text, 150)}


def section(text: str) -> Block:
    """A paragraph; the text is inert already."""
    return {"type": "section", "text": mrkdwn(text)}


def context(*texts: str) -> Block:
    """Small print; the texts are inert already."""
    return {"type": "context", "elements": [mrkdwn(text) for text in texts if text]}


def button(
    label: str, action: str, value: dict[str, Any], style: str = "", confirm: Block | None = None
) -> Block:
    """A button that carries ``value``; ``style`` is primary or danger; ``confirm`` a dialog
    that asks once more."""
    made: Block = {
        "type": "button",
        "text": plain(label),
        "action_id": action,
        "value": json.dumps(value, separators=(",", ":")),
    }
    if style:
        made["style"] = style
    if confirm:
        made["confirm"] = confirm
    return made


def confirm(title: str, text: str, yes: str) -> Block:
    """The dialog that asks once more after a press on a button."""
    return {
        "title": plain(title, 100),
        "text": plain(text, 300),
        "confirm": plain(yes, 30),
        "deny": plain("Not now", 30),
    }


def reason_input(label: str, *, optional: bool = False) -> Block:
    """A box for a reason; its text is at ``values["reason"]["text"]["value"]``."""
    box: Block = {
        "type": "input",
        "block_id": "reason",
        "label": plain(label),
        "element": {
            "type": "plain_text_input",
            "action_id": "text",
            "multiline": True,
            "max_length": 2000,
        },
    }
    return {**box, "optional": True} if optional else box


def modal(
    callback: str,
    title: str,
    metadata: dict[str, Any],
    blocks: list[Block],
    *,
    submit: str = "",
) -> View:
    """A dialog; without ``submit`` it can only be closed. ``metadata`` comes back with what was filled in."""
    view: View = {
        "type": "modal",
        "callback_id": callback,
        "title": plain(title, 24),
        "close": plain("Close", 24),
        "private_metadata": json.dumps(metadata, separators=(",", ":")),
        "blocks": blocks,
    }
    return {**view, "submit": plain(submit, 24)} if submit else view
