"""Delivers the messages: one per promotion, posted once, then edited in place, its thread below it;
what a target's channel is told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from approvals.models import Effect, Person, Promotion
from approvals.models.outbox import EffectKind
from approvals.seals import digest
from approvals.services.history import enqueue
from approvals.states import DeploymentStatus, PromotionStatus
from approvals.wording import one_line
from integrations.errors import Rejected
from integrations.failpoints import reach
from integrations.models import SlackMessage
from integrations.outbox import Later
from integrations.slack.blocks import context
from integrations.slack.client import code_of
from integrations.slack.messages import address, render
from integrations.slack.pacing import before_editing, before_posting
from integrations.slack.parts import slack_ids
from integrations.slack.places import Place, client_at, somewhere
from integrations.slack.text import MOST_NAMES, inert, link
from integrations.slack.thread import Deleted, tell, untold
from integrations.slack.workspaces import default_team, is_configured, place_of

EVENT_TYPE = "countersign_promotion"
ALERT_TYPE = "countersign_alert"
# A look renders a message, some 20 ms each; the next look goes on with the others.
MOST_LOOKED_AT = 200
GONE = {"message_not_found", "cant_update_message", "edit_window_closed"}


def deliver(promotion_id: int, *, attempts: int) -> None:
    """Bring the message up to date, then write below it what happened since. Raises Unavailable, Rejected or
    Later; a repetition that changes nothing sends nothing.

    ``attempts``: from the second one on an earlier one may have written something before its answer was lost.
    """
    # First what is to be told, then what is shown: nothing is told below a message that does not show it yet.
    told = SlackMessage.objects.filter(promotion=promotion_id).values_list("told_event", flat=True)
    events, newest = untold(promotion_id, after=told.first() or 0)
    promotion = _promotions().get(pk=promotion_id)
    if not promotion.target.channel or not is_configured():
        return
    team, channel = place_of(promotion.target.channel)
    message, _ = SlackMessage.objects.get_or_create(
        promotion=promotion, defaults={"team_id": team, "channel": channel}
    )
    content = render(promotion)

    def write(place: Place) -> None:
        shown = _with_note(content, place.note)
        if not _stands(message, place):
            message.team_id, message.channel, message.note = place.team, place.channel, place.note
            message.ts, message.digest, message.permalink = "", "", ""
        if not events and message.ts and message.digest == digest(shown):
            return
        with client_at(place) as client:
            _show(client, message, promotion, shown, after_failure=attempts > 1)
            if events:
                tell(client, message, promotion, events, after_failure=attempts > 1)

    stood = message.ts
    stands = Place(message.team_id or team, message.channel, message.note) if message.ts else None
    try:
        somewhere(promotion.target, write, stands=stands)
    except Deleted as deleted:
        if message.ts != stood:
            raise Rejected("Slack takes no replies below the message.") from deleted
        # Posted anew at the next attempt, by which time Slack knows itself that it is gone.
        message.ts, message.digest, message.permalink = "", "", ""
        message.save()
        raise Later("The message was deleted in Slack; it is posted anew.", 0.0) from deleted
    if message.told_event < newest:
        message.told_event = newest
        message.save(update_fields=["told_event"])


def out_of_date(now: datetime | None = None) -> int:
    """Order the messages that time alone has made untrue: a freeze began or ended, a soak is over. Returns how
    many. What waits longest for a look comes first, so many at a time."""
    now = now or timezone.now()
    if not is_configured():
        return 0
    waits = Q(promotion__status=PromotionStatus.PENDING) | Q(
        promotion__deployment__status=DeploymentStatus.QUEUED
    )
    shown = (
        SlackMessage.objects.filter(waits)
        .exclude(ts="")
        .order_by(F("looked_at").asc(nulls_first=True), "pk")
    )
    rows = {each.promotion_id: each for each in shown[:MOST_LOOKED_AT]}
    ordered = 0
    for promotion in _promotions().filter(pk__in=rows):
        message = rows[promotion.pk]
        if digest(_with_note(render(promotion, now), message.note)) == message.digest:
            continue
        with transaction.atomic():
            enqueue(EffectKind.ANNOUNCE, promotion, key=f"time:{now.timestamp():.0f}", now=now)
        ordered += 1
    SlackMessage.objects.filter(promotion__in=rows).update(looked_at=now)
    return ordered


def _promotions() -> QuerySet[Promotion]:
    """With what the message shows of them."""
    return Promotion.objects.select_related(
        "target__model",
        "target__environment",
        "target__live_version",
        "version__model",
        "replaces",
        "requester",
        "deployment__step__workflow_run",
        "deployment__previous",
    )


def _stands(message: SlackMessage, place: Place) -> bool:
    """Whether the message stands there. A row of before workspaces were known means the default one."""
    team = message.team_id or default_team()
    return bool(message.ts) and (team, message.channel) == (place.team, place.channel)


def _with_note(content: dict[str, Any], note: str) -> dict[str, Any]:
    """The message, saying why it stands where nobody expects it."""
    return {**content, "blocks": [*content["blocks"], context(note)]} if note else content


def _show(
    client: WebClient,
    message: SlackMessage,
    promotion: Promotion,
    content: dict[str, Any],
    *,
    after_failure: bool,
) -> None:
    fresh = digest(content)
    if message.ts and message.digest == fresh:
        return
    edited = bool(message.ts) and _edit(client, message, content)
    if not edited and after_failure:
        mark, since = _mark(promotion), promotion.requested_at
        message.ts = _posted_already(client, message.channel, mark, since)
        edited = bool(message.ts) and _edit(client, message, content)
    if not edited:
        _post(client, message, promotion, content)
    if not message.permalink:
        link = client.chat_getPermalink(channel=message.channel, message_ts=message.ts)
        message.permalink = link["permalink"]
    message.digest, message.updated_at = fresh, timezone.now()
    message.save()


def alert(effect: Effect) -> None:
    """Post the news of a target to its channel: ``subject``, ``text`` and the linked ones of the ``people``.
    Raises Unavailable, Rejected or Later; quietly nothing where there is no channel or no Slack."""
    if effect.target is None:
        raise RuntimeError(f"The effect {effect.pk} ({effect.kind}) is about no target.")
    if not effect.target.channel or not is_configured():
        return
    model, payload = effect.target.model, effect.payload
    people = Person.objects.filter(pk__in=payload["people"], is_active=True).order_by("username")
    ids = slack_ids(list(people), place_of(effect.target.channel)[0])
    called = [f"<@{ids[each.pk]}>" for each in people if each.pk in ids][:MOST_NAMES]
    text = "\n".join(
        [
            f":rotating_light: *{inert(one_line(payload['subject'], 150))}*",
            inert(str(payload["text"]), 2500),
            " ".join([link(address(model.get_absolute_url()), f"Open {model.name}"), *called]),
        ]
    )
    mark = {"event_type": ALERT_TYPE, "event_payload": {"key": effect.dedupe_key}}

    def write(place: Place) -> None:
        with client_at(place) as client:
            # An earlier attempt may have posted it before its answer was lost.
            if effect.attempts > 1 and _posted_already(
                client, place.channel, mark, effect.created_at
            ):
                return
            before_posting(place.team, place.channel)
            client.chat_postMessage(
                channel=place.channel,
                text="\n".join([text, *([f"_{place.note}_"] if place.note else [])]),
                unfurl_links=False,
                metadata=mark,
            )
            reach("alert.posted")

    somewhere(effect.target, write)


def _edit(client: WebClient, message: SlackMessage, content: dict[str, Any]) -> bool:
    """Edit the message in place; False when somebody deleted it."""
    before_editing(message.team_id)
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
    before_posting(message.team_id, message.channel)
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
