"""Slack's door: signatures, replays, and who is who."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from approvals.models import Event, InboundDelivery, Review
from approvals.services import Refused
from integrations.models import SlackIdentity
from integrations.slack import identities, views
from sandbox.slack.delivery import sign
from tests.integrations.slack_fixtures import Slack, slack, snapshot, static_folder
from tests.world import World

__all__ = ["slack", "static_folder"]
EVENTS = "/integrations/slack/events"


def test_unsigned_old_malformed_and_foreign_requests(slack: Slack, settings: Settings) -> None:
    slack.ask()
    payload = slack.press("bob", "approve", dry=True)["payload"]
    body = urlencode({"payload": str(payload)}).encode()
    secret, now = settings.SLACK_SIGNING_SECRET, int(time.time())

    def stamped(moment: object, key: str = secret) -> dict[str, str | None]:
        return {
            "request_timestamp": str(moment),
            "signature": sign(key, str(moment), body),
        }

    before, seen = snapshot(), InboundDelivery.objects.count()
    bad: dict[str, dict[str, str | None]] = {
        "wrong secret": stamped(now, "another"),
        "wrong body": {"signature": sign(secret, str(now), b"other")},
        "old": stamped(now - 301),
        "of the future": stamped(now + 400),
        "not a number": stamped("soon"),
        "a float": stamped(f"{now}.5"),
        "empty timestamp": {"request_timestamp": ""},
        "other digits": {"request_timestamp": "١٢٣"},
        "very long": {"request_timestamp": "9" * 400},
        "no timestamp": {"request_timestamp": None},
        "no signature": {"signature": None},
        "no headers": {"signature": None, "request_timestamp": None},
        "not ASCII": {"signature": "v0=é" + "0" * 60},
        "upper case": {"signature": sign(secret, str(now), body).upper()},
        "only the prefix": {"signature": "v0="},
        "another version": {"signature": "v1=" + "0" * 64},
    }
    for why, headers in bad.items():
        answer = slack.raw(body, **headers)
        assert answer.status_code == 401, why
        assert "signature" in answer.text
    assert snapshot() == before and InboundDelivery.objects.count() == seen


def test_a_replay_is_refused(slack: Slack) -> None:
    """A signature is good for five minutes; the very same request counts once."""
    slack.ask()
    slack.press("mallory", "approve")
    sent = len(slack.get("ephemerals"))
    before = snapshot()
    said = slack.post("send_raw", replay=True)
    assert (said["status"], said["body"]) == (401, "This very request was received before.\n")
    assert len(slack.get("ephemerals")) == sent and snapshot() == before


def test_an_event_that_comes_again_is_handled_once(
    slack: Slack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slack signs an event that it sends again anew; what failed the first time is tried again."""
    statuses, calls = iter([500, 200]), []

    class Handler:
        def __init__(self, app: object) -> None: ...

        def handle(self, request: HttpRequest) -> HttpResponse:
            calls.append(request)
            return HttpResponse(status=next(statuses))

    monkeypatch.setattr(views, "SlackRequestHandler", Handler)
    body = json.dumps({"type": "event_callback", "event_id": "Ev1", "event": {}}).encode()
    answers = [
        slack.raw(body + b" " * number, Content_Type="application/json").status_code
        for number in range(3)
    ]
    assert (answers, len(calls)) == ([500, 200, 200], 2)


def test_bodies_that_are_not_slacks(slack: Slack) -> None:
    before = snapshot()
    assert slack.raw(b"payload=\xff\xfe").status_code == 401
    for body in (b"", b"payload=", b"payload=%7B", b"{}", b"\0", b"ssl_check=1"):
        assert slack.raw(body).status_code in {200, 400}, body
    assert snapshot() == before


def test_only_post(world: World, client: Client) -> None:
    assert client.get(EVENTS).status_code == 405


def test_without_a_secret_the_door_is_shut(
    world: World, client: Client, settings: Settings
) -> None:
    settings.SLACK_SIGNING_SECRET = ""
    answer = client.post(EVENTS, b"x", "text/plain")
    assert answer.status_code == 503 and "SLACK_SIGNING_SECRET" in answer.content.decode()


def address(told: str) -> str:
    """The path in a sentence that offers a link."""
    return told[told.index("/integrations/slack/link/") :].split()[0]


