"""Whatever happens to Slack: one message, everything told once below it, at Slack's pace, where it is taken."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from approvals import services
from approvals.models import Deployment, Effect, Event, Preferences, Promotion
from approvals.models.outbox import EffectKind
from approvals.rollouts import PlanStep
from approvals.selectors.news import OUTCOME, TOLD, called_by
from approvals.states import DeploymentStatus, EffectStatus, PromotionStatus, Verdict, Via
from integrations.effects import HANDLERS
from integrations.models import SlackMessage, SlackWorkspace
from integrations.outbox import deliver_due
from integrations.slack import announce, messages, thread
from integrations.slack.announce import out_of_date
from integrations.slack.places import CLOSED
from integrations.status import notices
from tests.integrations.mail_fixtures import alert
from tests.integrations.slack_fixtures import CHANNEL, JSON, Slack, slack, static_folder

__all__ = ["slack", "static_folder"]
GENERAL = "C0GENERAL"


class Killed(BaseException):
    """What a SIGKILL is to a handler: nothing after it runs, nothing is recorded."""


def fallback(slack: Slack, channel: str = GENERAL) -> None:
    target = slack.world.target()
    target.fallback_channel = channel
    target.save(update_fields=["fallback_channel"])


def words(reply: JSON) -> str:
    return "\n".join(each["text"]["text"] for each in reply["blocks"])


def again(slack: Slack) -> None:
    """Every effect that ever was is delivered once more."""
    Effect.objects.update(status=EffectStatus.WAITING, attempts=1)
    slack.now()
    slack.deliver()


def open_effects() -> int:
    return Effect.objects.exclude(status=EffectStatus.DONE).count()


def test_what_happens_is_told_below_and_the_outcome_in_the_channel_too(slack: Slack) -> None:
    world = slack.world
    promotion = slack.ask()
    assert slack.replies() == [], "the message itself says the request"
    world.review(promotion, "bob")
    slack.deliver()
    world.review(promotion, "carol")
    slack.deliver()
    world.deploy(Deployment.objects.get(promotion=promotion))
    slack.deliver()
    ts = slack.messages()[0]["ts"]
    first, second, started, live = slack.replies(ts)
    assert first["text"] == ":large_green_circle: Bob Brandt approved"
    assert "Carol Chen approved\n" in words(second)
    assert words(second).endswith("was approved for production (by Carol Chen)")
    assert "The workflow run started <http://127.0.0.1:9/runs/77|The workflow run>" in words(
        started
    )
    assert [each["broadcast"] for each in (first, second, started, live)] == [False] * 3 + [True]
    assert "fraud-detector v2 went live in production" in words(live)
    assert words(live).splitlines()[0].endswith("|fraud-detector v2 in production>")
    assert words(live).endswith("<@U0ALICE>"), "who asked is called, and nobody else"
    assert not any("<@" in words(each) for each in (first, second, started))
    newest = Event.objects.filter(promotion=promotion).latest("pk").pk
    assert SlackMessage.objects.get().told_event == newest
    sent = len(slack.get("requests"))
    Effect.objects.update(status=EffectStatus.WAITING)
    slack.deliver()
    assert len(slack.get("requests")) == sent, "nothing new, nothing sent"


def test_slack_off_for_the_whole_of_a_promotion(slack: Slack, settings: Settings) -> None:
    world = slack.world
    world.make_live(world.version(1))
    slack.deliver()
    before = len(slack.get("requests"))
    address, settings.SLACK_API_URL = settings.SLACK_API_URL, "http://127.0.0.1:9/api/"
    world.strategy(PlanStep(10), PlanStep(100))
    promotion = slack.ask()
    world.review(promotion, "bob")
    slack.now()
    slack.deliver()
    world.review(promotion, "carol")
    deployment = world.step(world.step(Deployment.objects.get(promotion=promotion)))
    assert deployment.status == DeploymentStatus.SUCCEEDED
    slack.now()
    slack.deliver()
    assert len(slack.get("requests")) == before and open_effects() > 5
    settings.SLACK_API_URL = address
    slack.now()
    slack.deliver()

    former, message = slack.messages()
    assert "Was live; v2 is live now" in former["text"]
    assert message["text"].startswith(
        "Promote fraud-detector v2 to production: Live in production."
    )
    caught_up, outcome = slack.replies(message["ts"])
    said = words(caught_up)
    assert "Bob Brandt approved" in said and "(step 1, 10 %)" in said and "serves 10 %" in said
    assert said.count("<!date^") == len(said.splitlines()) == 6, "each with its time"
    assert (caught_up["broadcast"], outcome["broadcast"]) == (False, True)
    assert "went live" in words(outcome) and message["edits"] == 0
    assert open_effects() == 0
    again(slack)
    assert len(slack.messages()) == 2 and len(slack.replies(message["ts"])) == 2
    assert slack.messages()[1]["edits"] == 0, "delivered twice, shown once"


@pytest.mark.parametrize("point", ["announce.posted", "announce.replied", "alert.posted"])
def test_a_worker_that_dies_after_posting(
    slack: Slack, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """It posted and could keep nothing of it. What its successor finds in Slack is not posted again."""
    promotion = slack.world.request()
    if point == "announce.replied":
        slack.deliver()
        slack.world.review(promotion, "bob")
    if point == "alert.posted":
        Effect.objects.all().delete()
        alert(slack.world.target())

    def die(reached: str) -> None:
        if reached == point:
            monkeypatch.undo()
            raise Killed

    for module in (announce, thread):
        monkeypatch.setattr(module, "reach", die)
    with pytest.raises(Killed):
        deliver_due(HANDLERS, seconds=20)
    if point == "announce.replied":
        # Meanwhile more happens: the successor tells that, and not again what stands there.
        slack.world.review(promotion, "carol")
    Effect.objects.exclude(kind__in=[EffectKind.ANNOUNCE, EffectKind.ALERT]).delete()
    Effect.objects.filter(status=EffectStatus.CLAIMED).update(claimed_until=timezone.now())
    deliver_due(HANDLERS, seconds=20)
    assert open_effects() == 0
    assert len(slack.messages()) == 1
    told = "\n".join(map(words, slack.replies()))
    if point == "announce.replied":
        assert told.count("Bob Brandt approved") == told.count("Carol Chen approved") == 1
    else:
        assert told == ""


def test_a_reply_whose_answer_was_lost_is_not_written_again(slack: Slack) -> None:
    promotion = slack.ask()
    slack.world.review(promotion, "bob")
    slack.fault("post_then_error", "chat.postMessage")
    slack.deliver()
    assert open_effects() == 1
    slack.now()
    slack.deliver()
    assert (len(slack.replies()), open_effects()) == (1, 0)


def test_many_edits_that_wait_are_one(slack: Slack) -> None:
    promotion = slack.ask()
    before = len(slack.get("requests"))
    for name in ("bob", "carol"):
        slack.world.review(promotion, name)
    waiting = Effect.objects.filter(kind=EffectKind.ANNOUNCE, status=EffectStatus.WAITING).count()
    slack.deliver()
    sent = [each["method"] for each in slack.get("requests")[before:]]
    assert waiting == 3 and sent == ["chat.update", "chat.postMessage"]
    assert Effect.objects.filter(attempts=0, status=EffectStatus.DONE).count() == 2 + 1, (
        "not even tried"
    )
    assert open_effects() == 0


def test_what_comes_while_it_is_delivered_is_not_passed_over(
    slack: Slack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An effect that was written after the message was rendered is delivered by itself."""
    promotion = slack.world.request()

    def and_then(asked: Promotion) -> JSON:
        content = messages.render(asked)
        monkeypatch.undo()
        slack.world.review(promotion, "bob")
        return content

    monkeypatch.setattr("integrations.slack.announce.render", and_then)
    slack.deliver()
    assert slack.messages()[0]["edits"] == 1 and len(slack.replies()) == 1


