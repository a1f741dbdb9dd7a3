"""Home, a direct message and an unfolded address, clicked in the stand-in's page on a phone, in a real Chromium.

With SLACK_SHOTS=<folder> set, the screenshots are kept there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings as in_force
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect, sync_playwright

from approvals.models import Review
from approvals.models.outbox import EffectKind
from approvals.selectors.preferences import preferences_of
from approvals.services.delegations import open_delegation
from approvals.states import Occasion
from integrations.slack import homes
from tests.integrations.slack_events import deliver, heard
from tests.integrations.slack_fixtures import Slack, slack, static_folder
from tests.integrations.test_slack_direct import tell

__all__ = ["slack", "static_folder"]
PHONE = {"width": 390, "height": 844}


@pytest.fixture
def browser(chromium_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    # Playwright's loop runs in this thread, where Django would refuse to read the database; beside a loop it
    # reads by another connection, which nobody else closes.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=chromium_path, args=arguments)
        yield chromium
        chromium.close()
        connection.close()


def shoot(page: Page, folder: Path, name: str) -> None:
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.screenshot(path=folder / f"{name}-{scheme}.png")
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= PHONE["width"], f"{name} is wider than the phone"


def test_on_a_phone(slack: Slack, browser: Browser, tmp_path: Path) -> None:
    shots = Path(os.environ.get("SLACK_SHOTS", tmp_path))
    shots.mkdir(parents=True, exist_ok=True)
    world, bob = slack.world, slack.world.person("bob")
    world.make_live(world.version(1))
    promotion = slack.ask()
    page = browser.new_page(viewport=PHONE)  # type: ignore[arg-type]
    page.goto(f"{slack.url}/?as=bob&channel=home")
    home = page.locator("#home")
    heard(slack, "app_home_opened")
    deliver(EffectKind.HOME)
    expect(home).to_contain_text("Waiting for you (1)")
    shoot(page, shots, "home")

    # Each choice acts at once.
    home.get_by_label("Direct messages").check()
    home.get_by_role("combobox").select_option("always")
    expect(home.get_by_role("combobox")).to_have_value("always")
    page.wait_for_function("!document.querySelector('[aria-busy=true]')")
    deliver(EffectKind.HOME)
    expect(home.locator("[data-block-id='home-told-11-always']")).to_be_visible()
    expect(home.get_by_label("Direct messages")).to_be_checked()
    wishes = preferences_of(bob)
    assert (wishes.direct, wishes.reminders, wishes.mail) == (True, True, "always")

    # A colleague, chosen in the dialog.
    home.get_by_role("button", name="Hand on my approvals").click()
    dialog = page.get_by_role("dialog", name="Delegate")
    dialog.get_by_label("Who may approve for you").select_option("U0DAVE")
    dialog.get_by_label("Until").fill("3d")
    shoot(page, shots, "delegate")
    dialog.get_by_role("button", name="Delegate", exact=True).click()
    expect(page.get_by_role("dialog", name="Done")).to_contain_text("Dave Diaz")
    page.keyboard.press("Escape")
    homes.keep_fresh()
    given = open_delegation(bob, timezone.now())
    assert given is not None and given.delegate.username == "dave"
    deliver(EffectKind.HOME)
    expect(home).to_contain_text("Dave Diaz may approve for you")
    home.get_by_role("button", name="Take it back").click()
    page.wait_for_function("!document.querySelector('[aria-busy=true]')")
    assert open_delegation(bob, timezone.now()) is None

    # A direct message, with the buttons; pressing one is an approval like any other.
    tell(world, promotion, "bob", occasion=Occasion.REQUEST)
    deliver(EffectKind.TELL)
    page.get_by_role("link", name="Messages").click()
    expect(page.locator("#log")).to_contain_text("fraud-detector v2 waits for you")
    shoot(page, shots, "direct")
    page.locator("#log").get_by_role("button", name="Approve").click()
    page.wait_for_function("!document.querySelector('[aria-busy=true]')")
    assert Review.objects.get(promotion=promotion).person == bob
    assert homes.keep_fresh() == 1
    deliver(EffectKind.HOME)
    page.goto(f"{slack.url}/?as=bob&channel=home")
    expect(home).to_contain_text("Nothing waits for you.")

    # A pasted address unfolds below the message.
    page.goto(f"{slack.url}/?as=bob&channel=C0GENERAL")
    address = f"{slack.product}{promotion.get_absolute_url()}"
    page.get_by_label("Message", exact=True).fill(f"Who looks at {address}?")
    page.keyboard.press("Enter")
    heard(slack, "link_shared")
    deliver(EffectKind.UNFOLD)
    expect(page.locator("#log .attachment")).to_contain_text("risk: 1 more needed")
    expect(page.locator("#log").get_by_role("link", name=address)).to_be_visible()
    shoot(page, shots, "unfolded")

    # The same choices on the profile page, which needs no script.
    client = Client()
    client.force_login(bob)
    cookie = client.cookies[in_force.SESSION_COOKIE_NAME].value
    plain = browser.new_context(viewport=PHONE, java_script_enabled=False)  # type: ignore[arg-type]
    plain.add_cookies(
        [{"name": in_force.SESSION_COOKIE_NAME, "value": cookie, "url": slack.product}]
    )
    profile = plain.new_page()
    profile.goto(f"{slack.product}{reverse('profile')}")
    told = profile.locator("#told")
    expect(told.get_by_label("Send me a direct message")).to_be_checked()
    told.get_by_label("Send me a direct message").uncheck()
    told.get_by_label("Mail").select_option("never")
    told.get_by_role("button", name="Save").click()
    expect(profile.locator("body")).to_contain_text("this is how you are told from now on")
    wishes = preferences_of(bob)
    assert (wishes.direct, wishes.reminders, wishes.mail) == (False, True, "never")
    for scheme in ("light", "dark"):
        profile.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        profile.locator("#told").scroll_into_view_if_needed()
        profile.screenshot(path=shots / f"profile-{scheme}.png", full_page=True)
