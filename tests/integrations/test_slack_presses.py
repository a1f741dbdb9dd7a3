"""Deciding in Slack: who may, who may not and why, and what a press leaves behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from approvals import services
from approvals.models import Deployment, Effect, Promotion, Review
from approvals.models.outbox import EffectKind
from approvals.states import PromotionKind, PromotionStatus, Verdict, Via
from integrations.effects import HANDLERS
from integrations.models import SlackIdentity
from integrations.outbox import deliver_due
from tests.integrations.slack_fixtures import Slack, slack, snapshot, static_folder

__all__ = ["slack", "static_folder"]
SLACK_TRANSPORTS = ("http", "socket")


class TestApprove:
    def test_bob_counts_and_carol_settles_it(self, slack: Slack) -> None:
        promotion = slack.ask()
        assert slack.told("bob", "approve") == ""
        review = Review.objects.get()
        assert (review.person.username, review.via, review.verdict) == (
            "bob",
            Via.SLACK,
            Verdict.APPROVE,
        )
        assert review.seal == promotion.seal
        slack.deliver()
        text = str(slack.messages()[0]["blocks"])
        assert "approved by Bob Brandt" in text and "<@U0CAROL>" in text

        assert slack.told("carol", "approve") == ""
        promotion.refresh_from_db()
        assert promotion.status == PromotionStatus.APPROVED
        assert Deployment.objects.count() == 1
        assert Effect.objects.filter(kind=EffectKind.DISPATCH).count() == 1

    def test_whoever_may_not_is_told_privately(self, slack: Slack) -> None:
        slack.ask()
        before, [message] = snapshot(), slack.messages()
        stranger = "You may not, because you are in none of the teams that decide here: "
        for user, sentence in {
            "mallory": stranger,
            "dave": stranger,
            "alice": "You may not, because you asked for it; somebody else has to decide.",
            "eve": "You may not, because people of other organisations cannot decide here.",
        }.items():
            told = slack.told(user, "approve")
            assert told.startswith(sentence) and "http" not in told
            if user != "eve":
                assert slack.told(user, "reject").startswith("You may not, because")
        assert snapshot() == before
        slack.deliver()
        assert slack.messages() == [message], "nobody else sees anything of it"

    def test_twice(self, slack: Slack) -> None:
        slack.ask()
        slack.told("bob", "approve")
        before = snapshot()
        assert "one person counts once" in slack.told("bob", "approve")
        assert snapshot() == before

    def test_browser_then_slack_is_still_one_vote(self, slack: Slack) -> None:
        promotion = slack.ask()
        slack.world.review(promotion, "bob")
        before = snapshot()
        assert "one person counts once" in slack.told("bob", "approve")
        assert snapshot() == before

    def test_after_the_end(self, slack: Slack) -> None:
        promotion = slack.ask()
        payload = slack.press("bob", "approve", dry=True)["payload"]
        services.cancel(
            actor=slack.world.person("alice"), via=Via.BROWSER, promotion_id=promotion.pk
        )
        before = snapshot()
        assert slack.send(payload).status_code == 200
        [told] = slack.get("ephemerals")
        assert told["text"].startswith("It is too late: this was cancelled by Alice Anders")
        assert snapshot() == before
        slack.deliver()
        assert "Cancelled" in slack.messages()[0]["text"], "the press brought it up to date"

    def test_a_stale_button_says_what_moved(self, slack: Slack) -> None:
        promotion = slack.ask()
        payload = slack.press("bob", "approve", dry=True)["payload"]
        slack.world.seal(promotion, metrics={"accuracy": "0.871", "auc": "0.95"})
        before = snapshot()
        slack.send(payload)
        [told] = slack.get("ephemerals")
        assert "accuracy was 0.92 and is 0.871 now" in told["text"]
        assert snapshot() == before
        slack.deliver()
        assert slack.told("bob", "approve") == "", "the new button carries the new seal"
        assert Review.objects.count() == 1

    def test_a_value_that_is_not_ours(self, slack: Slack) -> None:
        slack.ask()
        before = snapshot()
        for value in (
            "",
            "null",
            "[]",
            "7",
            '{"s": ""}',
            '{"p": "x", "s": ""}',
            "{",
            '{"p": null}',
        ):
            told = slack.told("bob", "approve", value=value)
            assert told == "This button is not one that Countersign made."
        assert snapshot() == before

    def test_a_promotion_that_is_not_there(self, slack: Slack) -> None:
        slack.ask()
        before = snapshot()
        for number in (0, -1, 10**30):
            value = f'{{"p": {number}, "s": "{"0" * 64}"}}'
            for action in ("approve", "reject", "details"):
                assert "There is no" in slack.told("bob", action, value=value)
        assert snapshot() == before

    def test_a_seal_of_another_promotion(self, slack: Slack) -> None:
        promotion = slack.ask()
        before = snapshot()
        value = f'{{"p": {promotion.pk}, "s": "{"f" * 64}"}}'
        assert "not the ones you saw" in slack.told("bob", "approve", value=value)
        assert snapshot() == before

    def test_an_inactive_person(self, slack: Slack) -> None:
        slack.ask()
        bob = slack.world.person("bob")
        bob.is_active = False
        bob.save()
        before = snapshot()
        for action in ("approve", "reject", "details"):
            told = slack.told("bob", action)
            assert told == "You may not, because your account is not active."
        assert snapshot() == before


class TestReject:
    def test_a_reason_is_asked_and_recorded(self, slack: Slack) -> None:
        promotion = slack.ask()
        view = slack.dialog("bob", "reject")
        said = slack.submit("bob", view, text="Recall fell & nobody <looked>.")
        assert (said["status"], said.get("errors")) == (200, None)
        review = Review.objects.get()
        assert (review.verdict, review.via) == (Verdict.REJECT, Via.SLACK)
        promotion.refresh_from_db()
        assert promotion.status == PromotionStatus.REJECTED
        assert promotion.decision_reason == "Recall fell & nobody <looked>."
        slack.deliver()
        [message] = slack.messages()
        assert "Recall fell &amp; nobody &lt;looked&gt;." in str(message["blocks"])
        assert "by Bob Brandt" in str(message["blocks"])
        buttons = message["blocks"][-1]["elements"]
        assert [each["action_id"] for each in buttons] == ["details"]

    def test_an_empty_reason_is_refused_in_the_dialog(self, slack: Slack) -> None:
        slack.ask()
        before, view = snapshot(), slack.dialog("bob", "reject")
        assert slack.submit("bob", view, text="")["error"] == "incomplete"
        said = slack.submit("bob", view, text=" \n ")
        assert said["errors"] == {"reason": "Say why you reject it: the one who asked has to know."}
        assert snapshot() == before

    def test_what_moved_while_the_dialog_was_open(self, slack: Slack) -> None:
        promotion = slack.ask()
        view = slack.dialog("bob", "reject")
        slack.world.seal(promotion, metrics={"accuracy": "0.871", "auc": "0.95"})
        before = snapshot()
        said = slack.submit("bob", view, text="No.")
        assert "accuracy was 0.92 and is 0.871 now" in said["errors"]["reason"]
        assert snapshot() == before

    def test_rights_are_checked_again_at_submission(self, slack: Slack) -> None:
        slack.ask()
        view = slack.dialog("bob", "reject")
        SlackIdentity.objects.filter(user_id="U0BOB").delete()
        before = snapshot()
        said = slack.submit("bob", view, text="No.")
        assert said["errors"]["reason"].startswith("Countersign does not know who you are.")
        assert snapshot() == before


def test_everybody_of_ours_may_look_at_the_details(slack: Slack) -> None:
    promotion = slack.ask()
    before = snapshot()
    for user, words in {
        "bob": "*You*: You may decide this now.",
        "mallory": "You may not, because you are in none of the teams",
        "alice": "You may not, because you asked for it",
    }.items():
        text = str(slack.dialog(user, "details"))
        assert words in text and promotion.seal in text and "payments" in text
        assert f"/promotions/{promotion.pk}/" in text
    assert "other organisations" in slack.told("eve", "details")
    assert snapshot() == before


class TestRollback:
    def live(self, slack: Slack) -> Promotion:
        slack.world.make_live(slack.world.version(1))
        deployment = slack.world.make_live(slack.world.version(2))
        slack.deliver()
        return deployment.promotion

    def test_asked_for_in_slack(self, slack: Slack) -> None:
        self.live(slack)
        view = slack.dialog("dave", "rollback")
        assert slack.submit("dave", view, text="Too many false alarms.")["status"] == 200
        asked = Promotion.objects.get(kind=PromotionKind.ROLLBACK)
        assert (asked.version.number, asked.requester.username, asked.via) == (1, "dave", Via.SLACK)
        assert asked.status == PromotionStatus.PENDING
        slack.world.seal(asked)
        slack.deliver()
        assert slack.messages()[-1]["text"].startswith("Roll production back to fraud-detector v1")
        assert slack.told("dave", "approve") == "", "the configuration lets them decide it alone"
        asked.refresh_from_db()
        assert asked.status == PromotionStatus.APPROVED

    def test_refused_in_the_dialog(self, slack: Slack) -> None:
        self.live(slack)
        view = slack.dialog("dave", "rollback")
        before = snapshot()
        assert set(slack.submit("dave", view, text="\n")["errors"]) == {"reason"}
        assert snapshot() == before

    def test_mallory_gets_no_dialog(self, slack: Slack) -> None:
        self.live(slack)
        before = snapshot()
        told = slack.told("mallory", "rollback")
        assert told.startswith("You may not, because asking here is for members of")
        assert snapshot() == before

    def test_offered_only_while_it_is_live(self, slack: Slack) -> None:
        self.live(slack)
        actions = [
            {each["action_id"] for each in message["blocks"][-1]["elements"]}
            for message in slack.messages()
        ]
        assert actions == [{"details"}, {"details", "rollback"}]


def test_what_is_not_for_us_is_answered_quietly(slack: Slack) -> None:
    """After a 404 Slack would show an error, or send an event three times more."""
    slack.ask()
    before = snapshot()
    payload = slack.press("bob", "approve", dry=True)["payload"]
    slack.post("write", user="alice", channel="C0RELEASES", text="hello <!channel>")
    payload["actions"][0]["action_id"] = "somebody_elses"
    assert slack.send(payload).status_code == 200
    view = {"type": "modal", "callback_id": "unknown"}
    submission = {**payload, "type": "view_submission", "view": view}
    assert slack.send(submission).status_code == 200
    assert slack.send({**payload, "type": "something_new"}).status_code == 200
    assert "3eZbrw1aBm2rZgRNFdxV2595E9" in slack.post("verify_url")["body"]
    until = time.monotonic() + 5
    while not (sent := [e for e in slack.get("deliveries") if e["what"] == "event message"]):
        assert time.monotonic() < until
    assert [(each["status"], each["retry"]) for each in sent] == [(200, None)]
    assert snapshot() == before


def test_an_error_of_ours_is_an_error_to_slack(
    slack: Slack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The person sees that it failed and presses again; nothing is swallowed."""
    slack.ask()
    before = snapshot()

    def broken(**_: Any) -> None:
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr(services, "review", broken)
    # Over Socket Mode there is no other no than silence.
    silent = {"http": "http_error", "socket": "operation_timeout"}[slack.transport]
    assert slack.press("bob", "approve")["error"] == silent
    assert snapshot() == before


