"""A decision from the request to live and back, on a phone, without leaving Slack."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.stack.desk import DEPLOYMENT_MS, Desk
from tests.stack.product import Product

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("chromium_path")]
MODEL = "demand-forecast"


def live(product: Product) -> str:
    """The version that really serves."""
    served = product.data / "serving" / "production" / MODEL / "current" / "served.json"
    return str(json.loads(served.read_text())["version"])


def type_in(page: Page, text: str) -> None:
    page.locator("#text").fill(text)
    page.keyboard.press("Enter")


def message(page: Page, words: str) -> Locator:
    """The newest message of a promotion, as this person sees it."""
    return page.locator("article[data-message-ts]", has_text=words).last


def fits(page: Page) -> None:
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0, "nothing sticks out on a phone"


def test_from_the_request_to_live_and_back(desk: Desk, product: Product) -> None:
    alice, bob, carol = (desk.slack(name, phone=True) for name in ("alice", "bob", "carol"))

    # alice asks by a command; everybody sees one message.
    type_in(alice, f"/countersign promote {MODEL} 3 production It knows the seasons.")
    what = f"{MODEL} v1 → v3"
    theirs = message(bob, what)
    expect(theirs).to_contain_text("It knows the seasons.")
    expect(theirs).to_contain_text("ml-leads")
    fits(bob)
    desk.shot(bob, "slack-1-asked")

    # One press each.
    theirs.get_by_role("button", name="Approve").click()
    expect(theirs).to_contain_text("Bob Brandt")
    hers = message(carol, what)
    expect(hers).to_contain_text("Bob Brandt")
    hers.get_by_role("button", name="Approve").click()
    expect(hers).to_contain_text("Live in production", timeout=DEPLOYMENT_MS)
    assert live(product) == "3"
    fits(carol)
    desk.shot(carol, "slack-2-live")

    # The thread tells the whole story; the outcome alone is in the channel as well.
    hers.get_by_role("button", name="replies").first.click()
    for words in ("Bob Brandt approved", "Carol Chen approved", "went live in production"):
        expect(hers).to_contain_text(words)
    desk.shot(carol, "slack-3-thread")

    # And back: one dialog, one press by whoever may.
    hers.get_by_role("button", name="Roll back").click()
    dialog = carol.locator("[data-view-id]")
    dialog.locator("textarea").fill("The forecast is far off on Sundays.")
    fits(carol)
    desk.shot(carol, "slack-4-dialog")
    dialog.get_by_role("button", name="Ask for it").click()
    back = message(bob, f"{MODEL} v3 → v1")
    back.get_by_role("button", name="Approve").click()
    expect(back).to_contain_text("Live in production", timeout=DEPLOYMENT_MS)
    assert live(product) == "1"
    expect(hers).to_contain_text("Was live")
    fits(bob)
    desk.shot(bob, "slack-5-back")
    assert desk.errors == []
