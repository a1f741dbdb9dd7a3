"""Asking, withdrawing, expiring."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from approvals.models import Deployment, ModelVersion, Person, Promotion, Target
from approvals.models.outbox import EffectKind
from approvals.policies import Case
from approvals.rules import Policy
from approvals.services.asking import write_request
from approvals.services.cases import (
    NOT_A_POLICY,
    UNREADABLE,
    barred_trainer,
    case_of,
    situation_of,
    voter,
    why_not_counting,
)
from approvals.services.history import enqueue, record
from approvals.services.locks import lock_deployment, lock_promotion, lock_target
from approvals.services.marks import last_known_good, newest_mark
from approvals.services.queueing import replaced_by_next
from approvals.services.refusal import Refused, clean_reason
from approvals.services.restrictions import may_restrict
from approvals.services.settle import close_deployment, settle
from approvals.services.telling import tell_of_end, tell_of_lapse
from approvals.services.voters import everybody_for, still_able, stuck_rows
from approvals.states import (
    OPEN_DEPLOYMENT,
    DeploymentStatus,
    MarkKind,
    PromotionKind,
    PromotionStatus,
    Via,
)
from approvals.summary import how_decided
from approvals.wording import listed


def request_promotion(
    *,
    actor: Person,
    via: str,
    target_id: int,
    version_id: int,
    reason: str,
    now: datetime | None = None,
) -> Promotion:
    """Ask that a version go live at a target. Raises Refused, and then nothing was written.

    The facts are gathered and sealed by an effect; nobody can review before that. An older
    pending request for the same target is superseded.
    """
    return _request(PromotionKind.PROMOTE, actor, via, target_id, version_id, reason, now)


def request_rollback(
    *,
    actor: Person,
    via: str,
    target_id: int,
    version_id: int | None = None,
    reason: str,
    now: datetime | None = None,
) -> Promotion:
    """Ask that a version that was live before go live again; without one, the last known-good one. Raises Refused
    like a promotion, and ``no_known_good``, ``marked_bad``."""
    return _request(PromotionKind.ROLLBACK, actor, via, target_id, version_id, reason, now)


def request_answer(
    kind: PromotionKind,
    *,
    actor: Person,
    via: str,
    target_id: int,
    version_id: int,
    reason: str,
    now: datetime,
) -> Promotion:
    """Ask for what answers an out-of-band change: ``promote`` adopts a version that is live already as far as was
    seen, ``rollback`` has the live version deployed once more. Only ``services.answers`` may. Raises Refused like
    a promotion."""
    return _request(kind, actor, via, target_id, version_id, reason, now, answers=True)


def was_live(target: Target, version: ModelVersion) -> bool:
    """Whether a deployment of this version ever succeeded at the target."""
    return target.deployments.filter(version=version, status=DeploymentStatus.SUCCEEDED).exists()


@transaction.atomic
def _request(
    kind: PromotionKind,
    actor: Person,
    via: str,
    target_id: int,
    version_id: int | None,
    reason: str,
    now: datetime | None,
    *,
    answers: bool = False,
) -> Promotion:
    target = lock_target(target_id)
    now = now or timezone.now()
    if version_id is None:
        version: ModelVersion | None = last_known_good(target)
    else:
        version = ModelVersion.objects.filter(pk=version_id, model=target.model).first()
    if version is None:
        raise Refused("unknown_version", f"{target.model.name} has no such version.")
    policy = refuse_request(
        actor=actor, target=target, version=version, kind=kind, now=now, answers=answers
    )
    retroactive = answers and kind == PromotionKind.PROMOTE
    reason = clean_reason(reason)
    if not reason:
        raise Refused("reason_missing", "Say why: the people who decide read it first.")

    return write_request(
        target=target,
        version=version,
        kind=kind,
        requester=actor,
        via=via,
        reason=reason,
        policy=policy,
        now=now,
        retroactive=retroactive,
    )


def refuse_request(
    *,
    actor: Person,
    target: Target,
    version: ModelVersion,
    kind: PromotionKind,
    now: datetime | None = None,
    answers: bool = False,
) -> Policy:
    """Raise Refused with the first reason why this cannot be asked now, else return the policy in force.
    ``answers`` an out-of-band change: then the version may be live already.

    Pages ask it too, to say beforehand what the verb would say.
    """
    policy = policy_or_refuse(target)
    _refuse_requester(actor, policy)
    now = now or timezone.now()
    retroactive = answers and kind == PromotionKind.PROMOTE
    rollback = kind == PromotionKind.ROLLBACK
    # What is adopted is live already, whatever is still to come.
    replaces = (
        target.live_version if retroactive else replaced_by_next(target, rollback=rollback, now=now)
    )
    refuse_version(target, version, replaces, may_be_live=answers)
    barred = version.restrictions.filter(lifted_at=None).select_related("placed_by").first()
    if barred is not None:
        raise Refused("quarantined", barred.sentence)
    if kind == PromotionKind.ROLLBACK and not was_live(target, version):
        raise Refused(
            "never_live",
            f"{version} was never live in {target.environment.name}; ask for a promotion.",
        )
    bad = newest_mark(target, version) if kind == PromotionKind.ROLLBACK else None
    if bad is not None and bad.kind == MarkKind.BAD:
        raise Refused(
            "marked_bad",
            f"{bad.sentence} Choose another version, or have this one marked as good first.",
        )
    pending = target.promotions.filter(
        kind=kind, version=version, status=PromotionStatus.PENDING
    ).first()
    if pending is not None:
        raise Refused(
            "already_pending",
            f"{version} is already waiting for approval in {target.environment.name} "
            f"(promotion {pending.pk}).",
        )
    _refuse_what_nobody_could_approve(
        actor, policy, version, target, replaces, rollback, now, retroactive=retroactive
    )
    return policy


def _refuse_what_nobody_could_approve(
    actor: Person,
    policy: Policy,
    version: ModelVersion,
    target: Target,
    replaces: ModelVersion | None,
    rollback: bool,
    now: datetime,
    *,
    retroactive: bool,
) -> None:
    """A quorum that the people of today cannot fill without the requester would wait for ever."""
    requirements = policy.terms(
        situation_of(version, target, live=replaces), rollback=rollback, retroactive=retroactive
    ).requirements
    case = Case(
        requirements,
        actor.pk,
        "",
        requester_may_approve=rollback and policy.rollback_requester_may_approve,
        barred_trainer=barred_trainer(policy, version, rollback=rollback),
    )
    able = still_able(case, everybody_for(requirements, now))
    missing = stuck_rows(case, able)
    if missing:
        rows = listed([f"{row.count} of {row.words}" for row in missing])
        raise Refused(
            "nobody_could",
            f"Nobody could approve this: {rows} must, and there are not enough active people besides "
            f"you{' and whoever trained it' if case.barred_trainer else ''}. Let somebody else ask for it, "
            "or have a member added.",
        )


def policy_or_refuse(target: Target) -> Policy:
    """The policy in force at a target. Raises Refused (``inactive_target``, ``policy_unreadable``)."""
    if not target.is_active or not target.model.is_active or not target.environment.is_active:
        raise Refused(
            "inactive_target",
            f"The configuration no longer names {target}; nothing can be asked there.",
        )
    try:
        return Policy.from_data(target.policy)
    except NOT_A_POLICY:
        raise Refused("policy_unreadable", UNREADABLE) from None


def may_request(actor: Person, policy: Policy) -> bool:
    """Whether somebody of this person's teams may ask under this policy."""
    return actor.is_active and bool(voter(actor).teams & set(policy.requesters))


