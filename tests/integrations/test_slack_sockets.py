"""Socket Mode: connections that end, envelopes that come twice, what is too long, and who may not connect."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone
from pytest_django.fixtures import Settings
from slack_bolt import BoltResponse

from approvals import services
from approvals.models import Event, InboundDelivery, Promotion, Review
from integrations.errors import Unavailable
from integrations.models import Heartbeat
from integrations.slack import envelopes, line, seen, socket_mode
from integrations.slack.envelopes import Envelope
from integrations.slack.listeners import bolt_app
from integrations.status import notices
from tests.integrations.slack_fixtures import (
    APP_TOKEN,
    Slack,
    receiving,
    slack,
    snapshot,
    static_folder,
)
from tests.world import World

__all__ = ["slack", "static_folder"]
SLACK_TRANSPORTS = ("socket",)
JSON = dict[str, Any]


def sockets(slack: Slack, **asked: Any) -> JSON:
    return slack.post("sockets", **asked)


def until(what: Any, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_new_connection_before_the_old_one_ends(slack: Slack) -> None:
    slack.ask()
    until(lambda: Heartbeat.objects.filter(name="slack").exists())
    sockets(slack, end="warning", seconds=60)
    until(lambda: len(sockets(slack)["sockets"]) == 2)
    assert slack.told("bob", "approve") == ""
    first, second = sockets(slack)["sockets"]
    assert (first["ending"], second["ending"], second["sent"] - first["sent"]) == (True, False, 1)
    assert Review.objects.count() == 1


def test_a_connection_that_ends_without_a_word(slack: Slack) -> None:
    slack.ask()
    sockets(slack, drop=True)
    until(lambda: len(sockets(slack)["sockets"]) == 1 and sockets(slack)["opened"] == 2)
    assert slack.told("bob", "approve") == ""


def test_slack_does_not_let_us_in_for_a_while(slack: Slack) -> None:
    slack.fault("server_error", "apps.connections.open")
    slack.fault("ratelimited", "apps.connections.open", retry_after=1)
    sockets(slack, end="refresh_requested", seconds=0)
    until(lambda: sockets(slack)["opened"] == 2)
    calls = [each for each in slack.get("requests") if each["method"] == "apps.connections.open"]
    assert [each["status"] for each in calls] == [200, 503, 429, 200]


def test_several_connections_share_the_envelopes(slack: Slack) -> None:
    slack.ask()
    with receiving():
        until(lambda: len(sockets(slack)["sockets"]) == 2)
        before = [each["sent"] for each in sockets(slack)["sockets"]]
        for user in ("bob", "mallory", "dave", "alice"):
            slack.told(user, "approve")
        after = [each["sent"] for each in sockets(slack)["sockets"]]
    assert [b - a for a, b in zip(before, after, strict=True)] == [2, 2]


class TestTwice:
    def test_a_press_whose_acknowledgement_was_lost(self, slack: Slack) -> None:
        slack.ask()
        sockets(slack, lose=1)
        assert slack.press("bob", "approve")["error"] == "operation_timeout"
        assert Review.objects.count() == 1
        before, heard = snapshot(), len(slack.get("ephemerals"))
        assert sockets(slack, again=True)["status"] == 200
        assert snapshot() == before and len(slack.get("ephemerals")) == heard

    def test_a_dialog_is_answered_as_the_first_time(self, slack: Slack) -> None:
        slack.ask()
        view = slack.dialog("bob", "reject")
        said = slack.submit("bob", view, text=" \n ")
        assert set(said["errors"]) == {"reason"}
        again = sockets(slack, again=True)
        assert again["status"] == 200 and "Say why you reject it" in again["body"]
        envelopes._replies.clear()  # as after a restart
        again = sockets(slack, again=True)
        assert again["error"] == "operation_timeout", "an empty yes would close the dialog"

    def test_an_event_that_failed_is_handled_the_next_time(
        self, slack: Slack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Slack retries events; the first of these attempts fails on our side."""
        real, calls = bolt_app, []

        class Once:
            def dispatch(self, request: Any) -> BoltResponse:
                calls.append(request.headers.get("x-slack-retry-num"))
                return BoltResponse(status=500) if len(calls) == 1 else real().dispatch(request)

        monkeypatch.setattr(envelopes, "bolt_app", Once)
        slack.post("write", user="alice", channel="C0RELEASES", text="hello")
        until(lambda: [each["retry"] for each in slack.get("deliveries")] == [None, "1"])
        assert calls == [None, ["1"]]
        assert (
            InboundDelivery.objects.exclude(processed_at=None).filter(source=seen.SOURCE).count()
            == 1
        )


