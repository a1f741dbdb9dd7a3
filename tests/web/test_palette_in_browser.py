"""The frame in a real browser: palette, shortcuts, clocks and theme, with keys alone and without JavaScript."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Route, expect

from approvals import services
from approvals.models import Preferences, Promotion
from approvals.states import PromotionStatus, Via
from tests.web.browsing import Windows, is_too_wide, violations
from tests.world import World


def test_the_palette_finds_and_opens_with_keys_alone(
    committed_world: World, windows: Windows
) -> None:
    committed_world.version(1)
    committed_world.version(4)
    page = windows.open("bob", "/people/")
    page.keyboard.press("Control+k")
    field = page.get_by_role("combobox", name="Search, or go to")
    expect(field).to_be_focused()
    expect(page.get_by_role("option", name="Overview")).to_have_attribute("aria-selected", "true")
    page.keyboard.type("fraud v4")
    option = page.get_by_role("option", name="fraud-detector v4")
    expect(option).to_have_attribute("aria-selected", "true")
    expect(field).to_have_attribute("aria-activedescendant", str(option.get_attribute("id")))
    expect(page.locator("#palette-status")).to_have_text("3 results")
    assert violations(page, "#palette") == []
    page.keyboard.press("ArrowDown")
    expect(option).to_have_attribute("aria-selected", "false")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/models/fraud-detector/versions/4/$"))
    page.get_by_role("link", name="Search").click()
    expect(field).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#palette")).to_be_hidden()


def test_an_answer_to_what_is_no_longer_asked_is_dropped(
    committed_world: World, windows: Windows
) -> None:
    page = windows.open("bob")
    held: list[Route] = []
    page.route(re.compile(r"/search/\?q=churn&"), lambda route: held.append(route))
    page.keyboard.press("Control+k")
    with page.expect_request(re.compile(r"q=churn&")):
        page.keyboard.type("churn")
    page.get_by_role("combobox").fill("demand")
    expect(page.get_by_role("option", name="demand-forecast")).to_be_visible()
    for route in held:
        # Its page gave up on it already: nobody reads this.
        route.fulfill(
            content_type="text/html", body='<a role="option" id="old" href="/">churn-predictor</a>'
        )
    expect(page.get_by_role("option", name="churn-predictor")).to_have_count(0)


def test_keys_go_and_move_but_never_decide(committed_world: World, windows: Windows) -> None:
    promotion = committed_world.request(committed_world.version(2))
    page = windows.open("bob", promotion.get_absolute_url())
    page.keyboard.press("a")
    expect(page.locator(".actions button[value=approve]")).to_be_focused()
    page.keyboard.press("r")
    expect(page.locator("#decision-text")).to_be_focused()
    page.keyboard.type("gi ? jk")
    expect(page.locator("#decision-text")).to_have_value("gi ? jk")
    assert Promotion.objects.get().status == PromotionStatus.PENDING
    page.locator("#decision-text").evaluate("each => each.blur()")
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(dialog).to_be_visible()
    assert violations(page, "#keys") == []
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.keyboard.press("g")
    page.keyboard.press("e")
    expect(page).to_have_url(re.compile(r"/people/$"))
    page.keyboard.press("j")
    first = page.evaluate("document.activeElement.href")
    page.keyboard.press("j")
    assert "person=" in page.evaluate("document.activeElement.href") != first
    page.keyboard.press("k")
    assert page.evaluate("document.activeElement.href") == first
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()


def test_single_keys_can_be_switched_off(committed_world: World, windows: Windows) -> None:
    bob = committed_world.person("bob")
    services.set_preferences(actor=bob, via=Via.BROWSER, shortcuts=False)
    page = windows.open("bob", "/people/")
    page.keyboard.press("?")
    page.keyboard.press("g")
    page.keyboard.press("i")
    expect(page.locator("#keys")).to_be_hidden()
    expect(page).to_have_url(re.compile(r"/people/$"))
    page.keyboard.press("Control+k")
    expect(page.locator("#palette")).to_be_visible()


def test_clocks_and_exact_times(committed_world: World, windows: Windows) -> None:
    page = windows.open("bob", "/profile/", zone="Asia/Tokyo")
    page.reload()
    expect(page.get_by_text("Pages show Asia/Tokyo now")).to_be_visible()
    seen = page.locator("#sessions time[data-relative]").first
    expect(seen).to_have_text("just now")
    page.keyboard.press("e")
    expect(seen).to_have_text(re.compile(r"\d{4}, \d\d:\d\d JST"))
    page.keyboard.press("e")
    expect(seen).to_have_text("just now")
    seen.click()
    expect(seen).to_have_text(re.compile("JST"))


def test_without_javascript(committed_world: World, windows: Windows) -> None:
    page = windows.open("bob", "/people/", script=False)
    page.get_by_role("link", name="Search").click()
    page.get_by_role("searchbox", name="Search for").fill("demand")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="demand-forecast").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("demand-forecast")
    page.locator("details.menu summary").last.click()
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page).to_have_url(re.compile("/models/demand-forecast/$"))
    assert Preferences.objects.get().theme == "dark"
    page.locator("details.menu summary").last.click()
    page.get_by_role("link", name="Keyboard shortcuts").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Keyboard shortcuts")


@pytest.mark.parametrize(("size", "theme"), [("desktop", "light"), ("phone", "dark")])
def test_everybody_can_use_the_pages(
    committed_world: World, windows: Windows, size: str, theme: str
) -> None:
    committed_world.version(1)
    page = windows.open("bob", size=size, theme=theme)
    for path in ("/profile/", "/people/", "/search/?q=fraud", "/help/keys/", "/freezes/"):
        page.goto(windows.address + path)
        assert violations(page) == [], path
        assert not is_too_wide(page), path
    page.locator("details.menu summary").last.click()
    assert violations(page) == []
