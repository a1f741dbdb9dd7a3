"""The stand-in for Slack over real HTTP, with slack_sdk calling it and a bolt app receiving."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from slack_bolt import App
from slack_bolt.adapter.starlette import SlackRequestHandler
from slack_bolt.authorization import AuthorizeResult
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.signature import SignatureVerifier
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from sandbox.slack import create_app, served
from sandbox.slack.delivery import LIMIT_SECONDS, sign
from tests.blockkit import validate_view

JSON = dict[str, Any]
TOKEN, SECRET, RELEASES = "xoxb-test", "signing-secret", "C0RELEASES"
LIMIT = 0.6  # seconds; Slack's own is 3


def button(action_id: str, **more: Any) -> JSON:
    text = {"type": "plain_text", "text": action_id}
    return {"type": "button", "action_id": action_id, "text": text, "value": "7", **more}


CARD: list[JSON] = [
    {
        "type": "actions",
        "block_id": "decide",
        "elements": [button(a) for a in ("approve", "reject", "slow", "broken", "whisper")],
    }
]
ASK: JSON = {
    "type": "modal",
    "callback_id": "reason",
    "notify_on_close": True,
    "private_metadata": "7",
    "title": {"type": "plain_text", "text": "Reject"},
    "submit": {"type": "plain_text", "text": "Reject"},
    "blocks": [
        {
            "type": "input",
            "block_id": "why",
            "label": {"type": "plain_text", "text": "Reason"},
            "element": {"type": "plain_text_input", "action_id": "text", "multiline": True},
        },
        {
            "type": "input",
            "block_id": "and",
            "optional": True,
            "label": {"type": "plain_text", "text": "And"},
            "element": {
                "type": "checkboxes",
                "action_id": "c",
                "options": [{"text": {"type": "plain_text", "text": "Bar it"}, "value": "bar"}],
            },
        },
    ],
}
DONE: JSON = {
    "type": "modal",
    "title": {"type": "plain_text", "text": "Done"},
    "blocks": [{"type": "divider"}],
}


class Product:
    """What the receiving app heard."""

    def __init__(self) -> None:
        self.bodies: list[JSON] = []
        self.headers: list[dict[str, str]] = []
        self.said: str = ""


def bolt_app(product: Product, client: WebClient) -> Starlette:
    """A small bolt app, set up as the product's is; /plain answers 500 to everything."""

    def authorize() -> AuthorizeResult:
        return AuthorizeResult(enterprise_id=None, team_id="T0ACME", bot_token=TOKEN)

    app = App(
        signing_secret=SECRET,
        authorize=authorize,
        client=client,
        process_before_response=True,
        token_verification_enabled=False,
        request_verification_enabled=True,
    )

    @app.middleware
    def remember(body: JSON, next: Any) -> None:
        product.bodies.append(body)
        next()

    @app.action("approve")
    def approve(ack: Any, body: JSON, client: WebClient) -> None:
        ack()
        where = {"channel": body["channel"]["id"], "ts": body["message"]["ts"]}
        client.chat_update(**where, text=f"approved by {body['user']['id']}", blocks=[])

    @app.action("reject")
    def reject(ack: Any, body: JSON, client: WebClient) -> None:
        ack()
        client.views_open(trigger_id=body["trigger_id"], view=ASK)

    @app.action("slow")
    def slow(ack: Any) -> None:
        time.sleep(LIMIT * 1.5)
        ack()

    @app.action("whisper")
    def whisper(ack: Any, body: JSON, client: WebClient) -> None:
        ack()
        channel, user = body["channel"]["id"], body["user"]["id"]
        client.chat_postEphemeral(channel=channel, user=user, text="You may not.", blocks=CARD)

    @app.view("reason")
    def reason(ack: Any, body: JSON) -> None:
        why = body["view"]["state"]["values"]["why"]["text"]["value"]
        answers: dict[str, JSON] = {
            "short": {"response_action": "errors", "errors": {"why": "Longer, please."}},
            "update": {"response_action": "update", "view": DONE},
            "push": {"response_action": "push", "view": DONE},
            "clear": {"response_action": "clear"},
        }
        ack(**answers.get(why, {}))

    @app.view_closed("reason")
    def closed(ack: Any) -> None:
        ack()

    @app.command("/countersign")
    def command(ack: Any, command: JSON) -> None:
        kind = "in_channel" if command["text"] == "all" else "ephemeral"
        ack(text=f"You said {command['text']}", response_type=kind)

    @app.event("app_home_opened")
    def home(event: JSON, client: WebClient) -> None:
        client.views_publish(user_id=event["user"], view={"type": "home", "blocks": CARD})

    handler = SlackRequestHandler(app)

    async def events(request: Request) -> Response:
        product.headers.append(dict(request.headers))
        return await handler.handle(request)

    async def fail(request: Request) -> Response:
        product.headers.append(dict(request.headers))
        return PlainTextResponse("no", status_code=500)

    paths = {"/events": events, "/fail": fail}
    return Starlette(routes=[Route(p, e, methods=["POST"]) for p, e in paths.items()])


