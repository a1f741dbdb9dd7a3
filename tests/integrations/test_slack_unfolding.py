"""A pasted address unfolds into a summary: for the right people, in the right places, and once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from approvals.models import Effect, Person, Promotion
from approvals.models.outbox import EffectKind
from approvals.states import EffectStatus
from integrations.models import SlackIdentity
from integrations.slack import unfolding
from tests import blockkit
from tests.integrations.slack_events import JSON, deliver, event, heard, send
from tests.integrations.slack_fixtures import CHANNEL, Slack, slack, static_folder
from tests.snapshots import assert_snapshot
from tests.world import World

__all__ = ["slack", "static_folder"]
GENERAL = "C0GENERAL"
HOSTILE = "<!channel> <@U0MALLORY> *x* & \u202e"


def paste(slack: Slack, user: str, text: str, channel: str = GENERAL) -> JSON:
    """Somebody writes a message; what stands in the channel once the product has been told."""
    slack.post("write", user=user, channel=channel, text=text)
    heard(slack, "link_shared", 1)
    deliver(EffectKind.UNFOLD)
    return slack.messages()[-1]


def page(slack: Slack, promotion: Promotion) -> str:
    return f"{slack.product}{promotion.get_absolute_url()}"


def shared(slack: Slack, user: str, url: str, **envelope: Any) -> JSON:
    """The event for a message of ``user``'s that is in the channel."""
    said = slack.post("write", user="dave", channel=GENERAL, text=f"See {url}".replace("//", "/ /"))
    what = {
        "type": "link_shared",
        "channel": GENERAL,
        "message_ts": said["ts"],
        "source": "conversations_history",
        "links": [{"domain": "127.0.0.1", "url": url}],
    }
    return event(user, {**what, **envelope.pop("event", {})}, **envelope)


def test_a_summary_with_what_counts(slack: Slack) -> None:
    slack.world.make_live(slack.world.version(1))
    promotion = slack.world.request()
    url = page(slack, promotion)
    message = paste(slack, "bob", f"Who looks at {url}?")
    [attachment] = message["attachments"]
    assert attachment["from_url"] == url
    text = str(attachment["blocks"])
    for words in (
        "Promote fraud-detector v2 to production",
        "replacing v1",
        "Waiting for approval",
        "*accuracy* 0.91 → 0.92 (+0.01, better)",
        "risk: 1 more needed (Carol Chen could).",
    ):
        assert words in text
    assert "<@U" not in text, "it calls nobody"
    assert "action_id" not in text, "nothing is decided from a stray copy"


def test_the_summaries_as_reviewed(world: World) -> None:
    world.make_live(world.version(1))
    promotion = world.request()
    for name, blocks in (
        ("promotion", unfolding.of_promotion(promotion)),
        ("version", unfolding.of_version(world.version(1))),
        ("model", unfolding.of_model(world.target().model)),
    ):
        content = {"text": name, "blocks": blocks}
        blockkit.validate_message(content)
        assert_snapshot(f"unfolding/{name}", content)


def test_text_that_wishes_us_ill(world: World) -> None:
    Person.objects.filter(username="alice").update(first_name=HOSTILE * 3, last_name="&" * 140)
    model = world.target().model
    model.metrics = [[f"{HOSTILE}{number}{'m' * 200}", "higher"] for number in range(60)]
    model.save()
    version = world.version(2)
    version.metrics = {name: "0.5" for name, _ in model.metrics}
    version.save()
    promotion = world.request(version, reason=HOSTILE * 60)
    promotion.problem = HOSTILE * 100
    promotion.save()
    for blocks in (
        unfolding.of_promotion(promotion),
        unfolding.of_version(version),
        unfolding.of_model(model),
    ):
        blockkit.validate_message({"text": "x", "blocks": blocks})
        text = str(blocks)
        assert "<!channel>" not in text and "<@U" not in text and "\\u202e" not in repr(text)


@pytest.mark.parametrize("who", ["frank", "mallory-unlinked", "bob-inactive", "eve"])
def test_nothing_for_whoever_is_not_one_of_us(slack: Slack, who: str) -> None:
    promotion = slack.world.request()
    user, _, how = who.partition("-")
    if how == "unlinked":
        SlackIdentity.objects.filter(person__username=user).delete()
    if how == "inactive":
        Person.objects.filter(username=user).update(is_active=False)
    message = paste(slack, user, page(slack, promotion))
    assert message["attachments"] == [] and slack.calls("chat.unfurl") == 0
    assert slack.get("ephemerals") == [], "and nobody is bothered"


def test_everybody_who_is_linked_may_see_it(slack: Slack) -> None:
    """Whoever may sign in sees every promotion; deciding is another matter."""
    message = paste(slack, "mallory", page(slack, slack.world.request()))
    assert len(message["attachments"]) == 1


