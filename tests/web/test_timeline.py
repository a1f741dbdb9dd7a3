"""The timeline's page: what is found by which address, where a page begins and ends, what it costs."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from approvals import services
from approvals.audit import verify_history
from approvals.models import Event, EventEntry
from approvals.narrative import KINDS
from approvals.selectors import timeline as selector
from approvals.selectors.filters import GROUPS
from approvals.services.history import record
from approvals.states import Via
from tests.web.conftest import Browser
from tests.world import World

NOW = datetime(2026, 11, 20, 14, 5, tzinfo=UTC)


def tell(kind: str, **more: Any) -> Event:
    with transaction.atomic():
        return record(kind, **{"via": Via.SYSTEM, **more})


def shown(client: Client, query: str = "", **headers: str) -> list[int]:
    response = client.get(f"/timeline/{query}", headers=headers)
    assert response.status_code == 200
    return [int(each) for each in re.findall(r'id="event-(\d+)"', response.content.decode())]


@pytest.fixture
def reader(browser: Browser) -> Client:
    return browser("mallory")


def test_every_event_has_its_entry_with_a_topic_that_can_be_asked_for(world: World) -> None:
    for kind in KINDS:
        tell(kind)
    assert verify_history().hidden == 0
    topics = set(EventEntry.objects.values_list("topic", flat=True))
    assert topics <= set(GROUPS) and len(topics) == 7
    assert EventEntry.objects.get(event__kind="signal.noted").topic == "small"
    connection.cursor().execute("DELETE FROM approvals_evententry WHERE topic = 'small'")
    assert verify_history().hidden == 2, "an event that nobody would find is not hidden unseen"


def test_each_filter_finds_what_it_says_and_nothing_else(world: World, reader: Client) -> None:
    target, staging = world.target(), world.target("staging", "churn-predictor")
    bob = world.person("bob")
    old = tell("target.locked", target=target, actor=bob, now=NOW, reason="Ticket OPS-4711: drift")
    other = tell("target.locked", target=staging, now=NOW + timedelta(days=2), reason="Étude “x”")
    about = tell("version.quarantined", model="fraud-detector", version=3, reason="bad", now=NOW)
    frozen = tell("environment.frozen", environment="staging", until="x", reason="y", now=NOW)
    small = tell("signal.noted", target=target, signal="drift", value="1", now=NOW)
    for query, found in {
        "?model=fraud-detector&kind=restrictions": {old, about},
        "?environment=staging": {other, frozen},
        "?person=bob": {old},
        "?person=Bob+Brandt": {old},
        "?person=bob&environment=staging": set(),
        "?since=2026-11-21": {other},
        "?until=2026-11-20&q=drift": {old},
        "?until=2026-11-20&q=drift&kind=all": {old, small},
        "?kind=small&model=fraud-detector": {small},
        "?q=ops-47": {old},
        "?q=étude": {other},
        "?q=quarantined+v3": {about},
        "?q=bob+lock": {old},
        "?q=nothing+like+this": set(),
        "?q=%27%3A*%26%7C!": set(),
        "?model=unheard-of": set(),
        "?kind=no": set(),
        "?since=tomorrow": set(),
        "?until=9999-12-31&q=drift": {old},
    }.items():
        events = set(shown(reader, query)) & {e.pk for e in (old, other, about, frozen, small)}
        assert events == {each.pk for each in found}, query
    assert "There is no model called “unheard-of”" in reader.get(
        "/timeline/?model=unheard-of"
    ).content.decode().replace("&#x27;", "'")


def test_rollbacks_and_broken_glass_are_found_and_marked(world: World, reader: Client) -> None:
    world.make_live(world.version(1))
    world.make_live(world.version(2))
    promotion = services.request_rollback(
        actor=world.person("dave"),
        via=Via.BROWSER,
        target_id=world.target().pk,
        version_id=world.version(1).pk,
        reason="Complaints doubled.",
    )
    assert not shown(reader, "?kind=overrides")
    ids = set(shown(reader, "?kind=rollbacks"))
    assert ids == set(Event.objects.filter(promotion=promotion).values_list("pk", flat=True))
    html = reader.get("/timeline/?kind=rollbacks").content.decode()
    assert "Rollback</span>" in html and "entry-rollback" in html
    assert ids <= set(shown(reader, "?q=rollback"))


def test_days_are_those_of_the_readers_clock(world: World, reader: Client) -> None:
    event = tell("target.locked", target=world.target(), now=NOW.replace(hour=23, minute=30))
    with timezone.override("Europe/Amsterdam"):  # half past midnight there
        page = selector.page_of_history(
            {"kind": "restrictions", "since": "2026-11-21", "until": "2026-11-21"}
        )
        assert [day.isoformat() for day, _ in page.days] == ["2026-11-21"]
    assert [each.pk for each in page.days[0][1]] == [event.pk]
    assert "Friday 20 November 2026" in reader.get("/timeline/?until=2026-11-20").content.decode()


def test_pages_join_without_a_gap_while_events_come(world: World, reader: Client) -> None:
    # Not in the order of their ids: time is what people read by.
    target = world.target()
    for number in range(120):
        tell("target.locked", target=target, now=NOW - timedelta(minutes=number * 7 % 120))
    query = "?kind=restrictions"
    seen, page = shown(reader, query), query
    for _ in range(5):
        html = reader.get(f"/timeline/{page}").content.decode()
        older = re.search(r'rel="next" href="(\?before=\d+)&amp;kind=restrictions"', html)
        if older is None:
            break
        tell("target.locked", target=target, now=NOW + timedelta(days=1))
        page = f"{older[1]}&kind=restrictions"
        seen += shown(reader, page)
    times = [Event.objects.get(pk=each).at for each in seen]
    assert len(seen) == len(set(seen)) == 120
    assert times == sorted(times, reverse=True)
    newer = shown(reader, f"?after={seen[100]}&kind=restrictions")
    assert newer == seen[50:100]


def test_an_event_is_shown_in_its_place_and_opened(world: World, reader: Client) -> None:
    events = [tell("signal.noted", target=world.target(), now=NOW) for _ in range(90)]
    picked = events[45]
    html = reader.get(f"/timeline/?event={picked.pk}").content.decode()
    ids = [int(each) for each in re.findall(r'id="event-(\d+)"', html)]
    assert ids.index(picked.pk) == selector.AROUND and ids[0] == events[45 + selector.AROUND].pk
    assert html.count(" open>") == 1 and picked.hash in html and picked.previous_hash in html
    assert shown(reader, "?event=999999999999") == shown(reader, f"?event={events[-1].pk}")


def test_the_newest_page_is_told_what_is_new_and_keeps_its_place(
    world: World, reader: Client
) -> None:
    tell("target.locked", target=world.target(), reason="one")
    html = reader.get("/timeline/?model=fraud-detector").content.decode()
    polled = re.search(r'hx-get="([^"]*top=\d+)"', html)
    assert polled
    address = polled[1].replace("&amp;", "&")
    assert "new event" not in reader.get(address, headers={"HX-Request": "true"}).content.decode()
    tell("target.locked", target=world.target("staging", "churn-predictor"))
    tell("target.locked", target=world.target())
    tell("signal.noted", target=world.target())
    said = reader.get(address, headers={"HX-Request": "true"}).content.decode()
    assert "1 new event · show" in said and 'id="event-' not in said
    assert 'id="pulse"' not in reader.get("/timeline/?before=1").content.decode()


def test_common_and_rare_words_give_the_same_as_looking_at_everything(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(60):
        words = "common" + (" rare" if number < 3 else "")
        tell("target.locked", target=world.target(), reason=words, now=NOW + timedelta(number))
    for looked in (1, 10, 3000):
        monkeypatch.setattr(selector, "LOOKED_THROUGH", looked)
        assert selector.page_of_history({"q": "rare"}).count == 3
        assert selector.page_of_history({"q": "common"}).count == 50
        assert selector.page_of_history({"q": "common rare", "model": "churn-predictor"}).count == 0


def test_nothing_that_is_written_keeps_an_event_from_being_written(world: World) -> None:
    for text in ("x" * 300_000, "a " * 200_000, "\\", "' & | ! :* <->", "💥" * 5000, ""):
        tell("target.locked", target=world.target(), reason=text, more=[{"deep": [text]}])
    assert verify_history().hidden == 0


def test_the_page_takes_as_many_queries_for_one_event_as_for_many(
    world: World, reader: Client
) -> None:
    def queries(query: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert reader.get(f"/timeline/{query}").status_code == 200
        return len(captured)

    pages = ["", "?model=fraud-detector&environment=production&person=alice&q=went", "?before=99"]
    world.make_live(world.version(1))
    reader.get("/timeline/")
    few = [queries(page) for page in pages]
    for number in range(2, 8):
        world.make_live(world.version(number))
    many = [queries(page) for page in pages]
    assert many == few
    assert max(many) <= 20, many
