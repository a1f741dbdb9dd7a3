"""Search: what a text finds, for whom, and at what price."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from approvals.models import ModelVersion, RegisteredModel, WorkflowRun
from approvals.selectors.searching import find_everything
from approvals.web.places import PLACES
from tests.web.conftest import Browser
from tests.world import World


def titles(html: str) -> list[str]:
    return re.findall(r'class="hit-title">([^<]*)<', html)


def search(browser: Browser, q: str, who: str = "bob", **more: str) -> str:
    answer = browser(who).get(reverse("search"), {"q": q, **more})
    assert answer.status_code == 200 and answer["Cache-Control"] == "no-store"
    return answer.content.decode()


def test_what_a_text_finds(world: World, browser: Browser) -> None:
    world.version(1)
    four = world.version(4, git_commit="abcdef0123456789")
    promotion = world.request(four)
    WorkflowRun.objects.create(
        repository="acme/ml-models", run_id=9_876_543_210, number=42, workflow="train.yml",
        kind="train", title="Nightly training", status="completed", conclusion="success",
        created_at=promotion.requested_at, updated_at=promotion.requested_at,
        url="https://github.com/acme/ml-models/actions/runs/9876543210",
    )  # fmt: skip
    asked = f"#{promotion.pk} fraud-detector v4 to production"
    for text, expected in {
        "fraud v4": "fraud-detector v4",
        "FRAUD-detector 4": "fraud-detector v4",
        "fraud-detector": "fraud-detector",
        "abcdef012": "fraud-detector v4",
        f"#{promotion.pk}": asked,
        f"promotion {promotion.pk}": asked,
        promotion.token: asked,
        promotion.token[:8]: asked,
        "carol": "Carol Chen",
        "chen car": "Carol Chen",
        "run 42": "Nightly training #42",
        "9876543210": "Nightly training #42",
        "inb": "Inbox",
        "dark": "Theme, time zone and keys",
    }.items():
        assert expected in titles(search(browser, text)), text
    assert titles(search(browser, "fraud v4"))[0] == "fraud-detector v4", (
        "the version, then its model"
    )
    assert "fraud-detector v1" not in titles(search(browser, "fraud v4"))
    assert "Nothing is called so" in search(browser, "no such thing")
    assert titles(search(browser, "")) == [each.title for each in PLACES if each.key]


def test_only_what_one_may_do_is_offered(world: World, browser: Browser) -> None:
    world.make_live(world.version(1))
    world.make_live(world.version(2))
    assert "Freeze production" in titles(search(browser, "freeze prod"))
    assert "Freeze production" in titles(search(browser, "fre"))
    assert "Roll back fraud-detector in production" in titles(
        search(browser, "roll back fraud", "alice")
    )
    for text in ("freeze production", "roll back fraud in production"):
        offered = titles(search(browser, text, "mallory"))
        assert not [each for each in offered if each.startswith(("Freeze p", "Roll back "))]
    assert "Administration" not in titles(search(browser, "administration"))


NASTY = [
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "'; DROP TABLE x;--", "%", "_", "\\",
    "#", "v", "cs-", "run", "0", "9" * 300, "2147483648", "v9999999999", "fraud v999999999", "{{ 7|add:7 }}",
    "a\x00b", "\u202egnp.exe", "(" * 200, "roll back  in ", "freeze %", " in ", "١٢٣",
]  # fmt: skip


@pytest.mark.parametrize("text", NASTY)
def test_whatever_is_typed_is_text(world: World, browser: Browser, text: str) -> None:
    for part in ("", "palette"):
        html = search(browser, text, part=part)
        assert "<script>alert" not in html and "<img src=x" not in html
        assert text == "a\x00b" or "\x00" not in html
    assert RegisteredModel.objects.exists()


def test_the_palettes_answer_is_a_list_of_options(world: World, browser: Browser) -> None:
    RegisteredModel.objects.filter(name="fraud-detector").update(description="<b>bold</b> & co")
    html = search(browser, "fraud", part="palette")
    assert "<html" not in html and "&lt;b&gt;bold" in html and "<b>" not in html
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids)) and html.count('role="option"') == len(titles(html))


def test_constant_queries_by_indexes(world: World) -> None:
    bob = world.person("bob")
    world.make_live(world.version(1))

    def cost(text: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            find_everything(bob, text)
        return len(queries)

    texts = ["fraud v1", "fraud", "1", "carol", "roll back fraud", "freeze", "abcdef0"]
    few = [cost(text) for text in texts]
    version = ModelVersion.objects.get()
    rows = []
    for number in range(2, 3000):
        rows.append(
            ModelVersion(**{**_plain(version), "number": number, "git_commit": f"{number:040x}"})
        )
    ModelVersion.objects.bulk_create(rows)
    WorkflowRun.objects.bulk_create(
        WorkflowRun(repository="acme/ml-models", run_id=number, number=number, workflow="ci.yml", kind="ci",
                    status="completed", created_at=version.registered_at, updated_at=version.registered_at)
        for number in range(5000, 9000)
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE approvals_workflowrun, approvals_modelversion")
    assert [cost(text) for text in texts] == few and max(few) <= 12
    with CaptureQueriesContext(connection) as queries:
        found = find_everything(bob, "run 7000")
    assert [run.number for run in found.runs] == [7000]
    [sql] = [each["sql"] for each in queries if 'FROM "approvals_workflowrun"' in each["sql"]]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {sql}")
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "Seq Scan on approvals_workflowrun" not in plan and "run_by_number" in plan, plan


def _plain(version: ModelVersion) -> dict[str, object]:
    fields = {field.attname for field in ModelVersion._meta.concrete_fields} - {"id"}
    return {name: getattr(version, name) for name in fields}
