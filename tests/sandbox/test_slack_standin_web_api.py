"""The stand-in's Web API over real HTTP with slack_sdk: answers, refusals, faults."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from sandbox.slack import create_app, served
from tests.blockkit import validate_message

JSON = dict[str, Any]
TOKEN, RELEASES = "xoxb-test", "C0RELEASES"
NOWHERE = "http://127.0.0.1:9/"  # nobody listens there
BUTTON: JSON = {
    "type": "button",
    "action_id": "approve",
    "text": {"type": "plain_text", "text": "Approve"},
}
CARD: list[JSON] = [{"type": "actions", "block_id": "decide", "elements": [BUTTON]}]


class Slack:
    """The running stand-in as tests use it."""

    def __init__(self, url: str) -> None:
        self.url = url
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


@pytest.fixture
def slack() -> Iterator[Slack]:
    app = create_app(token=TOKEN, signing_secret="s", events_url=NOWHERE, retry_seconds=())
    with served(app) as url:
        yield Slack(url)


def refused(call: Any, **args: Any) -> str:
    """The error code with which a Web API call is refused."""
    with pytest.raises(SlackApiError) as caught:
        call(**args)
    return str(caught.value.response["error"])


def test_posting_editing_reading_and_deleting(slack: Slack) -> None:
    metadata = {"event_type": "promotion", "event_payload": {"id": 7}}
    validate_message({"text": "v7?", "blocks": CARD, "metadata": metadata})
    said = slack.web.chat_postMessage(
        channel="#model-releases", text="v7?", blocks=CARD, metadata=metadata
    )
    ts = said["ts"]
    assert said["channel"] == RELEASES
    assert said["message"]["blocks"][0]["block_id"] == "decide"
    assert slack.web.chat_update(channel=RELEASES, ts=ts, text="v7!")["text"] == "v7!"
    reply = slack.web.chat_postMessage(channel=RELEASES, text="because", thread_ts=ts)

    history = slack.web.conversations_history(channel=RELEASES)["messages"]
    assert [m["text"] for m in history] == ["v7!"], "replies stay in their thread"
    assert history[0]["blocks"] == said["message"]["blocks"], "blocks not named are kept"
    assert "metadata" not in history[0] and history[0]["edited"]
    full = slack.web.conversations_history(channel=RELEASES, include_all_metadata=True)
    assert full["messages"][0]["metadata"] == metadata
    thread = slack.web.conversations_replies(channel=RELEASES, ts=ts)["messages"]
    assert [m["ts"] for m in thread] == [ts, reply["ts"]] and thread[0]["reply_count"] == 1
    assert slack.one(ts)["edits"] == 1

    link = slack.web.chat_getPermalink(channel=RELEASES, message_ts=ts)["permalink"]
    assert requests.get(link, timeout=5).status_code == 200
    slack.web.reactions_add(channel=RELEASES, timestamp=ts, name="eyes")
    assert slack.one(ts)["reactions"][0]["name"] == "eyes"
    slack.web.chat_delete(channel=RELEASES, ts=ts)
    assert refused(slack.web.chat_update, channel=RELEASES, ts=ts, text="x") == "message_not_found"


def test_people_and_channels(slack: Slack) -> None:
    assert slack.web.auth_test()["team_id"] == "T0ACME"
    assert slack.web.users_lookupByEmail(email="bob@acme.example")["user"]["id"] == "U0BOB"
    eve = slack.web.users_info(user="U0EVE")["user"]
    assert eve["team_id"] == "T0OTHER" and "email" not in eve["profile"]
    assert refused(slack.web.users_lookupByEmail, email="eve@other.example") == "users_not_found"
    assert len(slack.web.users_list()["members"]) == 8
    assert slack.web.conversations_list()["channels"][0]["id"] == RELEASES
    assert slack.web.conversations_info(channel=RELEASES)["channel"]["name"] == "model-releases"
    im = slack.web.conversations_open(users="U0BOB")["channel"]["id"]
    assert slack.web.chat_postMessage(channel="U0BOB", text="hi")["channel"] == im


def test_what_the_web_api_refuses(slack: Slack) -> None:
    web = slack.web
    assert refused(WebClient("xoxb-other", base_url=web.base_url).auth_test) == "invalid_auth"
    assert requests.post(f"{slack.url}/api/auth.test", timeout=5).json()["error"] == "not_authed"
    post = web.chat_postMessage
    assert refused(post, channel="C0NOWHERE", text="x") == "channel_not_found"
    with pytest.warns(UserWarning, match="`text` argument is missing"):  # slack_sdk's own
        assert refused(post, channel=RELEASES, text="") == "no_text"
    assert refused(post, channel=RELEASES, text="x" * 40_001) == "msg_too_long"
    assert refused(post, channel=RELEASES, text="x", thread_ts="1.000000") == "thread_not_found"
    assert refused(web.users_info, user="U0NOBODY") == "user_not_found"
    nobody = {"channel": RELEASES, "user": "U0NOBODY", "text": "x"}
    assert refused(web.chat_postEphemeral, **nobody) == "user_not_found"
    with pytest.raises(SlackApiError) as caught:
        post(channel=RELEASES, text="x", blocks=[{"type": "section"}] * 51)
    assert caught.value.response["error"] == "invalid_blocks"
    messages = caught.value.response["response_metadata"]["messages"]
    assert any("no more than 50" in m for m in messages)
    assert slack.get("messages")["messages"] == []
    theirs = slack.post("write", user="bob", channel=RELEASES, text="mine")["ts"]
    assert refused(web.chat_update, channel=RELEASES, ts=theirs, text="x") == "cant_update_message"


def test_state_survives_a_restart(tmp_path: Path) -> None:
    for expected in (0, 1):
        app = create_app(data=tmp_path, token=TOKEN, signing_secret="s", events_url=NOWHERE)
        with served(app) as url:
            web = WebClient(TOKEN, base_url=f"{url}/api/")
            assert len(web.conversations_history(channel=RELEASES)["messages"]) == expected
            web.chat_postMessage(channel=RELEASES, text="x")
        app.state.space.store.close()


def test_faults(slack: Slack) -> None:
    def fault(name: str, **more: Any) -> None:
        slack.post("faults", fault=name, **more)

    fault("ratelimited", times=2, retry_after=7)
    for _ in range(2):
        with pytest.raises(SlackApiError) as caught:
            slack.card()
        assert caught.value.response.status_code == 429
        assert caught.value.response.headers["Retry-After"] == "7"
    for name in ("token_revoked", "is_archived", "channel_not_found"):
        fault(name)
        assert refused(slack.web.chat_postMessage, channel=RELEASES, text="x") == name
    fault("server_error")
    with pytest.raises(SlackApiError) as caught:
        slack.card()
    assert caught.value.response.status_code == 503
    assert slack.get("messages")["messages"] == []

    fault("post_then_error")
    with pytest.raises(SlackApiError):
        slack.card()
    assert len(slack.get("messages")["messages"]) == 1, "posted, although the answer says 500"
    fault("timeout", seconds=1)
    with pytest.raises(TimeoutError):
        WebClient(TOKEN, base_url=slack.web.base_url, timeout=0.2, retry_handlers=[]).auth_test()  # type: ignore[arg-type]
    slack.card()
    counts = slack.get("faults")
    assert counts["waiting"] == [] and counts["fired"]["ratelimited"] == 2
    assert TOKEN not in json.dumps(slack.get("requests"))


def test_traffic_is_refused_as_slack_does(slack: Slack) -> None:
    """Archived channels, Slack's limit of one message a second, and Slack away altogether."""
    ts = slack.card()

    def refused(method: str, **args: Any) -> SlackApiError:
        with pytest.raises(SlackApiError) as caught:
            slack.web.api_call(method, json={"channel": RELEASES, "text": "x", **args})
        return caught.value

    slack.post("traffic", archived=[RELEASES])
    assert refused("chat.postMessage").response["error"] == "is_archived"
    assert refused("chat.update", ts=ts).response["error"] == "is_inactive"
    slack.web.chat_postMessage(channel="C0GENERAL", text="x")
    slack.post("traffic", archived=[], seconds=60)
    slack.web.chat_postMessage(channel=RELEASES, text="x")
    limited = refused("chat.postMessage").response
    assert (limited.status_code, limited["error"]) == (429, "ratelimited")
    assert 55 < int(limited.headers["Retry-After"]) <= 60
    slack.web.chat_postMessage(channel="C0GENERAL", text="x")
    slack.web.chat_update(channel=RELEASES, ts=ts, text="x")
    slack.post("traffic", down=True)
    assert refused("chat.update", ts=ts).response.status_code == 503
    slack.post("reset")
    assert slack.post("traffic") == {"seconds": 0.0, "down": False, "archived": [], "refused": 0}


@pytest.mark.parametrize("code", ["not_in_channel", "message_not_found"])
def test_more_faults_in_slacks_words(slack: Slack, code: str) -> None:
    ts = slack.card()
    slack.post("faults", fault=code)
    with pytest.raises(SlackApiError) as caught:
        slack.web.chat_update(channel=RELEASES, ts=ts, text="x")
    assert caught.value.response["error"] == code
    slack.web.chat_update(channel=RELEASES, ts=ts, text="x")