class TestPace:
    def test_a_message_a_second_and_never_a_429(self, slack: Slack, settings: Settings) -> None:
        """Slack's own limit is enforced; nobody sleeps, and nobody runs into it."""
        settings.SLACK_POST_SECONDS = 1.0
        slack.post("traffic", seconds=0.9)
        for model in ("fraud-detector", "churn-predictor"):
            slack.world.request(slack.world.version(1, model=model))
        started, waited = time.monotonic(), ""
        while open_effects() and time.monotonic() < started + 30:
            slack.deliver()
            waits = Effect.objects.filter(status=EffectStatus.WAITING).order_by("pk").first()
            waited = waits.last_error if waits else waited
            assert waits is None or waits.attempts == 0
        assert time.monotonic() - started >= 1 and "waits its turn" in waited
        assert (len(slack.messages()), slack.post("traffic")["refused"]) == (2, 0)

    def test_a_429_puts_the_channel_off_for_everybody(self, slack: Slack) -> None:
        slack.fault("ratelimited", "chat.postMessage", retry_after=40)
        slack.ask()
        slack.world.request(slack.world.version(1, model="churn-predictor"))
        slack.deliver()
        assert slack.calls("chat.postMessage") == 1, "the other one did not even try"
        waiting = Effect.objects.filter(status=EffectStatus.WAITING)
        for each in waiting.order_by("promotion_id", "pk").distinct("promotion_id"):
            assert 35 < (each.due_at - timezone.now()).total_seconds() < 45
        slack.now()
        slack.deliver()
        assert len(slack.messages()) == 2

    def test_a_429_of_an_edit_puts_the_workspace_off(self, slack: Slack) -> None:
        promotion = slack.ask()
        slack.fault("ratelimited", "chat.update", retry_after=40)
        slack.world.review(promotion, "bob")
        slack.deliver()
        slack.ask(version=slack.world.version(1, model="churn-predictor"))
        assert len(slack.messages()) == 1 and slack.calls("chat.postMessage") == 1
        slack.now()
        slack.deliver()
        assert len(slack.messages()) == 2 and open_effects() == 0

    def test_many_edits_at_once_then_about_fifty_a_minute(
        self, slack: Slack, settings: Settings
    ) -> None:
        settings.SLACK_POST_SECONDS = 1000.0  # so that none comes free while this runs
        promotion = slack.ask()
        for _ in range(23):
            SlackMessage.objects.update(digest="")
            Effect.objects.update(status=EffectStatus.WAITING)
            slack.deliver()
        assert slack.calls("chat.update") == 21
        assert (
            "50 edits a minute"
            in Effect.objects.filter(promotion=promotion).earliest("pk").last_error
        )


