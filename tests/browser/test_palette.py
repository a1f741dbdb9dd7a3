"""The frame in a real browser: palette, shortcuts, clocks and theme, with keys alone and without JavaScript."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Route, expect

from approvals import services
from approvals.models import Preferences, Promotion
from approvals.states import PromotionStatus, Via
from tests.browser.conftest import Windows
from tests.browser.site import Site, violations


def test_the_palette_finds_and_opens_with_keys_alone(windows: Windows) -> None:
    opened = windows("bob", "people")
    page = opened.page
    page.keyboard.press("Control+k")
    field = page.get_by_role("combobox", name="Search, or go to")
    expect(field).to_be_focused()
    expect(page.get_by_role("option", name="Overview")).to_have_attribute("aria-selected", "true")
    page.keyboard.type("fraud v4")
    option = page.get_by_role("option", name="fraud-detector v4")
    expect(option).to_have_attribute("aria-selected", "true")
    expect(field).to_have_attribute("aria-activedescendant", str(option.get_attribute("id")))
    expect(page.locator("#palette-status")).to_have_text(re.compile(r"^\d+ results$"))
    assert violations(opened, "#palette") == []
    page.keyboard.press("ArrowDown")
    expect(option).to_have_attribute("aria-selected", "false")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/models/fraud-detector/versions/4/$"))
    page.get_by_role("link", name="Search").click()
    expect(field).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#palette")).to_be_hidden()


def test_an_answer_to_what_is_no_longer_asked_is_dropped(windows: Windows) -> None:
    page = windows("bob").page
    held: list[Route] = []
    page.route(re.compile(r"/search/\?q=churn&"), lambda route: held.append(route))
    page.keyboard.press("Control+k")
    with page.expect_request(re.compile(r"q=churn&")):
        page.keyboard.type("churn")
    page.locator("#palette-input").fill("demand")
    expect(page.get_by_role("option", name="demand-forecast", exact=True)).to_be_visible()
    for route in held:
        # Its page gave up on it already: nobody reads this.
        route.fulfill(
            content_type="text/html", body='<a role="option" id="old" href="/">churn-predictor</a>'
        )
    expect(page.get_by_role("option", name="churn-predictor")).to_have_count(0)


def test_keys_go_and_move_but_never_decide(windows: Windows) -> None:
    promotion = Promotion.objects.get(version__model__name="price-elasticity", status="pending")
    opened = windows("bob", promotion.get_absolute_url())
    page = opened.page
    page.keyboard.press("a")
    expect(page.locator(".actions button[value=approve]")).to_be_focused()
    page.keyboard.press("r")
    expect(page.locator("#decision-text")).to_be_focused()
    page.keyboard.type("gi ? jk")
    expect(page.locator("#decision-text")).to_have_value("gi ? jk")
    assert Promotion.objects.get(pk=promotion.pk).status == PromotionStatus.PENDING
    page.locator("#decision-text").evaluate("each => each.blur()")
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(dialog).to_be_visible()
    assert violations(opened, "#keys") == []
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


def test_single_keys_can_be_switched_off(windows: Windows, site: Site) -> None:
    mallory = site.world.person("mallory")
    services.set_preferences(actor=mallory, via=Via.BROWSER, shortcuts=False)
    page = windows("mallory", "people").page
    page.keyboard.press("?")
    page.keyboard.press("g")
    page.keyboard.press("i")
    expect(page.locator("#keys")).to_be_hidden()
    expect(page).to_have_url(re.compile(r"/people/$"))
    page.keyboard.press("Control+k")
    expect(page.locator("#palette")).to_be_visible()


def test_clocks_and_exact_times(windows: Windows) -> None:
    page = windows("carol", "profile", zone="Asia/Tokyo").page
    page.reload()
    expect(page.get_by_text("Pages show Asia/Tokyo now")).to_be_visible()
    seen, ago = page.locator("#sessions time[data-relative]").first, re.compile("ago|now$")
    expect(seen).to_have_text(ago)
    page.keyboard.press("e")
    expect(seen).to_have_text(re.compile(r"\d{4}, \d\d:\d\d JST"))
    page.keyboard.press("e")
    expect(seen).to_have_text(ago)
    seen.click()
    expect(seen).to_have_text(re.compile("JST"))


def test_without_javascript(windows: Windows) -> None:
    page = windows("mallory", "people", scripts=False).page
    page.get_by_role("link", name="Search").click()
    page.get_by_role("searchbox", name="Search for").fill("demand")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="demand-forecast").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("demand-forecast")
    page.locator("details.menu summary").last.click()
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page).to_have_url(re.compile("/models/demand-forecast/$"))
    assert Preferences.objects.get(person__username="mallory").theme == "dark"
    page.locator("details.menu summary").last.click()
    page.get_by_role("link", name="Keyboard shortcuts").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Keyboard shortcuts")


@pytest.mark.parametrize(("size", "theme"), [("desktop", "light"), ("phone", "dark")])
def test_everybody_can_use_the_menu(windows: Windows, size: str, theme: str) -> None:
    opened = windows("dave", "people", size=size, theme=theme)
    opened.page.locator("details.menu summary").last.click()
    assert violations(opened) == []
