"""Tells people directly, where they asked for it: the exception, beside the channel's message for everybody."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from slack_sdk import WebClient

from approvals.models import Effect, Person, Promotion
from approvals.models.outbox import EffectKind
from approvals.selectors.preferences import preferences_of
from approvals.services import Refused
from approvals.services.history import enqueue
from approvals.states import Occasion
from approvals.wording import one_line
from integrations.models import SlackIdentity, SlackMessage, SlackStanding
from integrations.slack.blocks import Block, context, section
from integrations.slack.buttons import deciding
from integrations.slack.client import slack
from integrations.slack.identities import SlackUser, person_of
from integrations.slack.messages import address
from integrations.slack.pacing import before_posting
from integrations.slack.text import inert, link
from integrations.slack.workspaces import is_configured

EVENT_TYPE = "countersign_direct"


def deliver(effect: Effect) -> None:
    """Write to each of the effect's people who is linked and wants it. Raises Unavailable or Rejected.

    An effect for several becomes one for each, so that nobody hears twice because a colleague could not be
    reached.
    """
    people = effect.payload["people"]
    if not is_configured() or not people:
        return
    if len(people) > 1:
        _one_each(effect)
    else:
        _tell(effect, people[0])


@transaction.atomic
def _one_each(effect: Effect) -> None:
    people = Person.objects.filter(pk__in=effect.payload["people"]).order_by("pk")
    for person in people:
        if _where(person, effect) is not None:
            enqueue(
                EffectKind.TELL,
                effect.promotion,
                target=effect.target,
                key=f"{effect.pk}:{person.pk}",
                now=timezone.now(),
                payload={**effect.payload, "people": [person.pk]},
            )


def _where(person: Person, effect: Effect) -> SlackUser | None:
    """Whom in Slack to write to; None where this person is not to be told, or not any more."""
    identity = SlackIdentity.objects.filter(person=person).first()
    if identity is None or person.is_machine or identity.standing != SlackStanding.MEMBER:
        return None
    wishes = preferences_of(person)
    occasion = effect.payload.get("occasion")
    if not wishes.direct or (occasion == Occasion.REMINDER and not wishes.reminders):
        return None
    if occasion in {Occasion.REQUEST, Occasion.REMINDER}:
        promotion = effect.promotion
        if promotion is not None and not promotion.is_pending:
            return None  # it was settled while this waited
    user = SlackUser(identity.team_id, identity.user_id)
    try:
        person_of(user)  # active, and what they are in Slack lets them decide
    except Refused:
        return None
    return user


def _tell(effect: Effect, person_id: int) -> None:
    person = Person.objects.filter(pk=person_id).first()
    user = _where(person, effect) if person else None
    if user is None:
        return
    mark = {"event_type": EVENT_TYPE, "event_payload": {"key": effect.dedupe_key}}
    with slack(team=user.team_id) as client:
        channel = str(client.conversations_open(users=user.user_id)["channel"]["id"])
        # An earlier attempt may have posted it before its answer was lost.
        if effect.attempts > 1 and _is_there(client, channel, mark, effect.created_at):
            return
        before_posting(user.team_id, channel)
        client.chat_postMessage(
            channel=channel,
            text=inert(one_line(str(effect.payload["subject"]), 200)),
            blocks=render(effect),
            unfurl_links=False,
            metadata=mark,
        )


def render(effect: Effect) -> list[Block]:
    """Subject, text, the way to the message and to the page, and the buttons while it can be decided."""
    subject, text = str(effect.payload["subject"]), str(effect.payload["text"])
    blocks = [section(f"*{inert(one_line(subject, 200), 400)}*\n{inert(text, 2400)}")]
    promotion = effect.promotion
    if promotion is None:
        return blocks
    promotion = Promotion.objects.select_related(
        "target__environment", "target__model", "version__model"
    ).get(pk=promotion.pk)
    message = SlackMessage.objects.filter(promotion=promotion).exclude(permalink="").first()
    ways = [link(address(promotion.get_absolute_url()), "Open in Countersign")]
    if message is not None:
        ways.insert(0, link(message.permalink, "Open the channel's message"))
    blocks.append(context("  ·  ".join(ways)))
    if effect.payload.get("occasion") in {Occasion.REQUEST, Occasion.REMINDER}:
        blocks.append(
            {
                "type": "actions",
                "block_id": f"direct-{promotion.pk}",
                "elements": deciding(promotion),
            }
        )
    return blocks


def _is_there(client: WebClient, channel: str, mark: dict[str, Any], since: datetime) -> bool:
    """Whether the conversation has the message with this metadata; what is written there is ours alone, so the
    newest hundred are enough."""
    page = client.conversations_history(
        channel=channel,
        include_all_metadata=True,
        oldest=str(since.timestamp() - 60),
        limit=100,
    )
    messages: list[dict[str, Any]] = page.get("messages", [])
    found = [each.get("metadata") or {} for each in messages]
    return any(all(each.get(key) == value for key, value in mark.items()) for each in found)
