"""The promotion's page: its sentence, its argument, its conversation and what one may do, in each state."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from approvals import services
from approvals.gates import AgainstLive, MetricLimit
from approvals.models import Event, ModelVersion, OutOfBandChange, Promotion
from approvals.rollouts import PlanStep
from approvals.services.comments import COMMENTED
from approvals.states import ChangeAnswer, Verdict, Via
from tests.web.conftest import Browser
from tests.world import World


def page(client: Client, promotion: Promotion) -> str:
    return client.get(promotion.get_absolute_url()).content.decode()


def claim(html: str) -> str:
    found = re.search(r"<h1[^>]*>(.*?)</h1>", html, re.DOTALL)
    assert found
    return " ".join(unescape(re.sub(r"<[^>]+>", "", found[1])).split())


def comment(world: World, promotion: Promotion, who: str, text: str) -> None:
    services.comment(actor=world.person(who), via=Via.BROWSER, promotion_id=promotion.pk, text=text)


class TestTheSentence:
    def test_as_it_goes(self, world: World, browser: Browser) -> None:
        client = browser("alice")
        world.make_live(world.version(1))
        promotion = world.request()
        assert claim(page(client, promotion)) == (
            "Put production on fraud-detector v2, in place of v1"
        )
        deployment = world.approve(promotion)
        assert claim(page(client, promotion)) == (
            "Production is to go from v1 to fraud-detector v2, approved and not started yet"
        )
        world.deploy(deployment)
        assert re.fullmatch(
            r"Production went from v1 to fraud-detector v2 on .* UTC",
            claim(page(client, promotion)),
        )

    def test_what_came_to_nothing(self, world: World, browser: Browser) -> None:
        promotion = world.request()
        world.review(promotion, "bob", Verdict.REJECT)
        said = claim(page(browser("alice"), promotion))
        assert said.startswith("Putting production on fraud-detector v2 was rejected on ")

    def test_a_rollout_that_went_back_is_told_calmly(self, world: World, browser: Browser) -> None:
        world.make_live(world.version(1))
        world.strategy(PlanStep(10), PlanStep(100))
        promotion = world.request()
        deployment = world.step(world.step(world.approve(promotion)), "failure")
        going = claim(page(browser("bob"), promotion))
        assert going == "Production goes back to v1: the rollout of fraud-detector v2 was stopped"
        world.step(deployment)
        html = page(browser("bob"), promotion)
        assert claim(html).startswith(
            "Production stayed on v1: the rollout of fraud-detector v2 went back on "
        )
        assert 'data-deployment-status="failed"' in html and "Went back" in html
        assert ">Failed<" not in html and "notice-bad" not in html

    def test_an_ended_change_says_so(self, world: World, browser: Browser) -> None:
        world.make_live(world.version(1))
        found = OutOfBandChange.objects.create(
            target=world.target(), kind="alias", answer=ChangeAnswer.GONE, first_seen_at=NOW,
            seen_at=NOW, ended_at=NOW, declared_at=NOW,
        )  # fmt: skip
        html = browser("alice").get(found.get_absolute_url()).content.decode()
        assert "went away" in claim(html)


NOW = "2026-11-20T14:05:00Z"


class TestTheArgument:
    def test_thresholds_are_drawn_and_said(self, world: World, browser: Browser) -> None:
        world.make_live(
            world.version(1, metrics={"accuracy": "0.90", "auc": "0.95", "recall": "0.7"})
        )
        limits = (MetricLimit("accuracy", "0.80"), AgainstLive("auc", "higher", "0.01"))
        world.rules(gates=limits)
        version = world.version(2, metrics={"accuracy": "0.91", "auc": "0.93", "recall": "0.7"})
        html = page(browser("bob"), world.request(version))
        assert html.count('class="bullet"') == 2
        assert "accuracy: candidate 0.91, live 0.90; ≥ 0.80 is asked" in html
        assert "≥ 0.94, at most 0.01 worse than live" in html
        assert html.count(" keeps</span>") == 1 and html.count(" misses</span>") == 1
        assert 'class="bullet-new bullet-bad"' in html
        assert "Show everything that is equal: 1 metric" in html

    def test_much_is_folded(self, world: World, browser: Browser) -> None:
        many = {f"slice_{number}": f"0.{number + 100}" for number in range(60)}
        old = world.version(
            1, metrics={"accuracy": "0.9"}, parameters={f"p{n}": "1" for n in range(200)}
        )
        world.make_live(old)
        version = world.version(
            2, metrics={"accuracy": "0.91", **many}, parameters={f"p{n}": "2" for n in range(200)}
        )
        html = page(browser("bob"), world.request(version))
        assert "60 more metrics that differ" in html and "200 parameters differ" in html
        assert 'id="more-metrics"><summary>' in html and 'id="more-parameters"><summary>' in html

    def test_signatures_column_by_column(self, world: World, browser: Browser) -> None:
        def columns(*rows: tuple[str, str, bool]) -> dict[str, object]:
            return {"inputs": [{"name": n, "type": t, "required": r} for n, t, r in rows]}

        world.make_live(world.version(1))
        version = world.version(2)
        promotion = world.request(version)
        ModelVersion.objects.filter(number=1).update(
            signature=columns(
                ("age", "long", True), ("gone<", "string", True), ("same", "long", True)
            )
        )
        ModelVersion.objects.filter(pk=version.pk).update(
            signature=columns(
                ("age", "double", True), ("extra", "long", False), ("same", "long", True)
            )
        )
        html = page(browser("bob"), promotion)
        for words in ("another type", "gone&lt;", "new, optional", "1 column"):
            assert words in html, words


class TestTheConversation:
    def test_said_on_the_page_and_safe(self, world: World, browser: Browser) -> None:
        promotion = world.request()
        mallory = browser("mallory")
        form = {"action": "comment", "text": "Is it **sure**? <script>alert(1)</script>"}
        answer = mallory.post(promotion.get_absolute_url(), form)
        assert answer["Location"] == f"{promotion.get_absolute_url()}#conversation"
        html = page(browser("bob"), promotion)
        assert "<strong>sure</strong>" in html and "<script>alert" not in html
        assert Event.objects.filter(kind=COMMENTED).count() == 1

    def test_refused_it_keeps_what_was_typed_and_only_there(
        self, world: World, browser: Browser
    ) -> None:
        promotion = world.request()
        form = {"action": "comment", "text": "x" * 2001}
        answer = browser("bob").post(promotion.get_absolute_url(), form)
        html = answer.content.decode()
        assert answer.status_code == 409 and "at most 2,000" in html
        assert html.count("x" * 2001) == 1
        assert not Event.objects.filter(kind=COMMENTED).exists()

    def test_a_refresh_leaves_the_forms_alone(self, world: World, browser: Browser) -> None:
        promotion = world.request()
        client, address = browser("bob"), promotion.get_absolute_url()
        html = client.get(address).content.decode()
        key = re.search(r'name="actions" value="([\w-]+)"', html)
        assert key
        comment(world, promotion, "alice", "One more thing.")
        news = client.get(
            address, {"seen": "x", "actions": key[1]}, headers={"HX-Request": "true"}
        ).content.decode()
        assert "One more thing." in news and 'id="live-conversation"' in news
        assert 'id="comment-text"' not in news and 'id="decision-text"' not in news


class TestWhatOneMay:
    def test_why_not_for_everything_else(self, world: World, browser: Browser) -> None:
        world.rules(override_team="platform")
        html = page(browser("mallory"), world.request())
        assert "What you may not do, and why" in html
        assert "Breaking the glass" in html and "members of platform" in html
        assert 'name="action" value="comment"' in html
        assert set(re.findall(r'name="action" value="(\w+)"', html)) == {"comment"}

    def test_nothing_is_said_twice_once_it_is_over(self, world: World, browser: Browser) -> None:
        promotion = world.request()
        world.review(promotion, "bob", Verdict.REJECT)
        html = page(browser("bob"), promotion)
        assert "actions-done" in html and 'id="actions-more"' not in html


def test_the_record_has_what_an_auditor_needs(world: World, browser: Browser) -> None:
    promotion = world.request()
    world.approve(promotion)
    html = page(browser("alice"), promotion)
    newest = promotion.events.first()
    assert newest is not None
    for words in (promotion.seal, newest.hash[:16], f"the record of promotion {promotion.pk}"):
        assert words in html, words
    assert reverse("promotion_facts", args=[promotion.pk]) in html


@pytest.mark.parametrize("who", ["bob", "mallory"])
def test_as_many_queries_for_forty_as_for_one(world: World, browser: Browser, who: str) -> None:
    world.make_live(world.version(1))
    promotion, client = world.request(), browser(who)

    def grow(times: int) -> None:
        for number in range(times):
            comment(world, promotion, "alice", f"Number {number}.")
            world.review(promotion, "carol", comment=f"Fine {number}.")
            services.withdraw_review(
                actor=world.person("carol"), via=Via.BROWSER, promotion_id=promotion.pk
            )
        facts = {**promotion.facts, "metrics": {f"m{n}": "0.5" for n in range(times)}}
        Promotion.objects.filter(pk=promotion.pk).update(facts=facts)

    def queries() -> int:
        with CaptureQueriesContext(connection) as caught:
            assert client.get(promotion.get_absolute_url()).status_code == 200
        return len(caught)

    grow(1)
    queries()
    few = queries()
    grow(40)
    assert queries() == few
    html = page(client, promotion)
    assert "more between" in html and "earlier events" in html