def _refuse_requester(actor: Person, policy: Policy) -> None:
    if not actor.is_active:
        raise Refused("inactive", "You may not, because your account is not active.")
    if not may_request(actor, policy):
        raise Refused(
            "may_not_request",
            "You may not, because asking here is for members of "
            f"{', '.join(sorted(policy.requesters))}.",
        )


def refuse_version(
    target: Target,
    version: ModelVersion,
    replaces: ModelVersion | None,
    *,
    may_be_live: bool = False,
) -> None:
    """Raise Refused where this version can go live here for nobody; ``replaces`` is what it would replace."""
    if version.deleted_at is not None:
        raise Refused("version_deleted", f"{version} was deleted from MLflow.")
    if version.status != "READY":
        raise Refused(
            "version_not_ready",
            f"{version} is not ready: MLflow says {version.status or 'nothing'}.",
        )
    if not version.is_finished:
        raise Refused(
            "run_unfinished",
            f"The run that trains {version} is {version.run_status}; it can be asked for once it has "
            "finished.",
        )
    # Live now and about to be replaced may be asked for: it is what one goes back to.
    if replaces == version and target.live_version_id == version.pk and not may_be_live:
        raise Refused("already_live", f"{version} is already live in {target.environment.name}.")
    running = target.deployments.filter(status__in=OPEN_DEPLOYMENT, version=version).first()
    if running is not None:
        raise Refused(
            "already_deploying",
            f"{version} is already on its way to {target.environment.name} "
            f"(promotion {running.promotion_id}).",
        )