class TestWhere:
    def test_a_deleted_message_is_posted_anew_without_its_past(self, slack: Slack) -> None:
        promotion = slack.ask()
        slack.world.review(promotion, "bob")
        slack.deliver()
        slack.post("reset")
        slack.world.review(promotion, "carol")
        slack.deliver()
        [message] = slack.messages()
        told = "\n".join(map(words, slack.replies(message["ts"])))
        assert "Carol Chen approved" in told and "Bob" not in told
        assert SlackMessage.objects.get().ts == message["ts"]

    def test_deleted_between_the_edit_and_the_reply(self, slack: Slack) -> None:
        promotion = slack.ask()
        slack.world.review(promotion, "bob")
        slack.fault("message_not_found", "chat.postMessage")
        slack.deliver()
        assert open_effects() == 0
        ts = SlackMessage.objects.get().ts
        assert len(slack.replies(ts)) == 1 and len(slack.messages()) == 2

    @pytest.mark.parametrize("code", ["is_archived", "channel_not_found", "not_in_channel"])
    def test_to_the_fallback_channel_with_a_note(self, slack: Slack, code: str) -> None:
        fallback(slack)
        slack.fault(code, "chat.postMessage")
        promotion = slack.ask()
        [message] = slack.messages()
        note = f"This was to go to <#{CHANNEL}>, {CLOSED[code]}."
        assert message["channel"] == GENERAL and note in str(message["blocks"])
        # There it stays, although the channel is open again; the next one goes where it belongs.
        slack.world.review(promotion, "bob")
        slack.deliver()
        [edited] = slack.messages()
        assert edited["edits"] == 1 and note in str(edited["blocks"])
        assert [each["channel"] for each in slack.replies(edited["ts"])] == [GENERAL]
        slack.ask(version=slack.world.version(1, model="churn-predictor"))
        assert sorted(each["channel"] for each in slack.messages()) == [GENERAL, CHANNEL]
        again(slack)
        assert len(slack.messages()) == 2

    def test_archived_in_the_middle(self, slack: Slack) -> None:
        fallback(slack)
        promotion = slack.ask()
        slack.world.review(promotion, "bob")
        slack.deliver()
        slack.post("traffic", archived=[CHANNEL])
        slack.world.review(promotion, "carol")
        slack.fault("post_then_error", "chat.postMessage")  # and its answer is lost
        slack.deliver()
        slack.now()
        slack.deliver()
        assert open_effects() == 0
        [moved] = [each for each in slack.messages() if each["channel"] == GENERAL]
        assert "which is archived" in str(moved["blocks"]) and "Approved" in moved["text"]
        told = "\n".join(map(words, slack.replies(moved["ts"])))
        assert "Carol Chen approved" in told and "Bob" not in told
        kept = SlackMessage.objects.get()
        assert (kept.channel, kept.ts) == (GENERAL, moved["ts"])

    def test_without_a_fallback_it_waits_and_the_pages_say_so(self, slack: Slack) -> None:
        slack.post("traffic", archived=[CHANNEL])
        slack.ask()
        Effect.objects.update(attempts=3, created_at=timezone.now() - timedelta(minutes=1))
        assert any("will not let us write there (is_archived)" in each for each in notices())
        slack.post("traffic", archived=[])
        slack.now()
        slack.deliver()
        assert len(slack.messages()) == 1 and open_effects() == 0
        assert SlackMessage.objects.get().note == ""

    def test_alerts_go_there_too_and_say_a_thing_once(self, slack: Slack) -> None:
        fallback(slack)
        slack.post("traffic", archived=[CHANNEL])
        alert(slack.world.target())
        Effect.objects.exclude(kind=EffectKind.ALERT).delete()
        deliver_due(HANDLERS, seconds=20)
        [message] = slack.messages()
        assert message["channel"] == GENERAL
        assert (
            message["text"].splitlines()[-1]
            == f"_This was to go to <#{CHANNEL}>, which is archived._"
        )


