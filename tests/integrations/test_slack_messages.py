"""One message per promotion: posted once, edited in place, never twice, whatever Slack does."""

from __future__ import annotations

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from approvals import services
from approvals.models import Effect, Promotion
from approvals.states import EffectStatus, PromotionStatus, Via
from integrations.models import SlackMessage
from integrations.slack.announce import deliver
from tests.integrations.slack_fixtures import CHANNEL, Slack, slack, static_folder
from tests.world import World

__all__ = ["slack", "static_folder"]


def test_posted_once_and_edited_in_place(slack: Slack) -> None:
    promotion = slack.ask()
    [message] = slack.messages()
    assert message["channel"] == CHANNEL and message["edits"] == 0
    assert message["metadata"]["event_payload"] == {"token": promotion.token}
    kept = SlackMessage.objects.get(promotion=promotion)
    assert kept.ts == message["ts"] and kept.permalink.startswith(slack.url)

    slack.world.approve(promotion)
    slack.deliver()
    [after] = slack.messages()
    assert after["ts"] == message["ts"] and after["edits"] > 0
    assert "Approved" in after["text"] and "Waiting" in message["text"]
    assert slack.calls("chat.postMessage") == 1 + len(slack.replies(message["ts"])) == 2


def test_the_same_content_is_sent_once(slack: Slack) -> None:
    slack.ask()
    sent = len(slack.get("requests"))
    Effect.objects.update(status=EffectStatus.WAITING)
    slack.deliver()
    assert len(slack.get("requests")) == sent
    assert not Effect.objects.exclude(status=EffectStatus.DONE).exists()


def test_a_lost_answer_is_not_posted_again(slack: Slack) -> None:
    slack.fault("post_then_error", "chat.postMessage")
    promotion = slack.ask()
    effect = Effect.objects.filter(status=EffectStatus.WAITING).earliest("pk")
    assert effect.last_error == "Slack asked us to wait or failed (500)."
    slack.now()
    slack.deliver()
    [message] = slack.messages()
    kept = SlackMessage.objects.get(promotion=promotion)
    assert kept.ts == message["ts"] and kept.permalink
    assert slack.calls("chat.postMessage") == 1


def test_two_promotions_are_not_mistaken_for_each_other(slack: Slack) -> None:
    slack.ask()
    other = slack.world.version(1, model="churn-predictor")
    slack.fault("server_error", "chat.postMessage")
    slack.ask(version=other)
    slack.now()
    slack.deliver()
    assert sorted(each["text"].split()[1] for each in slack.messages()) == [
        "churn-predictor",
        "fraud-detector",
    ]


def test_a_deleted_message_is_posted_anew(slack: Slack) -> None:
    promotion = slack.ask()
    slack.post("reset")
    slack.world.review(promotion, "bob")
    slack.deliver()
    [message] = slack.messages()
    kept = SlackMessage.objects.get(promotion=promotion)
    assert kept.ts == message["ts"]
    assert message["ts"].replace(".", "") in kept.permalink


def test_deleted_and_its_replacement_lost(slack: Slack) -> None:
    promotion = slack.ask()
    slack.post("reset")
    slack.fault("post_then_error", "chat.postMessage")
    slack.world.review(promotion, "bob")
    slack.deliver()
    slack.now()
    slack.deliver()
    assert len(slack.messages()) == 1


def test_a_decision_stands_while_slack_does_not(slack: Slack) -> None:
    promotion = slack.ask()
    sentences = {
        "server_error": "Slack asked us to wait or failed (503).",
        "ratelimited": "Slack asked us to wait or failed (ratelimited).",
        "token_revoked": "Slack refused the token (token_revoked). Check SLACK_BOT_TOKEN.",
        "channel_not_found": "Slack will not let us write there (channel_not_found).",
        "is_archived": "Slack will not let us write there (is_archived).",
    }
    slack.world.review(promotion, "bob")
    slack.world.review(promotion, "carol")
    for fault, words in sentences.items():
        slack.fault(fault, times=20, retry_after=7)
        slack.deliver()
        assert Promotion.objects.get(pk=promotion.pk).status == PromotionStatus.APPROVED
        effect = Effect.objects.filter(status=EffectStatus.WAITING).earliest("pk")
        assert effect.last_error.startswith(words)
        if fault == "ratelimited":
            assert (effect.due_at - timezone.now()).total_seconds() > 5, (
                "as long as Slack asked for"
            )
        assert "Waiting" in slack.messages()[0]["text"]
        tried = len(slack.get("requests"))
        slack.deliver()
        assert len(slack.get("requests")) == tried, "not again before it is due"
        slack.mend()
    slack.deliver()
    assert "Approved" in slack.messages()[0]["text"]
    assert not Effect.objects.exclude(status=EffectStatus.DONE).exists()


