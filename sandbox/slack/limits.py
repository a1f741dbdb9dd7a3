"""Slack's documented limits on messages, blocks and views.

Source: Slack's reference of blocks, block elements, composition objects and views, as of 2026-11.
Structure is checked against `knownblock.schema.json` too where jsonschema is installed.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from sandbox.slack.world import JSON

BLOCKS = {"message": 50, "modal": 100, "home": 100}
TEXT = 40_000  # a message's `text`; beyond it Slack answers msg_too_long
ATTACHMENTS = 100
MOST_OPTIONS = 100  # of a searched list

# (type of the thing, path below it) -> most characters
CHARACTERS: dict[tuple[str, str], int] = {
    ("section", "text.text"): 3000,
    ("header", "text.text"): 150,
    ("image", "alt_text"): 2000,
    ("image", "image_url"): 3000,
    ("image", "title.text"): 2000,
    ("input", "label.text"): 2000,
    ("input", "hint.text"): 2000,
    ("markdown", "text"): 12_000,
    ("button", "text.text"): 75,
    ("button", "value"): 2000,
    ("button", "url"): 3000,
    ("button", "accessibility_label"): 75,
    ("confirm", "title.text"): 100,
    ("confirm", "text.text"): 300,
    ("confirm", "confirm.text"): 30,
    ("confirm", "deny.text"): 30,
    ("option", "text.text"): 75,
    ("option", "value"): 150,
    ("option", "description.text"): 75,
    ("view", "title.text"): 24,
    ("view", "submit.text"): 24,
    ("view", "close.text"): 24,
    ("view", "private_metadata"): 3000,
    ("view", "callback_id"): 255,
    ("view", "external_id"): 255,
    ("any", "placeholder.text"): 150,
    ("any", "block_id"): 255,
    ("any", "action_id"): 255,
}
# (type, path) -> (fewest, most) items
ITEMS: dict[tuple[str, str], tuple[int, int]] = {
    ("section", "fields"): (1, 10),
    ("actions", "elements"): (1, 25),
    ("context", "elements"): (1, 10),
    ("overflow", "options"): (1, 5),
    ("checkboxes", "options"): (1, 10),
    ("radio_buttons", "options"): (1, 10),
    ("static_select", "options"): (1, 100),
}
REQUIRED: dict[str, tuple[str, ...]] = {
    "header": ("text",),
    "actions": ("elements",),
    "context": ("elements",),
    "input": ("label", "element"),
    "image": ("alt_text",),
    "rich_text": ("elements",),
    "button": ("text",),
}
WHERE: dict[str, set[str]] = {"input": {"message", "modal", "home"}, "file": {"message"}}
INTERACTIVE = {
    "button",
    "checkboxes",
    "datepicker",
    "email_text_input",
    "external_select",
    "number_input",
    "overflow",
    "plain_text_input",
    "radio_buttons",
    "static_select",
    "url_text_input",
    "users_select",
}
PLAIN = {"header": ("text",), "button": ("text",), "input": ("label", "hint")}


class Problems(list[str]):
    """What is wrong, in Slack's manner: a sentence and a JSON pointer."""

    def add(self, sentence: str, pointer: str) -> None:
        self.append(f"[ERROR] {sentence} [json-pointer:{pointer}]")


def dig(thing: Any, path: str) -> Any:
    """The value at a dotted path, or None."""
    for part in path.split("."):
        thing = thing.get(part) if isinstance(thing, dict) else None
    return thing


def _check(kind: str, thing: JSON, pointer: str, problems: Problems) -> None:
    for name in REQUIRED.get(kind, ()):
        if not thing.get(name):
            problems.add(f"missing required field: {name}", pointer)
    for (of, path), most in CHARACTERS.items():
        value = dig(thing, path) if of in (kind, "any") else None
        if isinstance(value, str) and len(value) > most:
            problems.add(
                f"must be less than {most + 1} characters", f"{pointer}/{path.replace('.', '/')}"
            )
    for (of, path), (fewest, most) in ITEMS.items():
        value = thing.get(path) if of == kind else None
        if isinstance(value, list) and not fewest <= len(value) <= most:
            word = "more" if len(value) < fewest else "less"
            bound = fewest - 1 if len(value) < fewest else most + 1
            problems.add(f"must have {word} than {bound} items", f"{pointer}/{path}")
    for name in PLAIN.get(kind, ()):
        text = thing.get(name)
        if isinstance(text, dict) and text.get("type") != "plain_text":
            problems.add("must be a plain_text object", f"{pointer}/{name}")
    if kind == "section" and not thing.get("text") and not thing.get("fields"):
        problems.add("missing required field: text or fields", pointer)
    if kind == "button" and thing.get("style") not in (None, "primary", "danger"):
        problems.add("must be primary or danger", f"{pointer}/style")
    text = thing.get("text")
    if kind in ("section", "header", "button") and isinstance(text, dict) and not text.get("text"):
        problems.add("must be more than 0 characters", f"{pointer}/text/text")


