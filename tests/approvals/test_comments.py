"""Saying something without deciding anything."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from approvals.audit import verify_history
from approvals.models import Deployment, Effect, Event, Person, Promotion, Review
from approvals.models.outbox import EffectKind
from approvals.narrative import sentence_of
from approvals.selectors.conversation import conversation_of
from approvals.selectors.decisions import promotion_or_404
from approvals.selectors.news import REPLY, TOLD
from approvals.services import Refused, comment, withdraw_review
from approvals.services.comments import COMMENTED
from approvals.services.refusal import MAX_REASON
from approvals.states import Verdict, Via
from integrations.slack.thread import Reply, render_reply
from tests.web.caller import Caller, refuses, token_of
from tests.world import World


def says(world: World, promotion: Promotion, who: str, text: str, **more: object) -> Promotion:
    return comment(
        actor=world.person(who),
        via=Via.BROWSER,
        promotion_id=promotion.pk,
        text=text,
        **more,  # type: ignore[arg-type]
    )


def comments() -> list[Event]:
    return list(Event.objects.filter(kind=COMMENTED).order_by("pk"))


def refused(code: str, act: Callable[[], object]) -> str:
    before = Event.objects.count(), Effect.objects.count()
    with pytest.raises(Refused) as caught:
        act()
    assert caught.value.code == code
    assert (Event.objects.count(), Effect.objects.count()) == before
    return caught.value.sentence


def test_a_comment_is_an_event_and_decides_nothing(world: World) -> None:
    promotion = world.request()
    before = Promotion.objects.values().get(pk=promotion.pk)
    Effect.objects.all().delete()
    says(world, promotion, "mallory", "  Which holdout was **that**?\u202e\x00 ")
    [event] = comments()
    assert event.data["comment"] == "Which holdout was **that**?"
    assert (event.actor, event.promotion, event.via) == (
        world.person("mallory"),
        promotion,
        "browser",
    )
    assert sentence_of(event) == "Mallory Moss commented"
    assert Promotion.objects.values().get(pk=promotion.pk) == before
    assert not Review.objects.exists() and not Deployment.objects.exists()
    assert [each.kind for each in Effect.objects.all()] == [EffectKind.ANNOUNCE]
    assert verify_history().broken_at is None


def test_after_the_decision_too(world: World) -> None:
    promotion = world.request()
    world.review(promotion, "bob", Verdict.REJECT)
    says(world, promotion, "alice", "Next week then.")
    assert len(comments()) == 1


def test_what_is_sent_twice_is_kept_once(world: World) -> None:
    promotion, now = world.request(), timezone.now()
    for _ in range(2):
        says(world, promotion, "alice", "On the October holdout.", now=now)
    says(world, promotion, "bob", "On the October holdout.", now=now)
    assert len(comments()) == 2
    says(world, promotion, "alice", "On the October holdout.", now=now + timedelta(minutes=2))
    assert len(comments()) == 3


class TestWhoMayNot:
    def test_nothing_said(self, world: World) -> None:
        promotion = world.request()
        refused("comment_missing", lambda: says(world, promotion, "alice", " \u202e\n"))
        sentence = refused(
            "reason_too_long", lambda: says(world, promotion, "alice", "x" * (MAX_REASON + 1))
        )
        assert "at most 2,000" in sentence
        refused(
            "unknown_promotion",
            lambda: comment(
                actor=world.person("alice"), via=Via.API, promotion_id=promotion.pk + 1, text="x"
            ),
        )

    def test_who_has_left(self, world: World) -> None:
        promotion = world.request()
        Person.objects.filter(username="mallory").update(is_active=False)
        refused("inactive", lambda: says(world, promotion, "mallory", "Hello?"))

    def test_a_machine_answers_for_its_own_requests_alone(self, world: World) -> None:
        promotion = world.request()
        refused("machine", lambda: says(world, promotion, "ci", "Green."))
        own = world.request(world.version(3), target=world.target("staging"), actor="ci")
        says(world, own, "ci", "Green on the third try.")
        assert len(comments()) == 1


def test_the_thread_is_in_the_order_of_time(world: World) -> None:
    promotion = world.request()
    says(world, promotion, "mallory", "First.")
    world.review(promotion, "bob", comment="Second.")
    says(world, promotion, "alice", "Third.")
    withdraw_review(actor=world.person("bob"), via=Via.BROWSER, promotion_id=promotion.pk)
    world.review(promotion, "bob", Verdict.REJECT, comment="Fourth.")
    thread = conversation_of(promotion_or_404(promotion.pk)).everything
    assert [(each.by, each.did, each.text) for each in thread] == [
        ("Alice Anders", "asked for it", ""),
        ("Mallory Moss", "commented", "First."),
        ("Bob Brandt", "approved", "Second."),
        ("Alice Anders", "commented", "Third."),
        ("Bob Brandt", "rejected", "Fourth."),
    ]
    assert thread[2].void == "withdrawn" and not thread[4].void


def test_a_long_thread_is_folded_between(world: World) -> None:
    promotion = world.request()
    for number in range(20):
        says(world, promotion, "alice", f"Number {number}.")
    thread = conversation_of(promotion_or_404(promotion.pk))
    assert [each.did for each in thread.first] == ["asked for it"]
    assert thread.newest[-1].text == "Number 19." and len(thread.newest) == 12
    assert len(thread.everything) == 21 and not thread.more


class TestInSlacksThread:
    def test_it_is_told_and_inert(self, world: World) -> None:
        assert TOLD[COMMENTED] == REPLY
        promotion = world.request()
        says(world, promotion, "mallory", "<!channel> *look*\n<https://evil.example|here>")
        [event] = comments()
        said = render_reply(promotion, Reply([event]))
        assert said["text"].startswith("Mallory Moss commented: ")
        for live in ("<!channel>", "<https://evil", "*look*", "\n"):
            assert live not in said["text"], live
        assert "channel" in said["text"] and "look" in said["text"]

    def test_a_second_line_cannot_pass_for_ours(self, world: World) -> None:
        promotion = world.request()
        says(world, promotion, "mallory", "Hm.\nBob Brandt approved")
        says(world, promotion, "alice", "What?")
        text = render_reply(promotion, Reply(comments()))["text"]
        assert len(text.splitlines()) == 2


class TestByTheApi:
    def test_said_and_shown(self, world: World) -> None:
        promotion = world.request()
        mallory = Caller(token_of(world, "mallory"))
        path = f"promotions/{promotion.pk}/comments"
        status, seen = mallory("POST", path, {"text": "Which *holdout*?"})
        assert status == 201 and seen["status"] == "pending"
        [shown] = seen["comments"]
        assert (shown["by"], shown["text"]) == ("mallory", "Which *holdout*?")
        assert [each.via for each in comments()] == [Via.API]

    def test_refused(self, world: World) -> None:
        promotion = world.request()
        path = f"promotions/{promotion.pk}/comments"
        alice = Caller(token_of(world, "alice"))
        refuses(lambda: alice("POST", path, {"text": " "}), 422, "comment_missing", "text")
        refuses(lambda: alice("POST", path, {"text": "x" * 2001}), 422, "reason_too_long", "text")
        ci = Caller(token_of(world, "ci"))
        refuses(lambda: ci("POST", path, {"text": "Green."}), 403, "machine")
        assert alice("POST", path, {"text": "x", "seal": "y"})[0] == 422
        assert not comments()
