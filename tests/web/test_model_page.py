"""The page of a model and of a version: what was live when, versions page by page, runs, policy, monitoring."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from approvals import services
from approvals.models import (
    Event,
    ModelVersion,
    RegisteredModel,
    Signal,
    Target,
    WorkflowRun,
)
from approvals.selectors.versions import PAGE
from approvals.states import Via
from tests.approvals.test_lanes import went_live
from tests.web.conftest import Browser
from tests.world import World

MODEL = "/models/fraud-detector/"
HOSTILE = '"><img src=x onerror=alert(1)>'


def text_of(client: Client, address: str, **headers: str) -> str:
    answer = client.get(address, headers=headers)
    assert answer.status_code == 200, address
    return answer.content.decode()


def queries(client: Client, address: str) -> int:
    text_of(client, address)
    with CaptureQueriesContext(connection) as captured:
        text_of(client, address)
    return len(captured)


def many_versions(world: World, count: int) -> None:
    """Copies of one version, made without the verbs."""
    one = world.version(1)
    fields = {
        each.attname: getattr(one, each.attname)
        for each in ModelVersion._meta.concrete_fields
        if each.attname not in {"id", "number"}
    }
    ModelVersion.objects.bulk_create(
        ModelVersion(**{**fields, "number": number, "metrics": {"accuracy": f"0.{number:04d}"}})
        for number in range(2, count + 2)
    )


def test_the_page_costs_the_same_for_a_long_past(world: World, browser: Browser) -> None:
    client = browser("alice")
    target = world.target()
    target.signals = [{"signal": "error_rate", "above": "0.05"}]
    target.save()
    world.make_live(world.version(1))
    pages = [
        MODEL,
        f"{MODEL}versions/1/",
        f"{MODEL}compare/?v=1&v=2",
        reverse("lanes"),
    ]
    many_versions(world, 3)
    few = [queries(client, each) for each in pages]
    ModelVersion.objects.filter(number__in=(2, 3)).delete()
    ModelVersion.objects.filter(number__gt=3).delete()
    many_versions(world, 120)
    versions = list(ModelVersion.objects.order_by("number"))
    now = timezone.now()
    for number in range(60):
        at = now - timedelta(hours=7 * number + 1)
        went_live(world, target, versions[-1 - number % 5], at)
        Signal.objects.create(
            target=target,
            name="error_rate",
            value="0.01",
            observed_at=at,
            received_at=at,
            via=Via.API,
        )
        _run(number, at, f"Validate fraud-detector v{number}")
    assert [queries(client, each) for each in pages] == few
    assert len(text_of(client, MODEL)) < 250_000


def _run(
    number: int, at: datetime, title: str, conclusion: str = "success", seconds: int = 60
) -> None:
    WorkflowRun.objects.create(
        repository="acme/ml-models",
        run_id=5000 + number,
        workflow="validate.yml",
        kind="validate",
        title=title,
        status="completed",
        conclusion=conclusion,
        created_at=at,
        started_at=at,
        updated_at=at + timedelta(seconds=seconds),
    )


def test_versions_come_page_by_page(world: World, browser: Browser) -> None:
    client = browser("alice")
    many_versions(world, PAGE + 4)
    first = text_of(client, MODEL)
    numbers = [int(each) for each in re.findall(r'name="v" value="(\d+)"', first)]
    assert numbers == list(range(PAGE + 5, 5, -1))
    [older] = re.findall(r'href="([^"]+before=\d+)"', first)
    second = text_of(client, older)
    assert re.findall(r'name="v" value="(\d+)"', second) == ["5", "4", "3", "2", "1"]
    assert 'rel="next"' not in second
    for odd in ("x", "999999", "99999999999999999999"):
        assert f'value="{PAGE + 5}"' in text_of(client, f"{MODEL}?before={odd}")


def test_the_best_and_the_change_against_live(world: World, browser: Browser) -> None:
    world.make_live(world.version(1, metrics={"accuracy": "0.90"}))
    world.version(2, metrics={"accuracy": "0.95"})
    world.version(3, metrics={"accuracy": "0.85"})
    html = text_of(browser("alice"), MODEL)
    assert len(re.findall(r"<strong>0\.95</strong>", html)) == 1
    assert "+0.05" in html and "−0.05" in html
    assert "changes against v1" in html


def test_where_it_was_live_and_what_is_known_of_it(world: World, browser: Browser) -> None:
    one, two = world.version(1), world.version(2)
    world.make_live(one)
    world.make_live(two)
    services.quarantine(
        actor=world.person("bob"), via=Via.BROWSER, version_id=one.pk, reason=f"Leaks {HOSTILE}"
    )
    services.mark(
        actor=world.person("bob"),
        via=Via.BROWSER,
        target_id=world.target().pk,
        version_id=two.pk,
        kind="good",
        reason="No complaint in a week",
    )
    html = text_of(browser("alice"), MODEL)
    assert "Good in production" in html and "Bob Brandt: No complaint in a week" in html
    assert "Quarantined" in html and "Leaks &quot;&gt;&lt;img" in html and HOSTILE not in html
    row = html[html.index(">v1</a></th>") :]
    assert "was live in" in row[: row.index("</tr>")]
    page = text_of(browser("alice"), two.get_absolute_url())
    assert "to now" in page and f'href="{MODEL}versions/1/' in page


def test_the_chart_links_each_bar_to_its_promotion(world: World, browser: Browser) -> None:
    deployment = world.make_live(world.version(1))
    html = text_of(browser("alice"), MODEL)
    assert f'<a class="lane-bar" href="{deployment.promotion.get_absolute_url()}"' in html
    assert 'aria-label="fraud-detector v1 is live in production since' in html
    assert "approved by Bob Brandt and Carol Chen" in html
    assert "As a table" in html


def test_the_lane_view_filters_and_reads_off_a_moment(world: World, browser: Browser) -> None:
    client = browser("alice")
    target = world.target()
    went_live(
        world, target, world.version(1), datetime(2026, 11, 10, 9, tzinfo=UTC), reason=HOSTILE
    )
    went_live(world, target, world.version(2), datetime(2026, 11, 17, 14, tzinfo=UTC))
    page = reverse("lanes")
    html = text_of(client, f"{page}?at=2026-11-17T13:05&since=2026-11-16&until=2026-11-18")
    then = html[html.index('class="lane-then"') :][:20_000]
    assert ">v1<" in then and "lane-mark" in html
    assert f"{reverse('overview')}?at=2026-11-17T13%3A05%2B00%3A00" in html
    assert HOSTILE not in html
    only = text_of(client, f"{page}?model=churn-predictor&environment=production")
    assert "fraud-detector v" not in only and "nothing was live" in only
    RegisteredModel.objects.filter(name="fraud-detector").update(group="Risk")
    group = text_of(client, f"{page}?group=Risk")
    assert "churn-predictor in" not in group and "fraud-detector in production" in group
    assert "No target matches" in text_of(client, f"{page}?model=nothing")


def test_odd_periods_are_told_and_harmless(world: World, browser: Browser) -> None:
    client = browser("alice")
    page = reverse("lanes")
    for odd in ("since=yesterday", "until=2026-13-45", "at=99999-01-01T00:00", "since=0001-01-01"):
        assert "is no day such as" in text_of(client, f"{page}?{odd}"), odd
    assert "ends before it begins" in text_of(client, f"{page}?since=2026-11-20&until=2026-11-01")
    for odd in (
        "since=all",
        "after=99999",
        "after=x",
        "since=2026-11-20T10:00%2B01:00",
        "model=%00",
    ):
        text_of(client, f"{page}?{odd}")


def test_more_targets_than_a_page_are_linked(world: World, browser: Browser) -> None:
    environment = world.target().environment
    models = RegisteredModel.objects.bulk_create(
        RegisteredModel(name=f"m-{number:03d}", registry_name=f"m-{number:03d}", repository="a/b")
        for number in range(40)
    )
    Target.objects.bulk_create(
        Target(model=each, environment=environment, workflow="d.yml", ref="main") for each in models
    )
    client = browser("alice")
    address: str | None = reverse("lanes")
    seen: list[str] = []
    while address:
        html = text_of(client, address)
        here = re.findall(r'class="lane-drawing" [^>]*role="group" aria-label="([^,]+), ', html)
        assert len(here) <= 30
        seen += here
        link = re.search(r'rel="next" href="(\?after=\d+)">More', html)
        address = f"{reverse('lanes')}{link[1]}" if link else None
    assert len(seen) == len(set(seen)) == Target.objects.count()


def test_runs_with_their_share_and_duration(world: World, browser: Browser) -> None:
    world.version(1)
    now = timezone.now()
    for number, (conclusion, seconds) in enumerate(
        (("success", 60), ("success", 80), ("failure", 100), ("success", 95))
    ):
        _run(number, now - timedelta(hours=number), "CI fraud-detector", conclusion, seconds)
    html = text_of(browser("alice"), MODEL)
    assert "<dd>75 %</dd>" in html and "3 of the last 4" in html
    assert "<dd>1 min 28 s</dd>" in html and "1 min 40 s" in html


def test_signal_rules_and_their_newest_reading(world: World, browser: Browser) -> None:
    target = world.target()
    target.signals = [{"signal": "error_rate", "above": "0.05", "then": "roll_back"}]
    target.save()
    now = timezone.now()
    for number, value in enumerate(("0.09", "0.01")):
        Signal.objects.create(
            target=target,
            name="error_rate",
            value=value,
            observed_at=now - timedelta(minutes=number),
            received_at=now,
            source=HOSTILE,
            via=Via.API,
        )
    html = text_of(browser("alice"), MODEL)
    assert "error_rate above 0.05" in html and "it is rolled back" in html
    assert "0.09" in html and "out of bounds" in html and HOSTILE not in html
    Target.objects.update(signals=[{"nonsense": 1}])
    assert "cannot be read" in text_of(browser("alice"), MODEL)


def test_a_poll_gets_nothing_until_something_changes(world: World, browser: Browser) -> None:
    client = browser("bob")
    version = world.version(1)
    for page in (MODEL, version.get_absolute_url()):
        html = text_of(client, page)
        seen = re.search(r'"seen": "(\w+)"', html)
        assert seen
        again = client.get(page, {"seen": seen[1]}, headers={"HX-Request": "true"})
        assert again.status_code == 204, page
    world.make_live(version)
    changed = text_of(client, MODEL, **{"HX-Request": "true"})
    assert 'data-live-version="1"' in changed
    # What somebody may be typing into is no part of what is exchanged.
    assert "<textarea" not in changed
    events = Event.objects.count()
    assert "<textarea" not in text_of(client, version.get_absolute_url(), **{"HX-Request": "true"})
    assert Event.objects.count() == events


def test_the_way_to_the_neighbours(world: World, browser: Browser) -> None:
    versions: list[Any] = [world.version(number) for number in (1, 2, 5)]
    html = text_of(browser("alice"), versions[1].get_absolute_url())
    assert 'rel="prev" href="/models/fraud-detector/versions/1/' in html
    assert 'rel="next" href="/models/fraud-detector/versions/5/' in html
    assert 'rel="next"' not in text_of(browser("alice"), versions[2].get_absolute_url())
