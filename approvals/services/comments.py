"""What people say about a promotion without deciding anything."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from approvals.models import Person, Promotion
from approvals.services.history import record
from approvals.services.locks import lock_promotion
from approvals.services.refusal import Refused, clean_reason

COMMENTED = "promotion.commented"
# A form that was sent twice says the same thing within this time.
TWICE = timedelta(minutes=1)


@transaction.atomic
def comment(
    *, actor: Person, via: str, promotion_id: int, text: str, now: datetime | None = None
) -> Promotion:
    """Say something about a promotion, before or after it was decided; it changes nothing else.

    ``text`` is Markdown, at most 2,000 characters. The same words of the same person within a minute are kept
    once. Raises Refused (``inactive``, ``machine``, ``comment_missing``, ``reason_too_long``).
    """
    promotion = lock_promotion(promotion_id)
    now = now or timezone.now()
    if why_not := why_no_comment(promotion, actor):
        raise Refused(*why_not)
    said = clean_reason(text)
    if not said:
        raise Refused("comment_missing", "Write something first.")
    mine = promotion.events.filter(kind=COMMENTED, actor=actor, at__gt=now - TWICE)
    if any(each.data.get("comment") == said for each in mine):
        return promotion
    record(
        COMMENTED,
        via=via,
        actor=actor,
        promotion=promotion,
        now=now,
        version=promotion.version.number,
        comment=said,
    )
    return promotion


def why_no_comment(promotion: Promotion, actor: Person) -> tuple[str, str] | None:
    """(code, sentence) why this person may not comment; None when they may. Everybody who may see it may: every
    active person, and the machine that asked, which may have to answer."""
    if not actor.is_active:
        return "inactive", "You may not, because your account is not active."
    if actor.is_machine and actor.pk != promotion.requester_id:
        return (
            "machine",
            "You may not, because this is a machine account: it comments on its own requests alone.",
        )
    return None
