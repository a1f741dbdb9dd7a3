"""The inbox: what comes first, and deciding on the spot."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from approvals import services
from approvals.gates import EvidencePassed, Gate, LiveIn, MetricLimit, RunsGreen
from approvals.models import Promotion, Review
from approvals.selectors.inbox import inbox_of
from approvals.services.judging import judge
from approvals.states import Via
from tests.web.conftest import Browser
from tests.world import World


def order_of(world: World, name: str) -> list[int]:
    return [each.promotion.pk for each in inbox_of(world.person(name)).asks]


def expires(promotion: Promotion, hours: int) -> Promotion:
    Promotion.objects.filter(pk=promotion.pk).update(
        expires_at=timezone.now() + timedelta(hours=hours)
    )
    return promotion


def test_what_is_urgent_comes_first(world: World, browser: Browser) -> None:
    world.make_live(world.version(1))
    bad = world.make_live(world.version(1, "churn-predictor"))
    services.mark(
        actor=world.person("bob"),
        via=Via.BROWSER,
        target_id=bad.target_id,
        version_id=bad.version_id,
        kind="bad",
        reason="Complaints.",
    )
    world.make_live(world.version(2))
    later = expires(world.request(world.version(1, "demand-forecast")), 40)
    sooner = expires(world.request(world.version(1, "credit-limit")), 3)
    mends = expires(world.request(world.version(2, "churn-predictor")), 60)
    assert order_of(world, "bob") == [mends.pk, sooner.pk, later.pk]
    html = browser("bob").get(reverse("inbox")).content.decode()
    assert "v1, live there, is marked bad" in html
    assert "Rollbacks and trouble with what is live come first" in html
    assert "churn-predictor v2 replaces v1 in production." in html


def test_deciding_on_the_spot(world: World, browser: Browser) -> None:
    promotion = world.request()
    client, address = browser("bob"), reverse("decide_one", args=[promotion.pk])
    html = client.get(reverse("inbox")).content.decode()
    assert f'formaction="{address}"' in html and f'value="{promotion.seal}"' in html
    # What is refused stands at its item, with what was typed; nothing happened.
    typed = {f"text-{promotion.pk}": "Looks <b>right</b>.", f"seal-{promotion.pk}": "0" * 64}
    answer = client.post(address, {**typed, "action": "approve"})
    html = answer.content.decode()
    assert answer.status_code == 409
    item = html[html.index(f'id="ask-{promotion.pk}"') :]
    assert "The facts are not the ones you saw." in item
    assert "Looks &lt;b&gt;right&lt;/b&gt;.</textarea>" in item
    assert re.search(rf'<details class="decide" id="decide-{promotion.pk}" open>', item)
    assert not Review.objects.exists()
    # A rejection wants a reason, by the same verb.
    seal = {f"seal-{promotion.pk}": promotion.seal}
    assert client.post(address, {**seal, "action": "reject"}).status_code == 409
    assert client.post(address, {**seal, "action": "delete"}).status_code == 409
    assert not Review.objects.exists()
    answer = client.post(address, {**seal, **typed, **seal, "action": "approve"}, follow=True)
    assert "fraud-detector v2 to production: approved." in answer.content.decode()
    review = Review.objects.get()
    assert (review.person.username, review.verdict, review.comment, review.seal) == (
        "bob",
        "approve",
        "Looks <b>right</b>.",
        promotion.seal,
    )
    gone = client.post(reverse("decide_one", args=[10**6]), {"action": "approve"})
    assert gone.status_code == 409 and "There is no promotion 1000000." in gone.content.decode()
    assert Review.objects.count() == 1


def test_nobody_decides_who_may_not(world: World, browser: Browser) -> None:
    promotion = world.request()
    seal = {f"seal-{promotion.pk}": promotion.seal, "action": "approve"}
    for name in ("alice", "mallory"):
        answer = browser(name).post(reverse("decide_one", args=[promotion.pk]), seal)
        assert answer.status_code == 409
    assert not Review.objects.exists()


def test_for_a_colleague_it_says_so(world: World, browser: Browser) -> None:
    promotion = world.request()
    services.delegate(
        actor=world.person("bob"),
        via=Via.BROWSER,
        delegate_id=world.person("mallory").pk,
        until=timezone.now() + timedelta(days=1),
        reason="Holiday.",
    )
    html = browser("mallory").get(reverse("inbox")).content.decode()
    assert "for Bob Brandt" in html
    assert "for Bob Brandt" not in browser("bob").get(reverse("inbox")).content.decode()
    seal = {f"seal-{promotion.pk}": promotion.seal, "action": "approve"}
    browser("mallory").post(reverse("decide_one", args=[promotion.pk]), seal)
    assert Review.objects.get().on_behalf_of == world.person("bob")


GATES: tuple[Gate, ...] = (
    MetricLimit("accuracy", "0.5"),
    RunsGreen("ci"),
    LiveIn("staging", 60),
    EvidencePassed("bias-audit"),
)


def test_many_cost_no_more_queries_and_are_judged_alike(world: World, browser: Browser) -> None:
    models = ["fraud-detector", "churn-predictor", "demand-forecast", "credit-limit"]
    client = browser("bob")

    def queries() -> int:
        client.get(reverse("inbox"))
        with CaptureQueriesContext(connection) as captured:
            client.get(reverse("inbox"))
        return len(captured)

    counted: list[Any] = []
    for model in models:
        world.rules(world.target(model=model), gates=GATES)
        version = world.version(2, model)
        world.request(version)
        counted.append(queries())
    assert len(set(counted)) == 1, counted
    now = timezone.now()
    for ask in inbox_of(world.person("bob")).asks:
        alone = judge(Promotion.objects.get(pk=ask.promotion.pk), now)
        assert [each.sentence for each in ask.outcomes] == [e.sentence for e in alone.outcomes]
        assert [each.passed for each in ask.outcomes] == [e.passed for e in alone.outcomes]


@pytest.mark.parametrize(
    ("count", "says"), [("", False), ("3", True), ("12", True), ("<x>", False)]
)
def test_the_icon_holds_the_count(client: Any, count: str, says: bool) -> None:
    answer = client.get(reverse("favicon"), {"n": count})
    assert answer["Content-Type"] == "image/svg+xml"
    label = "9+" if count == "12" else count
    assert (f">{label}</text>" in answer.content.decode()) is says
