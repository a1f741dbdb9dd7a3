"""Approving and rejecting."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from approvals.models import Person, Promotion, Review
from approvals.policies import decide
from approvals.services.cases import case_of, why_not_counting
from approvals.services.conditions import blockers_of
from approvals.services.history import record
from approvals.services.locks import lock_promotion
from approvals.services.promotions import refuse_decided
from approvals.services.refusal import Refused, clean_reason
from approvals.services.settle import grant, settle
from approvals.states import PromotionStatus, Verdict
from approvals.wording import day_and_time, listed


@transaction.atomic
def review(
    *,
    actor: Person,
    via: str,
    promotion_id: int,
    verdict: str,
    seal: str,
    comment: str = "",
    now: datetime | None = None,
) -> Promotion:
    """Record one person's approve or reject, and settle the promotion when it is decided.

    ``seal`` is the whole seal that the person saw, 64 hex digits. Raises Refused with one of the codes
    ``already_decided``, ``expired``, ``inactive``, ``machine``, ``requester``, ``not_in_team``,
    ``already_reviewed``, ``not_sealed``, ``blocked``, ``stale``, ``reason_missing``,
    ``unknown_verdict``; then nothing was written.
    """
    promotion = lock_promotion(promotion_id)
    now = now or timezone.now()
    comment = clean_reason(comment)
    if verdict not in Verdict.values:
        raise Refused("unknown_verdict", "A review approves or rejects.")
    refuse_decided(promotion)
    if promotion.expires_at <= now:
        raise Refused(
            "expired", f"It is too late: this expired on {day_and_time(promotion.expires_at)}."
        )
    case = case_of(promotion)
    reason = why_not_counting(case, actor)
    if reason is not None:
        raise Refused(*reason)
    earlier = promotion.reviews.filter(person=actor, voided_at=None).first()
    if earlier is not None:
        raise Refused(
            "already_reviewed",
            f"You have decided already ({earlier.verdict}, {day_and_time(earlier.created_at)}); "
            "one person counts once.",
        )
    if verdict == Verdict.REJECT and not comment:
        raise Refused("reason_missing", "Say why you reject it: the one who asked has to know.")
    if not promotion.seal:
        raise Refused(
            "not_sealed",
            promotion.problem or "The facts are still being gathered; try again in a moment.",
        )
    if seal != promotion.seal:
        raise Refused("stale", _what_moved(promotion, seal))
    if verdict == Verdict.APPROVE:
        # Under the lock, with the rows as they are now; a rejection needs no gate.
        blockers = [*case.blockers, *blockers_of(promotion, now)]
        if blockers:
            raise Refused("blocked", f"It is blocked: {' '.join(blockers)}")

    Review.objects.create(
        promotion=promotion,
        person=actor,
        verdict=verdict,
        seal=seal,
        via=via,
        comment=comment,
        created_at=now,
    )
    record(
        "review.approved" if verdict == Verdict.APPROVE else "review.rejected",
        via=via,
        actor=actor,
        promotion=promotion,
        now=now,
        version=promotion.version.number,
        seal=seal,
        comment=comment,
    )
    decision = decide(case_of(promotion))
    if decision.verdict == "rejected":
        settle(promotion, PromotionStatus.REJECTED, now=now, reason=comment)
        record(
            "promotion.rejected", via=via, actor=actor, promotion=promotion, now=now, reason=comment
        )
    elif decision.verdict == "approved":
        grant(promotion, via=via, actor=actor, now=now)
    return promotion


@transaction.atomic
def withdraw_review(
    *, actor: Person, via: str, promotion_id: int, now: datetime | None = None
) -> Promotion:
    """Take one's own counting review back while nothing is settled; one may then decide anew.

    Raises Refused (``already_decided``, ``nothing_to_withdraw``, ``inactive``).
    """
    promotion = lock_promotion(promotion_id)
    now = now or timezone.now()
    refuse_decided(promotion)
    if not actor.is_active:
        raise Refused("inactive", "You may not, because your account is not active.")
    mine = promotion.reviews.filter(person=actor, voided_at=None).first()
    if mine is None:
        raise Refused("nothing_to_withdraw", "You have no review here that counts.")
    mine.voided_at, mine.withdrawn = now, True
    mine.save(update_fields=["voided_at", "withdrawn"])
    record(
        "review.withdrawn",
        via=via,
        actor=actor,
        promotion=promotion,
        now=now,
        version=promotion.version.number,
        verdict=mine.verdict,
    )
    return promotion


def _what_moved(promotion: Promotion, seen: str) -> str:
    """What changed since the seal that the person saw, in words."""
    resealed = list(promotion.events.filter(kind="promotion.resealed").order_by("id"))
    start = next(
        (i for i, event in enumerate(resealed) if event.data.get("previous_seal") == seen), None
    )
    if start is None:
        return "The facts are not the ones you saw. Look at them again, then decide."
    clauses = [clause for event in resealed[start:] for clause in event.data.get("differences", [])]
    return f"The facts changed since you looked: {listed(clauses)}. Look again, then decide."
