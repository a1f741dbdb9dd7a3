"""The version's page shows what validation elsewhere found out, in a constant number of queries."""

from __future__ import annotations

from django.db import connection
from django.test.utils import CaptureQueriesContext

from approvals import services
from approvals.models import Environment, ModelVersion
from approvals.states import Via
from tests.web.conftest import Browser
from tests.world import World

HOSTILE = "<script>alert(1)</script>"


def report(world: World, version: ModelVersion, verdict: str = "pass", **more: object) -> None:
    services.record_evidence(
        actor=world.person("ci"),
        via=Via.API,
        version_id=version.pk,
        environment_id=more.pop("environment_id", None),  # type: ignore[arg-type]
        name=str(more.pop("name", "load-test")),
        verdict=verdict,
        **more,  # type: ignore[arg-type]
    )


def page(browser: Browser, version: ModelVersion) -> str:
    answer = browser("mallory").get(version.get_absolute_url())
    assert answer.status_code == 200
    return answer.content.decode()


def test_each_result_with_its_numbers_source_and_link(world: World, browser: Browser) -> None:
    version = world.version()
    assert "Nobody has reported any." in page(browser, version)
    report(
        world,
        version,
        numbers={"p95_ms": "212.50"},
        link="https://ci.example/runs/7",
        source="load-test run 7",
        environment_id=Environment.objects.get(name="staging").pk,
    )
    report(world, version, "fail", name="bias-check", source=HOSTILE, numbers={HOSTILE: "1"})
    html = page(browser, version)
    assert '<a href="https://ci.example/runs/7">load-test</a>' in html
    assert "staging · load-test run 7 · reported by CI" in html
    assert "<dt>p95_ms</dt><dd>212.50</dd>" in html
    assert "lucide-circle-x" in html and "<span>Failed</span>" in html
    assert "<strong>bias-check</strong>" in html and "every environment" in html
    assert HOSTILE not in html
    assert "Nobody has reported any." not in html


def test_many_results_take_no_more_queries(world: World, browser: Browser) -> None:
    version = world.version()

    def queries() -> int:
        page(browser, version)
        with CaptureQueriesContext(connection) as captured:
            page(browser, version)
        return len(captured)

    report(world, version)
    few = queries()
    staging = Environment.objects.get(name="staging").pk
    for number in range(5):
        report(world, version, name=f"test-{number}", environment_id=staging)
    assert queries() == few
