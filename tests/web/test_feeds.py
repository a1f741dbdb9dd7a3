"""Feeds over real requests, read by others' parsers; who may read them; and that no key gets into a log."""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import icalendar
import pytest
from dateutil.rrule import rrulestr
from django.db import transaction
from django.test import Client
from django.utils import timezone

from approvals import services
from approvals.calendar import Window, next_span
from approvals.models import Event, Freeze, Preferences
from approvals.services.history import record
from approvals.states import Via
from config.logs import ACCESS_LOGS, WithoutKeys, configure_logging
from tests.web.caller import token_of
from tests.web.conftest import Browser
from tests.world import World

ATOM = "{http://www.w3.org/2005/Atom}"


def key_of(world: World, name: str = "mallory") -> str:
    return services.renew_feed_key(actor=world.person(name), via=Via.BROWSER)


def entries(client: Client, address: str, **headers: str) -> list[ElementTree.Element]:
    response = client.get(address, headers=headers)
    assert response.status_code == 200, address
    return ElementTree.fromstring(response.content).findall(f"{ATOM}entry")  # noqa: S314


def calendar(client: Client, address: str) -> dict[str, Any]:
    response = client.get(address)
    assert response.status_code == 200
    assert all(len(line) <= 75 for line in response.content.split(b"\r\n")), "lines are folded"
    assert b"\n" not in response.content.replace(b"\r\n", b"")
    found = icalendar.Calendar.from_ical(response.content)
    assert not found.errors
    return {str(each["SUMMARY"]): each for each in found.walk("VEVENT")}


class TestAtom:
    def test_it_holds_what_the_page_holds(self, world: World, client: Client) -> None:
        world.make_live(world.version(1))
        world.make_live(world.version(1, "churn-predictor"), "staging")
        feed = f"/feeds/{key_of(world)}/timeline.atom"
        found = entries(client, f"{feed}?model=churn-predictor&kind=deployments")
        events = list(
            Event.objects.filter(entry__topic="deployments", target__model__name="churn-predictor")
        )
        titles = [each.findtext(f"{ATOM}title") for each in found]
        assert "churn-predictor v1 went live in staging" in titles
        links = [each.find(f"{ATOM}link").get("href") for each in found]  # type: ignore[union-attr]
        assert links == [
            f"http://127.0.0.1:8000/timeline/?event={event.pk}#event-{event.pk}" for event in events
        ]
        identities = [each.findtext(f"{ATOM}id") for each in entries(client, feed)]
        assert len(set(identities)) == len(identities) <= 50
        again = [each.findtext(f"{ATOM}id") for each in entries(client, feed)]
        assert again == identities

    def test_what_people_wrote_cannot_break_it(self, world: World, client: Client) -> None:
        hostile = "</title><script>alert(1)</script> ]]> & \x00\x08\x0b\x1b\ufffe\uffff \u202e end"
        with transaction.atomic():
            record(
                "target.locked",
                via=Via.SYSTEM,
                target=world.target(),
                reason=hostile.replace("\x00", ""),
            )
        answer = client.get(f"/feeds/{key_of(world)}/timeline.atom?q=script")
        [entry] = ElementTree.fromstring(answer.content).findall(f"{ATOM}entry")  # noqa: S314
        assert "<script>alert(1)</script>" in str(entry.findtext(f"{ATOM}title"))
        assert b"<script" not in answer.content
        # Read as HTML it is still text.
        assert "&lt;script&gt;" in str(entry.findtext(f"{ATOM}summary"))

    def test_nothing_is_sent_twice(self, world: World, client: Client) -> None:
        feed = f"/feeds/{key_of(world)}/timeline.atom"
        for address in (
            feed,
            f"{feed}?q=nothing-there",
            feed.replace("timeline.atom", "calendar.ics"),
        ):
            first = client.get(address)
            again = client.get(address, headers={"If-None-Match": first["ETag"]})
            assert (again.status_code, again.content) == (304, b""), address
        old = client.get(feed)["ETag"]
        with transaction.atomic():
            record("target.locked", via=Via.SYSTEM, target=world.target())
        assert client.get(feed, headers={"If-None-Match": old}).status_code == 200


