"""Everything with keys alone: where the focus goes, that it can be seen, and that nothing holds it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from approvals.models import Promotion
from tests.browser.conftest import Windows

MOST = 260  # tab stops of a page
LOOKS = (Path(__file__).parent / "focus.js").read_text()


def tab_to(page: Page, name: str) -> None:
    """Press Tab until what has the focus is called so."""
    for _ in range(MOST):
        page.keyboard.press("Tab")
        if re.search(name, page.evaluate(LOOKS)["name"]):
            return
    raise AssertionError(f"no tab stop is called {name}")


@pytest.mark.parametrize(
    "name",
    [
        "overview",
        "inbox",
        "promotion, pending",
        "timeline",
        "lanes",
        "model",
        "profile",
        "insights",
    ],
)
def test_every_stop_is_named_and_seen(windows: Windows, name: str) -> None:
    page = windows("bob", name).page
    page.keyboard.press("Tab")
    stop = page.evaluate(LOOKS)
    assert stop["name"] == "Skip to the content"
    stops, unseen, nameless = 0, [], []
    for _ in range(MOST):
        page.keyboard.press("Tab")
        stop = page.evaluate(LOOKS)
        if stop["unseen"]:
            unseen.append(stop["unseen"])
        if stop["over"]:
            break
        stops += 1
        if not stop["name"] or not stop["drawn"]:
            nameless.append(stop["html"])
    assert (unseen, nameless) == ([], [])
    assert stop["over"] or stops == MOST, "the focus does not come out again"
    assert stops > 10


def test_the_skip_link_skips(windows: Windows) -> None:
    page = windows("bob").page
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")


def test_deciding_from_the_inbox(windows: Windows) -> None:
    page = windows("bob", "inbox").page
    promotion = Promotion.objects.get(version__model__name="spare-6", status="pending")
    tab_to(page, r"^Decide here: spare-6 v2")
    page.keyboard.press("Enter")
    tab_to(page, r"^Comment")
    page.keyboard.type("By keys alone.")
    tab_to(page, r"^Approve spare-6 v2")
    page.keyboard.press("Enter")
    expect(page.get_by_text("spare-6 v2 to production: approved.")).to_be_visible()
    promotion.refresh_from_db()
    assert promotion.status == "approved"


def test_the_menu_opens_and_closes(windows: Windows) -> None:
    page = windows("bob", "people").page
    tab_to(page, "^BB|Bob Brandt")
    page.keyboard.press("Enter")
    expect(page.locator(".top .menu-box")).to_be_visible()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('.menu-box') !== null")
    page.keyboard.press("Escape")
    expect(page.locator(".top .menu-box")).to_be_hidden()
    assert page.evaluate("document.activeElement.localName") == "summary"
    page.keyboard.press("Enter")
    expect(page.locator(".top .menu-box")).to_be_visible()


def test_dialogs_give_the_focus_back(windows: Windows) -> None:
    page = windows("bob", "people").page
    tab_to(page, "^Search")
    page.keyboard.press("Enter")
    expect(page.locator("#palette")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#palette")).to_be_hidden()
    assert page.evaluate("document.activeElement.className") == "find"
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.className") == "find"


def test_lanes(windows: Windows) -> None:
    page = windows("bob", "lanes").page
    first = page.locator(".lane-bar").first
    first.focus()
    page.keyboard.press("End")
    page.keyboard.press("Home")
    box = page.locator(".lane-box")
    expect(box).to_be_visible()
    name = page.evaluate("document.activeElement.getAttribute('aria-label')")
    expect(box).to_contain_text(name)
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") != name
    page.keyboard.press("Escape")
    expect(box).to_be_hidden()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/promotions/\d+/"))
