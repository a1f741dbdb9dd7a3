"""Steering from Slack, from the details or the message, by whoever may; and presses from Home and dialogs."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
import requests
from pytest_django.fixtures import Settings
from slack_sdk import WebClient

from approvals import services
from approvals.models import Deployment, Effect, Event, Promotion, Review
from approvals.models.outbox import EffectKind
from approvals.rollouts import PlanStep
from approvals.states import DeploymentStatus, PromotionStatus, Via
from integrations.slack.blocks import button, section
from tests import blockkit
from tests.integrations.slack_fixtures import CHANNEL, JSON, Slack, slack, snapshot, static_folder
from tests.integrations.test_slack_presses import silent_server

__all__ = ["slack", "static_folder"]
SLACK_TRANSPORTS = ("http", "socket")
D = DeploymentStatus


def rolling(slack: Slack) -> Deployment:
    """v1 is live, v2 serves 10 % of a canary and waits; its message is the newest."""
    slack.world.make_live(slack.world.version(1))
    slack.world.strategy(PlanStep(10, wait=3600), PlanStep(50, wait=3600), PlanStep(100))
    deployment = slack.world.step(slack.world.approve(slack.world.request(slack.world.version(2))))
    assert (deployment.status, deployment.percent) == (D.WAITING, 10)
    slack.deliver()
    return deployment


def acts(view: JSON) -> dict[str, JSON]:
    """The buttons of a dialog by action."""
    return {
        each["action_id"]: each
        for block in view["blocks"]
        if block["type"] == "actions"
        for each in block["elements"]
    }


def inside(slack: Slack, user: str, view: JSON, action: str) -> JSON:
    """A press inside an open dialog."""
    said = slack.post("press", user=user, view_id=view["id"], action_id=action)
    assert said["status"] == 200, said
    return said


def open_dialogs(slack: Slack, user: str) -> list[JSON]:
    """What is open on somebody's screen, the top one last; each is valid."""
    found = requests.get(f"{slack.url}/_sandbox/views", timeout=10).json()["modals"].get(user, [])
    for view in found:
        kept = {key: view[key] for key in blockkit.VIEW_KEYS & view.keys() if view[key]}
        blockkit.validate_view(kept)
    return list(found)


def pressed(slack: Slack, user: str, action: str, **value: Any) -> tuple[list[str], list[JSON]]:
    """A button of the newest message pressed that carries this: what was said privately, and what opened."""
    payload = slack.press(user, "details", dry=True)["payload"]
    [one] = payload["actions"]
    one["action_id"], one["value"] = action, json.dumps(value)
    heard = len(slack.get("ephemerals"))
    assert slack.send(payload).status_code == 200
    return [each["text"] for each in slack.get("ephemerals")[heard:]], open_dialogs(slack, user)


def test_a_rollout_is_paused_let_on_and_aborted(slack: Slack) -> None:
    deployment = rolling(slack)
    view = slack.dialog("bob", "details")
    assert list(acts(view)) == ["advance", "pause", "abort"]

    asking = inside(slack, "bob", view, "pause")["opened_view"]
    assert len(open_dialogs(slack, "bob")) == 2, "on top of the details"
    assert json.loads(asking["private_metadata"])["c"] == CHANNEL, "where it all began"
    assert set(slack.submit("bob", asking, text=" \n")["errors"]) == {"reason"}
    assert slack.submit("bob", asking, text="Look at the *errors* first.")["status"] == 200
    assert open_dialogs(slack, "bob") == [], "what lies below would say what was true before"
    deployment.refresh_from_db()
    assert deployment.paused == "Paused by Bob Brandt: Look at the *errors* first."
    assert Event.objects.filter(kind="deployment.paused").count() == 1

    view = slack.dialog("carol", "details")
    assert list(acts(view)) == ["advance", "abort"]
    assert "Paused by Bob Brandt" in str(view["blocks"])
    assert inside(slack, "carol", view, "advance")["opened_view"] is None, "one press"
    deployment.refresh_from_db()
    assert (deployment.paused, deployment.steps.count()) == ("", 2)
    [shown] = open_dialogs(slack, "carol")
    assert "advance" not in acts(shown), "the details show at once what the press did"
    assert Event.objects.get(kind="deployment.advanced").via == Via.SLACK

    slack.world.step(deployment)
    [dialog] = pressed(slack, "bob", "abort", p=deployment.promotion_id, s="")[1]
    assert "v1 serves everybody again" in str(dialog["blocks"])
    assert slack.submit("bob", dialog, text="Errors.")["status"] == 200
    deployment.refresh_from_db()
    assert deployment.aborting == "Aborted by Bob Brandt: Errors."


