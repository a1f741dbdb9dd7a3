"""Delivers the messages: one per promotion, posted once, then edited in place; what is written below it;
what a target's channel is told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils import timezone
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from approvals.models import Effect, Person, Promotion
from approvals.seals import digest
from approvals.wording import one_line
from integrations.failpoints import reach
from integrations.models import SlackMessage
from integrations.slack.client import code_of, slack
from integrations.slack.messages import address, render, slack_ids
from integrations.slack.text import MOST_NAMES, inert, link
from integrations.slack.workspaces import is_configured

EVENT_TYPE = "countersign_promotion"
ALERT_TYPE = "countersign_alert"
MARKS = {"good": ":large_green_circle: "}
GONE = {"message_not_found", "cant_update_message", "edit_window_closed"}


def deliver(promotion_id: int, *, attempts: int) -> None:
    """Post or edit. Raises Unavailable or Rejected; a repetition that changes nothing sends nothing."""
    promotion = Promotion.objects.select_related(
        "target__model",
        "target__environment",
        "target__live_version",
        "version__model",
        "replaces",
        "requester",
        "deployment__step__workflow_run",
        "deployment__previous",
    ).get(pk=promotion_id)
    channel = promotion.target.channel
    if not channel or not is_configured():
        return
    message, _ = SlackMessage.objects.get_or_create(
        promotion=promotion, defaults={"channel": channel}
    )
    if not message.ts:
        message.channel = channel  # the configuration may have been mended since the last attempt
    content = render(promotion)
    fresh = digest(content)
    if message.ts and message.digest == fresh:
        return
    with slack() as client:
        edited = bool(message.ts) and _edit(client, message, content)
        if not edited and attempts > 1:
            # An earlier attempt may have posted it before its answer was lost.
            message.ts = _posted_already(
                client, message.channel, _mark(promotion), promotion.requested_at
            )
            edited = bool(message.ts) and _edit(client, message, content)
        if not edited:
            _post(client, message, promotion, content)
        if not message.permalink:
            link = client.chat_getPermalink(channel=message.channel, message_ts=message.ts)
            message.permalink = link["permalink"]
    message.digest, message.updated_at = fresh, timezone.now()
    message.save()


def reply(promotion_id: int, payload: Mapping[str, Any]) -> None:
    """Write below the promotion's message: ``text``, the ids of the ``people`` to mention, and whether it is
    ``loud``: shown in the channel as well. Raises Unavailable or Rejected.

    Once in the ordinary case; if an answer is lost it may stand there twice.
    """
    message = SlackMessage.objects.filter(promotion_id=promotion_id).exclude(ts="").first()
    if message is None or not is_configured():
        return
    people = list(Person.objects.filter(pk__in=payload["people"]).order_by("username"))
    ids = slack_ids(people)
    mentions = [f"<@{ids[each.pk]}>" if each.pk in ids else inert(str(each), 80) for each in people]
    mark = MARKS.get(payload.get("tone", ""), ":rotating_light: " if payload["loud"] else ":bell: ")
    text = mark + inert(str(payload["text"]), 2500)
    with slack() as client:
        client.chat_postMessage(
            channel=message.channel,
            thread_ts=message.ts,
            reply_broadcast=bool(payload["loud"]),
            text=f"{text} {' '.join(mentions)}".strip(),
            unfurl_links=False,
        )


def alert(effect: Effect) -> None:
    """Post the news of a target to its channel: ``subject``, ``text`` and the linked ones of the ``people``.
    Raises Unavailable or Rejected; quietly nothing where there is no channel or no Slack."""
    if effect.target is None:
        raise RuntimeError(f"The effect {effect.pk} ({effect.kind}) is about no target.")
    channel, model = effect.target.channel, effect.target.model
    if not channel or not is_configured():
        return
    payload = effect.payload
    people = Person.objects.filter(pk__in=payload["people"], is_active=True).order_by("username")
    ids = slack_ids(list(people))
    called = [f"<@{ids[each.pk]}>" for each in people if each.pk in ids][:MOST_NAMES]
    text = "\n".join(
        [
            f":rotating_light: *{inert(one_line(payload['subject'], 150))}*",
            inert(str(payload["text"]), 2500),
            " ".join([link(address(model.get_absolute_url()), f"Open {model.name}"), *called]),
        ]
    )
    mark = {"event_type": ALERT_TYPE, "event_payload": {"key": effect.dedupe_key}}
    with slack() as client:
        # An earlier attempt may have posted it before its answer was lost.
        if effect.attempts > 1 and _posted_already(client, channel, mark, effect.created_at):
            return
        client.chat_postMessage(channel=channel, text=text, unfurl_links=False, metadata=mark)


def _edit(client: WebClient, message: SlackMessage, content: dict[str, Any]) -> bool:
    """Edit the message in place; False when somebody deleted it."""
    try:
        client.chat_update(channel=message.channel, ts=message.ts, **content)
    except SlackApiError as error:
        if code_of(error) not in GONE:
            raise
        message.permalink = ""
        return False
    return True


def _post(
    client: WebClient, message: SlackMessage, promotion: Promotion, content: dict[str, Any]
) -> None:
    answer = client.chat_postMessage(
        channel=message.channel,
        unfurl_links=False,
        metadata=_mark(promotion),
        **content,
    )
    reach("announce.posted")
    message.channel, message.ts = answer["channel"], answer["ts"]
    message.digest = ""
    # Kept at once: from here on the message is edited, never posted again.
    message.save()


def _mark(promotion: Promotion) -> dict[str, Any]:
    """What the message carries unseen, to be found again by."""
    return {"event_type": EVENT_TYPE, "event_payload": {"token": promotion.token}}


def _posted_already(
    client: WebClient, channel: str, mark: Mapping[str, Any], since: datetime
) -> str:
    """The ts of the message with this metadata; empty when there is none."""
    cursor = ""
    while True:
        page = client.conversations_history(
            channel=channel,
            include_all_metadata=True,
            oldest=str(since.timestamp() - 60),
            limit=200,
            cursor=cursor,
        )
        messages: list[dict[str, Any]] = page.get("messages", [])
        for each in messages:
            found = each.get("metadata") or {}
            if all(found.get(key) == value for key, value in mark.items()):
                return str(each["ts"])
        cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
        if not cursor:
            return ""
