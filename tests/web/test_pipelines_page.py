"""The pipelines page: runs by kind, what they belong to, and how they have been doing."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from approvals.models import WorkflowRun
from approvals.selectors.insights.period import Period
from approvals.selectors.pipelines import how_they_do
from tests.web.conftest import Browser
from tests.world import World

MARCH = Period(date(2026, 3, 1), date(2026, 3, 31), UTC)
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def run(number: int, *, minutes: float = 2, at: datetime | None = None, **more: Any) -> WorkflowRun:
    moment = at or timezone.now() - timedelta(hours=number)
    values: dict[str, Any] = {
        "repository": "acme/ml-models", "run_id": number, "workflow": "ci.yml", "kind": "ci",
        "title": f"Run {number}", "status": "completed", "conclusion": "success", "head_sha": f"{number:040x}",
        "head_branch": "main", "url": f"http://127.0.0.1:9/runs/{number}", "created_at": moment,
        "started_at": moment, "updated_at": moment + timedelta(minutes=minutes),
    }  # fmt: skip
    return WorkflowRun.objects.create(**{**values, **more})


def shown(client: Client, query: str = "") -> list[str]:
    answer = client.get(f"/pipelines/?{query}")
    assert answer.status_code == 200
    return re.findall(
        r'<li class="row" id="run-\d+">.*?>(Run \d+)<', answer.content.decode(), re.DOTALL
    )


def test_flakiness_success_and_duration_as_defined(world: World) -> None:
    same = "a" * 40
    run(1, at=NOON, head_sha=same, conclusion="failure", minutes=50)
    run(2, at=NOON, head_sha=same, minutes=2)  # the same commit passed too: flaky
    run(3, at=NOON, minutes=4)
    run(4, at=NOON, attempt=2, minutes=6)  # only when tried again: flaky
    run(5, at=NOON, attempt=2, conclusion="failure")  # failed twice: not flaky
    run(6, at=NOON, conclusion="cancelled")
    run(7, at=NOON, status="in_progress", conclusion="")
    deploy: dict[str, Any] = {"kind": "deploy", "workflow": "deploy-model.yml", "head_sha": same}
    run(8, at=NOON, **deploy)
    run(9, at=NOON, conclusion="failure", **deploy)  # another deployment of the same commit
    run(10, at=MARCH.end)
    kinds, workflows, more = how_they_do({}, MARCH)
    ci = kinds["ci"]
    assert (ci.runs, ci.success.hits, ci.success.n) == (7, 3, 5)
    assert (ci.times.median, ci.times.n) == (4 * 60, 3)
    assert (ci.flaky, ci.commits) == (2, 4)
    assert (kinds["deploy"].flaky, kinds["deploy"].commits) == (0, 2)
    assert [each.workflow for each in workflows] == ["ci.yml", "deploy-model.yml"] and not more
    assert workflows[0].weeks.keys() == {date(2026, 3, 10)}
    assert how_they_do({"repository": "acme/other"}, MARCH) == ({}, [], False)


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("", [1, 2, 3, 4]),
        ("kind=ci", [1, 2]),
        ("kind=nothing", [1, 2, 3, 4]),
        ("workflow=train.yml", [3]),
        ("branch=feature%2Fx", [2]),
        ("conclusion=failure", [2]),
        ("conclusion=open", [4]),
        ("q=run+3", [3]),
        ("q=" + f"{3:040x}", [3]),
        ("q=mallory", [4]),
        ("repository=acme%2Fother", []),
        ("q=%00", [1, 2, 3, 4]),
    ],
)
def test_filters(world: World, browser: Browser, query: str, numbers: list[int]) -> None:
    run(1)
    run(2, head_branch="feature/x", conclusion="failure")
    run(3, kind="train", workflow="train.yml")
    run(4, kind="deploy", workflow="deploy-model.yml", status="in_progress", actor="mallory")
    WorkflowRun.objects.filter(run_id=4).update(conclusion="")
    assert shown(browser("alice"), query) == [f"Run {number}" for number in numbers]


def test_runs_lead_to_their_versions_and_promotions(world: World, browser: Browser) -> None:
    version, other = world.version(2), world.version(3)
    run(1, head_sha=version.git_commit)
    run(2, title=f"Validate {other.model.registry_name} v3")
    run(3, title=f"Validate my-{other.model.registry_name} v3", head_sha="e" * 40)
    run(4, title="Deploy", kind="deploy", head_sha=version.git_commit)
    run(5, head_sha=version.git_commit, repository="acme/other")
    deployment = world.make_live(version)
    html = browser("alice").get("/pipelines/").content.decode()
    rows = {
        title: row
        for row in re.findall(r'<li class="row" id="run-.*?</li>', html, re.DOTALL)
        for title in re.findall(r'<a href="http[^"]*">([^<]*)</a>', row)
    }
    links = {title: re.findall(r'href="(/[^"]+)"', row) for title, row in rows.items()}
    assert deployment.step is not None
    assert links.pop(f"Deploy [{deployment.step.token}]") == [
        deployment.promotion.get_absolute_url()
    ]
    assert links == {
        "Run 1": [version.get_absolute_url()],
        "Validate fraud-detector v3": [other.get_absolute_url()],
        "Validate my-fraud-detector v3": [],
        "Deploy": [],
        "Run 5": [],
    }


def test_pages_go_on_where_the_last_one_ended(
    world: World, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("approvals.selectors.pipelines.PAGE", 2)
    for number in range(1, 6):
        run(number, at=timezone.now() - timedelta(hours=number // 2))  # some at the same moment
    alice, query, found = browser("alice"), "", []
    while True:
        html = alice.get(f"/pipelines/?{query}").content.decode()
        found += shown(alice, query)
        older = re.search(r'rel="next" href="\?([^"]+)"', html)
        if not older:
            break
        query = older[1].replace("&amp;", "&")
    assert sorted(found) == [f"Run {number}" for number in range(1, 6)]


def test_what_people_wrote_on_github_is_text(world: World, browser: Browser) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    words: dict[str, Any] = dict.fromkeys(["title", "head_branch", "actor", "workflow"], hostile)
    run(1, url="javascript:alert(1)", **words)
    html = browser("alice").get("/pipelines/", {"q": hostile}).content.decode()
    assert hostile not in html and "javascript:" not in html and "&lt;img src=x" in html


def test_queries_do_not_grow(world: World, browser: Browser) -> None:
    alice = browser("alice")

    def count() -> int:
        alice.get("/pipelines/")
        with CaptureQueriesContext(connection) as queries:
            alice.get("/pipelines/")
        return len(queries)

    run(1, head_sha=world.version(1).git_commit)
    world.make_live(world.version(1))
    few = count()
    for number in range(2, 6):
        run(number, head_sha=world.version(number).git_commit)
        world.make_live(world.version(number))
    assert count() == few


def test_a_poll_without_news_touches_nothing(world: World, browser: Browser) -> None:
    run(1)
    alice = browser("alice")
    seen = re.search(r'"seen": "(\w+)"', alice.get("/pipelines/").content.decode())
    assert seen
    headers = {"HX-Request": "true"}
    assert alice.get("/pipelines/", {"seen": seen[1]}, headers=headers).status_code == 204
    run(2)
    assert b"Run 2" in alice.get("/pipelines/", {"seen": seen[1]}, headers=headers).content
