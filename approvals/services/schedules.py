"""Approve now, run later."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from approvals.calendar import in_zone
from approvals.models import Effect, Person, Promotion
from approvals.models.outbox import EffectKind
from approvals.services.cases import case_of, why_not_counting
from approvals.services.freezes import frozen_at, opens_at
from approvals.services.history import record, wake_on_commit
from approvals.services.locks import lock_promotion
from approvals.services.refusal import Refused
from approvals.services.settle import lapses_at
from approvals.states import DeploymentStatus, EffectStatus, PromotionStatus
from approvals.wording import day_and_time

LONGEST = timedelta(days=90)


@transaction.atomic
def schedule(
    *,
    actor: Person,
    via: str,
    promotion_id: int,
    run_at: datetime | None,
    zone: str = "UTC",
    now: datetime | None = None,
) -> Promotion:
    """Have a promotion dispatched not before ``run_at``; None: as soon as it is approved.

    Whoever may decide it may do so until it is dispatched; whoever asked, only while nobody has reviewed it:
    what people approved for Tuesday is not moved to now behind their backs. ``zone`` is how people speak of the
    time. Raises Refused (``already_started``, ``already_decided``, ``expired``, ``may_not_schedule``,
    ``nothing_to_schedule``, ``bad_time``, ``frozen_then``).
    """
    promotion = lock_promotion(promotion_id)
    now = now or timezone.now()
    _refuse_late(promotion, now)
    _refuse_who_may_not(promotion, actor, now)
    if run_at is not None:
        _refuse_time(promotion, run_at, zone, now)
    promotion.run_at, promotion.run_zone = run_at, zone if run_at else ""
    promotion.save(update_fields=["run_at", "run_zone"])
    if promotion.status == PromotionStatus.APPROVED:
        promotion.grant_lapses_at = lapses_at(promotion, now)
        promotion.save(update_fields=["grant_lapses_at"])
        # It waits in a lane of its own, so that nothing else has to wait for it; and is looked at now.
        lane = f"dispatch:{promotion.target_id}" + (f":{promotion.pk}" if run_at else "")
        Effect.objects.filter(
            promotion=promotion, kind=EffectKind.DISPATCH, status=EffectStatus.WAITING
        ).update(lane=lane, due_at=now)
        wake_on_commit()
    told: dict[str, Any] = {}
    if run_at is not None:
        told = {"at": run_at.isoformat(timespec="minutes"), "when": in_zone(run_at, zone)}
    record(
        "promotion.scheduled" if run_at else "promotion.unscheduled",
        via=via,
        actor=actor,
        promotion=promotion,
        now=now,
        version=promotion.version.number,
        **told,
    )
    return promotion


def next_window(promotion: Promotion, now: datetime) -> datetime:
    """When the target is open next. Raises Refused("frozen_then") when it is closed until somebody lifts it."""
    opens = opens_at(promotion.target, now)
    if opens is None:
        raise Refused("frozen_then", "There is no open window: somebody has to lift the freeze.")
    return opens


def why_no_schedule(promotion: Promotion, actor: Person, now: datetime) -> str:
    """Why this person cannot set the time now, in a sentence; empty when they can."""
    try:
        _refuse_late(promotion, now)
        _refuse_who_may_not(promotion, actor, now)
    except Refused as refused:
        return refused.sentence
    return ""


def _refuse_late(promotion: Promotion, now: datetime) -> None:
    if promotion.retroactive:
        raise Refused("nothing_to_schedule", "It adopts what is live already; nothing is run.")
    if promotion.is_pending:
        return
    if promotion.status != PromotionStatus.APPROVED:
        raise Refused(
            "already_decided", f"It is too late: this was {promotion.get_status_display().lower()}."
        )
    deployment = promotion.deployment
    if deployment.status != DeploymentStatus.QUEUED or deployment.has_begun:
        raise Refused("already_started", "It is too late: the deployment was begun.")
    lapsed = promotion.grant_lapses_at
    if lapsed is not None and lapsed <= now:
        # Still queued until the next beat closes it; a new time must not bring it back to life.
        raise Refused("expired", f"It is too late: the approval lapsed on {day_and_time(lapsed)}.")


def _refuse_who_may_not(promotion: Promotion, actor: Person, now: datetime) -> None:
    why_not = why_not_counting(case_of(promotion), actor, now, lent=False)
    if why_not is None:
        return
    if actor.pk == promotion.requester_id and actor.is_active:
        reviewed = promotion.reviews.filter(voided_at=None).exists()
        if promotion.is_pending and not reviewed:
            return
        raise Refused(
            "may_not_schedule",
            "You may not any more, because people have decided on it; ask one of them to move it.",
        )
    raise Refused("may_not_schedule", why_not[1])


def _refuse_time(promotion: Promotion, run_at: datetime, zone: str, now: datetime) -> None:
    try:
        words = in_zone(run_at, zone)
    except ValueError as error:
        raise Refused("bad_time", f"{str(error)[:1].upper()}{str(error)[1:]}.") from None
    if not now < run_at <= now + LONGEST:
        raise Refused("bad_time", f"{words} is not between now and 90 days from now.")
    if not promotion.is_rollback and (sentence := frozen_at(promotion.target, run_at)):
        raise Refused("frozen_then", f"It cannot run {words}: {sentence}")
