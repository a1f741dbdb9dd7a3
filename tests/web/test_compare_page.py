"""Versions side by side."""

from __future__ import annotations

import re

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from approvals.models import ModelVersion
from approvals.selectors.side_by_side import chosen_versions, side_by_side
from tests.web.conftest import Browser
from tests.world import World

PAGE = "/models/fraud-detector/compare/"
HOSTILE = "<script>alert(1)</script>{{ 7|add:7 }}"


def text_of(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200, address
    return answer.content.decode()


def test_best_and_worst_by_the_configured_direction(world: World) -> None:
    for number, (accuracy, loss) in enumerate(
        (("0.90", "0.3"), ("0.95", "0.1"), ("0.92", "0.5")), 1
    ):
        world.version(number, metrics={"accuracy": accuracy, "log_loss": loss, "odd": str(number)})
    model = ModelVersion.objects.earliest("number").model
    versions = chosen_versions(model, [1, 2, 3])
    shown = side_by_side(versions, versions[0])
    lines = {each.name: each for each in shown.metrics}
    assert [each.standing for each in lines["accuracy"].figures] == ["worst", "best", ""]
    assert [each.standing for each in lines["log_loss"].figures] == ["", "best", "worst"]
    assert [each.standing for each in lines["odd"].figures] == ["", "", ""]  # nobody said
    assert [each.row.verdict for each in lines["log_loss"].figures] == ["same", "better", "worse"]
    assert [each.at for each in lines["accuracy"].figures] == [4.0, 96.0, 40.8]
    assert next(iter(lines)) == "accuracy"


def test_what_is_shared_or_missing_is_nobodys(world: World) -> None:
    world.version(1, metrics={"accuracy": "0.9", "auc": "nan"})
    world.version(2, metrics={"accuracy": "0.9", "auc": "0.8"})
    model = ModelVersion.objects.earliest("number").model
    versions = chosen_versions(model, [2, 1, 2, 77])
    assert [each.number for each in versions] == [1, 2]
    lines = {each.name: each for each in side_by_side(versions, versions[0]).metrics}
    assert lines["accuracy"].is_same and not lines["accuracy"].has_plot
    assert [each.standing for each in lines["auc"].figures] == ["", ""]
    assert not lines["auc"].has_plot and lines["auc"].figures[0].row.candidate == "–"


def test_differences_come_first_and_equal_ones_are_folded(world: World, browser: Browser) -> None:
    for number in (1, 2):
        world.version(
            number,
            parameters={"depth": "6", "trees": str(number), "zeta": HOSTILE},
            datasets=[{"name": "payments", "digest": f"d{number}", "context": "training"}],
            signature={"inputs": [{"name": "age", "type": ["long", "double"][number - 1]}]},
        )
    html = text_of(browser("mallory"), f"{PAGE}?v=2&v=1")
    assert "v1 and v2 of fraud-detector" in re.sub(r"<[^>]+>", "", html)
    assert html.index(">trees<") < html.index("2 parameters are the same") < html.index(">depth<")
    assert "payments (training)" in html
    assert HOSTILE not in html and "{{ 7|add:7 }}" in html


def test_many_metrics_parameters_and_versions(world: World, browser: Browser) -> None:
    client = browser("alice")

    def queries(address: str) -> int:
        text_of(client, address)
        with CaptureQueriesContext(connection) as captured:
            text_of(client, address)
        return len(captured)

    for number in range(1, 8):
        world.version(
            number,
            metrics={f"{HOSTILE}{each}": str(number + each) for each in range(60)},
            parameters={f"p{each}{HOSTILE}": str(number * each) for each in range(200)},
        )
    html = text_of(client, f"{PAGE}?v=1,2,3,4,5,6,7")
    assert "7 is left out" in re.sub(r"\s+", " ", html)
    assert html.count("<figure") == 60 and HOSTILE not in html
    assert "more metrics" in html
    assert len(html) < 700_000
    # One more for each version's commits.
    assert queries(f"{PAGE}?v=1&v=2&v=3&v=4") == queries(f"{PAGE}?v=1&v=2") + 2


def test_what_cannot_be_compared_says_what_to_do(world: World, browser: Browser) -> None:
    client = browser("alice")
    world.version(1)
    for query in ("", "?v=1", "?v=1&v=1", "?v=x&v=99999999999999", "?v=-1,,,&v=%00"):
        html = text_of(client, f"{PAGE}{query}")
        assert "Two versions make a comparison" in html, query
    assert "has no version 9" in text_of(client, f"{PAGE}?v=1&v=9")
    assert client.get("/models/nothing/compare/?v=1").status_code == 404


def test_changes_count_from_the_version_that_is_chosen(world: World, browser: Browser) -> None:
    world.version(1, metrics={"accuracy": "0.90"})
    world.version(2, metrics={"accuracy": "0.95"})
    client = browser("alice")
    assert "+0.05" in text_of(client, f"{PAGE}?v=1&v=2")
    turned = text_of(client, f"{PAGE}?v=1&v=2&base=2")
    assert "−0.05" in turned and "+0.05" not in turned
