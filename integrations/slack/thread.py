"""What happened, written below the promotion's message: one reply for what came together, and the outcome,
which alone is shown in the channel as well."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from approvals.models import Event, Promotion
from approvals.narrative import kind_of, sentence_of
from approvals.selectors.news import TOLD, called_by, is_outcome
from integrations.failpoints import reach
from integrations.models import SlackMessage
from integrations.slack.blocks import section
from integrations.slack.client import code_of
from integrations.slack.messages import address
from integrations.slack.pacing import before_posting
from integrations.slack.parts import ids_where_shown
from integrations.slack.text import MOST_NAMES, SECTION, inert, link, moment

MARKS = {"good": ":large_green_circle:", "bad": ":red_circle:", "attention": ":warning:"}
REPLY_TYPE = "countersign_event"
# A reply to a message that somebody deleted meanwhile.
NO_THREAD = {"thread_not_found", "message_not_found"}
# Slack refuses messages whose blocks hold more than about 13,000 characters in all.
MOST_LINES, LINE, ALONE = 30, 300, 2500


class Deleted(Exception):
    """The message below which it was to be written is gone."""


@dataclass(frozen=True)
class Reply:
    """What is written in one go. ``until`` is the newest event in it; ``loud``: shown in the channel as well."""

    events: Sequence[Event]
    loud: bool = False

    @property
    def until(self) -> int:
        return self.events[-1].pk


def untold(promotion_id: int, *, after: int) -> tuple[list[Event], int]:
    """The events since the one numbered ``after`` that are worth a reply, oldest first; and the newest event of
    any kind, up to which all is told once they are written."""
    events = Event.objects.filter(promotion=promotion_id, pk__gt=after).order_by("pk")
    known = list(events.select_related("actor", "target__model", "target__environment"))
    newest = known[-1].pk if known else after
    return [each for each in known if each.kind in TOLD], newest


def replies(promotion: Promotion, events: Sequence[Event]) -> list[Reply]:
    """What waited goes into one reply, however long Slack was down; only the newest outcome is loud, and only
    while it is one."""
    outcomes = [place for place, each in enumerate(events) if is_outcome(each, promotion)]
    if not outcomes:
        return [Reply(events)] if events else []
    last = outcomes[-1]
    parts = [
        Reply(events[:last]),
        Reply(events[last : last + 1], loud=True),
        Reply(events[last + 1 :]),
    ]
    return [each for each in parts if each.events]


def tell(
    client: WebClient,
    message: SlackMessage,
    promotion: Promotion,
    events: Sequence[Event],
    *,
    after_failure: bool,
) -> None:
    """Write the events below the message, and keep after each reply how far it was told. Raises Deleted, Later,
    SlackApiError.

    ``after_failure``: an earlier attempt may have written some of it before its answer was lost.
    """
    try:
        _tell(client, message, promotion, events, after_failure)
    except SlackApiError as error:
        if code_of(error) in NO_THREAD:
            raise Deleted from error
        raise


def _tell(
    client: WebClient,
    message: SlackMessage,
    promotion: Promotion,
    events: Sequence[Event],
    after_failure: bool,
) -> None:
    if after_failure:
        _told(message, max(message.told_event, _newest_in(client, message, promotion)))
    for each in replies(promotion, [each for each in events if each.pk > message.told_event]):
        before_posting(message.team_id, message.channel)
        client.chat_postMessage(
            channel=message.channel,
            thread_ts=message.ts,
            reply_broadcast=each.loud,
            unfurl_links=False,
            metadata={
                "event_type": REPLY_TYPE,
                "event_payload": {"token": promotion.token, "event": each.until},
            },
            **render_reply(promotion, each),
        )
        reach("announce.replied")
        _told(message, each.until)


def _told(message: SlackMessage, until: int) -> None:
    if until != message.told_event:
        message.told_event = until
        message.save(update_fields=["told_event"])


def _newest_in(client: WebClient, message: SlackMessage, promotion: Promotion) -> int:
    """The newest event that stands in the thread already, by what our replies carry unseen; 0 when none does."""
    newest, cursor = 0, ""
    while True:
        page = client.conversations_replies(
            channel=message.channel,
            ts=message.ts,
            include_all_metadata=True,
            limit=200,
            cursor=cursor,
        )
        found: list[dict[str, Any]] = page.get("messages", [])
        for each in found:
            carried = each.get("metadata") or {}
            payload = carried.get("event_payload") or {}
            ours = carried.get("event_type") == REPLY_TYPE
            if ours and payload.get("token") == promotion.token:
                newest = max(newest, int(payload.get("event") or 0))
        cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
        if not cursor:
            return newest


def render_reply(promotion: Promotion, reply: Reply) -> dict[str, Any]:
    """The arguments of chat.postMessage: ``text`` for notifications, and blocks."""
    events, called = reply.events, _mentions(promotion, reply.events)
    last = _line(events[-1], ALONE if len(events) == 1 else LINE)
    if reply.loud:
        # In the channel it stands without the message above it.
        title = f"{promotion.version} in {promotion.target.environment}"
        last = f"{link(address(promotion.get_absolute_url()), title)}\n{last}"
    if len(events) == 1:
        return {"text": f"{last} {called}".strip(), "blocks": [section(f"{last} {called}".strip())]}
    timed = len({each.at for each in events}) > 1
    lines = [
        f"{moment(each.at)}: {_line(each, LINE)}" if timed else _line(each, LINE)
        for each in events[-MOST_LINES:]
    ]
    if len(events) > MOST_LINES:
        more = f"{len(events) - MOST_LINES} more before that, on the promotion's page"
        lines.insert(0, link(address(promotion.get_absolute_url()), more))
    if called:
        lines.append(called)
    # What notifications show and screen readers read: all of it, or the newest where that is too much.
    whole = "\n".join(lines)
    text = whole if len(whole) <= SECTION else last
    return {"text": text, "blocks": [section(part) for part in _packed(lines)]}


def _packed(lines: Sequence[str]) -> Iterator[str]:
    """Lines in as few sections as they fit into, none of them cut."""
    text = ""
    for line in lines:
        if text and len(text) + 1 + len(line) > SECTION:
            yield text
            text = ""
        text = f"{text}\n{line}" if text else line
    yield text


def _line(event: Event, limit: int) -> str:
    """The event in the history's words, inert, by whom where the words do not say it, and its run."""
    kind = kind_of(event)
    said = sentence_of(event)
    if event.kind == "promotion.commented":
        # In one line: the next one could pass for one of ours.
        said = f"{said}: {' '.join(str(event.data.get('comment', '')).split())}"
    text = f"{MARKS.get(kind.tone, '')} {inert(said, limit)}".strip()
    if event.actor and "{actor}" not in kind.sentence:
        text = f"{text} (by {inert(str(event.actor), 80)})"
    if url := str(event.data.get("url") or ""):
        text = f"{text} {link(url, 'The workflow run')}"
    return text


def _mentions(promotion: Promotion, events: Sequence[Event]) -> str:
    """Those whom these events call, once each; only linked people can be."""
    people = list(
        {each.pk: each for event in events for each in called_by(event, promotion)}.values()
    )
    ids = ids_where_shown(people, promotion)
    return " ".join([f"<@{ids[each.pk]}>" for each in people if each.pk in ids][:MOST_NAMES])