class Slack:
    """The running stand-in as tests use it."""

    def __init__(self, url: str, product: Product) -> None:
        self.url, self.product = url, product
        self.web = WebClient(TOKEN, base_url=f"{url}/api/")

    def post(self, path: str, **body: Any) -> JSON:
        answer: JSON = requests.post(f"{self.url}/_sandbox/{path}", json=body, timeout=10).json()
        return answer

    def get(self, path: str) -> JSON:
        answer: JSON = requests.get(f"{self.url}/_sandbox/{path}", timeout=10).json()
        return answer

    def card(self) -> str:
        """Post the message with the buttons; its ts."""
        ts: str = self.web.chat_postMessage(channel=RELEASES, text="v7?", blocks=CARD)["ts"]
        return ts

    def one(self, ts: str) -> JSON:
        found: JSON = next(m for m in self.get("messages")["messages"] if m["ts"] == ts)
        return found


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Slack, str]]:
    product = Product()
    app = create_app(
        token=TOKEN,
        signing_secret=SECRET,
        events_url="",
        limit_seconds=LIMIT,
        retry_seconds=(0.0, 0.05, 0.05),
    )
    with served(app) as url:
        slack = Slack(url, product)
        with served(bolt_app(product, slack.web)) as product_url:
            yield slack, product_url


@pytest.fixture
def slack(running: tuple[Slack, str]) -> Slack:
    slack, product_url = running
    slack.post("reset")
    slack.post("settings", events_url=f"{product_url}/events")
    slack.product.bodies.clear()
    slack.product.headers.clear()
    return slack


def refused(call: Any, **args: Any) -> str:
    """The error code with which a Web API call is refused."""
    with pytest.raises(SlackApiError) as caught:
        call(**args)
    return str(caught.value.response["error"])


# -- clicks -----------------------------------------------------------------------------------


def test_a_click_arrives_signed_and_edits_the_message(slack: Slack) -> None:
    ts = slack.card()
    said = slack.post("press", user="bob", ts=ts, action_id="approve")
    assert (said["status"], said["error"]) == (200, None)
    [body] = slack.product.bodies
    assert body["type"] == "block_actions" and body["is_enterprise_install"] is False
    assert body["user"] == {
        "id": "U0BOB",
        "username": "bob",
        "name": "bob",
        "team_id": "T0ACME",
    }
    assert body["team"]["id"] == "T0ACME" and body["channel"]["id"] == RELEASES
    assert body["container"]["message_ts"] == body["message"]["ts"] == ts
    [action] = body["actions"]
    assert (action["block_id"], action["action_id"], action["value"]) == ("decide", "approve", "7")
    assert slack.one(ts)["text"] == "approved by U0BOB" and slack.one(ts)["blocks"] == []
    # The button is gone: a second click has nothing to press, and the product hears nothing.
    assert slack.post("press", user="carol", ts=ts, action_id="approve")["error"]
    assert len(slack.product.bodies) == 1


def test_a_visitor_is_told_by_the_users_team_only(slack: Slack) -> None:
    ts = slack.card()
    payload = slack.post("press", user="eve", ts=ts, action_id="whisper", dry=True)["payload"]
    assert slack.product.bodies == [], "a dry press sends nothing"
    slack.post("send_raw", payload=payload)
    [body] = slack.product.bodies
    assert body["user"]["team_id"] == "T0OTHER" and body["team"]["id"] == "T0ACME"


