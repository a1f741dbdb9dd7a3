"""Text for Slack: what people wrote comes out inert, and every value is cut on its own."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime
from typing import Any

from approvals.wording import day_and_time, listed, straight

_HALF_AN_ENTITY = re.compile(r"&[a-z]*$")
_END_OF_A_SENTENCE = re.compile(r"[.!?](?=\s)|[。！？।]|\n")
# Slack's limit for the text of a section.
SECTION = 3000
MOST_NAMES = 10
MOST_LINES = 12  # of a quotation: more would push everything else off a phone's screen

# Slack's mrkdwn has no way to escape *, _, ~, ` and :emoji:. What zero-width characters around them do is not
# documented and differs between its clients, so signs that could format are replaced by others that look alike:
# that holds whatever a parser thinks. Where they cannot format (2 * 3, f1_macro) they stay, so that a metric's
# name can be copied.
_ALIKE = str.maketrans({"*": "\u2217", "_": "\u02cd", "~": "\u223c", "`": "\u02cb", ":": "\u2236"})
_FORMATS = re.compile(
    r"`"
    r"|(?<!\s)[*~]|[*~](?=\S)"  # not between two spaces
    r"|(?<!\w)_+(?=\S)|(?<!\s)_+(?!\w)"  # not within a word
    # :name: and :100:, not 12:30:45 or 09:00:00+00:00
    r"|(?:(?<!\d):|:(?!\d))(?=[a-z0-9_+'-]*[a-z+-][a-z0-9_+'-]*:)|(?<!\d):(?=\d+:)"
)
_FIRST_STRONG, _POP = "\u2068", "\u2069"
_RIGHT_TO_LEFT = {"R", "AL", "AN"}


def inert(text: str, limit: int = 600) -> str:
    """Only text, whatever is written in it: nothing in it mentions, links, formats, quotes, becomes an emoji or
    turns what stands around it. At most ``limit`` characters as Slack counts them, which is after escaping."""
    escaped = _FORMATS.sub(lambda hit: hit[0].translate(_ALIKE), bare(text)).replace("&", "&amp;")
    escaped = escaped.replace("<", "&lt;").replace(">", "&gt;")
    # At the beginning of a line even an escaped one would quote it.
    escaped = re.sub(r"^&gt;", "\u203a", escaped, flags=re.MULTILINE)
    return "\n".join(_isolated(line) for line in _cut(escaped, limit).split("\n"))


def bare(text: str) -> str:
    """Without control characters and marks that turn the direction; every break of a line is a new line."""
    return "".join(
        char
        for char in straight("\n".join(text.expandtabs(1).splitlines()))
        if char == "\n" or unicodedata.category(char) not in {"Cc", "Cs"}
    )


def _cut(escaped: str, limit: int) -> str:
    # The two marks around each line that is read from right to left count as well.
    marks = 2 * sum(map(_turns, escaped[:limit].split("\n")))
    if len(escaped) + marks <= limit:
        return escaped
    return f"{_HALF_AN_ENTITY.sub('', escaped[: max(limit - 1 - marks, 0)])}…"


def _turns(line: str) -> bool:
    return any(unicodedata.bidirectional(char) in _RIGHT_TO_LEFT for char in line)


def _isolated(line: str) -> str:
    """A line that is read from right to left, so that the line around it keeps its own direction."""
    return f"{_FIRST_STRONG}{line}{_POP}" if _turns(line) else line


def inline(text: str, limit: int = 600) -> str:
    """The same in one line: what somebody wrote cannot pass for a line of ours."""
    return inert(" ".join(text.split()), limit)


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
    """As a quotation, each line marked; of many lines the first ones, without the empty ones between."""
    lines = [line for line in inert(text, limit).split("\n") if line.strip()]
    if len(lines) > MOST_LINES:
        lines = [*lines[: MOST_LINES - 1], "…"]
    return "\n".join(f">{line}" for line in lines or [""])


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
    return f"<{url}|{inline(label, 150).replace('|', '¦')}>"


def moment(when: datetime) -> str:
    """Shown in the reader's own time zone, in UTC where that fails."""
    return f"<!date^{int(when.timestamp())}^{{date_short_pretty}} at {{time}}|{day_and_time(when)}>"
