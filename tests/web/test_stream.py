"""The stream of changes and the pages beside it, over HTTP from a process of their own."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlencode, urlsplit

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.test import Client

from approvals import services
from approvals.models import Event, Promotion
from approvals.states import Via
from tests.world import World

PATIENCE = 20.0


@contextmanager
def web(*arguments: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """The web process on the tests' database: its port, and the process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    name = connection.settings_dict["NAME"]
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.web.live_server", str(port), *arguments],
        env={**os.environ, "DATABASE_URL": url},
    )
    try:
        until = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < until and process.poll() is None, "no server"
                time.sleep(0.05)
        yield port, process
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def port(django_db_setup: None, django_db_blocker: object) -> Iterator[int]:
    """One web process for all tests here."""
    with web() as (port, _):
        yield port


OPEN: list[http.client.HTTPConnection | http.client.HTTPResponse] = []


@pytest.fixture(autouse=True)
def nothing_stays_open() -> Iterator[None]:
    yield
    while OPEN:
        OPEN.pop().close()


def connect(port: int) -> http.client.HTTPConnection:
    """A connection that is closed after the test."""
    made = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    OPEN.append(made)
    return made


def answer_of(made: http.client.HTTPConnection) -> http.client.HTTPResponse:
    """Its answer, closed after the test."""
    answer = made.getresponse()
    OPEN.append(answer)
    return answer


def key_of(world: World, username: str) -> str:
    """A new session of this person."""
    client = Client()
    client.force_login(world.person(username))
    return client.cookies[settings.SESSION_COOKIE_NAME].value


class Stream:
    """A browser's EventSource, in miniature."""

    def __init__(self, port: int, key: str, query: str = "", last: str = "") -> None:
        self.connection = connect(port)
        headers = {"Cookie": f"{settings.SESSION_COOKIE_NAME}={key}"}
        if last:
            headers["Last-Event-ID"] = last
        self.connection.request("GET", f"/live/{query}", headers=headers)
        self.response = answer_of(self.connection)

    def lines(self) -> Iterator[str]:
        """Line by line until it ends."""
        while line := self.response.readline():
            yield line.decode().rstrip("\n")

    def next(self) -> tuple[int, str]:
        """Id and data of the next event."""
        number = 0
        for line in self.lines():
            if line.startswith("id: "):
                number = int(line[4:])
            if line.startswith("data: "):
                return number, line[6:]
        raise AssertionError("the stream ended")

    def silence(self) -> None:
        """Two heartbeats in a row, and nothing else."""
        beats = 0
        for line in self.lines():
            assert not line.startswith("data"), line
            beats += line == ": here"
            if beats == 2:
                return

    def close(self) -> None:
        self.connection.close()
        self.response.close()


def newest() -> int:
    found = Event.objects.values_list("pk", flat=True).order_by("-pk").first()
    assert found
    return found


def ask(world: World, number: int = 1) -> Promotion:
    return services.request_promotion(
        actor=world.person("alice"),
        via=Via.BROWSER,
        target_id=world.target("production").pk,
        version_id=world.version(number).pk,
        reason="Better.",
    )


def test_it_tells_after_the_commit_and_not_before(port: int, committed_world: World) -> None:
    stream = Stream(port, key_of(committed_world, "bob"), f"?since={newest()}")
    committed_world.version(1)
    assert (stream.response.status, stream.response.headers["Content-Type"]) == (
        200,
        "text/event-stream",
    )
    assert stream.response.headers["Cache-Control"] == "no-store"
    assert stream.response.headers["X-Accel-Buffering"] == "no"
    with transaction.atomic():
        promotion = ask(committed_world)
        started = time.monotonic()
        # Whatever the version's own event said before, nothing tells of the promotion.
        beats = 0
        for line in stream.lines():
            assert "promotion" not in line
            beats += line == ": here"
            if beats == 2:
                break
        assert time.monotonic() - started > 0.3
    number, about = stream.next()
    assert (number, about) == (newest(), f"promotion-{promotion.pk} target-{promotion.target_id}")
    stream.close()


