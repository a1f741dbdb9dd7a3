"""Delivers the announce effect: one message per promotion, posted once, then edited in place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils import timezone
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from approvals.models import Person, Promotion
from approvals.seals import digest
from integrations.failpoints import reach
from integrations.models import SlackMessage
from integrations.slack.client import code_of, is_configured, slack
from integrations.slack.messages import render, slack_ids
from integrations.slack.text import inert

EVENT_TYPE = "countersign_promotion"
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
            message.ts = _posted_already(client, message.channel, promotion)
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
    mark = ":rotating_light: " if payload["loud"] else ":bell: "
    text = mark + inert(str(payload["text"]), 2500)
    with slack() as client:
        client.chat_postMessage(
            channel=message.channel,
            thread_ts=message.ts,
            reply_broadcast=bool(payload["loud"]),
            text=f"{text} {' '.join(mentions)}".strip(),
            unfurl_links=False,
        )


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
        metadata={"event_type": EVENT_TYPE, "event_payload": {"token": promotion.token}},
        **content,
    )
    reach("announce.posted")
    message.channel, message.ts = answer["channel"], answer["ts"]
    message.digest = ""
    # Kept at once: from here on the message is edited, never posted again.
    message.save()


def _posted_already(client: WebClient, channel: str, promotion: Promotion) -> str:
    """The ts of this promotion's message, found by its metadata; empty when there is none."""
    cursor = ""
    while True:
        page = client.conversations_history(
            channel=channel,
            include_all_metadata=True,
            oldest=str(promotion.requested_at.timestamp() - 60),
            limit=200,
            cursor=cursor,
        )
        messages: list[dict[str, Any]] = page.get("messages", [])
        for each in messages:
            metadata = each.get("metadata") or {}
            if metadata.get("event_type") == EVENT_TYPE and (
                metadata.get("event_payload", {}).get("token") == promotion.token
            ):
                return str(each["ts"])
        cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
        if not cursor:
            return ""
