"""Approval without people, where the policy says so and every gate passes."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from approvals.models import Promotion
from approvals.services.judging import judge
from approvals.services.locks import lock_promotion
from approvals.services.rollbacks import alert_if_stuck, withdraw_if_moot
from approvals.services.settle import grant
from approvals.states import PromotionStatus, Via


@transaction.atomic
def approve_automatically(*, promotion_id: int, now: datetime | None = None) -> bool:
    """Approve a promotion for which the policy asks nobody, if all its gates pass now. Returns whether it was.

    Harmless at any time and from anywhere: what needs a person, is decided, expired or blocked stays as it is.
    What went live round the gate always needs a person.
    """
    promotion = lock_promotion(promotion_id)
    now = now or timezone.now()
    if not promotion.is_pending or promotion.retroactive or promotion.expires_at <= now:
        return False
    if withdraw_if_moot(promotion, now):
        return False
    judgement = judge(promotion, now)
    if not judgement.terms.automatic or judgement.decision.verdict != "approved":
        alert_if_stuck(promotion, judgement.decision.blockers, now)
        return False
    grant(promotion, judgement=judgement, via=Via.SYSTEM, actor=None, now=now)
    return True


def approve_due(*, now: datetime | None = None) -> int:
    """Look at every pending promotion that may be approved automatically; gates may pass by time alone.
    Returns how many were approved."""
    waiting = Promotion.objects.filter(
        status=PromotionStatus.PENDING, facts__policy__automatic=True
    ).order_by("pk")
    return sum(
        approve_automatically(promotion_id=each, now=now)
        for each in list(waiting.values_list("pk", flat=True))
    )
