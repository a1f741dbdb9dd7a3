"""Every page in real Chromium: accessible (axe-core, WCAG 2.2 AA), narrow enough for a phone, in both themes, with
no error in the console, without a word to anybody else, and deaf to what is written to break it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from tests.browser.site import SIZES, Site, Window, window

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# The names of _pages() in site.py: a test is made of each before there is a site.
PAGES = (
    *("overview", "inbox", "promotion, pending", "promotion, blocked", "promotion, hostile"),
    *(
        "promotion, under way",
        "promotion, unconfirmed",
        "promotion, live",
        "sealed facts",
        "rollback",
    ),
    *("model", "version", "version, hostile", "timeline", "insights", "pipelines", "policy"),
    *("freezes", "people", "search", "status", "profile"),
)


@pytest.fixture(scope="module")
def bob(chromium: Browser, site: Site) -> Iterator[Window]:
    with window(chromium, site, "bob") as opened:
        yield opened


def violations(opened: Window, *, rules: list[str] | None = None) -> list[str]:
    """What axe-core finds, a line each."""
    only = {"type": "rule", "values": rules} if rules else {"type": "tag", "values": TAGS}
    found = Axe().run(opened.page, options={"runOnly": only, "resultTypes": ["violations"]})
    return [
        f"{each['id']}: {node['html'][:160]} {node.get('failureSummary', '')[:300]}"
        for each in found.response["violations"]
        for node in each["nodes"][:3]
    ]


@pytest.mark.parametrize("name", PAGES)
def test_it_is_for_everybody(bob: Window, name: str) -> None:
    bob.errors.clear()
    bob.elsewhere.clear()
    found: dict[str, object] = {}
    bob.page.emulate_media(color_scheme="light")
    bob.page.set_viewport_size({"width": 1280, "height": 900})
    assert bob.go(name) == 200
    for size, (width, height) in SIZES.items():
        bob.page.set_viewport_size({"width": width, "height": height})
        for theme in ("light", "dark"):
            bob.page.emulate_media(color_scheme=theme)
            # In the second theme only the colours are others.
            rules = ["color-contrast"] if theme == "dark" else None
            if lines := violations(bob, rules=rules):
                found[f"{size}, {theme}"] = lines
            bob.shot(f"{name.replace(', ', '-')}-{size}-{theme}")
        if bob.too_wide > 0:
            found[f"{size}: too wide by"] = bob.too_wide
    assert not found, "\n".join(f"{where}: {what}" for where, what in found.items())
    assert not bob.page.evaluate("'pwned' in window")
    assert (bob.errors, bob.elsewhere) == ([], [])


@pytest.mark.parametrize("person", ["alice", "dave", "mallory"])
def test_everybody_reads_every_page(chromium: Browser, site: Site, person: str) -> None:
    with window(chromium, site, person, "phone") as opened:
        for name in site.pages:
            status = opened.go(name)
            assert status in {200, 403}, name
            assert opened.too_wide == 0, name
            assert opened.page.locator("h1").count() == 1, name
        assert not opened.page.evaluate("'pwned' in window")
        assert (opened.errors, opened.elsewhere) == ([], [])


def test_no_page_is_missing_here(site: Site) -> None:
    assert set(site.pages) == set(PAGES)
