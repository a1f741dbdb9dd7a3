"""Direct messages: nobody gets one who did not ask for it, and nobody gets one twice."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from approvals import services
from approvals.models import Effect, Person, Promotion, Review
from approvals.models.outbox import EffectKind
from approvals.services.telling import inform
from approvals.states import EffectStatus, Occasion, Via
from integrations.models import SlackIdentity, SlackStanding
from integrations.slack import direct
from tests import blockkit
from tests.integrations.slack_events import JSON, deliver
from tests.integrations.slack_fixtures import Slack, slack, static_folder
from tests.snapshots import assert_snapshot
from tests.world import World

__all__ = ["slack", "static_folder"]
HOSTILE = "<!channel> <@U0MALLORY> <http://evil.example|Approve> & \u202e"


def want(world: World, *names: str, **wishes: Any) -> None:
    for name in names:
        services.set_preferences(
            actor=world.person(name), via=Via.BROWSER, **{"direct": True, **wishes}
        )


def asked(world: World) -> Promotion:
    """A sealed promotion; what the product itself tells of it is none of these tests' business."""
    promotion = world.request()
    Effect.objects.filter(kind=EffectKind.TELL).delete()
    return promotion


def tell(
    world: World,
    promotion: Promotion,
    *names: str,
    occasion: Occasion = Occasion.REQUEST,
    subject: str = "fraud-detector v2 waits for you",
    text: str = "Alice Anders asks that it go to production.",
    key: str = "asked",
) -> None:
    people = [world.person(name).pk for name in names]
    with transaction.atomic():
        inform(
            promotion,
            occasion,
            people,
            subject=subject,
            text=text,
            key=key,
            now=timezone.now(),
        )


def written(slack: Slack) -> list[JSON]:
    """All direct messages, after everything was delivered."""
    deliver(EffectKind.TELL)
    return [each for each in slack.messages() if each["channel"].startswith("D")]


def test_by_default_nobody(slack: Slack) -> None:
    promotion = asked(slack.world)
    for occasion in Occasion:
        tell(slack.world, promotion, "bob", "carol", occasion=occasion, key=occasion)
    assert written(slack) == [] and slack.get("requests") == [], "Slack is not even asked"
    assert all(each.status == EffectStatus.DONE for each in Effect.objects.all())


def test_whoever_wants_it_and_nobody_else(slack: Slack) -> None:
    promotion = slack.ask()
    want(slack.world, "bob")
    tell(slack.world, promotion, "bob", "carol")
    [message] = written(slack)
    assert message["channel"] == "D0BOB" and message["text"] == "fraud-detector v2 waits for you"
    text = str(message["blocks"])
    assert f"{slack.product}{promotion.get_absolute_url()}|Open in Countersign" in text
    assert "|Open the channel's message>" in text
    slack.press("bob", "approve", message["ts"])
    assert Review.objects.get().person.username == "bob"


def test_the_messages_as_reviewed(world: World) -> None:
    promotion = world.request()
    for occasion in Occasion:
        tell(world, promotion, "bob", occasion=occasion, key=occasion)
        effect = Effect.objects.filter(kind=EffectKind.TELL).latest("pk")
        content = {"text": "x", "blocks": direct.render(effect)}
        blockkit.validate_message(content)
        assert_snapshot(f"direct/{occasion}", content)


def test_text_that_wishes_us_ill(slack: Slack) -> None:
    want(slack.world, "bob")
    tell(slack.world, asked(slack.world), "bob", subject=HOSTILE * 9, text=HOSTILE * 200)
    [message] = written(slack)
    text = str(message)
    assert "<!channel>" not in text and "<@U" not in text and "<http://evil" not in text


@pytest.mark.parametrize("why", ["unlinked", "guest", "inactive", "machine", "reminders off"])
def test_who_is_not_told(slack: Slack, why: str) -> None:
    promotion = asked(slack.world)
    want(slack.world, "bob", reminders=why != "reminders off")
    tell(slack.world, promotion, "bob", occasion=Occasion.REMINDER)
    bob = Person.objects.filter(username="bob")
    identity = SlackIdentity.objects.filter(person__username="bob")
    if why == "unlinked":
        identity.delete()
    elif why == "guest":
        identity.update(standing=SlackStanding.GUEST)
    elif why != "reminders off":
        bob.update(**{"is_active": False} if why == "inactive" else {"is_machine": True})
    assert written(slack) == [] and slack.calls("chat.postMessage") == 0


def test_what_was_settled_meanwhile_is_not_asked(slack: Slack) -> None:
    promotion = asked(slack.world)
    want(slack.world, "bob", "alice")
    tell(slack.world, promotion, "bob")
    services.cancel(actor=slack.world.person("alice"), via=Via.BROWSER, promotion_id=promotion.pk)
    tell(slack.world, promotion, "alice", occasion=Occasion.OUTCOME, key="ended")
    [message] = written(slack)
    assert message["channel"] == "D0ALICE" and "approve" not in str(message["blocks"])


@pytest.mark.parametrize("fault", ["post_then_error", "server_error"])
def test_an_answer_that_was_lost_shows_one(slack: Slack, fault: str) -> None:
    promotion = asked(slack.world)
    want(slack.world, "bob", "carol")
    tell(slack.world, promotion, "bob", "carol")
    slack.fault(fault, "chat.postMessage")
    written(slack)
    assert sorted(each["channel"] for each in written(slack)) == ["D0BOB", "D0CAROL"]
    posts = slack.calls("chat.postMessage")
    Effect.objects.update(status=EffectStatus.WAITING)  # workers died before they could note it
    assert len(written(slack)) == 2 and slack.calls("chat.postMessage") == posts
    assert {each.status for each in Effect.objects.all()} == {EffectStatus.DONE}


def test_two_messages_are_not_mistaken_for_each_other(slack: Slack) -> None:
    promotion = asked(slack.world)
    want(slack.world, "bob")
    tell(slack.world, promotion, "bob")
    tell(slack.world, promotion, "bob", occasion=Occasion.REMINDER, subject="Still", key="again")
    Effect.objects.update(attempts=1)  # both look for what an earlier attempt may have posted
    assert len(written(slack)) == 2
