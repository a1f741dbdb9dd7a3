"""What a mail says, and its two forms: plain text and HTML. Each value is made harmless and cut on its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from django.template.loader import render_to_string

from approvals.wording import clean_text, one_line, straight

LONGEST_LINE = 1_000
LONGEST_QUOTE = 2_000
LONGEST_NEWS = 2_500
MOST_LINES = 60
LONGEST_NAME = 60


@dataclass(frozen=True)
class Link:
    """Words, and an address that shows a page and changes nothing."""

    words: str
    url: str


@dataclass(frozen=True)
class Metric:
    """One row of the comparison; ``change`` with its words: ``+0.01, better``."""

    name: str
    candidate: str
    live: str
    change: str


@dataclass(frozen=True)
class Part:
    """A paragraph with its heading; ``quote`` are the lines of what a person wrote."""

    heading: str = ""
    quote: tuple[str, ...] = ()
    metrics: tuple[Metric, ...] = ()
    lines: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()

    @property
    def is_empty(self) -> bool:
        """There is nothing below its heading."""
        return not (self.quote or self.metrics or self.lines or self.links)


@dataclass(frozen=True)
class Letter:
    """The whole of a mail. Made by whoever knows what it is about, from text as it is in the database."""

    subject: str
    title: str
    lead: tuple[str, ...]
    link: Link
    parts: tuple[Part, ...] = ()
    foot: tuple[str, ...] = ()
    settings: Link | None = field(default=None)

    def harmless(self) -> Letter:
        """The same without control characters, new lines in a line, marks that turn text; cut value by value."""
        return replace(
            self,
            subject=_line(self.subject),
            title=_line(self.title, 300),
            # The news may hold the whole reason of whoever decided.
            lead=_lines(self.lead, LONGEST_NEWS),
            parts=tuple(_part(each) for each in self.parts if not each.is_empty),
            foot=_lines(self.foot),
        )

    def plain(self) -> str:
        """As plain text. What people wrote stands behind ``>``, so that none of it passes for ours."""
        letter = self.harmless()
        blocks = [letter.title, *letter.lead, _address(letter.link)]
        blocks += ["\n".join(_written(part)) for part in letter.parts]
        foot = [*letter.foot, *([_address(letter.settings)] if letter.settings else [])]
        return (
            "\n\n".join(block for block in blocks if block) + "\n\n-- \n" + "\n".join(foot) + "\n"
        )

    def html(self) -> str:
        """As HTML, all of it in one file."""
        return render_to_string("mail/letter.html", {"letter": self.harmless()})


def quoted(text: str) -> tuple[str, ...]:
    """What a person wrote, as lines to quote; a long one ends with an ellipsis."""
    kept = clean_text(straight(text))
    kept = kept if len(kept) <= LONGEST_QUOTE else f"{kept[: LONGEST_QUOTE - 1]}…"
    lines = kept.splitlines()
    return tuple(lines[:MOST_LINES] + ["…"] * (len(lines) > MOST_LINES))


def _line(text: str, limit: int = LONGEST_LINE) -> str:
    return one_line(text, limit)


def _lines(texts: Iterable[str], limit: int = LONGEST_LINE) -> tuple[str, ...]:
    return tuple(line for text in texts if (line := _line(text, limit)))


def _part(part: Part) -> Part:
    return replace(
        part,
        heading=_line(part.heading, 300),
        metrics=tuple(
            Metric(_line(each.name, LONGEST_NAME), each.candidate, each.live, each.change)
            for each in part.metrics
        ),
        lines=_lines(part.lines),
    )


def _written(part: Part) -> Iterator[str]:
    if part.heading:
        yield part.heading
    yield from (f"> {line}".rstrip() for line in part.quote)
    for each in part.metrics:
        change = f" ({each.change})" if each.change else ""
        yield f"- {each.name}: {each.candidate}, live {each.live}{change}"
    yield from (f"- {line}" for line in part.lines)
    yield from (_address(link) for link in part.links)


def _address(link: Link) -> str:
    return f"{link.words}: {link.url}"