def test_a_private_answer_is_seen_by_one_person_only(slack: Slack) -> None:
    ts = slack.card()
    since = requests.get(f"{slack.url}/_page/world", timeout=5).json()["since"]
    said = slack.post("press", user="mallory", ts=ts, action_id="whisper")
    assert [m["text"] for m in said["ephemeral"]] == ["You may not."]

    def seen(name: str, moment: str) -> list[str]:
        query = {"as": name, "channel": RELEASES, "since": moment}
        state = requests.get(f"{slack.url}/_page/state", params=query, timeout=5).json()
        return [m["text"] for m in state["private"]]

    later = requests.get(f"{slack.url}/_page/world", timeout=5).json()["since"]
    assert seen("mallory", since) == ["You may not."]
    assert seen("bob", since) == [] and seen("mallory", later) == [], "gone after a reload"
    assert len(slack.get("messages")["messages"]) == 1
    private = said["ephemeral"][0]["ts"]
    assert slack.post("press", user="bob", ts=private, action_id="whisper")["error"]
    slack.post("press", user="mallory", ts=private, action_id="whisper")
    assert slack.product.bodies[-1]["container"]["is_ephemeral"] is True
    assert "message" not in slack.product.bodies[-1]


def test_response_url_five_times_and_then_no_more(slack: Slack) -> None:
    ts = slack.card()
    slack.post("press", user="bob", ts=ts, action_id="whisper")
    url = slack.product.bodies[0]["response_url"]

    def send(**body: Any) -> requests.Response:
        return requests.post(url, json=body, timeout=5)

    assert send(text="only you").text == "ok"
    assert slack.get("ephemerals")["ephemerals"][-1]["text"] == "only you"
    assert send(text="all", response_type="in_channel").ok
    assert send(text="new", replace_original=True, blocks=[]).ok
    assert slack.one(ts)["text"] == "new" and slack.one(ts)["edits"] == 1
    assert send(text="x", blocks=[{"type": "header"}]).status_code == 400
    assert send(delete_original=True).ok
    assert [m["text"] for m in slack.get("messages")["messages"]] == ["all"]
    gone = send(text="sixth")
    assert (gone.status_code, gone.json()["error"]) == (404, "used_url")
    other = requests.post(f"{slack.url}/response/nonsense", json={"text": "x"}, timeout=5)
    assert other.json()["error"] == "expired_url"


def test_late_broken_and_absent_answers(slack: Slack) -> None:
    assert LIMIT_SECONDS == 3.0
    ts = slack.card()
    started = time.monotonic()
    late = slack.post("press", user="bob", ts=ts, action_id="slow")
    assert late["error"] == "operation_timeout" and late["status"] is None
    assert time.monotonic() - started < LIMIT * 1.4, "the clicker waits no longer than the limit"
    assert "not responding" in late["notice"]
    broken = slack.post("press", user="bob", ts=ts, action_id="broken")
    assert (broken["status"], broken["error"]) == (404, "http_error"), "bolt has no such listener"
    slack.post("settings", events_url="http://127.0.0.1:9/")
    assert slack.post("press", user="bob", ts=ts, action_id="slow")["error"] == "dispatch_failed"
    retries = [d["retry"] for d in slack.get("deliveries")["deliveries"]]
    assert retries == [None] * 3, "an interaction is never sent again"


# -- modals -----------------------------------------------------------------------------------


def opened(slack: Slack, user: str = "bob") -> str:
    said = slack.post("press", user=user, ts=slack.card(), action_id="reject")
    key: str = said["opened_view"]["id"]
    return key


def test_a_modal_from_opening_to_submission(slack: Slack) -> None:
    validate_view(ASK)
    key = opened(slack)
    empty = slack.post("submit", user="bob", view_id=key, values={})
    assert empty["error"] == "incomplete" and set(empty["errors"]) == {"why"}
    short = slack.post("submit", user="bob", view_id=key, values={"text": "short"})
    assert short["errors"] == {"why": "Longer, please."}
    assert slack.get("views")["modals"]["bob"][0]["id"] == key, "still open"
    assert slack.post("submit", user="carol", view_id=key, values={})["error"] == "no_such_view"
    values = {"why": {"text": "drift & more"}, "and": ["bar"]}
    assert slack.post("submit", user="bob", view_id=key, values=values)["status"] == 200
    body = slack.product.bodies[-1]
    assert body["type"] == "view_submission" and body["view"]["private_metadata"] == "7"
    held = body["view"]["state"]["values"]
    assert held["why"]["text"] == {"type": "plain_text_input", "value": "drift & more"}
    assert [o["value"] for o in held["and"]["c"]["selected_options"]] == ["bar"]
    assert slack.get("views")["modals"] == {}


@pytest.mark.parametrize(
    ("word", "left"), [("update", ["Done"]), ("push", ["Reject", "Done"]), ("clear", [])]
)
def test_response_actions(slack: Slack, word: str, left: list[str]) -> None:
    slack.post("submit", user="bob", view_id=opened(slack), values={"text": word})
    views = slack.get("views")["modals"].get("bob", [])
    assert [v["title"]["text"] for v in views] == left


