"""The stand-in's page in a real Chromium: reading, pressing, asking back, writing.

With SLACK_SHOTS=<folder> set, the screenshots are kept there; otherwise pytest's folder has them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from slack_bolt import App
from slack_bolt.adapter.starlette import SlackRequestHandler
from slack_bolt.authorization import AuthorizeResult
from slack_sdk import WebClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.slack import create_app, served
from tests.blockkit import validate_message, validate_view

JSON = dict[str, Any]
TOKEN, SECRET, RELEASES = "xoxb-test", "signing-secret", "C0RELEASES"


def plain(text: str) -> JSON:
    return {"type": "plain_text", "text": text, "emoji": True}


def mrkdwn(text: str) -> JSON:
    return {"type": "mrkdwn", "text": text}


def button(text: str, action_id: str, **more: Any) -> JSON:
    return {
        "type": "button",
        "text": plain(text),
        "action_id": action_id,
        "value": "12|3f9ab2c1",
        **more,
    }


CARD: list[JSON] = [
    {"type": "header", "text": plain(":rocket: fraud-detector v7 → production")},
    {
        "type": "section",
        "text": mrkdwn(
            "<@U0ALICE> asks to put *fraud-detector v7* live, replacing ~v4~ *v5*.\n"
            "_Retrained on October data._ Seal `3f9ab2c1`, see <http://127.0.0.1:8000/|#12>."
        ),
        "accessory": button("Open", "open", url="http://127.0.0.1:8000/"),
    },
    {
        "type": "section",
        "fields": [
            mrkdwn("*Gates*\n:white_check_mark: 5 passed  :warning: 1 warning"),
            mrkdwn("*Recall at 1 % FPR*\n0.81 (live 0.77, *+0.04*)"),
            mrkdwn("*AUC*\n0.962 (live 0.951, *+0.011*)"),
            mrkdwn("*Artifact*\n`sha256:9f2c61d7…`"),
        ],
    },
    {
        "type": "section",
        "text": mrkdwn("> :x: p95 is 41 ms\n```p95_ms &lt;= 40 &amp; rising```"),
    },
    {
        "type": "context",
        "elements": [
            mrkdwn(":hourglass_flowing_sand: until <!date^1795300000^{date_short}|soon> · :lock:"),
            mrkdwn("<script>alert(1)</script> &lt;b&gt;not bold&lt;/b&gt; :unknown_sign:"),
        ],
    },
    {"type": "divider"},
    {
        "type": "actions",
        "elements": [
            button(
                "Approve",
                "approve",
                style="primary",
                confirm={
                    "title": plain("Approve v7?"),
                    "text": mrkdwn("It goes live in *production*."),
                    "confirm": plain("Yes, approve"),
                    "deny": plain("Not yet"),
                },
            ),
            button("Reject…", "reject", style="danger"),
            button("Broken", "broken"),
        ],
    },
]
ASK: JSON = {
    "type": "modal",
    "callback_id": "reason",
    "title": plain("Reject v7"),
    "submit": plain("Reject"),
    "blocks": [
        {"type": "section", "text": mrkdwn("The requester sees your *reason*.")},
        {
            "type": "input",
            "block_id": "why",
            "label": plain("Reason"),
            "element": {"type": "plain_text_input", "action_id": "text", "multiline": True},
        },
        {
            "type": "input",
            "block_id": "and",
            "optional": True,
            "label": plain("And"),
            "element": {
                "type": "checkboxes",
                "action_id": "bar",
                "options": [{"text": mrkdwn("*Quarantine* v7"), "value": "bar"}],
            },
        },
    ],
}


def bolt_app(client: WebClient, reasons: list[str]) -> Starlette:
    def authorize() -> AuthorizeResult:
        return AuthorizeResult(enterprise_id=None, team_id="T0ACME", bot_token=TOKEN)

    app = App(
        signing_secret=SECRET,
        authorize=authorize,
        client=client,
        process_before_response=True,
        token_verification_enabled=False,
    )

    @app.action("approve")
    def approve(ack: Any, body: JSON, client: WebClient) -> None:
        ack()
        user = body["user"]["id"]
        client.chat_postEphemeral(
            channel=body["channel"]["id"], user=user, text=f":no_entry: Not you, <@{user}>."
        )

    @app.action("reject")
    def reject(ack: Any, body: JSON, client: WebClient) -> None:
        ack()
        client.views_open(trigger_id=body["trigger_id"], view=ASK)

    @app.view("reason")
    def reason(ack: Any, body: JSON) -> None:
        why = body["view"]["state"]["values"]["why"]["text"]["value"]
        if len(why) < 5:
            ack(response_action="errors", errors={"why": "Say a little more."})
        else:
            reasons.append(why)
            ack()

    @app.command("/countersign")
    def command(ack: Any, command: JSON) -> None:
        ack(text=f"*Waiting for you*: {command['text']}")

    @app.event("app_home_opened")
    def home(event: JSON, client: WebClient) -> None:
        view = {"type": "home", "blocks": CARD[:3]}
        validate_view(view)
        client.views_publish(user_id=event["user"], view=view)

    @app.event("message")
    def message() -> None: ...

    handler = SlackRequestHandler(app)

    async def events(request: Request) -> Response:
        return await handler.handle(request)

    return Starlette(routes=[Route("/events", events, methods=["POST"])])


@pytest.fixture
def standin() -> Iterator[tuple[str, WebClient, list[str]]]:
    app = create_app(token=TOKEN, signing_secret=SECRET, events_url="", retry_seconds=())
    reasons: list[str] = []
    with served(app) as url:
        web = WebClient(TOKEN, base_url=f"{url}/api/")
        with served(bolt_app(web, reasons)) as product_url:
            app.state.sender.events_url = f"{product_url}/events"
            yield url, web, reasons


@pytest.fixture
def browser(chromium_path: Path) -> Iterator[Browser]:
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=chromium_path, args=arguments)
        yield chromium
        chromium.close()


def press(page: Page, name: str) -> None:
    page.locator("#log").get_by_role("button", name=name, exact=True).click()


def test_the_page(
    standin: tuple[str, WebClient, list[str]], browser: Browser, tmp_path: Path
) -> None:
    url, web, reasons = standin
    shots = Path(os.environ.get("SLACK_SHOTS", tmp_path))
    shots.mkdir(parents=True, exist_ok=True)
    validate_message({"text": "fraud-detector v7?", "blocks": CARD})
    validate_view(ASK)
    page = browser.new_page(viewport={"width": 1280, "height": 860}, color_scheme="light")
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("dialog", lambda dialog: troubles.append(f"dialog: {dialog.message}"))
    page.goto(f"{url}/?as=bob")
    page.get_by_label("Message", exact=True).fill("half a sentence")

    # A message appears by itself, and markup in it stays text.
    ts = web.chat_postMessage(channel=RELEASES, text="fraud-detector v7?", blocks=CARD)["ts"]
    card = page.locator(f'[data-message-ts="{ts}"]')
    expect(card.get_by_role("heading", name="fraud-detector v7 → production")).to_be_visible()
    expect(card.locator("strong", has_text="fraud-detector v7")).to_be_visible()
    expect(card.locator(".mention")).to_have_text("@Alice Anders")
    expect(card.locator("pre")).to_have_text("p95_ms <= 40 & rising")
    expect(card.get_by_role("img", name="white check mark")).to_be_visible()
    expect(card).to_contain_text("alert(1)")
    expect(card).to_contain_text("<b>not bold</b> :unknown_sign:")
    assert page.locator("#log script, #log b").count() == 0
    expect(page.get_by_label("Message", exact=True)).to_have_value("half a sentence")

    # Approve asks back; the answer is for bob only.
    press(page, "Approve")
    page.get_by_role("button", name="Not yet").click()
    expect(page.locator("[data-ephemeral]")).to_have_count(0)
    press(page, "Approve")
    page.get_by_role("button", name="Yes, approve").click()
    private = page.locator("[data-ephemeral]")
    expect(private).to_contain_text("Only visible to you")
    expect(private).to_contain_text("Not you, @Bob Brandt.")

    # What the app does not answer is said beside the button.
    press(page, "Broken")
    expect(card.get_by_role("alert")).to_contain_text("This app is not responding")

    web.chat_postMessage(channel=RELEASES, text="A reason, please.", thread_ts=ts)
    card.get_by_role("button", name="1 reply").click()
    expect(card).to_contain_text("A reason, please.")

    # The modal: its own errors, the app's errors, then it closes.
    press(page, "Reject…")
    modal = page.get_by_role("dialog", name="Reject v7")
    modal.get_by_role("button", name="Reject", exact=True).click()
    expect(modal).to_contain_text("Please complete this required field.")
    modal.get_by_label("Reason").fill("no")
    modal.get_by_role("button", name="Reject", exact=True).click()
    expect(modal).to_contain_text("Say a little more.")
    page.screenshot(path=shots / "modal-1280-light.png")
    modal.get_by_label("Reason").fill("drifts on weekends")
    modal.get_by_role("button", name="Reject", exact=True).click()
    expect(modal).to_be_hidden()
    assert reasons == ["drifts on weekends"]

    page.get_by_label("Message", exact=True).fill("/countersign nothing")
    page.keyboard.press("Enter")
    expect(private.last).to_contain_text("Waiting for you: nothing")
    page.get_by_label("Message", exact=True).fill("a <i>plain</i> message")
    page.get_by_role("button", name="Send message").click()
    expect(page.locator("#log")).to_contain_text("a <i>plain</i> message")

    for width, height in ((1280, 860), (390, 844)):
        for scheme in ("light", "dark"):
            page.set_viewport_size({"width": width, "height": height})
            page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            page.screenshot(path=shots / f"channel-{width}-{scheme}.png")
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"the page is wider than {width} px"

    # An edit shows at once; private messages are gone after a reload; Home is drawn.
    web.chat_update(channel=RELEASES, ts=ts, text="Decided", blocks=[])
    expect(card).to_contain_text("(edited)")
    expect(card.get_by_role("button", name="Approve")).to_have_count(0)
    page.reload()
    expect(card).to_contain_text("Decided")
    expect(page.locator("[data-ephemeral]")).to_have_count(0)
    page.get_by_role("link", name="Countersign").click()
    expect(page.locator("#home[data-view-id]")).to_contain_text("fraud-detector v7")
    page.get_by_role("navigation", name="You are").get_by_role("link", name="Carol").click()
    expect(page).to_have_url(re.compile("as=carol"))
    assert troubles == []