def test_the_dialog_cannot_be_opened(slack: Slack) -> None:
    slack.ask()
    slack.fault("server_error", "views.open")
    assert slack.told("bob", "reject") == "Slack did not open the dialog. Please press again."
    assert slack.dialog("bob", "reject")


@contextmanager
def silent_server() -> Iterator[str]:
    """Takes requests and does not answer until the end."""
    done = threading.Event()

    class Silent(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            done.wait(20)

    server = HTTPServer(("127.0.0.1", 0), Silent)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        done.set()
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_silent_slack_does_not_keep_the_press_waiting(slack: Slack, settings: Settings) -> None:
    """The answer is due within three seconds, also when the private sentence cannot be sent."""
    slack.ask()
    payload = slack.press("mallory", "approve", dry=True)["payload"]
    with silent_server() as url:
        payload["response_url"] = f"{url}/response"
        began = timezone.now()
        assert slack.send(payload).status_code == 200
        assert (timezone.now() - began).total_seconds() < 3


class TestCommand:
    def test_help(self, slack: Slack) -> None:
        said = slack.post("command", user="bob", command="/countersign", text="")
        assert said["status"] == 200
        assert "Requests appear in the channel" in said["ephemeral"][0]["text"]

    def test_link(self, slack: Slack) -> None:
        said = slack.post("command", user="frank", command="/countersign", text="link")
        assert f"{slack.product}/integrations/slack/link/" in said["ephemeral"][0]["text"]


class TestMoreThanAPress:
    """Where the policy asks for ticks or a comment, Approve opens a dialog."""

    def test_ticks_and_a_comment(self, slack: Slack) -> None:
        items = tuple(f"Item {number}: {'x' * 90}" for number in range(12))
        slack.world.rules(checklist=items, comment_required=True)
        promotion = slack.ask()
        before = snapshot()
        view = slack.dialog("bob", "approve")
        assert snapshot() == before, "opening it decides nothing"
        blocks = [block for block in view["blocks"] if block["type"] == "input"]
        boxes = [block["element"] for block in blocks if block["element"]["type"] == "checkboxes"]
        assert [len(box["options"]) for box in boxes] == [10, 2]
        assert items[11] in str(view["blocks"]), "each item stands there whole"

        answer = slack.submit(
            "bob",
            view,
            **{
                "checklist-0": {"ticked": [str(index) for index in range(10)]},
                "checklist-10": {"ticked": ["10"]},
                "reason": {"text": "Read and found good."},
            },
        )
        assert "Item 11" in str(answer), answer
        assert snapshot() == before
        slack.submit(
            "bob",
            slack.dialog("bob", "approve"),
            **{
                "checklist-0": {"ticked": [str(index) for index in range(10)]},
                "checklist-10": {"ticked": ["10", "11"]},
                "reason": {"text": "Read and found good."},
            },
        )
        review = Review.objects.get()
        assert (review.ticked, review.comment) == (list(items), "Read and found good.")
        assert review.seal == promotion.seal

    def test_whoever_may_not_gets_no_dialog(self, slack: Slack) -> None:
        slack.world.rules(comment_required=True)
        slack.ask()
        assert slack.told("mallory", "approve").startswith("You may not")
        assert slack.told("alice", "approve").startswith("You may not")


def test_reminders_and_broken_glass_are_said_below_the_message(slack: Slack) -> None:
    slack.world.rules(remind_after=3600, override_team="platform")
    promotion = slack.ask()
    services.remind_due(now=promotion.requested_at + timedelta(hours=1))
    slack.now()
    deliver_due(HANDLERS, seconds=20)
    services.override(
        actor=slack.world.person("dave"),
        via=Via.SLACK,
        promotion_id=promotion.pk,
        seal=promotion.seal,
        reason="<!channel> It *burns*.",
    )
    Effect.objects.filter(kind=EffectKind.DISPATCH).delete()
    slack.now()
    deliver_due(HANDLERS, seconds=20)
    [first] = slack.messages()
    reminder, glass = slack.replies(first["ts"])
    assert "<@U0BOB>" in reminder["text"] and "<@U0CAROL>" in reminder["text"]
    assert "<@U0ALICE>" not in reminder["text"]
    assert "broke the glass" in glass["text"] and "<!channel>" not in str(glass)
    assert not reminder["broadcast"] and not glass["broadcast"], "only the outcome is shown twice"
    assert "Glass broken" in first["text"]
    assert "*risk*: 1 missing" in str(first["blocks"]), "nobody is asked any more"
