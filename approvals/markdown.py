"""What people write in comments, as HTML: CommonMark without raw HTML, images or headings, cleaned once more.

Two fences, each enough by itself: the parser writes no HTML that was typed and no link but to the web or to a
mail address; what it wrote is then cleaned by an explicit list of what may stay.
"""

from __future__ import annotations

import functools
import re

import nh3
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

# Longer texts are shown as they are: the parser's time is not for the writer to spend.
MOST = 10_000

TAGS = {
    "a", "blockquote", "br", "code", "em", "hr", "li", "ol", "p", "pre", "s", "strong",
    "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}}
SCHEMES = {"http", "https", "mailto"}
_LINK = re.compile(r"(?:https?://|mailto:)[^\s]", re.IGNORECASE)


class _Parser(MarkdownIt):
    def validateLink(self, url: str) -> bool:  # noqa: N802 - markdown-it's name
        """Whole addresses alone: a relative one would mean something else in a message."""
        return _LINK.match(url) is not None


def _parser() -> MarkdownIt:
    parser = _Parser("commonmark", {"html": False, "linkify": False, "breaks": True})
    # A heading would stand in the page's own outline; a picture would be fetched from elsewhere.
    off = ["heading", "lheading", "html_block", "html_inline", "image"]
    return parser.disable(off).enable(["table", "strikethrough"])


_PARSER = _parser()


@functools.lru_cache(maxsize=1024)
def to_html(text: str) -> SafeString:
    """The text as HTML that can neither act nor fetch anything; plainly escaped where it is very long."""
    if len(text) > MOST:
        return mark_safe(f"<p>{escape(text)}</p>")  # noqa: S308 - escaped
    clean = nh3.clean(
        _PARSER.render(text),
        tags=TAGS,
        attributes=ATTRIBUTES,
        url_schemes=SCHEMES,
        link_rel="nofollow noopener noreferrer",
        strip_comments=True,
    )
    return mark_safe(clean.strip())  # noqa: S308 - cleaned by a list of what may stay
