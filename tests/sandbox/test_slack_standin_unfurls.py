"""The stand-in and pasted addresses: what it tells the app of, and what chat.unfurl takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from sandbox.slack import create_app, served, unfurls

JSON = dict[str, Any]
HOST = "http://countersign.example"
BLOCKS = [{"type": "section", "text": {"type": "mrkdwn", "text": "A summary"}}]


@pytest.fixture
def standin() -> Iterator[tuple[str, WebClient]]:
    app = create_app(token="xoxb-t", signing_secret="s", events_url="", retry_seconds=())
    with served(app) as url:
        yield url, WebClient("xoxb-t", base_url=f"{url}/api/")


def message(url: str, **found: Any) -> JSON:
    return {"text": url, "_channel": "C0GENERAL", "ts": "1.000001", "user": "U0BOB", **found}


def test_what_is_told() -> None:
    text = unfurls.marked(f"See {HOST}:8000/a/?x=1&amp;y=2, (http://e.x/) and {HOST}/b.")
    assert text == (f"See <{HOST}:8000/a/?x=1&amp;y=2>, (<http://e.x/>) and <{HOST}/b>.")
    event = unfurls.shared(message(text), f"{HOST}:8000/integrations/slack/events")
    assert event is not None and event["source"] == "conversations_history"
    assert [each["url"] for each in event["links"]] == [f"{HOST}:8000/a/?x=1&y=2", f"{HOST}/b"]
    for other in (
        message("http://e.x/ countersign.example"),
        message(HOST + "/", bot_id="B0COUNTERSIGN"),
    ):
        assert unfurls.shared(other, HOST) is None


def test_chat_unfurl(standin: tuple[str, WebClient]) -> None:
    url, web = standin
    body = {"user": "bob", "channel": "C0GENERAL", "text": f"{HOST}/a and {HOST}/b"}
    ts = requests.post(f"{url}/_sandbox/write", json=body, timeout=10).json()["ts"]

    def refused(code: str, **changes: Any) -> None:
        asked = {"channel": "C0GENERAL", "ts": ts, "unfurls": {f"{HOST}/a": {"blocks": BLOCKS}}}
        with pytest.raises(SlackApiError) as error:
            web.chat_unfurl(**{**asked, **changes})
        assert error.value.response["error"] == code

    refused("cannot_find_message", ts="1.000002")
    refused("channel_not_found", channel="C0NOWHERE")
    refused("cannot_unfurl_url", unfurls={f"{HOST}/c": {"blocks": BLOCKS}})
    refused("invalid_blocks", unfurls={f"{HOST}/a": {"blocks": [{"type": "section"}]}})
    refused("missing_unfurls", unfurls={})
    for _ in range(2):
        for path in ("a", "b"):
            shown = {f"{HOST}/{path}": {"blocks": BLOCKS}}
            web.chat_unfurl(channel="C0GENERAL", ts=ts, unfurls=shown)
    found = requests.get(f"{url}/_sandbox/messages", timeout=10).json()["messages"][-1]
    assert [each["from_url"] for each in found["attachments"]] == [f"{HOST}/a", f"{HOST}/b"]
    assert all(each["is_app_unfurl"] for each in found["attachments"])
