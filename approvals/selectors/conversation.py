"""What people said about a promotion, in the order of time: the request, reviews, comments, and the reasons given
with whatever else was done by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from approvals.models import Event, Person, Promotion
from approvals.services.comments import COMMENTED
from approvals.states import Via

# What a person did and why, beside reviews: kind → what they did.
REASONS = {
    "promotion.requested": "asked for it",
    COMMENTED: "commented",
    "promotion.overridden": "broke the glass",
    "promotion.cancelled": "cancelled the request",
    "deployment.called_off": "called it off",
    "deployment.confirmed": "confirmed it",
    "deployment.paused": "paused the rollout",
    "deployment.advanced": "let the rollout go on",
    "deployment.aborting": "had the rollout go back",
    "deployment.dispatched_again": "had it dispatched again",
    "deployment.given_up": "gave it up",
}
ICONS = {
    "promotion.requested": "send",
    COMMENTED: "message-circle",
    "promotion.overridden": "siren",
    "promotion.cancelled": "ban",
    "deployment.aborting": "undo-2",
    "deployment.paused": "circle-pause",
    "deployment.called_off": "ban",
}
# So many are read at most; of those the first and the newest are shown, and the rest unfolds.
MOST, OPEN = 300, 12


@dataclass(frozen=True)
class Said:
    """One contribution. ``did`` and ``icon`` say what the person did, ``tone`` is good, bad or nothing; ``text``
    is Markdown, or plain where ``plain``; ``void``: why it no longer counts, and since when."""

    key: str
    person: Person | None
    by: str
    did: str
    icon: str
    at: datetime
    through: str
    text: str
    tone: str = ""
    plain: bool = True
    seal: str = ""
    ticked: list[str] = field(default_factory=list)
    void: str = ""
    voided_at: datetime | None = None


@dataclass(frozen=True)
class Conversation:
    """The thread: what came first, what is folded between, and the newest. ``more``: there is even more before."""

    first: list[Said]
    folded: list[Said]
    newest: list[Said]
    more: bool = False

    @property
    def everything(self) -> list[Said]:
        """All of it, in order."""
        return [*self.first, *self.folded, *self.newest]


def comments_of(promotion: Promotion, limit: int) -> list[Event]:
    """The newest comments, in the order in which they were made."""
    rows = promotion.events.filter(kind=COMMENTED).select_related("actor").order_by("-id")
    return list(rows[:limit])[::-1]


def conversation_of(promotion: Promotion) -> Conversation:
    """The thread of a promotion whose reviews are fetched; one query."""
    events = list(
        promotion.events.filter(kind__in=REASONS, actor__isnull=False)
        .select_related("actor")
        .order_by("-id")[: MOST + 1]
    )
    said = [found for each in events[:MOST] if (found := _of_event(each))]
    everything = sorted([*said, *_reviews(promotion)], key=lambda each: each.at)
    if len(everything) <= OPEN + 1:
        return Conversation([], [], everything, len(events) > MOST)
    return Conversation(everything[:1], everything[1:-OPEN], everything[-OPEN:], len(events) > MOST)


def _of_event(event: Event) -> Said | None:
    if event.kind == COMMENTED:
        text = str(event.data.get("comment", ""))
    elif event.kind == "promotion.requested":
        text = ""  # the page opens with it
    else:
        text = str(event.data.get("reason") or "")
        if not text:
            return None
    return Said(
        key=f"event-{event.pk}",
        person=event.actor,
        by=str(event.actor),
        did=REASONS[event.kind],
        icon=ICONS.get(event.kind, "message-circle"),
        at=event.at,
        through=Via(event.via).label if event.via in Via.values else event.via,
        text=text,
        tone="bad" if event.kind == "promotion.overridden" else "",
        plain=event.kind != COMMENTED,
    )


def _reviews(promotion: Promotion) -> Sequence[Said]:
    found = []
    for each in promotion.reviews.all():
        approved = each.verdict == "approve"
        void = "withdrawn" if each.withdrawn else "the facts changed"
        found.append(
            Said(
                key=f"review-{each.pk}",
                person=each.person,
                by=each.by,
                did="approved" if approved else "rejected",
                icon="thumbs-up" if approved else "thumbs-down",
                at=each.created_at,
                through=each.get_via_display(),
                text=each.comment,
                tone="good" if approved else "bad",
                plain=False,
                seal=each.seal,
                ticked=each.ticked,
                void=void if each.voided_at else "",
                voided_at=each.voided_at,
            )
        )
    return found
