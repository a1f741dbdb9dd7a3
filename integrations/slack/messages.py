"""The one message of a promotion, rendered from the database alone.

Everything that a decision hangs on stands in the message's own blocks. The attachment below has small print
and the coloured bar: Slack documents that its clients may fold an attachment's content away behind "Show more".
"""

from __future__ import annotations

from copy import copy
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import prefetch_related_objects
from django.utils import timezone

from approvals.explain import Explanation, explain
from approvals.models import Deployment, Promotion
from approvals.services.cases import counting_reviews, is_prefetched
from approvals.services.conditions import waits_for_time
from approvals.states import DeploymentStatus, PromotionStatus
from approvals.summary import title_of
from integrations.slack.blocks import Block, context, header, section
from integrations.slack.buttons import buttons_of
from integrations.slack.outcomes import STATES, State, state_of
from integrations.slack.parts import (
    MOST_METRICS,
    blocking_lines,
    metric_blocks,
    nobody,
    note_lines,
    policy_of,
    requirement_lines,
    score_blocks,
    sections,
)
from integrations.slack.progress import progress_lines, rollout_bar
from integrations.slack.text import bare, inline, link, moment, quoted

__all__ = [
    "MOST_METRICS",
    "STATES",
    "address",
    "metric_blocks",
    "render",
    "rollout_bar",
    "title_of",
]

SHORT = 400  # of a reason: the rest is under Details, and what follows stays on the screen


def address(path: str) -> str:
    """A page's full address."""
    return f"{settings.BASE_URL}{path}"


def kind_of(promotion: Promotion) -> str:
    """What it is, in a word or two: Promotion, Rollback, Adoption (retroactive)."""
    kind = "Rollback" if promotion.is_rollback else "Promotion"
    if promotion.retroactive:
        kind = "Adoption (retroactive)"
    elif promotion.rolls_back_id is not None:
        kind = "Rollback by itself"
    return f"Break-glass {kind.lower()}" if promotion.overridden_by_id is not None else kind


def headline(promotion: Promotion) -> str:
    """``fraud-detector v1 → v2 · production · Promotion``; a very long name is cut, nothing behind it."""
    version, former = promotion.version, promotion.replaces
    change = f"v{version.number}"
    if former is not None and former.pk != version.pk:
        change = f"v{former.number} → {change}"
    rest = f" {change} · {promotion.target.environment.name} · {kind_of(promotion)}"
    siren = "🚨 " if promotion.overridden_by_id is not None else ""
    name = bare(promotion.target.model.name)
    room = 150 - len(siren) - len(rest)
    return f"{siren}{name if len(name) <= room else name[: max(room - 1, 1)] + '…'}{rest}"


def render(promotion: Promotion, now: datetime | None = None) -> dict[str, Any]:
    """The arguments of chat.postMessage or chat.update: text, blocks, attachments."""
    now = now or timezone.now()
    if not is_prefetched(promotion, "reviews"):
        promotion = copy(promotion)  # the caller's goes on reading its reviews afresh
        prefetch_related_objects([promotion], counting_reviews())
    deployment: Deployment | None = getattr(promotion, "deployment", None)
    explained = explain(promotion, now=now)
    state = state_of(promotion, deployment, explained, now)
    policy = policy_of(promotion)
    blocks = [
        header(headline(promotion)),
        *_glass(promotion),
        *_standing(promotion, deployment, state, now),
        section(_asks(promotion)),
        *score_blocks(promotion, policy),
        *sections(blocking_lines(promotion, policy, explained)),
        *sections(requirement_lines(promotion, explained) or [nobody(promotion, explained)]),
        *_notes(promotion, explained, now),
        *_beside_the_buttons(promotion, explained),
        {
            "type": "actions",
            "block_id": f"promotion-{promotion.pk}",
            "elements": buttons_of(promotion, deployment, explained),
        },
    ]
    text = _in_one_line(promotion, explained, state)
    bar = {"color": state.colour, "fallback": text, "blocks": [_footer(promotion)]}
    return {"text": text, "blocks": blocks, "attachments": [bar]}


