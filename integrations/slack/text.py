"""Text for Slack: what people wrote comes out inert, and every value is cut on its own."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from approvals.wording import day_and_time, listed, straight

_HALF_AN_ENTITY = re.compile(r"&[a-z]*$")
_END_OF_A_SENTENCE = re.compile(r"[.!?](?=\s)|[。！？।]|\n")
# Slack's limit for the text of a section.
SECTION = 3000
MOST_NAMES = 10


def inert(text: str, limit: int = 600) -> str:
    """Escaped so that ``<!channel>`` or ``<@U…>`` in it is just text; at most ``limit`` characters
    as Slack counts them, which is after escaping."""
    escaped = straight(text).replace("&", "&amp;")
    escaped = escaped.replace("<", "&lt;").replace(">", "&gt;")
    if len(escaped) <= limit:
        return escaped
    return f"{_HALF_AN_ENTITY.sub('', escaped[: limit - 1])}…"


def whole(text: str, limit: int) -> str:
    """As many whole sentences of a text (inert already or not) as fit; cut inside one only where that one alone
    is too long."""
    if len(text) <= limit:
        return text
    kept = text[: limit - 2]
    ends = [found.end() for found in _END_OF_A_SENTENCE.finditer(kept)]
    if ends and ends[-1] > limit // 3:
        return f"{kept[: ends[-1]].rstrip()} …"
    return f"{_HALF_AN_ENTITY.sub('', kept)}…"


def quoted(text: str, limit: int = 600) -> str:
    """As a quotation, each line marked."""
    return "\n".join(f">{line}" for line in inert(text, limit).splitlines() or [""])


def names(texts: list[str], last: str = "and") -> str:
    """Names or mentions, inert already: ``a, b and c``, the first ten of many."""
    rest = len(texts) - MOST_NAMES
    return listed([*texts[:MOST_NAMES], f"{rest} more"] if rest > 0 else texts, last)


def mrkdwn(text: str, limit: int = SECTION) -> dict[str, Any]:
    """A text object. ``verbatim``: a bare ``@channel`` or ``#name`` that somebody wrote stays text;
    what is too long is cut between lines, so that no mention or link is cut in two."""
    if len(text) > limit:
        text = f"{text[: limit - 2].rpartition(chr(10))[0]}\n…"
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def link(url: str, label: str) -> str:
    """A link whose label cannot break out of it."""
    return f"<{url}|{inert(label, 150).replace('|', '¦')}>"


def moment(when: datetime) -> str:
    """Shown in the reader's own time zone, in UTC where that fails."""
    return f"<!date^{int(when.timestamp())}^{{date_short_pretty}} at {{time}}|{day_and_time(when)}>"
