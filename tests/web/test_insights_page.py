"""The insights page: its figures lead to exactly the rows that they count."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from approvals.models import ModelVersion, RegisteredModel
from tests.past import Past
from tests.web.conftest import Browser
from tests.world import World

# A link to counted rows and what it says: "The 3 it counts", "all 5", "2 unknown" or "4" in a table.
LINK = re.compile(r'href="(/insights/promotions/\?[^"]*figure=[^"]*)">([^<]*)</a>')


def version(world: World, number: int, model: str = "fraud-detector") -> ModelVersion:
    # Told of once: another moment would make it another version.
    known = ModelVersion.objects.filter(model__name=model, number=number).first()
    moment = timezone.now() - timedelta(days=20)
    return known or world.version(number, model, registered_at=moment)


def page(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def some_past(world: World, versions: int = 3) -> Past:
    past = Past(world)
    start = timezone.now() - timedelta(days=15)
    for number in range(1, versions + 1):
        past.promote(
            version(world, number),
            start + timedelta(days=number),
            conclusion="failure" if number == 2 else "success",
        )
    if versions > 2:
        past.promote(
            version(world, 1), timezone.now() - timedelta(days=5), rollback=True, actor="dave"
        )
    return past


def test_each_figure_leads_to_exactly_what_it_counts(world: World, browser: Browser) -> None:
    some_past(world)
    alice = browser("alice")
    seen = set()
    for address, text in LINK.findall(page(alice, "/insights/?team=&environment=*")):
        number = 1 if "The one" in text else int("".join(re.findall(r"\d+", text)[:1]))
        html = page(alice, unescape(address))
        assert html.count('<li class="row') == number, address
        seen.add(re.findall(r"figure=(\w+)", address)[0])
    assert {
        "frequency",
        "lead_time",
        "change_failure",
        "restore",
        "approval",
        "queue",
        "team",
    } <= seen


def test_nothing_yet_is_said_in_words(world: World, browser: Browser) -> None:
    html = page(browser("alice"), "/insights/")
    assert "Nothing to measure yet" in html and "figure-value" not in html and "0 %" not in html
    assert "Nothing to measure here" in page(browser("alice"), "/insights/?model=no-such")
    assert "No workflow run yet" in page(browser("alice"), "/pipelines/")


def test_few_rows_give_no_percentage_and_no_verdict(world: World, browser: Browser) -> None:
    some_past(world)
    html = page(browser("alice"), "/insights/")
    assert "so few say little" in html
    assert not re.search(r"\d %", html.partition("Medians and 90th")[0])
    assert 'class="verdict ' not in html


def test_the_last_environment_is_meant_unless_said(world: World, browser: Browser) -> None:
    Past(world).promote(
        version(world, 1), timezone.now() - timedelta(days=3), environment="staging"
    )
    alice = browser("alice")
    assert "In production" in page(alice, "/insights/")
    assert page(alice, "/insights/promotions/?figure=frequency").count('<li class="row') == 0
    for address in ("?environment=*", "?environment=staging"):
        html = page(alice, f"/insights/promotions/{address}&figure=frequency")
        assert html.count('<li class="row') == 1
    long_ago = "environment=*&since=2020-01-01&until=2020-02-01"
    html = page(alice, f"/insights/promotions/?figure=frequency&{long_ago}")
    assert html.count('<li class="row') == 0


@pytest.mark.parametrize(
    "address",
    ["?model=%00", "?since=9999-99-99", "?days=-1", "?by=nothing", "?team=no-such", "?environment=x",
     "promotions/?figure=lead_time&before=x~y", "promotions/?figure=lead_time&part=x",
     "promotions/?figure=team&approvers=%00%27", "promotions/?figure=lead_time&before=2026-01-01~1"],
)  # fmt: skip
def test_strange_addresses_are_pages_all_the_same(
    world: World, browser: Browser, address: str
) -> None:
    page(browser("alice"), f"/insights/{address}")


def test_no_such_figure(world: World, browser: Browser) -> None:
    assert browser("alice").get("/insights/promotions/?figure=x").status_code == 404


def test_names_are_text(world: World, browser: Browser) -> None:
    some_past(world, 1)
    hostile = '"><script>alert(1)</script>'
    RegisteredModel.objects.filter(name="fraud-detector").update(name=hostile, group=hostile)
    for by in ("model", "group"):
        html = page(browser("alice"), f"/insights/?by={by}")
        assert hostile not in html and "&lt;script&gt;alert(1)" in html
    assert hostile not in page(browser("alice"), "/insights/promotions/?figure=frequency")


def test_pages_of_the_list_show_each_row_once(
    world: World, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("approvals.selectors.insights.counted.PAGE", 2)
    some_past(world)
    found: list[str] = []
    address = "/insights/promotions/?figure=queue"
    while address:
        html = page(browser("alice"), address)
        found += re.findall(r'<span class="row-main">\s*<a href="(/promotions/\d+/)"', html)
        older = re.search(r'rel="next" href="([^"]+)"', html)
        address = f"/insights/promotions/{unescape(older[1])}" if older else ""
    assert len(found) == len(set(found)) == 4


def test_queries_do_not_grow(world: World, browser: Browser) -> None:
    alice = browser("alice")

    def count(address: str) -> int:
        page(alice, address)
        with CaptureQueriesContext(connection) as queries:
            page(alice, address)
        return len(queries)

    some_past(world, 1)
    addresses = ("/insights/", "/insights/promotions/?figure=lead_time")
    few = [count(address) for address in addresses]
    past = Past(world)
    for number in range(2, 6):
        past.promote(version(world, number), timezone.now() - timedelta(days=9 - number))
    assert [count(address) for address in addresses] == few