def test_nothing_in_a_shared_channel(slack: Slack) -> None:
    message = paste(slack, "bob", page(slack, slack.world.request()), CHANNEL)
    assert message["attachments"] == [] and slack.calls("chat.unfurl") == 0


@pytest.mark.parametrize(
    "envelope",
    [
        {"is_ext_shared_channel": None},
        {"is_ext_shared_channel": "false"},
        {"event": {"source": "composer", "channel": "COMPOSER"}},
        {"event": {"user": None}},
        {"team_id": "T0OTHER"},
    ],
    ids=str,
)
def test_what_is_unknown_is_not_shown(slack: Slack, envelope: JSON) -> None:
    url = page(slack, slack.world.request())
    send(slack, shared(slack, "U0BOB", url, **envelope))
    assert not Effect.objects.filter(kind=EffectKind.UNFOLD).exists()


def test_a_retry_of_the_event_unfolds_once(slack: Slack) -> None:
    promotion = slack.world.request()
    said = slack.post("write", user="bob", channel=GENERAL, text="…")
    told = event(
        "U0BOB",
        {
            "type": "link_shared",
            "channel": GENERAL,
            "message_ts": said["ts"],
            "links": [{"domain": "127.0.0.1", "url": page(slack, promotion)}],
        },
    )
    send(slack, told)
    send(slack, told | {"token": "y"}, **{"X-Slack-Retry-Num": "1"})
    assert Effect.objects.filter(kind=EffectKind.UNFOLD).count() == 1


def test_slack_away_and_back_shows_it_once(slack: Slack) -> None:
    promotion = slack.world.request()
    slack.fault("server_error", "chat.unfurl")
    message = paste(slack, "bob", page(slack, promotion))
    assert message["attachments"] == []
    deliver(EffectKind.UNFOLD)
    [attachment] = slack.messages()[-1]["attachments"]
    Effect.objects.update(status=EffectStatus.WAITING)  # a worker died before it could note that
    deliver(EffectKind.UNFOLD)
    [again] = slack.messages()[-1]["attachments"]
    assert again["from_url"] == attachment["from_url"]


def test_what_comes_too_late_or_was_deleted_ends_quietly(slack: Slack) -> None:
    url = page(slack, slack.world.request())
    send(slack, shared(slack, "U0BOB", url, event={"message_ts": "1.000001"}))
    [effect] = deliver(EffectKind.UNFOLD)
    assert (effect.status, slack.calls("chat.unfurl")) == (EffectStatus.DONE, 1)
    Effect.objects.update(
        status=EffectStatus.WAITING, created_at=timezone.now() - timedelta(minutes=11)
    )
    [effect] = deliver(EffectKind.UNFOLD)
    assert (effect.status, slack.calls("chat.unfurl")) == (EffectStatus.DONE, 1)


def test_only_addresses_of_ours(world: World, settings: Settings) -> None:
    settings.BASE_URL = "https://countersign.example:8443"
    base = settings.BASE_URL
    for path in (
        "/promotions/7/",
        "/promotions/7/?x=1#y",
        "/models/a%20b/",
        "/models/a/versions/1/",
    ):
        assert unfolding.leads_to(f"{base}{path}") is not None, path
    for url in (
        "https://countersign.example/promotions/7/",
        "http://countersign.example:8443/promotions/7/",
        "https://evil.example/promotions/7/",
        "https://countersign.example:8443@evil.example/promotions/7/",
        "https://countersign.example:8443.evil.example/promotions/7/",
        f"{base}/profile/",
        f"{base}/promotions/7/facts/",
        f"{base}/integrations/slack/link/x/",
        f"{base}/nowhere/",
        f"{base}//evil.example/promotions/7/",
        "//countersign.example:8443/promotions/7/",
        "https://[::1/promotions/7/",
        "",
    ):
        assert unfolding.leads_to(url) is None, url
    for path in ("/promotions/999999999999999999999999/", "/models/nothing/"):
        assert unfolding.summary(f"{base}{path}") == []
    assert unfolding.summary(f"{base}/models/fraud-detector/versions/99999999999999999999/") == []


def test_other_addresses_of_the_domain_are_left_alone(slack: Slack) -> None:
    """Slack tells of every address of the domain; most of them lead to something else."""
    other = f"{slack.product.rpartition(':')[0]}:1/promotions/1/"
    slack.post("write", user="bob", channel=GENERAL, text=f"{other} and http://e.x/")
    heard(slack, "link_shared", 1)
    assert not Effect.objects.filter(kind=EffectKind.UNFOLD).exists()
    assert slack.calls("chat.unfurl") == 0