@transaction.atomic
def cancel(
    *, actor: Person, via: str, promotion_id: int, reason: str = "", now: datetime | None = None
) -> Promotion:
    """Take a pending promotion back: its requester, or anybody who may decide it. Raises Refused."""
    promotion = lock_promotion(promotion_id)
    now = now or timezone.now()
    refuse_cancelling(promotion, actor, now)
    reason = clean_reason(reason)
    settle(promotion, PromotionStatus.CANCELLED, now=now, reason=reason)
    record("promotion.cancelled", via=via, actor=actor, promotion=promotion, now=now, reason=reason)
    tell_of_end(promotion, f"{actor} cancelled the request", because=reason, now=now, but_not=actor)
    return promotion


def refuse_cancelling(promotion: Promotion, actor: Person, now: datetime) -> None:
    """Raise Refused (``already_decided``, ``may_not_cancel``) unless this person can take it back."""
    refuse_decided(promotion)
    if not may_cancel(promotion, actor, now):
        raise Refused(
            "may_not_cancel",
            "You may not, because only the one who asked and those who decide may cancel it.",
        )


def may_cancel(promotion: Promotion, actor: Person, now: datetime) -> bool:
    """The one who asked, and those who decide it; where nobody is asked because monitoring has it rolled back,
    those who may close the target."""
    if not actor.is_active:
        return False
    if actor.pk == promotion.requester_id:
        return True
    if promotion.rolls_back_id is not None and may_restrict(actor, [promotion.target]):
        return True
    return why_not_counting(case_of(promotion), actor, now, lent=False) is None


def refuse_decided(promotion: Promotion) -> None:
    """Raise Refused("already_decided") unless the promotion is pending, saying by whom and when."""
    if promotion.is_pending:
        return
    raise Refused("already_decided", f"It is too late: this was {how_decided(promotion)}.")


@transaction.atomic
def check_again(
    *, actor: Person, via: str, promotion_id: int, now: datetime | None = None
) -> Promotion:
    """Gather the facts once more, after a problem with them was mended. Raises Refused."""
    promotion = lock_promotion(promotion_id)
    now = now or timezone.now()
    refuse_decided(promotion)
    if not actor.is_active:
        raise Refused("inactive", "You may not, because your account is not active.")
    enqueue(EffectKind.GATHER_FACTS, promotion, key=f"again:{now.timestamp():.0f}", now=now)
    return promotion


def close_overdue(*, now: datetime | None = None) -> int:
    """Expire pending promotions past their time and lapse grants that were never spent.

    Each in a transaction of its own, checked again under the lock, so that two beats harm nothing.
    Returns how many were closed.
    """
    moment = now or timezone.now()
    closed = 0
    due = Promotion.objects.filter(status=PromotionStatus.PENDING, expires_at__lte=moment)
    for promotion_id in list(due.values_list("pk", flat=True)):
        with transaction.atomic():
            promotion = lock_promotion(promotion_id)
            if not promotion.is_pending or promotion.expires_at > moment:
                continue
            settle(
                promotion, PromotionStatus.EXPIRED, now=moment, reason="Nobody settled it in time."
            )
            record("promotion.expired", via=Via.SYSTEM, promotion=promotion, now=moment)
            tell_of_end(promotion, "It expired: nobody settled it in time", now=moment)
            closed += 1
    lapsed = Deployment.objects.filter(
        status=DeploymentStatus.QUEUED,
        step__dispatches=0,
        promotion__grant_lapses_at__lte=moment,
    )
    for deployment_id in list(lapsed.values_list("pk", flat=True)):
        with transaction.atomic():
            deployment = lock_deployment(deployment_id)
            lapses_at = deployment.promotion.grant_lapses_at
            if deployment.status != DeploymentStatus.QUEUED or deployment.has_begun:
                continue
            if lapses_at is None or lapses_at > moment:  # moved to a later time meanwhile
                continue
            close_deployment(
                deployment,
                DeploymentStatus.CANCELLED,
                via=Via.SYSTEM,
                kind="deployment.lapsed",
                detail="The approval lapsed before it was used; ask again.",
                now=moment,
            )
            tell_of_lapse(deployment, moment)
            closed += 1
    return closed
