"""The overview: what its cells say, its filters, pages and links, in a constant number of queries."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from approvals import services
from approvals.models import (
    Deployment,
    Environment,
    ModelVersion,
    Promotion,
    RegisteredModel,
    Target,
)
from approvals.services.history import record
from approvals.states import Via
from tests.web.conftest import Browser
from tests.world import World


def page(browser: Browser, query: str = "", who: str = "bob", status: int = 200) -> str:
    answer = browser(who).get(f"/{query}")
    assert answer.status_code == status, query
    return str(answer.content.decode())


def cell(html: str, model: str = "fraud-detector", environment: str = "production") -> str:
    found = re.search(
        rf'<td[^>]*data-model="{model}" data-environment="{environment}".*?</td>', html, re.S
    )
    assert found, (model, environment)
    return " ".join(re.sub(r"<[^>]*>", " ", found[0]).split())


def shown(html: str) -> list[str]:
    return list(dict.fromkeys(re.findall(r'<td[^>]*data-model="([^"]*)"', html)))


def many(world: World, count: int, group: str = "") -> None:
    """So many models more, with 20 versions and one thing live and one thing pending each."""
    template, alice = world.target(), world.person("alice")
    now = timezone.now()
    for index in range(count):
        name = f"model-{index:03}"
        model = RegisteredModel.objects.create(
            name=name, registry_name=name, metrics=[["auc", "higher"]], group=group
        )
        versions = ModelVersion.objects.bulk_create(
            ModelVersion(model=model, number=number, registered_at=now - timedelta(days=30), updated_at=now,
                         status="READY", metrics={"auc": f"0.{700 + number}"}, source=name)
            for number in range(1, 21)
        )  # fmt: skip
        for environment in Environment.objects.all():
            target = Target.objects.create(
                model=model, environment=environment, workflow="w.yml", ref="main", policy=template.policy
            )  # fmt: skip
            asked: dict[str, Any] = {
                "target": target, "kind": "promote", "requester": alice, "via": Via.BROWSER,
                "requested_at": now - timedelta(days=2), "expires_at": now + timedelta(days=2),
                "policy": target.policy,
            }  # fmt: skip
            done = Promotion.objects.create(
                version=versions[18], status="approved", seal="a" * 64, decided_at=now - timedelta(days=1), **asked
            )  # fmt: skip
            live = Deployment.objects.create(
                promotion=done, target=target, version=versions[18], status="succeeded",
                created_at=now - timedelta(days=1), finished_at=now - timedelta(days=1),
            )  # fmt: skip
            target.live_deployment, target.live_version = live, versions[18]
            target.live_since = live.finished_at
            target.save()
            Promotion.objects.create(version=versions[19], **asked)


def test_a_cell_says_what_is_live_by_whom_and_what_waits_for_me(
    world: World, browser: Browser
) -> None:
    world.make_live(world.version(1, metrics={"accuracy": "0.90"}))
    world.version(2, metrics={"accuracy": "0.92"})
    html = page(browser)
    text = cell(html)
    assert "v1 Live" in text and "accuracy 0.90" in text and "by Alice Anders" in text
    assert "v2 +0.02 better" in text
    assert 'aria-label="accuracy over the last 2 versions, from 0.90 to 0.92"' in html
    assert 'title="approved by Bob Brandt and Carol Chen"' in html
    assert "Nothing live yet" in cell(html, environment="staging")
    world.request(ModelVersion.objects.get(number=2))
    assert "Waiting for approval: v2 for you" in cell(page(browser))
    mine = cell(page(browser, who="mallory"))
    assert "Waiting for approval: v2" in mine and "for you" not in mine
    assert "better" not in mine, "what waits is not told twice"


def test_how_it_went_live_is_said(world: World, browser: Browser) -> None:
    world.rules(override_team="platform")
    first = world.make_live(world.version(1))
    assert "Glass broken" not in page(browser)
    promotion = world.request(world.version(2))
    services.override(
        actor=world.person("dave"), via=Via.BROWSER, promotion_id=promotion.pk, seal=promotion.seal,
        reason="It burns.",
    )  # fmt: skip
    world.deploy(Deployment.objects.get(promotion=promotion), 78)
    assert "Glass broken" in cell(page(browser))
    back = services.request_rollback(
        actor=world.person("dave"), via=Via.BROWSER, target_id=world.target().pk,
        version_id=first.version_id, reason="Worse.",
    )  # fmt: skip
    world.deploy(world.approve(world.seal(back)), 79)
    text = cell(page(browser))
    assert "Rolled back" in text and "On hold after a rollback" in text
    assert "v2 counts as bad here" in text


def test_what_closes_a_target_is_said(world: World, browser: Browser) -> None:
    bob = world.person("bob")
    services.lock(actor=bob, via=Via.BROWSER, target_id=world.target().pk, reason="Stop.")
    services.freeze(
        actor=bob,
        via=Via.BROWSER,
        environment_id=world.target("staging").environment_id,
        reason="Audit.",
        ends_at=timezone.now() + timedelta(days=1),
    )
    html = page(browser)
    assert "Locked by Bob Brandt" in cell(html)
    assert "Frozen until" in cell(html, environment="staging")
    assert "Locked" not in cell(html, "churn-predictor")


def test_filters_live_in_the_address(world: World, browser: Browser) -> None:
    RegisteredModel.objects.update(group="")
    RegisteredModel.objects.filter(name__in=["fraud-detector", "credit-limit"]).update(group="Risk")
    assert shown(page(browser)) == [
        "credit-limit", "fraud-detector", "churn-predictor", "demand-forecast",
    ]  # fmt: skip
    assert shown(page(browser, "?group=Risk")) == ["credit-limit", "fraud-detector"]
    assert shown(page(browser, "?q=FRAUD")) == ["fraud-detector"]
    assert shown(page(browser, "?q=risk+limit")) == ["credit-limit"]
    html = page(browser, "?q=%25%00<b>")
    assert shown(html) == [] and "No model fits" in html and "<b>" not in html
    assert 'hx-get="/?group=Risk"' in page(browser, "?group=Risk"), "it refreshes as filtered"
    assert shown(page(browser, "?show=nonsense")) == shown(page(browser))


def test_only_what_needs_me_and_only_what_moves(world: World, browser: Browser) -> None:
    assert "Nothing moves" in page(browser, "?show=moving")
    assert "Nothing needs you" in page(browser, "?show=mine")
    world.request(world.version(1, "churn-predictor"))
    for who, expected in (("bob", ["churn-predictor"]), ("alice", []), ("mallory", [])):
        assert shown(page(browser, "?show=mine", who)) == expected
        assert shown(page(browser, "?show=moving", who)) == ["churn-predictor"]
    services.lock(
        actor=world.person("bob"), via=Via.BROWSER, target_id=world.target().pk, reason="Stop."
    )
    assert shown(page(browser, "?show=moving")) == ["churn-predictor", "fraud-detector"]
    deployment = world.approve(world.request(world.version(1, "demand-forecast")))
    services.begin_dispatch(
        deployment_id=deployment.pk, observed=world.observed(deployment.version)
    )
    assert "demand-forecast" in shown(page(browser, "?show=moving"))
    assert "demand-forecast" not in shown(page(browser, "?show=mine"))
    services.record_unconfirmed(deployment_id=deployment.pk, detail="No answer.")
    assert "demand-forecast" in shown(page(browser, "?show=mine"))
    services.give_up(
        actor=world.person("bob"), via=Via.BROWSER, deployment_id=deployment.pk, reason="None."
    )
    assert "demand-forecast" not in shown(page(browser, "?show=mine"))
    assert "demand-forecast" not in shown(page(browser, "?show=moving")), "called off, not failed"


def test_a_failure_moves_for_a_week(world: World, browser: Browser) -> None:
    deployment = world.approve(world.request(world.version(1)))
    services.begin_dispatch(
        deployment_id=deployment.pk, observed=world.observed(deployment.version)
    )
    services.record_dispatch_refused(deployment_id=deployment.pk, detail="422")
    html = page(browser, "?show=moving")
    assert "The deployment of v1 failed" in cell(html)
    old = timezone.now() - timedelta(days=8)
    Deployment.objects.filter(pk=deployment.pk).update(finished_at=old)
    assert shown(page(browser, "?show=moving")) == []
    assert "failed" in cell(page(browser)), "the cell goes on saying so"


def test_an_ignored_change_leaves_a_mark_while_it_holds(world: World, browser: Browser) -> None:
    from tests.web.test_changes import moved

    change = moved(world)
    assert "Out-of-band" in cell(page(browser))
    services.ignore_change(
        actor=world.person("bob"), via=Via.BROWSER, change_id=change.pk, reason="Known."
    )
    html = page(browser)
    assert "An ignored change still holds" in cell(html) and change.get_absolute_url() in html
    assert shown(page(browser, "?show=moving")) == []
    world.make_live(world.version(4))
    assert "ignored" not in cell(page(browser)), "something else went live since"


def test_pages_are_linked_and_complete(world: World, browser: Browser) -> None:
    many(world, 60)
    RegisteredModel.objects.filter(name__in=["model-040", "model-059"]).update(group="A")
    found: list[str] = []
    query, pages = "?q=model-", []
    while True:
        html = page(browser, query)
        found += shown(html)
        pages.append(shown(html))
        more = re.search(r'rel="next" href="/([^"]*)"', html)
        if more is None:
            break
        query = more[1].replace("&amp;", "&")
    assert found[:2] == ["model-040", "model-059"]
    assert found[2:] == sorted(set(found) - {"model-040", "model-059"}) and len(found) == 60
    assert [len(each) for each in pages] == [25, 25, 10]
    back = re.search(r'rel="prev" href="/([^"]*)"', html)
    assert back and shown(page(browser, back[1].replace("&amp;", "&"))) == pages[1]
    assert "60 of 64 models" in html


@pytest.mark.parametrize("query", ["", "?show=moving", "?show=mine", "?at={at}"])
def test_queries_are_constant(world: World, browser: Browser, query: str) -> None:
    query = query.format(at=(timezone.now() - timedelta(hours=3)).strftime("%Y-%m-%dT%H:%M:%SZ"))
    world.make_live(world.version(1))
    world.request(world.version(2))
    with transaction.atomic():  # the history is older than the moment that is looked at
        record("configuration.applied", via=Via.COMMAND, now=timezone.now() - timedelta(days=3))
    many(world, 1)
    client = browser("bob")

    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert client.get(f"/{query}").status_code == 200
        return len(queries)

    count()
    few = count()
    RegisteredModel.objects.filter(name="model-000").update(name="another")
    many(world, 40)
    assert count() == few
    assert few <= 45


class TestTheAddressOfAMoment:
    def test_a_local_time_becomes_one_for_everybody(self, world: World, browser: Browser) -> None:
        answer = browser("bob").get("/?at=2026-11-17T14:05&group=Risk")
        assert answer.status_code == 302
        assert answer["Location"] == "/?group=Risk&at=2026-11-17T14%3A05%3A00Z"
        with timezone.override("Europe/Zurich"):
            from approvals.web.overview import moment_of

            moment, exact = moment_of("2026-11-17 14:05")
        assert (moment.isoformat(), exact) == ("2026-11-17T13:05:00+00:00", False)
        assert moment_of("2026-11-17T14:05:00 01:00") == (moment, True), "a plus sign was lost"
        with timezone.override("Europe/Zurich"), pytest.raises(ValueError, match="does not exist"):
            moment_of("2026-03-29T02:30")

    @pytest.mark.parametrize(
        "text",
        ["tuesday", "2026-13-01T10:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-12:00",
         "2026-11-17", "\x00", "2026-11-17T14:05:00+99:00", "<script>alert(1)</script>", "1" * 5000],
    )  # fmt: skip
    def test_bad_input_says_what_is_expected(
        self, world: World, browser: Browser, text: str
    ) -> None:
        html = page(browser, f"?at={quote(text)}", status=400)
        assert "Write a moment like 2026-11-17T14:05" in html
        assert "<script>alert" not in html and "<table" not in html

    def test_before_the_beginning_and_ahead(self, world: World, browser: Browser) -> None:
        assert "lies ahead" in page(browser, "?at=2090-01-01T00:00:00Z")
        html = page(browser, "?at=2001-01-01T00:00:00Z")
        assert "is before the beginning" in html and "the history here begins on" in html
        assert "Back to now" in html and "data-live-version" not in html


def test_the_past_offers_nothing_that_acts_and_steps_from_change_to_change(
    world: World, browser: Browser
) -> None:
    first = world.make_live(world.version(1))
    world.make_live(world.version(2))
    then = first.finished_at
    assert then is not None
    html = page(browser, f"?at={then.isoformat().replace('+00:00', 'Z')}")
    text = cell(html)
    assert "v1 Live" in text and "approved by Bob Brandt and Carol Chen" in text
    assert first.promotion.get_absolute_url() in html
    assert "You look at" in html and "Back to now" in html
    for acting in ("Roll back", 'method="post" action="/rollback', 'id="pulse"', "hx-trigger"):
        assert acting not in html.partition("<main")[2], acting
    assert "Roll back" in page(browser)
    step = re.search(r'rel="next" href="/([^"]*)"', html)
    assert step is not None
    for _ in range(20):
        html = page(browser, step[1].replace("&amp;", "&"))
        step = re.search(r'rel="next" href="/([^"]*)"', html)
        if step is None or "v2 Live" in cell(html):
            break
    assert "v2 Live" in cell(html), "from change to change one comes to the present"
    before = re.search(r'rel="prev" href="/([^"]*)"', html)
    assert before and "v1 Live" in cell(page(browser, before[1].replace("&amp;", "&")))


def test_what_is_blocked_does_not_look_as_if_it_waited_for_people(
    world: World, browser: Browser
) -> None:
    promotion = world.request()
    Promotion.objects.filter(pk=promotion.pk).update(seal="", problem="The artifacts are broken.")
    html = browser("alice").get("/").content.decode()
    assert re.search(r"Blocked:\s+v2", html) and "Waiting for approval: v2" not in html
    asked = browser("alice").get("/inbox/").content.decode()
    assert "Blocked: The artifacts are broken." in asked and "missing: 1 of ml-leads" not in asked