def test_slack_unreachable(slack: Slack, settings: Settings) -> None:
    promotion = slack.world.request()
    address, settings.SLACK_API_URL = settings.SLACK_API_URL, "http://127.0.0.1:9/api/"
    slack.deliver()
    effect = Effect.objects.filter(status=EffectStatus.WAITING).earliest("pk")
    assert effect.last_error == "Slack could not be reached (URLError)."
    settings.SLACK_API_URL = address
    slack.now()
    slack.deliver()
    assert len(slack.messages()) == 1
    assert SlackMessage.objects.get(promotion=promotion).ts


def test_a_mended_channel_is_used(slack: Slack) -> None:
    target = slack.world.target()
    target.channel = "C0GONE"
    target.save()
    promotion = slack.ask()
    assert slack.messages() == []
    target.channel = CHANNEL
    target.save()
    slack.now()
    slack.deliver()
    assert len(slack.messages()) == 1
    assert SlackMessage.objects.get(promotion=promotion).channel == CHANNEL


def test_without_a_channel_nothing_is_sent(slack: Slack) -> None:
    target = slack.world.target()
    target.channel = ""
    target.save()
    slack.ask()
    assert slack.get("requests") == []
    assert not SlackMessage.objects.exists()
    assert not Effect.objects.exclude(status=EffectStatus.DONE).exists()


def test_inert(slack: Slack) -> None:
    """What people write mentions nobody, links nowhere and hides nothing."""
    nasty = (
        "<!channel> <@U0BOB> & <https://evil.example|safe> @here\n>quote\n\u202eevil\u2066 שלום\n"
    )
    promotion = slack.ask(reason=nasty + "&" * (2000 - len(nasty)))
    services.cancel(
        actor=slack.world.person("alice"),
        via=Via.BROWSER,
        promotion_id=promotion.pk,
        reason="<!here> " + "\n" * 500 + "x",
    )
    slack.deliver()
    [message] = slack.messages()
    texts = [
        each["text"]["text"]
        for each in message["blocks"]
        if each["type"] == "section" and "text" in each
    ]
    whole = "\n".join(texts)
    assert "&lt;!channel&gt; &lt;@U0BOB&gt; &amp; &lt;https" in whole and "שלום" in whole
    assert "<!channel" not in whole and "<@U0BOB>" not in whole and "<!here" not in whole
    assert "\u202e" not in whole and "\u2066" not in whole
    for text in texts:
        assert len(text) <= 3000
        assert "&" not in text.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "")
    assert "\n>›quote\n" in whole, "each line is marked as quoted, and quotes nothing itself"


def test_everything_is_verbatim(slack: Slack) -> None:
    """A bare @channel is parsed by Slack unless the text object says verbatim."""
    slack.ask(reason="@channel #general")
    [message] = slack.messages()
    found = list(_mrkdwn([message["blocks"], message["attachments"]]))
    assert found and all(each.get("verbatim") for each in found)


def _mrkdwn(data: object) -> list[dict[str, object]]:
    if isinstance(data, dict):
        own = [data] if data.get("type") == "mrkdwn" else []
        return own + [each for value in data.values() for each in _mrkdwn(value)]
    if isinstance(data, list):
        return [each for value in data for each in _mrkdwn(value)]
    return []


def test_the_worker_never_calls_slack_inside_a_transaction(world: World) -> None:
    promotion = world.request()
    with pytest.raises(RuntimeError, match="inside a database transaction"):
        deliver(promotion.pk, attempts=1)


def test_a_message_stops_saying_live_when_another_version_is(slack: Slack) -> None:
    slack.world.make_live(slack.world.version(1))
    first = slack.world.make_live(slack.world.version(2))
    slack.deliver()
    slack.world.make_live(slack.world.version(3))
    slack.deliver()
    message = SlackMessage.objects.get(promotion=first.promotion)
    [shown] = [each for each in slack.messages() if each["ts"] == message.ts]
    assert "Was live; v3 is live now" in shown["text"]
    assert "Roll back" not in str(shown["blocks"])