def test_a_revoked_token_is_said_at_once_and_costs_no_decision(slack: Slack) -> None:
    promotion = slack.ask()
    assert SlackWorkspace.objects.get().succeeded_at
    slack.fault("token_revoked", times=100)
    slack.world.review(promotion, "bob")
    slack.deliver()
    row = SlackWorkspace.objects.get()
    assert row.team_id == "T0ACME" and "token_revoked" in row.problem and row.problem_at
    said = [each for each in notices() if "Slack" in each]
    assert len(said) == 1 and "token_revoked" in said[0] and "SLACK_BOT_TOKEN" in said[0]
    slack.world.review(promotion, "carol")
    assert Promotion.objects.get(pk=promotion.pk).status == PromotionStatus.APPROVED
    slack.mend()
    slack.deliver()
    assert "Approved" in slack.messages()[0]["text"] and open_effects() == 0
    assert SlackWorkspace.objects.get().problem == ""
    assert not any("Slack" in each for each in notices())


class TestWords:
    def test_only_who_can_still_act_is_called(self, slack: Slack) -> None:
        world = slack.world
        world.rules(remind_after=60)
        promotion = slack.ask()
        services.remind_due(now=promotion.requested_at + timedelta(seconds=61))
        [event] = Event.objects.filter(kind="promotion.reminded")
        assert {each.username for each in called_by(event, promotion)} >= {"bob", "carol"}
        world.review(promotion, "bob")
        Preferences.objects.create(person=world.person("carol"), reminders=False)
        slack.now()
        slack.deliver()
        [reply] = slack.replies()
        assert "were reminded" in words(reply) and "<@" not in words(reply)
        services.remind_due(now=promotion.requested_at + timedelta(seconds=200))
        assert Event.objects.filter(kind="promotion.reminded").count() == 1, "nobody wants it"

    def test_what_a_person_must_settle_calls_those_who_may(self, slack: Slack) -> None:
        world = slack.world
        deployment = world.approve(slack.ask())
        services.begin_dispatch(
            deployment_id=deployment.pk, observed=world.observed(deployment.version)
        )
        services.record_unconfirmed(deployment_id=deployment.pk, detail="The answer was lost.")
        person = world.person("carol")
        person.is_active = False
        person.save()
        slack.deliver()
        loud = [each for each in slack.replies() if each["broadcast"]]
        assert len(loud) == 1 and "Unconfirmed: The answer was lost." in words(loud[0])
        assert words(loud[0]).endswith("<@U0BOB>")

    @pytest.mark.parametrize(
        ("end", "kind"),
        [
            (
                lambda world, asked: world.review(
                    asked, "bob", Verdict.REJECT, comment="<!channel>"
                ),
                "promotion.rejected",
            ),
            (
                lambda world, asked: services.cancel(
                    actor=world.person("alice"),
                    via=Via.BROWSER,
                    promotion_id=asked.pk,
                    reason="No.",
                ),
                "promotion.cancelled",
            ),
            (
                lambda world, asked: services.close_overdue(now=asked.expires_at),
                "promotion.expired",
            ),
            (lambda world, asked: world.request(world.version(3)), "promotion.superseded"),
            (
                lambda world, asked: world.step(world.approve(asked), "failure"),
                "deployment.failed",
            ),
        ],
    )
    def test_every_end_is_loud_once(
        self, slack: Slack, end: Callable[[object, Promotion], object], kind: str
    ) -> None:
        promotion = slack.ask()
        end(slack.world, promotion)
        slack.now()
        slack.deliver()
        assert TOLD[kind] == OUTCOME
        ts = SlackMessage.objects.get(promotion=promotion).ts
        loud = [each for each in slack.replies(ts) if each["broadcast"]]
        assert len(loud) == 1 and "<!channel>" not in words(loud[0])
        assert (
            Event.objects.get(promotion=promotion, kind=kind).pk
            == (loud[0]["metadata"]["event_payload"]["event"])
        )

    def test_a_step_that_failed_is_not_the_end_and_going_back_is(self, slack: Slack) -> None:
        world = slack.world
        world.make_live(world.version(1))
        world.strategy(PlanStep(10), PlanStep(100))
        promotion = slack.ask()
        deployment = world.step(world.step(world.approve(promotion)), "failure")
        slack.deliver()
        ts = SlackMessage.objects.get(promotion=promotion).ts
        assert not any(each["broadcast"] for each in slack.replies(ts))
        world.step(deployment)
        slack.deliver()
        loud = [each for each in slack.replies(ts) if each["broadcast"]]
        assert len(loud) == 1 and "serves everybody again" in words(loud[0])

    def test_a_flood_is_one_reply_within_slacks_limits(self, slack: Slack) -> None:
        promotion = slack.ask()
        bob = slack.world.person("bob")
        for _ in range(40):
            slack.world.review(promotion, "bob", comment="שלום <!here> " + "&" * 1500)
            services.withdraw_review(actor=bob, via=Via.BROWSER, promotion_id=promotion.pk)
        slack.deliver()
        [reply] = slack.replies()
        lines = words(reply).splitlines()
        assert lines[0].endswith("|50 more before that, on the promotion's page>")
        assert len(lines) == 31 and len(words(reply)) < 13_000


def test_time_alone_brings_a_message_up_to_date(slack: Slack) -> None:
    promotion = slack.ask()
    now, world = timezone.now(), slack.world
    assert out_of_date(now + timedelta(minutes=5)) == 0, "nothing in it is relative to now"
    services.freeze(
        actor=world.person("carol"),
        via=Via.BROWSER,
        environment_id=promotion.target.environment_id,
        reason="The quarter ends.",
        begins_at=now + timedelta(hours=1),
    )
    slack.deliver()
    assert out_of_date(now) == 0
    assert out_of_date(now + timedelta(hours=2)) == 1
    effect = Effect.objects.get(status=EffectStatus.WAITING, kind=EffectKind.ANNOUNCE)
    assert effect.promotion_id == promotion.pk and effect.dedupe_key.split(":")[-2] == "time"
