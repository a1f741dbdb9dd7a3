"""Comments as HTML: what Markdown may do, and a corpus of what it may not."""

from __future__ import annotations

import time
from html.parser import HTMLParser

import pytest
from django.template import engines
from hypothesis import given
from hypothesis import strategies as st

from approvals.markdown import ATTRIBUTES, MOST, TAGS, to_html

CORPUS = [
    "<script>alert(1)</script>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<img src=x onerror=alert(1)>",
    '"><img src=x onerror=alert(1)>',
    "<svg onload=alert(1)><animate onbegin=alert(1)>",
    "<style>body{display:none}</style>",
    "<p style='position:fixed'>x</p>",
    "<!-- comment --><!--><script>alert(1)</script>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<a href='javascript:alert(1)'>x</a>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java\nscript:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](&#x6A;avascript&colon;alert(1))",
    "[x]( javascript:alert(1))",
    "[x](<javascript:alert(1)>)",
    "[x](\x01javascript:alert(1))",
    "[x](vbscript:msgbox(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](file:///etc/passwd)",
    "[x](//evil.example/)",
    "[x](/accounts/logout/)",
    "<javascript:alert(1)>",
    "<data:text/html,x>",
    "![x](https://evil.example/pixel.png)",
    "![x](javascript:alert(1))",
    "[![x](https://evil.example/p.png)](https://evil.example)",
    "![x][1]\n\n[1]: https://evil.example/p.png",
    "[x][1]\n\n[1]: javascript:alert(1)",
    '[x](https://ok.example "onmouseover=alert(1) \\" onclick=\\"alert(1)")',
    "[x](https://ok.example/?q='\"><script>alert(1)</script>)",
    "https://ok.example/\"onmouseover=\"alert(1)",
    "<https://ok.example/\"onmouseover=\"alert(1)>",
    "`<script>alert(1)</script>`",
    "```html\n<script>alert(1)</script>\n```",
    '```"><script>alert(1)</script>\nx\n```',
    "# A heading\n\nAnother\n=====",
    "| <script> | b |\n|--|:-:|\n| [x](javascript:1) | ![y](//e.example) |",
    "> <script>alert(1)</script>\n> - [x](javascript:alert(1))",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "{{ 7|add:7 }}{% csrf_token %}",
    "\u2028<script>\u2029alert(1)</script>\u0000\ufeff",
    "<ſcript>alert(1)</ſcript>",
    "- [ ] <input autofocus onfocus=alert(1)>",
    "1. a\n\n999999999. b",
]  # fmt: skip


class _Seen(HTMLParser):
    """Every element of a fragment as a browser's tokenizer has it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.found: list[tuple[str, str, str]] = []
        self.comments = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.found += [(tag, name, value or "") for name, value in attrs]

    def handle_comment(self, data: str) -> None:
        self.comments += 1


def inert(html: str) -> None:
    """Nothing but what is on the list, and links to the web alone."""
    seen = _Seen()
    seen.feed(html)
    assert seen.tags <= TAGS, html
    assert not seen.comments, html
    for tag, name, value in seen.found:
        assert name in ATTRIBUTES.get(tag, set()) | ({"rel"} if tag == "a" else set()), html
        if name == "href":
            assert value.lower().startswith(("http://", "https://", "mailto:")), html
    links = sum(name == "href" for _, name, _ in seen.found)
    safe = sum(
        value == "nofollow noopener noreferrer" for _, name, value in seen.found if name == "rel"
    )
    assert safe >= links, html


@pytest.mark.parametrize("text", CORPUS)
def test_what_is_hostile_is_inert(text: str) -> None:
    inert(to_html(text))
    inert(to_html(f"> - **{text}**\n>\n> {text}"))


PARTS = [
    *"<>[]()!*_`~|#&\"'\n: ", "javascript:", "https://a.example", "script", "img src=x onerror=", "data:",
]  # fmt: skip


@given(st.lists(st.sampled_from(PARTS), max_size=60))
def test_nothing_made_of_such_parts_does_harm(parts: list[str]) -> None:
    inert(to_html("".join(parts)))


def test_what_markdown_may() -> None:
    html = to_html(
        "**Bold**, *soft*, ~~gone~~ and `code`\nnext line\n\n- one\n- two\n\n> said\n\n"
        "[the run](https://github.example/runs/1)\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```\nx < y\n```"
    )
    for part in (
        "<strong>Bold</strong>", "<em>soft</em>", "<s>gone</s>", "<code>code</code>", "<br>", "<li>one</li>",
        "<blockquote>", "<th>a</th>", "x &lt; y",
        '<a href="https://github.example/runs/1" rel="nofollow noopener noreferrer">the run</a>',
    ):  # fmt: skip
        assert part in html, part


def test_what_is_plain_stays_readable() -> None:
    assert to_html("AUC < 0.9 & recall > 0.7") == "<p>AUC &lt; 0.9 &amp; recall &gt; 0.7</p>"
    assert "# 12 was it" in to_html("# 12 was it")
    assert "https://bare.example" in to_html("see https://bare.example")
    assert "<a" not in to_html("see https://bare.example")
    html = engines["django"].from_string("{{ text|markdown }}").render({"text": "<b>*x*</b>"})
    assert html == "<p>&lt;b&gt;<em>x</em>&lt;/b&gt;</p>"


HEAVY = [
    "[", "](", "![", "*a ", "_a_", "> ", "- ", "`", "``", "<", "&#", "~~", "| a ", "[a](", "**a*", "1. ", "\t",
    "[]: ",
]  # fmt: skip


@pytest.mark.parametrize("part", HEAVY)
def test_what_is_huge_takes_no_time(part: str) -> None:
    text = (part * MOST)[:MOST]
    began = time.process_time()
    inert(to_html(text))
    inert(to_html(f"{text}{part}<script>"))
    assert time.process_time() - began < 3