def test_from_unknown_to_linked_to_unlinked(slack: Slack, client: Client) -> None:
    slack.ask()
    SlackIdentity.objects.filter(user_id="U0BOB").delete()
    before = snapshot()
    told = slack.told("frank", "approve")
    assert told.startswith("Countersign does not know who you are.")
    assert slack.product in told and "works once" in told
    assert snapshot() == before

    path, bob = address(told), slack.world.person("bob")
    client.force_login(bob)
    page = client.get(path).content.decode()
    assert "U0FRANK" in page and "T0ACME" in page and "Bob Brandt" in page
    assert not SlackIdentity.objects.filter(person=bob).exists(), "looking links nothing"
    assert client.post(path).status_code == 302
    assert SlackIdentity.objects.get(person=bob).user_id == "U0FRANK"
    assert Event.objects.filter(kind="slack.linked", actor=bob).count() == 1

    # A second use changes nothing, whoever comes with it.
    SlackIdentity.objects.filter(person=bob).delete()
    client.force_login(slack.world.person("carol"))
    answer = client.post(path, follow=True)
    assert "used already" in answer.content.decode()
    assert not SlackIdentity.objects.filter(user_id="U0FRANK").exists()
    SlackIdentity.objects.create(
        team_id="T0ACME", user_id="U0FRANK", person=bob, linked_at=timezone.now()
    )

    assert slack.told("frank", "approve") == ""
    assert Review.objects.get().person == bob

    client.force_login(bob)
    client.post("/integrations/slack/unlink/")
    assert Event.objects.filter(kind="slack.unlinked", actor=bob).count() == 1
    before = snapshot()
    assert slack.told("frank", "reject").startswith("Countersign does not know who you are.")
    assert snapshot() == before


class TestLinkAddresses:
    def path(self, user_id: str = "U0NEW") -> str:
        user = identities.SlackUser("T0ACME", user_id)
        return address(identities.link_address(user))

    def refused(self, client: Client, path: str, sentence: str) -> None:
        before = list(SlackIdentity.objects.order_by("pk").values_list("user_id", "person"))
        for answer in (client.get(path, follow=True), client.post(path, follow=True)):
            assert answer.status_code == 200 and sentence in answer.content.decode()
        assert list(SlackIdentity.objects.order_by("pk").values_list("user_id", "person")) == before
        assert not Event.objects.filter(kind="slack.linked").exists()

    def test_not_signed_in(self, world: World, client: Client) -> None:
        path = self.path()
        for answer in (client.get(path), client.post(path)):
            assert answer.status_code == 302
            assert answer["Location"].startswith("/accounts/login/?next=")
        assert not SlackIdentity.objects.filter(user_id="U0NEW").exists()

    def test_old(self, world: World, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        client.force_login(world.person("alice"))
        path, real = self.path(), time.time
        later = timedelta(minutes=15, seconds=2).total_seconds()
        monkeypatch.setattr(time, "time", lambda: real() + later)
        with pytest.raises(Refused, match="older than 15 minutes"):
            identities.read_token(path.split("/")[-2])

    def test_forged(self, world: World, client: Client, settings: Settings) -> None:
        client.force_login(world.person("alice"))
        path = self.path()
        other = signing.dumps({"t": "T0ACME", "u": "U0NEW", "n": "1"}, salt="another")
        for forged in (path[:-3] + "x/", f"/integrations/slack/link/{other}/"):
            self.refused(client, forged, "not complete or not ours")

    def test_taken_by_somebody_else(self, world: World, client: Client) -> None:
        client.force_login(world.person("mallory"))
        self.refused(client, self.path("U0BOB"), "linked to somebody else")
        assert SlackIdentity.objects.get(user_id="U0BOB").person == world.person("bob")
        assert not Event.objects.filter(kind="slack.linked").exists()

    def test_needs_the_form(self, world: World) -> None:
        """Another site cannot make somebody's browser link an account."""
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(world.person("bob"))
        assert strict.post(self.path()).status_code == 403
        assert strict.post("/integrations/slack/unlink/").status_code == 403
        assert SlackIdentity.objects.filter(user_id="U0BOB").exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("body", "foreign"),
    [
        ({"user": {"id": "U1", "team_id": "T1"}, "team": {"id": "T1"}}, False),
        ({"user": {"id": "U1", "team_id": "T2"}, "team": {"id": "T1"}}, True),
        ({"user": {"id": "U1", "team_id": "T2"}, "team": {"id": "T2"}}, True),
        ({"user": {"id": "U1", "team_id": "E1"}, "team": {"id": "T1"}}, False),
        ({"user": {"id": "U1"}, "team": None}, True),
        ({"user_id": "U1", "team_id": "T2"}, True),
        ({"user_id": "U1", "team_id": "T1"}, False),
    ],
)
def test_whose_user_it_is(body: dict[str, object], foreign: bool, settings: Settings) -> None:
    settings.SLACK_TEAM_ID = ["T1", "E1"]
    user = identities.user_of(body)
    assert user.is_foreign is foreign
    assert foreign or user.team_id == "T1"


def test_nobody() -> None:
    with pytest.raises(Refused):
        identities.user_of({"team": {"id": "T1"}})
