"""The one message in every state reads as somebody reviewed it, and Slack would take it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright
from slack_sdk import WebClient

from approvals.models import Promotion
from integrations.slack.messages import render
from sandbox.slack import create_app, served
from tests import blockkit
from tests.integrations.message_scenes import Scene, pending_hostile, scenes
from tests.snapshots import FOLDER, assert_snapshot
from tests.world import World


@pytest.mark.parametrize(("name", "made"), scenes().items(), ids=scenes())
def test_the_message(world: World, name: str, made: Scene) -> None:
    content = render(Promotion.objects.get(pk=made(world).pk))
    blockkit.validate_message(content)
    buttons = content["blocks"][-1]["elements"]
    assert 1 <= len(buttons) <= 5
    assert_snapshot(f"messages/{name}", content)


def test_every_snapshot_is_of_something() -> None:
    assert {each.stem for each in (FOLDER / "messages").glob("*.txt")} == set(scenes())


def test_a_hostile_reason_on_a_phone(world: World, chromium_path: Path, tmp_path: Path) -> None:
    """Nothing in it formats, mentions or sticks out, and what stands around it keeps its place."""
    content = render(Promotion.objects.get(pk=pending_hostile(world).pk))
    app = create_app(token="xoxb-test", signing_secret="unused", events_url="http://127.0.0.1:9/")
    with served(app) as url, sync_playwright() as playwright:
        WebClient("xoxb-test", base_url=f"{url}/api/").chat_postMessage(
            channel="C0RELEASES", **content
        )
        browser = playwright.chromium.launch(
            executable_path=chromium_path, args=["--no-sandbox", "--disable-gpu"]
        )
        for scheme in ("light", "dark"):
            page = browser.new_page(
                viewport={"width": 390, "height": 844},
                color_scheme=scheme,
                reduced_motion="reduce",
            )
            page.goto(f"{url}/?as=bob")
            _looks_right(page)
            folder = Path(os.environ.get("SLACK_SHOTS", tmp_path))
            page.screenshot(path=folder / f"hostile-reason-{scheme}.png")
        browser.close()


def _looks_right(page: Page) -> None:
    message = page.locator("[data-message-ts]").last
    quote = message.locator("blockquote")
    expect(quote).to_have_count(1)
    expect(quote).to_contain_text("<!channel> <@U0BOB> & @here")
    expect(quote.locator("strong, em, s, code, pre, svg, .mention, a")).to_have_count(0)
    expect(message.locator(".mention")).to_have_text(["@Bob Brandt", "@Carol Chen"])
    expect(message.get_by_role("button", name="Approve")).to_be_in_viewport()
    wide = "document.documentElement.scrollWidth - window.innerWidth"
    assert page.evaluate(wide) <= 0, "nothing sticks out on a phone"
    turned = "getComputedStyle(document.querySelector('[data-message-ts] blockquote')).direction"
    assert page.evaluate(turned) == "ltr"