def parts(thing: JSON, pointer: str) -> Iterator[tuple[str, JSON, str]]:
    """Everything in a block that has limits of its own: (kind, thing, JSON pointer)."""
    yield str(thing.get("type")), thing, pointer
    for name in ("accessory", "element"):
        if isinstance(thing.get(name), dict):
            yield from parts(thing[name], f"{pointer}/{name}")
    if isinstance(thing.get("confirm"), dict):
        yield "confirm", thing["confirm"], f"{pointer}/confirm"
    for name, kind in (("elements", None), ("options", "option")):
        for index, child in enumerate(thing.get(name) or []):
            if isinstance(child, dict):
                where = f"{pointer}/{name}/{index}"
                yield from [(kind, child, where)] if kind else parts(child, where)


def elements(blocks: Iterable[JSON]) -> Iterator[tuple[JSON, JSON]]:
    """Every interactive element with its block."""
    for block in blocks:
        for _, thing, _ in parts(block, ""):
            if thing is not block and "type" in thing and "action_id" in thing:
                yield block, thing


def check_options(options: Any) -> Problems:
    """What Slack would refuse in the options that an app gives for a searched list."""
    problems = Problems()
    if not isinstance(options, list):
        problems.add("missing required field: options", "/")
        return problems
    if len(options) > MOST_OPTIONS:
        problems.add(f"no more than {MOST_OPTIONS} items allowed", "/options")
    for index, option in enumerate(options):
        pointer = f"/options/{index}"
        if not isinstance(option, dict) or not dig(option, "text.text") or "value" not in option:
            problems.add("must have a text and a value", pointer)
            continue
        if dig(option, "text.type") != "plain_text":
            problems.add("must be a plain_text object", f"{pointer}/text")
        _check("option", option, pointer, problems)
    _unique(
        ((dig(o, "value"), f"/options/{i}/value") for i, o in enumerate(options)), "value", problems
    )
    return problems


def _unique(values: Iterable[tuple[Any, str]], what: str, problems: Problems) -> None:
    seen: set[Any] = set()
    for value, pointer in values:
        if value is not None and value in seen:
            problems.add(f"{what} `{value}` already exists", pointer)
        seen.add(value)


def check_blocks(blocks: Any, surface: str = "message") -> Problems:
    """What Slack would refuse in these blocks of a `message`, `modal` or `home`."""
    problems = Problems()
    if not isinstance(blocks, list) or not all(isinstance(b, dict) for b in blocks):
        problems.add("must be an array of blocks", "/blocks")
        return problems
    if len(blocks) > BLOCKS[surface]:
        problems.add(f"no more than {BLOCKS[surface]} items allowed", "/blocks")
    _unique(
        ((b.get("block_id"), f"/blocks/{i}/block_id") for i, b in enumerate(blocks)),
        "block_id",
        problems,
    )
    for index, block in enumerate(blocks):
        pointer = f"/blocks/{index}"
        if surface not in WHERE.get(str(block.get("type")), {surface}):
            problems.add(f"unsupported type: {block.get('type')}", pointer)
        for kind, thing, where in parts(block, pointer):
            _check(kind, thing, where, problems)
            if kind == "section":
                for number, field in enumerate(thing.get("fields") or []):
                    if len(str(dig(field, "text") or "")) > 2000:
                        problems.add(
                            "must be less than 2001 characters", f"{where}/fields/{number}"
                        )
        # Slack: action_ids must be unique within their block.
        _unique(
            ((e.get("action_id"), pointer) for _, e in elements([block])), "action_id", problems
        )
        if not problems:
            problems.extend(_structure(block, pointer))
    return problems


def check_view(view: Any) -> Problems:
    """What Slack would refuse in this modal or Home view."""
    problems = Problems()
    if not isinstance(view, dict) or view.get("type") not in ("modal", "home"):
        problems.add("must provide a view of type modal or home", "/view")
        return problems
    _check("view", view, "/view", problems)
    problems.extend(check_blocks(view.get("blocks"), view["type"]))
    if view["type"] == "modal":
        if not isinstance(view.get("title"), dict):
            problems.add("missing required field: title", "/view")
        has_input = any(b.get("type") == "input" for b in view.get("blocks") or [])
        if has_input and not view.get("submit"):
            problems.add("missing required field: submit", "/view")
    return problems


@cache
def _validators() -> dict[str, Callable[[Any], Iterable[Any]]]:
    """One validator per block type; none where jsonschema is not installed."""
    if importlib.util.find_spec("jsonschema") is None:
        return {}
    import jsonschema

    text = Path(__file__).with_name("knownblock.schema.json").read_text(encoding="utf-8")
    schema = json.loads(text)
    found = {}
    for choice in schema["definitions"]["KnownBlock"]["anyOf"]:
        name = choice["$ref"].rsplit("/", 1)[1]
        shape = schema["definitions"][name]
        kind = (shape.get("anyOf") or [shape])[0]["properties"]["type"]["const"]
        one = {"$ref": choice["$ref"], "definitions": schema["definitions"]}
        found[kind] = jsonschema.Draft7Validator(one).iter_errors
    return found


def _structure(block: JSON, pointer: str) -> Iterator[str]:
    validators = _validators()
    if not validators:
        return
    check = validators.get(str(block.get("type")))
    if check is None:
        yield f"[ERROR] unsupported type: {block.get('type')} [json-pointer:{pointer}/type]"
        return
    for error in check(block):
        # Inside "any of these elements" the interesting error is the deepest one.
        deepest = max(error.context or [error], key=lambda e: len(e.absolute_path))
        where = "/".join([pointer, *(str(p) for p in deepest.absolute_path)])
        yield f"[ERROR] {deepest.message[:200]} [json-pointer:{where}]"