def test_what_came_too_late_does_not_happen(slack: Slack) -> None:
    """The person saw an error and presses again, or decides otherwise."""
    slack.ask()
    payload = slack.press("bob", "approve", dry=True)["payload"]
    before = snapshot()
    late = Envelope("e1", "interactive", payload, came_at=time.monotonic() - 3.1)
    assert envelopes.handle(late) is None and snapshot() == before
    assert envelopes.handle(Envelope("e1", "interactive", payload)) is not None
    assert Review.objects.count() == 1


def test_what_it_holds_is_finished_before_it_stops(
    slack: Slack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the middle of a press: the vote counts, and the person sees no error."""
    slack.ask()
    real, begun, stopped = services.review, threading.Event(), threading.Event()

    def slow(**more: Any) -> Promotion:
        begun.set()
        assert stopped.wait(5)
        return real(**more)

    monkeypatch.setattr(services, "review", slow)
    with receiving() as receiver:
        until(lambda: len(sockets(slack)["sockets"]) == 2)
        slack.press("alice", "details")  # the first connection's turn
        said: list[JSON] = []
        press = threading.Thread(target=lambda: said.append(slack.press("bob", "approve")))
        press.start()
        assert begun.wait(5)
        receiver.stop()
        stopped.set()
        press.join()
    assert (said[0]["status"], said[0]["error"]) == (200, None)
    assert Review.objects.count() == 1


@pytest.mark.parametrize(
    "verb", ["update", "push"], ids=["a dialog that changes", "a dialog on top"]
)
def test_a_dialog_too_long_for_an_acknowledgement(
    slack: Slack, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """Slack ends the connection at a frame of more than 20,480 bytes."""
    slack.ask()
    view = slack.dialog("bob", "reject")
    blocks = [
        {"type": "section", "text": {"type": "plain_text", "text": "理由" * 1500}}
        for _ in range(30)
    ]
    title = {"type": "plain_text", "text": "Everything"}
    big = {"type": "modal", "title": title, "blocks": blocks}

    class Big:
        def dispatch(self, request: Any) -> BoltResponse:
            body = {"response_action": verb, "view": big}
            return BoltResponse(
                status=200, body=json.dumps(body), headers={"content-type": "application/json"}
            )

    monkeypatch.setattr(envelopes, "bolt_app", Big)
    said = slack.submit("bob", view, text="No.")
    assert said["status"] == 200 and len(said["body"]) < 1000

    def shown() -> int:
        views = requests.get(f"{slack.url}/_sandbox/views", timeout=10).json()
        return len(views["modals"]["bob"][-1]["blocks"])

    until(lambda: shown() == 30)
    assert len(sockets(slack)["sockets"]) == 1 and sockets(slack)["opened"] == 1


def test_choices_too_long_are_fewer() -> None:
    options = [{"text": {"type": "plain_text", "text": "é" * 75}, "value": "v" * 60}] * 100
    envelope = Envelope("e", "interactive", {"type": "block_suggestion"}, accepts_payload=True)
    response = BoltResponse(
        status=200,
        body=json.dumps({"options": options * 2}),
        headers={"content-type": "application/json"},
    )
    reply = envelopes._reply(envelope, response)
    assert reply.payload is not None
    assert (
        envelopes._size(reply.payload) <= envelopes.MOST_BYTES
        and len(reply.payload["options"]) > 50
    )


class TestFrames:
    @pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 200_000])
    def test_there_and_back(self, size: int) -> None:
        content = os.urandom(size)
        sent = line.frame(line.TEXT, content)
        start = 2 if size < 126 else 4 if size < 1 << 16 else 10
        mask, masked = sent[start : start + 4], sent[start + 4 :]
        assert bytes(b ^ mask[i % 4] for i, b in enumerate(masked)) == content
        # As a server sends it: without a mask, in pieces.
        plain = bytearray([sent[0], sent[1] & 0x7F]) + sent[2:start] + content
        for cut in {1, 2, 3, len(plain) // 2}:
            assert cut >= len(plain) or line.unframe(plain[:cut]) is None
        assert line.unframe(plain + b"more") == (line.TEXT, True, content)

    def test_what_no_server_sends(self) -> None:
        for bad in (b"\x81\x81abcd", b"\x81\x7f" + struct.pack("!Q", 1 << 40)):
            with pytest.raises(ValueError):
                line.unframe(bytearray(bad))

    def test_pieces_pings_and_a_close(self) -> None:
        """A message in two frames with a ping between them; then Slack closes."""
        ours, theirs = socket.socketpair()
        subject = line.Line.__new__(line.Line)
        subject._socket, subject._lock, subject._open = ours, threading.Lock(), True
        subject.heard_at = time.monotonic()
        theirs.sendall(b'\n\x01\x05{"a":' + b"\x89\x02hi" + b"\x80\x021}")
        theirs.sendall(b"\x81\x02{}" + b"\x88\x02\x03\xe8")
        assert list(subject.messages()) == [{"a": 1}, {}] and not subject.is_open
        assert theirs.recv(2) == b"\x8a\x82", "the ping was answered"
        theirs.close()


class TestWhoMayConnect:
    def test_a_wrong_token_is_said_without_showing_it(
        self, slack: Slack, settings: Settings, caplog: pytest.LogCaptureFixture
    ) -> None:
        for token in ("xapp-1-another", settings.SLACK_BOT_TOKEN):
            settings.SLACK_APP_TOKEN = token
            with pytest.raises(Unavailable, match="Check SLACK_APP_TOKEN") as caught:
                socket_mode.address()
            assert token not in str(caught.value) + caplog.text

    # slack_sdk leaves the socket of a refused handshake to the garbage collector.
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    def test_an_address_is_good_for_one_connection(self, slack: Slack) -> None:
        url = socket_mode.address()
        first = line.Line(url)
        with pytest.raises(Unavailable) as caught:
            line.Line(url)
        assert "ticket" not in str(caught.value) and "ws:" not in str(caught.value)
        first.close()

    def test_the_command_needs_the_token(self, settings: Settings) -> None:
        settings.SLACK_APP_TOKEN = ""
        with pytest.raises(CommandError, match="SLACK_APP_TOKEN is not set"):
            call_command("runslack")


def test_the_notice_is_for_socket_mode_only(world: World, settings: Settings) -> None:
    settings.SANDBOX = False
    Heartbeat.objects.create(name="worker", at=timezone.now())
    settings.SLACK_APP_TOKEN = ""
    assert notices() == []
    settings.SLACK_APP_TOKEN = APP_TOKEN
    assert [each[:24] for each in notices()] == ["No Slack connection yet:"]
    beat = Heartbeat.objects.create(name="slack", at=timezone.now())
    assert notices() == []
    beat.at -= timedelta(minutes=5)
    beat.save()
    assert notices()[0].startswith("No Slack connection since ")


def test_the_process(slack: Slack, root: Path, settings: Settings) -> None:
    """The real command: connects, says so in the database, decides, and ends well at SIGTERM."""
    slack.ask()
    name = connection.settings_dict["NAME"]
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()
    process = subprocess.Popen(
        [sys.executable, "manage.py", "runslack"],
        cwd=root,
        env={
            **os.environ,
            "DATABASE_URL": url,
            "SLACK_API_URL": settings.SLACK_API_URL,
            "SLACK_APP_TOKEN": APP_TOKEN,
            "SLACK_SIGNING_SECRET": "",
            "LOG_LEVEL": "DEBUG",
        },
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until(lambda: len(sockets(slack)["sockets"]) == 2, 60)
        for user in ("bob", "mallory"):  # one of them is decided by the process
            slack.press(user, "approve")
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 0, said
    assert Review.objects.count() == 1 and Event.objects.filter(via="slack").exists()
    assert "slack connected" in said
    assert APP_TOKEN not in said and "ticket=" not in said