def _in_one_line(promotion: Promotion, explained: Explanation, state: State) -> str:
    """What a notification and a screen reader say: what, where it stands, who asks and why."""
    said = [f"{inline(title_of(promotion), 200)}: {inline(state.words, 200)}"]
    if promotion.is_pending and explained.missing:
        rows = [
            f"{row.missing} of {inline(row.teams, 60)}" for row in explained.rows if row.missing
        ]
        said.append(f"Missing: {', '.join(rows[:4])}{' …' if len(rows) > 4 else ''}")
    if explained.blockers and (promotion.seal or promotion.problem):
        said.append("Blocked now")
    who, why = promotion.requester, promotion.reason
    asks = " asks"
    if promotion.overridden_by is not None:
        who, why, asks = promotion.overridden_by, promotion.override_reason, ""
    elif promotion.status in {PromotionStatus.REJECTED, PromotionStatus.CANCELLED}:
        return f"{'. '.join(said)}: {inline(promotion.decision_reason or 'no reason given', 150)}"
    return f"{'. '.join(said)}. {inline(str(who), 60)}{asks}: {inline(why, 150)}"


def _glass(promotion: Promotion) -> list[Block]:
    if promotion.overridden_by is None:
        return []
    who = inline(str(promotion.overridden_by), 80)
    return [
        section(
            f":rotating_light: *{who} broke the glass* and approved it alone, past what policy asks:\n"
            f"{quoted(promotion.override_reason)}"
        )
    ]


def _standing(
    promotion: Promotion, deployment: Deployment | None, state: State, now: datetime
) -> list[Block]:
    """Where it stands, how it comes along and how it ended."""
    words = inline(state.words, 300)
    newer = promotion.superseded_by
    if newer is not None:
        url = address(newer.get_absolute_url())
        words = f"{words}*  {link(url, f'Open promotion {newer.pk}')}"
        lines = [f"{state.mark} *{words}"]
    else:
        lines = [f"{state.mark} *{words}*{state.more}"]
    by_people = {PromotionStatus.REJECTED, PromotionStatus.CANCELLED}
    if promotion.decision_reason and promotion.status in by_people:
        lines.append(quoted(promotion.decision_reason))
    if deployment is not None:
        lines += progress_lines(promotion, deployment, state)
        if waits := _frozen(promotion, deployment, now):
            lines.append(f":snowflake: {inline(waits)}")
    return [section("\n".join(lines))]


def _frozen(promotion: Promotion, deployment: Deployment, now: datetime) -> str:
    """Why what is granted waits; that its own time has not come the state says already."""
    scheduled = promotion.run_at is not None and promotion.run_at > now
    if deployment.status != DeploymentStatus.QUEUED or scheduled or promotion.retroactive:
        return ""
    return waits_for_time(promotion, now)


def _asks(promotion: Promotion) -> str:
    """Who asks for what, and why."""
    former = promotion.replaces
    replaces = f", replacing v{former.number}" if former else ", replacing nothing"
    url = address(promotion.get_absolute_url())
    return (
        f"*{inline(str(promotion.requester), 80)}* asks: "
        f"{link(url, title_of(promotion))}{replaces}\n{quoted(promotion.reason, SHORT)}"
    )


def _notes(promotion: Promotion, explained: Explanation, now: datetime) -> list[Block]:
    lines = note_lines(promotion, explained, now)
    return [context("\n".join(lines))] if lines else []


def _beside_the_buttons(promotion: Promotion, explained: Explanation) -> list[Block]:
    """The time left and what happens then; and why a press on Approve would not count now."""
    if not promotion.is_pending:
        return []
    then = "what is live stays" if promotion.retroactive else "nothing is deployed"
    lines = [f"Open until {moment(promotion.expires_at)}; then it expires and {then}."]
    if not promotion.seal:
        lines.append(
            "It can be decided once the problem is mended."
            if promotion.problem
            else "The facts are being gathered; it can be decided in a moment."
        )
    elif explained.blockers:
        count = len(explained.blockers)
        by = "what is named above" if count == 1 else f"the {count} things named above"
        free = (
            "it is approved by itself once nothing is"
            if explained.terms.automatic
            else "rejecting is not"
        )
        lines.append(f":no_entry: *Approving is blocked now* by {by}; {free}.")
    return [section("\n".join(lines))]


def _footer(promotion: Promotion) -> Block:
    texts = [f"Promotion {promotion.pk}"]
    if promotion.decided_at:
        texts.append(f"Settled {moment(promotion.decided_at)}")
    if promotion.seal:
        texts.append(f"Seal `{promotion.short_seal}`")
    return context("  ·  ".join(texts))
