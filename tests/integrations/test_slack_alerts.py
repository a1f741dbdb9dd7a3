"""News of a target in its Slack channel: once, inert, with the right people called."""

from __future__ import annotations

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from approvals.models import Effect, Person, Target
from approvals.models.outbox import EffectKind
from approvals.states import EffectStatus
from integrations.effects import HANDLERS
from integrations.models import SlackIdentity
from integrations.outbox import deliver_due
from integrations.slack.text import MOST_NAMES
from tests.integrations.mail_fixtures import alert
from tests.integrations.slack_fixtures import CHANNEL, Slack, slack, static_folder

__all__ = ["slack", "static_folder"]


def deliver() -> Effect:
    """What a worker does, for the alert only."""
    Effect.objects.exclude(kind=EffectKind.ALERT).delete()
    Effect.objects.update(due_at=timezone.now())
    deliver_due(HANDLERS, seconds=20)
    return Effect.objects.get()


def test_the_channel_is_told_and_those_who_decide_are_called(slack: Slack) -> None:
    alert(slack.world.target())
    assert deliver().status == EffectStatus.DONE
    [message] = slack.messages()
    assert message["channel"] == CHANNEL and message["thread_ts"] is None
    headline, text, last = message["text"].splitlines()
    assert headline == ":rotating_light: *Drift in production*"
    assert text == "The score fell below 0.9."
    page = f"<{slack.product}/models/fraud-detector/|Open fraud-detector>"
    assert last.startswith(page) and {"<@U0BOB>", "<@U0CAROL>"} <= set(last.split())
    assert "U0MALLORY" not in last and "U0ALICE" not in last


def test_what_somebody_wrote_calls_nobody(slack: Slack) -> None:
    alert(slack.world.target(), subject="<!channel>\n*x*", text="<@U0MALLORY> & <http://x|Approve>")
    deliver()
    [message] = slack.messages()
    assert "&lt;!channel&gt; ∗x∗" in message["text"].splitlines()[0]
    assert "&lt;@U0MALLORY&gt; &amp; &lt;http://x|Approve&gt;" in message["text"]


def test_at_most_ten_are_called_and_nobody_who_left(slack: Slack) -> None:
    alert(slack.world.target())
    many = [Person.objects.create(username=f"p{n:02}") for n in range(14)]
    for each in many:
        SlackIdentity.objects.create(
            team_id="T0ACME", user_id=f"U1{each.username}", person=each, linked_at=timezone.now()
        )
    Person.objects.filter(pk=many[0].pk).update(is_active=False)
    Effect.objects.update(payload={"subject": "s", "text": "t", "people": [p.pk for p in many]})
    deliver()
    [message] = slack.messages()
    called = message["text"].splitlines()[-1].split()[2:]
    assert called == [f"<@U1p{n:02}>" for n in range(1, 1 + MOST_NAMES)]


@pytest.mark.parametrize("fault", ["post_then_error", "server_error"])
def test_tried_again_and_not_posted_twice(slack: Slack, fault: str) -> None:
    alert(slack.world.target())
    slack.fault(fault, "chat.postMessage")
    effect = deliver()
    assert effect.status == EffectStatus.WAITING
    assert effect.last_error.startswith("Slack asked us to wait or failed")
    assert deliver().status == EffectStatus.DONE
    assert len(slack.messages()) == 1
    assert slack.calls("chat.postMessage") == (1 if fault == "post_then_error" else 2)


def test_two_alerts_are_not_mistaken_for_each_other(slack: Slack) -> None:
    alert(slack.world.target(), text="one", key="one")
    alert(slack.world.target(), text="two", key="two")
    Effect.objects.update(attempts=1)  # both look for what an earlier attempt may have posted
    Effect.objects.exclude(kind=EffectKind.ALERT).delete()
    deliver_due(HANDLERS, seconds=20)
    assert [each["text"].splitlines()[1] for each in slack.messages()] == ["one", "two"]


def test_no_channel_or_no_slack_ends_quietly(slack: Slack, settings: Settings) -> None:
    target = slack.world.target()
    Target.objects.filter(pk=target.pk).update(channel="")
    alert(target)
    assert (deliver().status, deliver().last_error) == (EffectStatus.DONE, "")
    Target.objects.filter(pk=target.pk).update(channel=CHANNEL)
    settings.SLACK_BOT_TOKEN = ""
    Effect.objects.update(status=EffectStatus.WAITING)
    assert deliver().status == EffectStatus.DONE
    assert slack.get("requests") == []