def test_a_page_learns_at_once_what_it_missed(port: int, committed_world: World) -> None:
    key, before = key_of(committed_world, "bob"), newest()
    promotion = ask(committed_world)
    for query, last in ((f"?since={before}", ""), (f"?since={newest()}", str(before)), ("", "")):
        missed = Stream(port, key, query, last)
        assert missed.next() == (newest(), "all")
        missed.close()
    current = Stream(port, key, f"?since={before}", str(newest()))
    current.silence()
    services.cancel(
        actor=promotion.requester, via=Via.BROWSER, promotion_id=promotion.pk, reason=""
    )
    assert f"promotion-{promotion.pk}" in current.next()[1].split()
    current.close()


def test_who_may_not_listen(port: int, committed_world: World) -> None:
    for key in ("", "nonsense", "a" * 32):
        assert Stream(port, key).response.status == 401
    key, bob = key_of(committed_world, "bob"), committed_world.person("bob")
    bob.is_active = False
    bob.save()
    assert Stream(port, key).response.status == 401
    other = connect(port)
    other.request("GET", "/live/", headers={"Host": "evil.example"})
    assert answer_of(other).status == 400


@pytest.mark.parametrize("how", ["signed out", "not active", "password changed"])
def test_it_ends_when_the_session_does(port: int, committed_world: World, how: str) -> None:
    bob = committed_world.person("bob")
    client = Client()
    client.force_login(bob)
    key = client.cookies[settings.SESSION_COOKIE_NAME].value
    stream = Stream(port, key, f"?since={newest()}")
    stream.silence()
    if how == "signed out":
        client.post("/accounts/logout/")
    elif how == "not active":
        bob.is_active = False
        bob.save()
    else:
        bob.set_password("another one entirely")
        bob.save()
    assert not any(line.startswith("data") for line in stream.lines())
    assert Stream(port, key).response.status == 401


def test_streams_of_one_person_are_bounded(port: int, committed_world: World) -> None:
    key, query = key_of(committed_world, "bob"), f"?since={newest()}"
    streams = [Stream(port, key, query) for _ in range(3)]
    assert [each.response.status for each in streams] == [200] * 3
    assert Stream(port, key, query).response.status == 429
    carol = Stream(port, key_of(committed_world, "carol"), query)
    assert carol.response.status == 200
    streams.pop().close()
    until = time.monotonic() + PATIENCE
    while True:  # a place is free again as soon as the server sees that the page is gone
        again = Stream(port, key, query)
        if again.response.status == 200:
            break
        assert time.monotonic() < until
    for each in (*streams, carol, again):
        each.close()


def test_many_waiting_streams_hold_no_connection_and_no_thread(
    port: int, committed_world: World
) -> None:
    count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    people = ["alice", "bob", "carol", "dave"]
    query = f"?since={newest()}"
    streams = [Stream(port, key_of(committed_world, name), query) for name in people * 3]
    with connection.cursor() as cursor:
        cursor.execute(count)
        (held,) = cursor.fetchone()
    # This one, the hub's one, and those of the pages' threads that served a page before.
    assert held <= 10
    page = connect(port)
    page.request("GET", "/healthz")
    assert answer_of(page).read() == b"ok\n"
    for each in streams:
        each.close()


