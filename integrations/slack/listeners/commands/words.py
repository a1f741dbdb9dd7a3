"""What stands behind the slash command, taken apart: words, quotations, mentions, and the rest as it was
written."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from difflib import get_close_matches

# Phones and word processors write curly quotation marks. A straight ' inside a word is an apostrophe.
_WORD = re.compile(
    r"(?P<mention><[^<>\s][^<>]*>)"
    r"|\"(?P<double>[^\"]*)\"(?=\s|$)|'(?P<single>[^']*)'(?=\s|$)"
    r"|“(?P<curly>[^”]*)”(?=\s|$)|‘(?P<curly2>[^’]*)’(?=\s|$)|«(?P<angle>[^»]*)»(?=\s|$)"
    r"|(?P<bare>\S+)"
)
_MENTION = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^>]*)?>")
# should_escape: users, channels and links come as <@U1|name>, <#C1|name> and <address|label>.
_USER = re.compile(r"<@[UW][A-Z0-9]+\|([^>]*)>")
_CHANNEL = re.compile(r"<#[A-Z0-9]+\|([^>]*)>")
_LINK = re.compile(r"<((?:https?|mailto):[^|>\s]+)(?:\|[^>]*)?>")
_VERSION = re.compile(r"[vV]?([0-9]{1,9})")


@dataclass(frozen=True)
class Word:
    """One word; ``quoted`` ones are never taken for a keyword. ``start`` is where it begins in the whole text."""

    text: str
    start: int
    end: int
    quoted: bool = False

    @property
    def mention(self) -> str:
        """The Slack user's id where the word is a mention; else empty."""
        found = None if self.quoted else _MENTION.fullmatch(self.text)
        return found[1] if found else ""

    @property
    def version(self) -> int | None:
        """12 for ``v12`` and ``12``."""
        found = None if self.quoted else _VERSION.fullmatch(self.text)
        return int(found[1]) if found else None

    def says(self, *keywords: str) -> bool:
        """It is one of these keywords."""
        return not self.quoted and self.text.casefold() in keywords


@dataclass
class Words:
    """The words of a command, taken one after the other."""

    text: str
    words: list[Word] = field(init=False)

    def __post_init__(self) -> None:
        self.words = [_word(each) for each in _WORD.finditer(self.text)]

    def __bool__(self) -> bool:
        return bool(self.words)

    def peek(self) -> Word | None:
        """The next word, which stays."""
        return self.words[0] if self.words else None

    def take(self) -> Word | None:
        """The next word; None where there is none."""
        return self.words.pop(0) if self.words else None

    def skip(self, *keywords: str) -> bool:
        """Take the next word if it is one of these keywords."""
        found = bool(self.words) and self.words[0].says(*keywords)
        if found:
            self.words.pop(0)
        return found

    def until(self, count: int) -> str:
        """The next ``count`` words as they were written."""
        return self.text[self.words[0].start : self.words[count - 1].end]

    def rest(self) -> str:
        """All that is left, as it was written; a quotation of all of it loses its marks."""
        if not self.words:
            return ""
        if len(self.words) == 1 and self.words[0].quoted:
            written = self.words[0].text
        else:
            written = self.text[self.words[0].start :]
        self.words = []
        return readable(written).strip()


def _word(found: re.Match[str]) -> Word:
    kind = found.lastgroup or "bare"
    return Word(
        readable(found[kind])
        if kind != "mention" or not _MENTION.fullmatch(found[0])
        else found[0],
        found.start(),
        found.end(),
        kind not in ("bare", "mention"),
    )


def readable(text: str) -> str:
    """Slack's escapes undone: what the person saw when they typed it."""
    for pattern, to in ((_USER, r"@\1"), (_CHANNEL, r"#\1"), (_LINK, r"\1")):
        text = pattern.sub(to, text)
    for entity, sign in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(entity, sign)
    return text


def near(name: str, names: list[str], most: int = 3) -> list[str]:
    """The names that somebody who typed ``name`` may have meant, the likeliest first."""
    folded = {each.casefold(): each for each in names}
    wanted = name.casefold()
    found = [each for fold, each in folded.items() if wanted and (wanted in fold or fold in wanted)]
    found += [folded[each] for each in get_close_matches(wanted, folded, most, 0.6)]
    return list(dict.fromkeys(found))[:most]
