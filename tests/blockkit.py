"""Is this a message or view that Slack would take? For tests of everything sent to Slack.

Three judges: Slack's own types (`tests/reference/knownblock.schema.json`) for the structure,
slack_sdk's models, and Slack's documented limits (`sandbox.slack.limits`).
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.blocks import Block
from slack_sdk.models.views import View

from sandbox.slack import limits

JSON = dict[str, Any]
SCHEMA = Path(__file__).with_name("reference") / "knownblock.schema.json"
VIEW_KEYS = {
    "type",
    "title",
    "blocks",
    "submit",
    "close",
    "private_metadata",
    "callback_id",
    "clear_on_close",
    "notify_on_close",
    "external_id",
}


def validate_message(payload: JSON) -> None:
    """Assert that Slack would take this chat.postMessage, chat.update or response_url payload."""
    text = payload.get("text")
    assert isinstance(text, str) and text.strip(), (
        "a message needs `text`: notifications and screen readers show nothing else"
    )
    assert len(text) <= limits.TEXT, f"text: {len(text)} characters, Slack takes {limits.TEXT}"
    attachments = payload.get("attachments") or []
    assert len(attachments) <= limits.ATTACHMENTS, f"attachments: {len(attachments)}, at most 100"
    for where, holder in [("", payload), *((f"attachments[{i}].", a) for i, a in
                                           enumerate(attachments))]:  # fmt: skip
        _blocks(holder.get("blocks") or [], "message", f"{where}blocks")
    metadata = payload.get("metadata")
    if metadata is not None:
        assert set(metadata) == {"event_type", "event_payload"}, f"metadata: {sorted(metadata)}"
        assert isinstance(metadata["event_payload"], dict), "metadata.event_payload: not an object"


def validate_view(view: JSON) -> None:
    """Assert that Slack would take this modal or Home view (views.open, push, update, publish)."""
    assert view.get("type") in ("modal", "home"), f"type: {view.get('type')!r}"
    unknown = set(view) - VIEW_KEYS
    assert not unknown, f"a view has no {sorted(unknown)}"
    problems = limits.check_view(view)
    assert not problems, "\n".join(["the view breaks Slack's limits:", *problems])
    _blocks(view["blocks"], view["type"], "blocks")
    try:
        View(**view).validate_json()
    except SlackObjectFormationError as error:
        raise AssertionError(f"slack_sdk refuses the view: {error}") from error


def _blocks(blocks: list[JSON], surface: str, where: str) -> None:
    for index, block in enumerate(blocks):
        pointer = f"{where}[{index}] ({block.get('type')})"
        errors = list(_validator(str(block.get("type"))).iter_errors(block))
        assert not errors, f"{pointer}: {_deepest(errors)}"
        model = Block.parse(block)
        try:
            if model is not None:
                model.to_dict()  # validates the block and everything in it
        except SlackObjectFormationError as error:
            raise AssertionError(f"slack_sdk refuses {pointer}: {error}") from error
    problems = limits.check_blocks(blocks, surface)
    assert not problems, "\n".join([f"{where} break Slack's limits:", *problems])


@cache
def _validator(kind: str) -> Any:
    """The validator for one type of block, so that an error names that type's own trouble."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    for choice in schema["definitions"]["KnownBlock"]["anyOf"]:
        shape = schema["definitions"][choice["$ref"].rsplit("/", 1)[1]]
        of = (shape.get("anyOf") or [shape])[0]["properties"]["type"]["const"]
        if of == kind:
            one = {"$ref": choice["$ref"], "definitions": schema["definitions"]}
            return jsonschema.Draft7Validator(one)
    raise AssertionError(f"Slack has no block of type {kind!r}")


def _deepest(errors: list[Any]) -> str:
    """The most telling of a schema's errors: the one furthest inside."""
    found = list(errors)
    for error in errors:
        found.extend(error.context or [])
    worst = max(found, key=lambda e: len(e.absolute_path))
    return f"{'/'.join(map(str, worst.absolute_path))}: {worst.message}"