def test_closing_is_told_and_triggers_work_once(slack: Slack) -> None:
    key = opened(slack)
    trigger = slack.product.bodies[-1]["trigger_id"]
    assert refused(slack.web.views_open, trigger_id=trigger, view=ASK) == "exchanged_trigger_id"
    assert refused(slack.web.views_open, trigger_id="1.2.3", view=ASK) == "invalid_trigger_id"
    view = slack.web.views_update(view_id=key, view=DONE)["view"]
    assert view["id"] == key
    stale = {"view_id": key, "view": DONE, "hash": "1.old"}
    assert refused(slack.web.views_update, **stale) == "hash_conflict"
    slack.web.views_update(view_id=key, view=ASK)
    assert slack.post("close", user="bob", view_id=key)["status"] == 200
    assert slack.product.bodies[-1]["type"] == "view_closed"
    assert slack.get("views")["modals"] == {}
    assert refused(slack.web.views_update, view_id=key, view=DONE) == "not_found"


def test_a_trigger_dies_after_three_seconds(slack: Slack, monkeypatch: Any) -> None:
    monkeypatch.setattr("sandbox.slack.workspace.TRIGGER_SECONDS", -1.0)
    said = slack.post("press", user="bob", ts=slack.card(), action_id="reject")
    assert said["opened_view"] is None
    errors = [r["error"] for r in slack.get("requests")["requests"] if r["method"] == "views.open"]
    assert errors == ["expired_trigger_id"]


# -- commands and events ----------------------------------------------------------------------


def test_commands(slack: Slack) -> None:
    said = slack.post("command", user="bob", command="/countersign", text="list")
    assert [m["text"] for m in said["ephemeral"]] == ["You said list"]
    assert slack.get("messages")["messages"] == []
    slack.post("command", user="bob", command="/countersign", text="all")
    assert [m["text"] for m in slack.get("messages")["messages"]] == ["You said all"]
    other = slack.post("command", user="bob", command="/other", text="")
    assert other["error"] == "invalid_command" and len(slack.product.bodies) == 2


def eventually(check: Any, seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def test_home_and_events_with_retries(slack: Slack) -> None:
    slack.post("home", user="bob")
    eventually(lambda: "bob" in slack.get("views")["homes"])
    said = slack.post("verify_url")
    assert said["status"] == 200 and "3eZbrw1aBm2rZgRNFdxV2595E9" in said["body"]

    slack.product.headers.clear()
    events_url = slack.post("settings")["events_url"]
    slack.post("settings", events_url=events_url.replace("/events", "/fail"))
    slack.post("write", user="alice", channel=RELEASES, text="a <b> & c")
    eventually(lambda: len(slack.product.headers) == 4)
    numbers = [h.get("x-slack-retry-num") for h in slack.product.headers]
    assert {h["content-type"] for h in slack.product.headers} == {"application/json"}
    assert numbers == [None, "1", "2", "3"]
    assert slack.product.headers[1]["x-slack-retry-reason"] == "http_error"
    assert slack.get("messages")["messages"][0]["text"] == "a &lt;b&gt; &amp; c"


# -- signatures -------------------------------------------------------------------------------


def test_the_signature_is_slacks() -> None:
    body, stamp = b"payload=%7B%7D", str(int(time.time()))
    verifier = SignatureVerifier(SECRET)
    assert verifier.is_valid(body=body, timestamp=stamp, signature=sign(SECRET, stamp, body))
    assert not verifier.is_valid(body=body, timestamp=stamp, signature=sign("x", stamp, body))


def test_raw_requests_for_tests_of_the_signature(slack: Slack) -> None:
    slack.post("press", user="bob", ts=slack.card(), action_id="whisper")
    assert slack.post("send_raw", replay=True)["status"] == 200
    assert slack.product.bodies[0] == slack.product.bodies[1], "the same request, byte for byte"
    payload = slack.product.bodies[0]
    assert slack.post("send_raw", payload=payload)["status"] == 200
    assert slack.post("send_raw", payload=payload, bad_signature=True)["status"] == 401
    assert slack.post("send_raw", payload=payload, skew=-301)["status"] == 401
    without = {"X-Slack-Signature": None}
    assert slack.post("send_raw", payload=payload, headers=without)["status"] == 401
    assert len(slack.product.bodies) == 3