def test_a_page_says_where_it_hears_of_changes(port: int, committed_world: World) -> None:
    key = key_of(committed_world, "bob")
    stream = Stream(port, key, f"?since={newest()}")
    stream.silence()
    page = connect(port)
    page.request("GET", "/inbox/", headers={"Cookie": f"{settings.SESSION_COOKIE_NAME}={key}"})
    assert f'data-live="/live/?since={newest()}"' in answer_of(page).read().decode()
    stream.close()
    # Where WSGI serves the pages there is nothing to listen to.
    client = Client()
    client.force_login(committed_world.person("bob"))
    assert 'data-live=""' in client.get("/inbox/").content.decode()
    assert client.get("/live/").status_code == 204


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_it_stops_promptly_with_open_streams(committed_world: World, workers: str) -> None:
    with web("--workers", workers) as (port, process):
        streams = [Stream(port, key_of(committed_world, "bob")) for _ in range(3)]
        assert [each.response.status for each in streams] == [200] * 3
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        for each in streams:
            assert not any(line.startswith("error") for line in each.lines())
        process.wait(PATIENCE)
        assert time.monotonic() - started < 5
        assert process.returncode in (0, -signal.SIGTERM)


# --- the pages through the same process -------------------------------------------------------------------------


def slack(body: bytes) -> dict[str, str]:
    stamp = str(int(time.time()))
    secret = settings.SLACK_SIGNING_SECRET.encode()
    mac = hmac.new(secret, f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
    return {
        "X-Slack-Request-Timestamp": stamp,
        "X-Slack-Signature": f"v0={mac}",
        "Content-Type": "application/x-www-form-urlencoded",
    }


def test_slacks_signature_is_over_the_body_as_it_came(port: int, committed_world: World) -> None:
    body = urlencode({"command": "/countersign", "text": "hilfe ö", "team_id": "T0ACME"}).encode()
    body += b"&user_id=U0BOB&channel_id=C1&trigger_id=1.1&response_url=http%3A%2F%2F127.0.0.1%3A9"
    kept = connect(port)
    for wrong, status in ((b"", 200), (b"x", 401)):
        kept.request("POST", "/integrations/slack/events", body + wrong, slack(body))
        answer = answer_of(kept)
        answer.read()
        assert answer.status == status


def test_large_bodies_and_kept_connections(port: int, committed_world: World) -> None:
    kept = connect(port)
    for size in (10, 100_000, 2_000_000, 5_000_000):
        kept.request("POST", "/integrations/github/webhook", b"x" * size)
        answer = answer_of(kept)
        answer.read()
        assert 400 <= answer.status < 500
        assert kept.sock is not None, "the connection is kept"
    kept.request("HEAD", "/healthz")
    answer = answer_of(kept)
    assert (answer.status, answer.read()) == (200, b"")


def test_half_a_body_reaches_no_view(port: int, committed_world: World) -> None:
    body = b"action=approve"
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as broken:
        head = "POST /integrations/slack/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 999\r\n\r\n"
        broken.sendall(head.encode() + body)
    # Eight that send nothing hold none of the eight threads up.
    slow = [socket.create_connection(("127.0.0.1", port), PATIENCE) for _ in range(8)]
    for each in slow:
        each.sendall(head.encode())
    page = connect(port)
    page.request("GET", "/healthz")
    assert answer_of(page).status == 200
    for each in slow:
        each.close()


def test_lines_and_headers_are_what_they_were(port: int, committed_world: World) -> None:
    def get(path: str, **headers: str) -> http.client.HTTPResponse:
        page = connect(port)
        page.request("GET", path, headers=headers)
        return answer_of(page)

    # A key of a thousand characters, percent-encoded, fits; a line of more than 8190 bytes does not.
    assert get("/healthz?key=" + "%E2%82%AC" * 900).status == 200
    assert get("/healthz?key=" + "x" * 8190).status == 414
    # Nobody behind no proxy is believed to be one, in neither spelling.
    for name in ("X-Forwarded-Proto", "X_Forwarded_Proto", "X-Forwarded-For"):
        assert get("/healthz", **{name: "https"}).status == 200
    where = get("/inbox/", **{"X-Forwarded-Host": "evil.example"}).headers["Location"]
    assert where == "/accounts/login/?next=/inbox/"
    found = get("/static/countersign.css")
    assert found.status == 200
    found.read()
    seen = {"If-Modified-Since": found.headers["Last-Modified"]}
    assert get("/static/countersign.css", **seen).status == 304
