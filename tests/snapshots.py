"""What goes to Slack, as reviewed text: a message or view is written down in a form that people can read, and
compared with the file that somebody looked at.

``WRITE_SNAPSHOTS=1 python -m pytest …`` writes the files anew; the difference in git is then what is reviewed.
What differs from one run to the next (times, seals, numbers of rows, addresses) is replaced: the same one by the
same word, so that it still shows whether two buttons carry the same promotion.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

JSON = dict[str, Any]
FOLDER = Path(__file__).parent / "integrations" / "slack_snapshots"

# (what it is, where it stands: the group is replaced). The first ones are longer and go first.
VOLATILE: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("date", re.compile(r"<!date\^(\d+)\^")),
    ("time", re.compile(r"(\b\d{1,2} [A-Z][a-z]{2} \d{4}, \d\d:\d\d UTC)")),
    ("time", re.compile(r"(\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:\+00:00|Z)?)")),
    ("site", re.compile(r"(https?://(?:127\.0\.0\.1|localhost)(?::\d+)?)")),
    ("token", re.compile(r"\b(cs-[0-9a-f]{12})\b")),
    ("seal", re.compile(r"\b([0-9a-f]{64})\b")),
    ("seal", re.compile(r"[Ss]eal `?([0-9a-f]{10})\b")),
    ("promotion", re.compile(r"\bpromotions?[ /-](\d+)", re.IGNORECASE)),
    ("promotion", re.compile(r'\\?"p\\?": ?(\d+)')),
    ("target", re.compile(r'\\?"t\\?": ?(\d+)')),
    ("deployment", re.compile(r'\bdeployments?[ /-](\d+)|\\?"d\\?": ?(\d+)', re.IGNORECASE)),
    ("ts", re.compile(r"\b(\d{10}\.\d{6})\b")),
)


def assert_snapshot(name: str, content: JSON) -> None:
    """Assert that a message's or view's ``content`` reads as in ``slack_snapshots/<name>.txt``.

    ``name`` may have folders (``messages/pending``). Raises AssertionError with the difference, and where there
    is no such file.
    """
    file = FOLDER / f"{name}.txt"
    found = as_text(content)
    if os.environ.get("WRITE_SNAPSHOTS") == "1":
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(found, encoding="utf-8")
        return
    how = "Look at it, then write it with WRITE_SNAPSHOTS=1."
    assert file.exists(), f"Nobody has reviewed {name} yet. {how}\n\n{found}"
    expected = file.read_text(encoding="utf-8")
    lines = difflib.unified_diff(
        expected.splitlines(), found.splitlines(), "reviewed", "now", lineterm=""
    )
    assert found == expected, "\n".join([f"{name} reads otherwise than reviewed. {how}", *lines])


def as_text(content: JSON) -> str:
    """A message or view in lines: what is seen, then what is carried unseen. Stable from run to run."""
    return stable("\n".join(_content(content))) + "\n"


def stable(text: str) -> str:
    """``text`` with everything volatile named in the order of its appearance: ``‹seal 1›``, ``‹seal 2›`` …"""
    known: dict[str, dict[str, str]] = {}
    for what, pattern in VOLATILE:
        text = _named(text, what, pattern, known.setdefault(what, {}))
    return text


def _named(text: str, what: str, pattern: re.Pattern[str], known: dict[str, str]) -> str:
    def name(hit: re.Match[str]) -> str:
        at = next(i for i, each in enumerate(hit.groups(), 1) if each is not None)
        if what in ("date", "time", "site"):  # which one does not matter
            word = f"‹{what}›"
        else:  # a short seal is the beginning of the whole one
            key = hit[at][:10] if what == "seal" else hit[at]
            word = known.setdefault(key, f"‹{what} {len(known) + 1}›")
        start, end = (each - hit.start() for each in hit.span(at))
        return f"{hit[0][:start]}{word}{hit[0][end:]}"

    return pattern.sub(name, text)


def visible(text: str) -> str:
    """With what is invisible written out (``\\u{200b}``), but new lines."""
    return "".join(
        f"\\u{{{ord(char):x}}}"
        if char != "\n" and unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
        else char
        for char in text
    )


def _content(content: JSON) -> Iterator[str]:
    if "type" in content and "blocks" in content:
        yield f"{content['type']} {content.get('callback_id', '')}".strip()
        for key in ("title", "submit", "close"):
            if key in content:
                yield f"  {key}: {visible(content[key]['text'])}"
        if content.get("private_metadata"):
            yield f"  carries: {content['private_metadata']}"
        yield ""
    elif content.get("text"):
        yield from _lines("text: ", content["text"])
        yield ""
    for block in content.get("blocks") or []:
        yield from _block(block)
    for attachment in content.get("attachments") or []:
        yield ""
        yield f"bar {attachment.get('color', '')}".rstrip()
        if attachment.get("fallback") and attachment["fallback"] != content.get("text"):
            yield from _lines("  fallback: ", attachment["fallback"])
        for block in attachment.get("blocks") or []:
            yield from (f"  {line}".rstrip() for line in _block(block))


def _lines(label: str, text: str) -> Iterator[str]:
    """The text behind its label, further lines below its first."""
    first, *rest = visible(text).split("\n")
    yield f"{label}{first}".rstrip()
    yield from (f"{' ' * len(label)}{line}".rstrip() for line in rest)


def _text(thing: Any) -> str:
    return str(thing.get("text", "")) if isinstance(thing, dict) else str(thing)


def _block(block: JSON) -> Iterator[str]:
    kind = block["type"]
    if kind == "divider":
        yield "----"
    elif kind == "header":
        yield from _lines("# ", _text(block["text"]))
    elif kind == "section":
        if "text" in block:
            yield from _lines("| ", _text(block["text"]))
        for each in block.get("fields") or []:
            yield from _lines("| * ", _text(each))
        if "accessory" in block:
            yield from (f"  {line}" for line in _element(block["accessory"]))
    elif kind == "context":
        for each in block["elements"]:
            yield from _lines("small: ", _text(each))
    elif kind == "actions":
        for each in block["elements"]:
            yield from _element(each)
    elif kind == "input":
        optional = " (optional)" if block.get("optional") else ""
        yield f"input {visible(_text(block['label']))}{optional} #{block.get('block_id', '')}"
        yield from (f"  {line}" for line in _element(block["element"]))
        if "hint" in block:
            yield from _lines("  hint: ", _text(block["hint"]))
    elif kind == "rich_text":
        for part in block["elements"]:
            yield from _rich(part)
    else:
        yield from _other(block)


def _rich(part: JSON) -> Iterator[str]:
    """``rich:``, ``quote:``, ``code:`` or a list, with what stands in it as one text."""
    if part["type"] == "rich_text_list":
        for each in part["elements"]:
            yield from _lines("- ", "".join(map(_leaf, each["elements"])))
        return
    label = {"rich_text_quote": "quote: ", "rich_text_preformatted": "code: "}
    yield from _lines(label.get(part["type"], "rich: "), "".join(map(_leaf, part["elements"])))


def _leaf(leaf: JSON) -> str:
    styles = "".join(sorted(key for key, on in (leaf.get("style") or {}).items() if on))
    if leaf["type"] == "text":
        return f"{{{styles} {leaf['text']}}}" if styles else str(leaf["text"])
    told = {key: value for key, value in leaf.items() if key != "style"}
    return json.dumps(told, ensure_ascii=False, sort_keys=True)


def _element(element: JSON) -> Iterator[str]:
    """``[Approve] primary approve {"p":1}``; whatever else it has in lines below."""
    known = {"type", "text", "style", "action_id", "value", "url", "confirm", "options"}
    if element["type"] == "button":
        style = f" {element['style']}" if "style" in element else ""
        carried = element.get("value") or element.get("url") or ""
        yield visible(
            f"[{_text(element['text'])}]{style} {element.get('action_id', '')} {carried}"
        ).rstrip()
    else:
        yield f"<{element['type']}> {element.get('action_id', '')}".rstrip()
    for each in element.get("options") or []:
        about = f": {_text(each['description'])}" if "description" in each else ""
        yield from _lines("  o ", f"{_text(each['text'])}{about} = {each.get('value', '')}")
    if confirm := element.get("confirm"):
        words = (_text(confirm[key]) for key in ("title", "text", "confirm", "deny"))
        yield from _lines("  asks: ", " / ".join(words))
    rest = {key: value for key, value in element.items() if key not in known}
    if rest:
        yield f"  {visible(json.dumps(rest, ensure_ascii=False, sort_keys=True))}"


def _other(block: JSON) -> Iterator[str]:
    """A kind of block that has no form of its own here: its JSON, indented."""
    text = json.dumps(block, ensure_ascii=False, sort_keys=True, indent=2)
    yield from visible(text).split("\n")