def test_a_late_press_does_not_start_the_step_after_the_next(slack: Slack) -> None:
    deployment = rolling(slack)
    seen = {"p": deployment.promotion_id, "s": "", "n": 1}
    assert pressed(slack, "bob", "advance", **seen) == ([], [])
    deployment = slack.world.step(deployment)
    assert deployment.percent == 50
    before = snapshot()
    told, opened = pressed(slack, "bob", "advance", **seen)
    assert (told, opened) == (["The rollout has moved on since you looked. Look again first."], [])
    assert snapshot() == before

    # A button that does not say after which step it was shown asks once more.
    _, [dialog] = pressed(slack, "bob", "advance", p=deployment.promotion_id)
    assert snapshot() == before and "the next step, 100 %" in str(dialog["blocks"])
    assert slack.submit("bob", dialog, text="")["status"] == 200
    assert deployment.steps.count() == 3


@pytest.mark.parametrize("act", ["advance", "pause", "abort"])
def test_whoever_may_not_steer_is_told_so(slack: Slack, act: str) -> None:
    deployment = rolling(slack)
    before = snapshot()
    for user, words in {"mallory": "none of the teams", "alice": "you asked for it"}.items():
        told, opened = pressed(slack, user, act, p=deployment.promotion_id, s="")
        assert words in told[0] and opened == []
        text = str(slack.dialog(user, "details"))
        assert f"*The deployment*: {told[0]}" in text and f"'{act}'" not in text
        slack.post("close", user=user, view_id=open_dialogs(slack, user)[0]["id"])
    assert snapshot() == before
    bob = slack.world.person("bob")
    services.abort(actor=bob, via=Via.BROWSER, deployment_id=deployment.pk, reason="No.")
    slack.world.step(deployment)  # it has gone back: nothing is left to steer
    before = snapshot()
    told, opened = pressed(slack, "bob", act, p=deployment.promotion_id, s="")
    assert told[0].startswith("There is no") and opened == []
    assert snapshot() == before


def test_confirming_shows_what_differs(slack: Slack) -> None:
    world = slack.world
    world.make_live(world.version(1))
    second, third = (world.approve(world.request(world.version(n))) for n in (2, 3))
    for each, ends in ((second, True), (third, False)):
        services.begin_dispatch(deployment_id=each.pk, observed=world.observed(each.version))
        if ends:
            services.record_run(facts=world.run_facts(each, 77, conclusion="failure"))
    third.refresh_from_db()
    assert third.asks_to_confirm
    slack.deliver()

    assert pressed(slack, "mallory", "confirm", p=third.promotion_id)[1] == []
    _, [dialog] = pressed(slack, "bob", "confirm", p=third.promotion_id, s="")
    text = str(dialog["blocks"])
    assert "the version it replaces was 2 and is 1 now" in text
    assert "0.91 → 0.93" in text, "the metrics beside those of what is live now"
    old = {**dialog, "private_metadata": json.dumps({"p": third.promotion_id, "s": "0" * 64})}
    before = snapshot()
    payload = slack.press("bob", "details", dry=True)["payload"] | {
        "type": "view_submission",
        "view": {**old, "state": {"values": {"reason": {"text": {"value": None}}}}},
    }
    assert "has changed meanwhile" in slack.send(payload).text
    assert snapshot() == before
    assert slack.submit("bob", dialog, text="")["status"] == 200
    third.refresh_from_db()
    assert (third.confirmed_seal, third.confirmed_by) == (third.asked_seal, world.person("bob"))
    assert [
        each.replace("There is nothing to confirm any more.", "gone")
        for each in pressed(slack, "bob", "confirm", p=third.promotion_id)[0]
    ] == ["gone"]


def test_looking_again(slack: Slack) -> None:
    world = slack.world
    deployment = world.approve(world.request())
    services.begin_dispatch(
        deployment_id=deployment.pk, observed=world.observed(deployment.version)
    )
    before = snapshot()
    slack.deliver()
    told, _ = pressed(slack, "bob", "look_again", p=deployment.promotion_id)
    assert told == ["There is nothing to look for any more."]
    services.record_unconfirmed(deployment_id=deployment.pk, detail="Nothing turned up.")
    slack.deliver()
    assert before != snapshot()
    assert pressed(slack, "mallory", "look_again", p=deployment.promotion_id) == ([], [])
    assert Effect.objects.filter(kind=EffectKind.LOOK_UP, dedupe_key__contains="look:").count() == 1