class TestCalendar:
    def test_deployments_freezes_and_what_is_planned(self, world: World, client: Client) -> None:
        world.make_live(world.version(1))
        now = timezone.now()
        planned = world.request(world.version(2))
        planned.run_at = now + timedelta(days=2)
        planned.save()
        environment = world.target().environment
        Freeze.objects.create(
            environment=environment,
            begins_at=now,
            ends_at=now + timedelta(hours=3),
            reason="End; of, year\r\nBEGIN:VEVENT\nSUMMARY:forged \x07" + "é" * 100,
            placed_by=world.person("carol"),
            placed_at=now,
        )
        found = calendar(client, f"/feeds/{key_of(world)}/calendar.ics")
        assert set(found) == {
            "Deployment: fraud-detector v1 to production (succeeded)",
            "Planned: fraud-detector v2 to production (not approved yet)",
            "Frozen: production",
        }
        frozen = found["Frozen: production"]
        assert frozen["DTEND"].dt - frozen["DTSTART"].dt == timedelta(hours=3)
        assert "BEGIN:VEVENT\nSUMMARY:forged" in str(frozen["DESCRIPTION"])
        tentative = found["Planned: fraud-detector v2 to production (not approved yet)"]
        assert tentative["STATUS"] == "TENTATIVE"
        assert tentative["DTSTART"].dt == planned.run_at.replace(microsecond=0)
        only = calendar(client, f"/feeds/{key_of(world)}/calendar.ics?model=churn-predictor")
        assert set(only) == {"Frozen: production"}

    @pytest.mark.parametrize(
        "rule",
        [
            "FREQ=WEEKLY;BYDAY=FR",
            "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU",
            "FREQ=MONTHLY;BYDAY=-1FR;COUNT=9",
            "FREQ=DAILY;UNTIL=20991231T170000",
        ],
    )
    def test_a_recurring_freeze_comes_when_ours_does(
        self, world: World, client: Client, rule: str
    ) -> None:
        """Also across the change of clocks, and where its first day does not fit the rule."""
        window = Window("weekend", "2026-09-03T16:00", 3600, "Europe/Amsterdam", rule)
        target = world.target()
        target.freezes = [window.as_data()]
        target.save()
        found = calendar(client, f"/feeds/{key_of(world)}/calendar.ics")
        entry = found["Frozen: production (weekend)"]
        start = entry["DTSTART"].dt
        assert str(start.tzinfo) == "Europe/Amsterdam"
        theirs = rrulestr(entry["RRULE"].to_ical().decode(), dtstart=start)
        moment = datetime(2026, 9, 1, tzinfo=UTC)
        ours = []
        for _ in range(9):
            span = next_span(window, moment)
            assert span is not None
            ours.append(span.begins)
            moment = span.begins
        assert [each.astimezone(UTC) for each in list(theirs.xafter(start, 9, inc=True))] == ours


class TestWhoMayRead:
    def test_a_wrong_a_renewed_and_an_ended_key_open_nothing(
        self, world: World, client: Client
    ) -> None:
        first = key_of(world)
        other = key_of(world, "bob")
        assert client.get(f"/feeds/{first}/timeline.atom").status_code == 200
        second = key_of(world)
        number, _, secret = second.partition("-")
        stored = Preferences.objects.get(person__username="mallory").feed_key
        forged = [first, f"{number}-{stored[:43]}", f"{number}-{'A' * 43}", f"999-{secret}"]
        forged += [f"{other.partition('-')[0]}-{secret}", number, "x", f"{second}="]
        for key in forged:
            for name in ("timeline.atom", "calendar.ics"):
                answer = client.get(f"/feeds/{key}/{name}")
                assert answer.status_code == 404, key
                assert b"went" not in answer.content and key.encode() not in answer.content
        assert stored not in second, "what the database holds opens nothing"
        assert client.get(f"/feeds/{second}/timeline.atom").status_code == 200
        services.end_feeds(actor=world.person("mallory"), via=Via.BROWSER)
        assert client.get(f"/feeds/{second}/timeline.atom").status_code == 404
        assert client.get(f"/feeds/{other}/timeline.atom").status_code == 200

    def test_whoever_left_reads_nothing(self, world: World, client: Client) -> None:
        key, person = key_of(world), world.person("mallory")
        person.is_active = False
        person.save()
        assert client.get(f"/feeds/{key}/timeline.atom").status_code == 404

    def test_a_former_secret_key_still_opens(
        self, world: World, client: Client, settings: Any
    ) -> None:
        key = key_of(world)
        settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
        settings.SECRET_KEY = "another-" + "y" * 50
        assert client.get(f"/feeds/{key}/timeline.atom").status_code == 200
        settings.SECRET_KEY_FALLBACKS = []
        assert client.get(f"/feeds/{key}/timeline.atom").status_code == 404

    def test_session_and_token(self, world: World, browser: Browser, client: Client) -> None:
        address = "/feeds/timeline.atom"
        refused = client.get(address)
        assert refused.status_code == 401 and "Basic" in refused["WWW-Authenticate"]
        assert browser("alice").get(address).status_code == 200
        token = token_of(world, "ci")
        basic = base64.b64encode(f"anything:{token}".encode()).decode()
        for given in (f"Bearer {token}", f"Basic {basic}"):
            assert client.get(address, headers={"Authorization": given}).status_code == 200
        for given in ("Basic !!", f"Bearer {token}x", "Digest x", f"Basic {token}"):
            assert client.get(address, headers={"Authorization": given}).status_code == 401
        assert client.post(address).status_code in {403, 405}

    def test_it_is_kept_by_nobody_and_told_to_nobody(self, world: World, client: Client) -> None:
        answer = client.get(f"/feeds/{key_of(world)}/timeline.atom")
        assert answer["Referrer-Policy"] == "no-referrer"
        assert answer["Cache-Control"] == "private, no-cache"
        assert key_of(world).encode() not in answer.content


