"""Searched lists and shortcuts in the stand-in's page: by keyboard, on a phone's width, and when the app fails.

With SLACK_SHOTS=<folder> set, the screenshots are kept there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect
from slack_bolt import App
from slack_bolt.adapter.starlette import SlackRequestHandler
from slack_bolt.authorization import AuthorizeResult
from slack_sdk import WebClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.slack import create_app, served
from tests.blockkit import validate_view
from tests.sandbox.test_slack_standin_page import SECRET, TOKEN, browser, plain

__all__ = ["browser"]
JSON = dict[str, Any]
MODELS = ["fraud-detector", "churn", "fraud-detector-eu", *(f"model-{n:03}" for n in range(200))]
LIMIT_SECONDS = 0.6


def option(text: str) -> JSON:
    return {"text": plain(text), "value": text, "description": plain(f"about {text}")}


def dialog(model: str = "") -> JSON:
    """A box more, with an id of its own, for each model."""
    search = {"type": "external_select", "min_query_length": 0, "placeholder": plain("Search")}
    blocks: list[JSON] = [
        {
            "type": "input",
            "block_id": "model",
            "dispatch_action": True,
            "label": plain("Model"),
            "element": {**search, "action_id": "model"},
        }
    ]
    if model:
        blocks.append(
            {
                "type": "input",
                "block_id": f"version-{model}",
                "label": plain("Version"),
                "element": {**search, "action_id": "version"},
            }
        )
    reason = {"type": "plain_text_input", "action_id": "text", "initial_value": model or "none"}
    blocks.append(
        {"type": "input", "block_id": "reason", "label": plain("Why?"), "element": reason}
    )
    return {
        "type": "modal",
        "callback_id": "ask",
        "title": plain("Ask for a promotion"),
        "submit": plain("Ask for it"),
        "blocks": blocks,
    }


def bolt_app(client: WebClient, sent: list[JSON]) -> Starlette:
    def authorize() -> AuthorizeResult:
        return AuthorizeResult(enterprise_id=None, team_id="T0ACME", bot_token=TOKEN)

    app = App(
        signing_secret=SECRET,
        authorize=authorize,
        client=client,
        process_before_response=True,
        token_verification_enabled=False,
    )

    @app.shortcut("ask_for_promotion")
    def shortcut(ack: Any, body: JSON, client: WebClient) -> None:
        client.views_open(trigger_id=body["trigger_id"], view=dialog())
        ack()

    @app.options("model")
    def models(ack: Any, body: JSON) -> None:
        text = body["value"]
        if text == "slow":
            time.sleep(LIMIT_SECONDS + 0.2)
        most = None if text == "many" else 100
        wanted = "" if text == "many" else text
        ack(options=[option(each) for each in MODELS if wanted in each][:most])

    @app.options("version")
    def versions(ack: Any, body: JSON) -> None:
        ack(options=[option(f"{body['block_id']} v{n}") for n in (2, 1)])

    @app.action("model")
    def chosen(ack: Any, body: JSON, client: WebClient) -> None:
        said = body["view"]["state"]["values"]["model"]["model"]["selected_option"]
        client.views_update(view_id=body["view"]["id"], view=dialog(said["value"]))
        ack()

    @app.view("ask")
    def submitted(ack: Any, body: JSON) -> None:
        sent.append(body["view"]["state"]["values"])
        ack()

    @app.event("message")
    def message() -> None: ...

    handler = SlackRequestHandler(app)

    async def events(request: Request) -> Response:
        return await handler.handle(request)

    return Starlette(routes=[Route("/events", events, methods=["POST"])])


@pytest.fixture
def standin() -> Iterator[tuple[str, list[JSON]]]:
    app = create_app(
        token=TOKEN,
        signing_secret=SECRET,
        events_url="",
        retry_seconds=(),
        limit_seconds=LIMIT_SECONDS,
    )
    sent: list[JSON] = []
    with served(app) as url:
        web = WebClient(TOKEN, base_url=f"{url}/api/")
        with served(bolt_app(web, sent)) as product:
            app.state.sender.events_url = f"{product}/events"
            yield url, sent


def test_asking_by_keyboard_on_a_phone(
    standin: tuple[str, list[JSON]], browser: Browser, tmp_path: Path
) -> None:
    url, sent = standin
    shots = Path(os.environ.get("SLACK_SHOTS", tmp_path))
    shots.mkdir(parents=True, exist_ok=True)
    validate_view(dialog("churn"))
    page = browser.new_page(viewport={"width": 390, "height": 844})
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.goto(f"{url}/?as=alice")

    # The menu of shortcuts, without a mouse.
    page.locator("#shortcuts summary").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Ask for a promotion")).to_be_visible()
    page.screenshot(path=shots / "shortcuts-390.png")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    modal = page.get_by_role("dialog", name="Ask for a promotion")
    model = modal.get_by_role("combobox", name="Model")
    expect(model).to_be_focused()

    # The list: everything, then what holds the text; Escape shuts the list and not the dialog.
    page.keyboard.press("ArrowDown")
    expect(modal.get_by_role("option")).to_have_count(100)
    page.keyboard.press("Escape")
    expect(modal.get_by_role("option")).to_have_count(0)
    expect(modal).to_be_visible()
    model.fill("fraud")
    expect(modal.get_by_role("option")).to_have_count(2)
    page.screenshot(path=shots / "search-390.png")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    modal.get_by_label("Why?").fill("It is better.")
    expect(model).to_have_value("")  # nothing was chosen
    model.fill("fraud")
    expect(modal.get_by_role("option")).to_have_count(2)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")

    # The dialog was updated: the same boxes keep what they hold, whatever the app says they begin with.
    version = modal.get_by_role("combobox", name="Version")
    expect(version).to_be_visible()
    expect(model).to_have_value("fraud-detector-eu")
    expect(model).to_be_focused()
    expect(modal.get_by_label("Why?")).to_have_value("It is better.")
    version.click()
    modal.get_by_role("option", name="v1").click()
    expect(version).to_have_value("version-fraud-detector-eu v1")

    # Another model makes it another box, which is empty.
    model.fill("churn")
    expect(modal.get_by_role("option")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(version).to_have_value("")
    modal.get_by_role("button", name="Ask for it").click()
    expect(modal).to_contain_text("Please complete this required field.")
    assert sent == []

    # An app that is late, and one that says too much.
    for text in ("slow", "many"):
        version.focus()
        model.fill(text)
        expect(modal.get_by_role("status").first).to_contain_text("could not be loaded")
        expect(modal.get_by_role("option")).to_have_count(0)
    version.click()
    expect(model).to_have_value("churn")
    modal.get_by_role("option", name="v2").click()
    modal.get_by_role("button", name="Ask for it").click()
    expect(modal).to_be_hidden()
    [values] = sent
    assert values["model"]["model"]["selected_option"] == option("churn")
    assert values["version-churn"]["version"]["selected_option"]["value"] == "version-churn v2"
    assert values["reason"]["text"]["value"] == "It is better."
    assert troubles == []
