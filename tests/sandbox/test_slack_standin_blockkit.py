"""What Slack would refuse is refused by the tests' judges and by the stand-in alike."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.slack import limits
from tests.blockkit import validate_message, validate_view

JSON = dict[str, Any]


def plain(text: str) -> JSON:
    return {"type": "plain_text", "text": text}


def mrkdwn(text: str) -> JSON:
    return {"type": "mrkdwn", "text": text}


def button(**more: Any) -> JSON:
    return {"type": "button", "text": plain("Go"), "action_id": "go", **more}


def actions(*elements: JSON, **more: Any) -> JSON:
    return {"type": "actions", "elements": list(elements), **more}


CONFIRM = {"title": plain("Sure?"), "text": mrkdwn("Really"), "confirm": plain("Y"),
           "deny": plain("N")}  # fmt: skip
GOOD: list[JSON] = [
    {"type": "header", "text": plain("fraud-detector v7")},
    {"type": "section", "text": mrkdwn("*x*"), "accessory": button(action_id="open")},
    {"type": "section", "fields": [mrkdwn("a")] * 10},
    {"type": "context", "elements": [mrkdwn("a"), plain("b")]},
    {"type": "divider"},
    actions(button(style="primary", confirm=CONFIRM), button(action_id="no", style="danger")),
]
BAD: dict[str, list[JSON]] = {
    "51 blocks": [{"type": "divider"}] * 51,
    "section text": [{"type": "section", "text": mrkdwn("x" * 3001)}],
    "empty section": [{"type": "section"}],
    "11 fields": [{"type": "section", "fields": [mrkdwn("a")] * 11}],
    "field text": [{"type": "section", "fields": [mrkdwn("x" * 2001)]}],
    "header text": [{"type": "header", "text": plain("x" * 151)}],
    "mrkdwn header": [{"type": "header", "text": mrkdwn("x")}],
    "button text": [actions(button(text=plain("x" * 76)))],
    "button value": [actions(button(value="x" * 2001))],
    "button style": [actions(button(style="green"))],
    "26 buttons": [actions(*(button(action_id=str(n)) for n in range(26)))],
    "confirm title": [actions(button(confirm={**CONFIRM, "title": plain("x" * 101)}))],
    "confirm text": [actions(button(confirm={**CONFIRM, "text": mrkdwn("x" * 301)}))],
    "same block_id": [{"type": "divider", "block_id": "a"}, {"type": "divider", "block_id": "a"}],
    "same action_id": [actions(button(), button())],
    "unknown block": [{"type": "banner"}],
    "misspelt": [{"type": "section", "txt": mrkdwn("a")}],
    "unknown element": [actions({"type": "lever", "action_id": "a"})],
}
MODAL: JSON = {
    "type": "modal",
    "callback_id": "reject",
    "title": plain("Reject"),
    "submit": plain("Reject"),
    "blocks": [
        {
            "type": "input",
            "label": plain("Reason"),
            "element": {"type": "plain_text_input", "action_id": "t", "multiline": True},
        }
    ],
}
BAD_VIEWS: dict[str, JSON] = {
    "title": {"title": plain("x" * 25)},
    "metadata": {"private_metadata": "x" * 3001},
    "no submit": {"submit": None},
    "101 blocks": {"blocks": [{"type": "divider"}] * 101},
    "callback": {"callback_id": "x" * 256},
}


def test_a_good_message_and_good_views_pass() -> None:
    validate_message({"text": "fallback", "blocks": GOOD})
    validate_message({"text": "t", "attachments": [{"color": "#fff", "blocks": GOOD}]})
    validate_view(MODAL)
    validate_view({"type": "home", "blocks": GOOD})
    assert limits.check_blocks(GOOD) == []


@pytest.mark.parametrize("name", BAD)
def test_what_breaks_a_rule_is_named(name: str) -> None:
    with pytest.raises(AssertionError):
        validate_message({"text": "fallback", "blocks": BAD[name]})
    assert limits.check_blocks(BAD[name]), "the stand-in would take it"


@pytest.mark.parametrize("name", BAD_VIEWS)
def test_a_view_that_breaks_a_rule_is_named(name: str) -> None:
    view = {k: v for k, v in (MODAL | BAD_VIEWS[name]).items() if v is not None}
    with pytest.raises(AssertionError):
        validate_view(view)
    assert limits.check_view(view), "the stand-in would take it"


def test_text_and_metadata() -> None:
    for bad in ({"blocks": GOOD}, {"text": "x" * 40_001}, {"text": "a", "metadata": {"a": 1}}):
        with pytest.raises(AssertionError):
            validate_message(bad)
