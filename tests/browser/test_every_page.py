"""Every page in real Chromium: accessible (axe-core, WCAG 2.2 AA), narrow enough for a phone, in both themes, with
no error in the console, without a word to anybody else, and deaf to what is written to break it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser

from tests.browser.site import SIZES, Site, Window, violations, window

# The names of _pages() in site.py: a test is made of each before there is a site.
PAGES = """
overview; overview, nothing found; time travel; inbox; promotion, pending; promotion, blocked; promotion, hostile
promotion, under way; promotion, rolling out; promotion, broken glass; promotion, rollback; promotion, rolled back
promotion, unconfirmed; promotion, live; sealed facts; rollback; change; model; compare; version; version, hostile
timeline; lanes; insights; counted; pipelines; policy; freezes; people; search; keys; status; profile
slack workspaces; sign in; not found
"""
PAGES_BY_NAME = PAGES.strip().replace("\n", "; ").split("; ")
READERS = {"slack workspaces": "dave", "sign in": ""}


@pytest.fixture(scope="module")
def readers(chromium: Browser, site: Site) -> Iterator[dict[str, Window]]:
    with ExitStack() as stack:
        yield {
            person: stack.enter_context(window(chromium, site, person))
            for person in ("bob", "dave", "")
        }


@pytest.mark.parametrize("name", PAGES_BY_NAME)
def test_it_is_for_everybody(readers: dict[str, Window], name: str) -> None:
    opened = readers[READERS.get(name, "bob")]
    opened.errors.clear()
    opened.elsewhere.clear()
    found: dict[str, object] = {}
    opened.page.emulate_media(color_scheme="light")
    opened.page.set_viewport_size({"width": 1280, "height": 900})
    assert opened.go(name) == (404 if name == "not found" else 200)
    if name == "timeline":
        for each in opened.page.locator("main .event details summary").all()[:4]:
            each.click()
    for size, (width, height) in SIZES.items():
        opened.page.set_viewport_size({"width": width, "height": height})
        for theme in ("light", "dark"):
            opened.page.emulate_media(color_scheme=theme)
            # In the second theme only the colours are others.
            if lines := violations(opened, rules=["color-contrast"] if theme == "dark" else None):
                found[f"{size}, {theme}"] = lines
            opened.shot(f"{name.replace(', ', '-').replace(' ', '-')}-{size}-{theme}")
        if opened.too_wide > 0:
            found[f"{size}: too wide by"] = opened.too_wide
    assert not found, "\n".join(f"{where}: {what}" for where, what in found.items())
    assert not opened.page.evaluate("'pwned' in window")
    if name == "not found":  # Chromium says so in the console, and rightly
        opened.errors = [each for each in opened.errors if "404" not in each]
    assert (opened.errors, opened.elsewhere) == ([], [])


def test_no_page_is_missing_here(site: Site) -> None:
    assert list(site.pages) == PAGES_BY_NAME