class TestTheAddresses:
    def test_made_shown_renewed_and_ended_on_the_page(self, world: World, browser: Browser) -> None:
        client = browser("alice")
        assert "Make private addresses" in client.get("/timeline/").content.decode()
        page = "/timeline/?model=fraud-detector"
        answer = client.post("/feeds/addresses/", {"action": "renew", "next": page})
        assert answer["Location"] == page
        html = client.get(page).content.decode()
        key = services.feeds.feed_key_of(world.person("alice"))
        assert f"/feeds/{key}/timeline.atom?model=fraud-detector" in html
        assert f"/feeds/{key}/calendar.ics" in html
        assert key not in browser("bob").get(page).content.decode()
        client.post("/feeds/addresses/", {"action": "end", "next": "https://evil.example/"})
        assert key not in client.get(page).content.decode()
        kinds = Event.objects.filter(kind__startswith="feed.").values_list("kind", flat=True)
        assert list(kinds) == ["feed.ended", "feed.begun"]
        assert not Event.objects.filter(data__icontains=key).exists()


class TestLogs:
    PATH = "/feeds/7-abcDEF_123-xyz/timeline.atom?q=x"

    @pytest.fixture(autouse=True)
    def afterwards(self) -> Iterator[None]:
        yield
        configure_logging(json=False, level="ERROR")

    @pytest.mark.parametrize("json", [True, False])
    def test_no_line_of_ours_holds_a_key(self, json: bool) -> None:
        configure_logging(json=json, level="INFO")
        written = io.StringIO()
        handler = logging.getLogger().handlers[0]
        assert isinstance(handler, logging.StreamHandler)
        handler.setStream(written)
        logging.getLogger("django.request").warning("Not Found: %s", self.PATH)
        try:
            raise ValueError(self.PATH)
        except ValueError:
            if json:
                logging.getLogger("any").exception("It failed", extra={"path": self.PATH})
        assert "abcDEF" not in written.getvalue()
        assert "/feeds/…/timeline.atom" in written.getvalue().replace("\\u2026", "…")

    @pytest.mark.parametrize("name", ACCESS_LOGS)
    def test_no_line_of_a_web_server_does(self, name: str) -> None:
        configure_logging(json=True, level="INFO")
        filters = [
            each for each in logging.getLogger(name).filters if isinstance(each, WithoutKeys)
        ]
        assert len(filters) == 1
        given: list[tuple[str, Any]] = [
            ('%s - "%s %s HTTP/%s" %d', ("1.2.3.4", "GET", self.PATH, "1.1", 200)),
            (
                "%(h)s %(r)s %(f)s",
                {"h": "1", "r": f"GET {self.PATH}", "f": f"https://x{self.PATH}"},
            ),
        ]
        for message, values in given:
            entry = logging.LogRecord(
                name, 20, "", 1, message, (values,) if isinstance(values, dict) else values, None
            )
            filters[0].filter(entry)
            assert "abcDEF" not in entry.getMessage() and "/feeds/…/" in entry.getMessage()