def test_withdrawing_cancelling_and_calling_off(slack: Slack) -> None:
    promotion = slack.ask()
    view = slack.dialog("bob", "details")
    assert list(acts(view)) == ["approve", "reject", "cancel"]
    assert inside(slack, "bob", view, "approve")["ephemeral"] == []
    [view] = open_dialogs(slack, "bob")
    assert "You have approved it already" in str(view["blocks"])
    assert list(acts(view)) == ["withdraw", "cancel"]
    inside(slack, "bob", view, "withdraw")
    assert Review.objects.get().withdrawn
    [view] = open_dialogs(slack, "bob")
    assert list(acts(view)) == ["approve", "reject", "cancel"]

    before = snapshot()
    for act in ("look_again", "advance", "pause"):
        for number, words in ((promotion.pk, "It is not approved"), (10**9, "There is no such")):
            told, opened = pressed(slack, "bob", act, p=number, n=1)
            assert told[0].startswith(words) and len(opened) == 1, "only the details, as before"
    assert pressed(slack, "mallory", "cancel", p=promotion.pk)[0] == [
        "You may not, because only the one who asked and those who decide may cancel it."
    ]
    assert pressed(slack, "carol", "withdraw", p=promotion.pk)[0] == [
        "You have no review here that counts."
    ]
    assert snapshot() == before
    view = slack.dialog("alice", "details")
    assert list(acts(view)) == ["cancel"]
    asking = inside(slack, "alice", view, "cancel")["opened_view"]
    assert slack.submit("alice", asking, text="A better one comes.")["status"] == 200
    promotion.refresh_from_db()
    assert promotion.status == PromotionStatus.CANCELLED
    assert promotion.decision_reason == "A better one comes."

    granted = slack.world.approve(slack.world.request(slack.world.version(3)))
    slack.deliver()
    view = slack.dialog("alice", "details")
    assert list(acts(view)) == ["call_off"]
    asking = inside(slack, "alice", view, "call_off")["opened_view"]
    assert slack.submit("alice", asking, text="Not today.")["status"] == 200
    granted.refresh_from_db()
    assert (granted.status, granted.detail) == (D.CANCELLED, "Called off: Not today.")


# -- where there is no channel -------------------------------------------------------------------------


def home(slack: Slack, settings: Settings, user: str, promotion: Promotion) -> str:
    """A Home view with the message's buttons; its id."""
    value = {"p": promotion.pk, "s": promotion.seal}
    view = {
        "type": "home",
        "blocks": [
            section("Waiting for you"),
            {
                "type": "actions",
                "elements": [button("A", "approve", value), button("R", "reject", value)],
            },
        ],
    }
    client = WebClient(settings.SLACK_BOT_TOKEN, base_url=settings.SLACK_API_URL)
    answer = client.views_publish(user_id=f"U0{user.upper()}", view=view)
    return str(answer["view"]["id"])


def test_presses_from_home(slack: Slack, settings: Settings) -> None:
    promotion = slack.ask()
    before = snapshot()
    for user, words in {
        "frank": f"<{slack.product}/integrations/slack/link/",
        "alice": "asked",
    }.items():
        said = slack.post(
            "press", user=user, view_id=home(slack, settings, user, promotion), action_id="approve"
        )
        assert (said["status"], said["ephemeral"]) == (200, [])
        assert words in said["opened_view"]["blocks"][0]["text"]["text"]
        assert said["opened_view"]["submit"] is None
        open_dialogs(slack, user)
    assert snapshot() == before
    mine = home(slack, settings, "bob", promotion)
    asking = slack.post("press", user="bob", view_id=mine, action_id="reject")["opened_view"]
    assert asking["callback_id"] == "reject"
    said = slack.post("press", user="bob", view_id=mine, action_id="approve")
    assert (said["status"], said["opened_view"]) == (200, None)
    assert Review.objects.get().verdict == "approve"


def test_a_refusal_inside_a_dialog_lies_on_top_of_it(slack: Slack) -> None:
    promotion = slack.ask()
    view = slack.dialog("bob", "details")
    slack.world.review(promotion, "carol", "reject")
    before = snapshot()
    said = inside(slack, "bob", view, "approve")
    assert "this was rejected by Carol Chen" in said["opened_view"]["blocks"][0]["text"]["text"]
    assert [each["callback_id"] for each in open_dialogs(slack, "bob")] == ["details", "notice"]
    assert snapshot() == before


def test_slack_is_silent(slack: Slack, settings: Settings) -> None:
    """The dialog does not come in time: the person is told to press again, within Slack's three seconds."""
    slack.ask()
    payload = slack.press("bob", "reject", dry=True)["payload"]
    with silent_server() as url:
        settings.SLACK_API_URL = f"{url}/api/"
        done = threading.Event()
        timer = threading.Timer(2.5, done.set)
        timer.start()
        assert slack.send(payload).status_code == 200
        timer.cancel()
    assert not done.is_set(), "it took longer than Slack waits, nearly"
    [told] = slack.get("ephemerals")
    assert told["text"] == "Slack did not open the dialog. Please press again."
