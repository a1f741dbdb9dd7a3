"""Presses at once, over real HTTP and real threads; and presses on what an earlier process or release rendered."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

import pytest
import requests
from django.test import Client

from approvals.audit import verify_history
from approvals.models import Deployment, Effect, Event, Promotion, Review
from approvals.models.outbox import EffectKind
from approvals.states import PromotionStatus
from integrations.slack.listeners import bolt_app
from tests.approvals.test_races import race
from tests.integrations.slack_fixtures import JSON, Slack, slack, snapshot, static_folder

__all__ = ["slack", "static_folder"]
SLACK_TRANSPORTS = ("http", "socket")


def payload(slack: Slack, user: str, action: str = "approve") -> JSON:
    """A press that was not sent yet: ``action`` on the newest message."""
    made: JSON = slack.press(user, action, dry=True)["payload"]
    return made


def at_once(slack: Slack, *payloads: JSON) -> list[requests.Response]:
    """Send all within a few milliseconds; the answers in the same order."""
    barrier, answers = threading.Barrier(len(payloads)), dict[int, requests.Response]()

    def send(index: int, each: JSON) -> None:
        barrier.wait(timeout=10)
        answers[index] = slack.send(each)

    threads = [threading.Thread(target=send, args=pair) for pair in enumerate(payloads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    return [answers[index] for index in range(len(payloads))]


def whispers(slack: Slack) -> list[tuple[str, str]]:
    return [(each["user"].removeprefix("U0"), each["text"]) for each in slack.get("ephemerals")]


@pytest.mark.parametrize("round_", range(3))
def test_two_people_press_twice_each(slack: Slack, round_: int) -> None:
    promotion = slack.ask()
    answers = at_once(slack, *(payload(slack, user) for user in ("bob", "carol", "bob", "carol")))
    assert [each.status_code for each in answers] == [200] * 4
    promotion.refresh_from_db()
    assert promotion.status == PromotionStatus.APPROVED
    assert sorted(each.person.username for each in Review.objects.all()) == ["bob", "carol"]
    assert Deployment.objects.count() == 1
    assert Effect.objects.filter(kind=EffectKind.DISPATCH).count() == 1
    assert Event.objects.filter(kind="promotion.approved").count() == 1
    said = whispers(slack)
    assert sorted(user for user, _ in said) == ["BOB", "CAROL"], "each hears of the second press"
    assert all("one person counts once" in text or "was approved by" in text for _, text in said)
    assert verify_history().broken_at is None


def test_one_approves_while_the_other_rejects(slack: Slack) -> None:
    """The rejection is a dialog that is sent while the other's press arrives."""
    promotion = slack.ask()
    slack.told("carol", "approve")
    asking = slack.dialog("bob", "reject") | {"state": {"values": {}}}
    asking["state"]["values"] = {"reason": {"text": {"type": "plain_text_input", "value": "No."}}}
    pressed = payload(slack, "bob")
    rejected = {**pressed, "type": "view_submission", "view": asking}
    answers = at_once(slack, pressed, rejected)
    assert [each.status_code for each in answers] == [200, 200]
    promotion.refresh_from_db()
    bobs = Review.objects.get(person__username="bob")
    assert (promotion.status, bobs.verdict) in {("approved", "approve"), ("rejected", "reject")}
    assert Deployment.objects.count() == (promotion.status == "approved")
    lost = whispers(slack) or [("BOB", answers[1].json()["errors"]["reason"])]
    assert "It is too late: this was " in lost[0][1]


@pytest.mark.parametrize("round_", range(3))
def test_a_press_while_the_page_decides(slack: Slack, round_: int) -> None:
    promotion = slack.ask()
    pressed = payload(slack, "bob")
    page = Client()
    page.force_login(slack.world.person("carol"))
    form = {"action": "reject", "seal": promotion.seal, "text": "Recall fell."}
    pages: list[int] = []

    def on_the_page() -> None:
        pages.append(page.post(promotion.get_absolute_url(), form).status_code)

    acts: list[Callable[[], object]] = [on_the_page, lambda: slack.send(pressed)]
    assert race(*acts) == ["done", "done"]
    promotion.refresh_from_db()
    assert (promotion.status, pages) == (PromotionStatus.REJECTED, [302])
    approvals = Review.objects.filter(person__username="bob").count()
    said = [text for _, text in whispers(slack)]
    if approvals:
        assert said == [], "the press came first, and counted"
    else:
        assert "this was rejected by Carol Chen on" in said[0]
    assert not Deployment.objects.exists()


def test_a_press_on_what_was_rendered_before_a_restart(slack: Slack) -> None:
    """Nothing of a press lives in the process: the button carries what it needs."""
    slack.ask()
    pressed, asking = payload(slack, "bob"), slack.dialog("carol", "reject")
    bolt_app.cache_clear()
    assert slack.send(pressed).status_code == 200
    assert Review.objects.get().person.username == "bob"
    assert slack.submit("carol", asking, text="No.")["status"] == 200
    assert Promotion.objects.get().status == PromotionStatus.REJECTED


# What an earlier release sent and asked for: only what was there from the first one on.
OLD = ("type", "user", "team", "actions", "trigger_id", "response_url", "container", "token")


def test_a_press_on_what_was_rendered_before_an_upgrade(slack: Slack) -> None:
    promotion = slack.ask()
    # Slack's payload without what came later, and a button with a field that a newer release put there.
    whole = payload(slack, "bob")
    old = {key: whole[key] for key in OLD}
    old["user"] = {"id": "U0BOB", "team_id": "T0ACME"}
    [button] = old["actions"]
    old["actions"] = [{key: button[key] for key in ("type", "action_id", "value", "action_ts")}]
    newer = payload(slack, "carol")
    value = {**json.loads(newer["actions"][0]["value"]), "release": "9.9", "n": None}
    newer["actions"][0]["value"] = json.dumps(value)
    assert [slack.send(each).status_code for each in (old, newer)] == [200, 200]
    promotion.refresh_from_db()
    assert promotion.status == PromotionStatus.APPROVED and whispers(slack) == []

    # A dialog of an earlier release names neither where it was opened from nor what it stands on.
    other = slack.ask(version=slack.world.version(3))
    before = snapshot()
    view = {
        "type": "modal",
        "callback_id": "reject",
        "private_metadata": json.dumps({"p": other.pk, "s": other.seal}),
        "blocks": [],
        "state": {"values": {"reason": {"text": {"value": "Too slow."}}}},
    }
    sent = {key: old[key] for key in ("user", "team", "token", "trigger_id")}
    answer = slack.send({**sent, "type": "view_submission", "view": view})
    assert (answer.status_code, answer.text) == (200, "")
    other.refresh_from_db()
    assert other.status == PromotionStatus.REJECTED and snapshot() != before
