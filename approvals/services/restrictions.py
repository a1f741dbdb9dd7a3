"""Locking a target, holding it after a rollback, quarantining a version, and lifting each."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from approvals.models import Deployment, ModelVersion, Person, Promotion, Restriction, Target
from approvals.models.outbox import EffectKind
from approvals.rules import Policy
from approvals.services.at_hand import RESTRICTIONS, at_hand
from approvals.services.cases import NOT_A_POLICY, voter
from approvals.services.history import enqueue, record
from approvals.services.locks import lock_everywhere, lock_target
from approvals.services.refusal import Refused, clean_reason
from approvals.states import PromotionStatus, RestrictionKind, Via


@transaction.atomic
def lock(
    *, actor: Person, via: str, target_id: int, reason: str, now: datetime | None = None
) -> Restriction:
    """Close a target: nothing is approved or dispatched there until it is unlocked. What runs already goes on.

    Raises Refused (``unknown_target``, ``inactive``, ``machine``, ``may_not_restrict``,
    ``already_restricted``, ``reason_missing``).
    """
    target = lock_target(target_id)
    return _place(RestrictionKind.LOCK, actor, via, reason, now, [target], target=target)


@transaction.atomic
def unlock(
    *, actor: Person, via: str, target_id: int, reason: str, now: datetime | None = None
) -> Restriction:
    """Open a locked target again. Raises Refused like :func:`lock`, and ``not_restricted``."""
    target = lock_target(target_id)
    return _lift(RestrictionKind.LOCK, actor, via, reason, now, [target], target=target)


@transaction.atomic
def resume(
    *, actor: Person, via: str, target_id: int, reason: str, now: datetime | None = None
) -> Restriction:
    """End a target's hold: promotions may be approved automatically again. Raises Refused like :func:`unlock`."""
    target = lock_target(target_id)
    return _lift(RestrictionKind.HOLD, actor, via, reason, now, [target], target=target)


def hold_after_rollback(deployment: Deployment, now: datetime) -> None:
    """A rollback went live: automation must not undo it. The target must be locked; one hold is enough."""
    target, asked_by = deployment.target, deployment.promotion.requester
    reason = f"Rolled back to {deployment.version}."
    held, is_new = Restriction.objects.get_or_create(
        kind=RestrictionKind.HOLD,
        target=target,
        lifted_at=None,
        defaults={"reason": reason, "placed_by": asked_by, "placed_at": now},
    )
    if is_new:
        _tell(held, "placed", None, Via.SYSTEM, reason, now)


@transaction.atomic
def quarantine(
    *, actor: Person, via: str, version_id: int, reason: str, now: datetime | None = None
) -> Restriction:
    """Bar a version from being asked for, approved and dispatched anywhere, until it is released.

    Raises Refused like :func:`lock`, and ``unknown_version``.
    """
    version, targets = lock_everywhere(version_id)
    return _place(RestrictionKind.QUARANTINE, actor, via, reason, now, targets, version=version)


@transaction.atomic
def release(
    *, actor: Person, via: str, version_id: int, reason: str, now: datetime | None = None
) -> Restriction:
    """Let a quarantined version be promoted again. Raises Refused like :func:`quarantine`, and
    ``not_restricted``."""
    version, targets = lock_everywhere(version_id)
    return _lift(RestrictionKind.QUARANTINE, actor, via, reason, now, targets, version=version)


def restrictions_of(promotion: Promotion) -> list[Restriction]:
    """The open restrictions that cover a promotion: its target's lock and hold, its version's quarantine."""
    kept: list[Restriction] | None = at_hand(promotion, RESTRICTIONS)
    if kept is not None:
        return kept
    covering = Restriction.objects.filter(
        Q(target_id=promotion.target_id) | Q(version_id=promotion.version_id), lifted_at=None
    )
    # Nearly always there is none: then no join was prepared, and none of these is a statement.
    return list(
        covering.prefetch_related(
            "placed_by", "target__model", "target__environment", "version__model"
        )
    )


def may_restrict(actor: Person, targets: Iterable[Target]) -> bool:
    """Whoever may approve promotions or rollbacks at one of these targets; active people only."""
    if not actor.is_active or actor.is_machine:
        return False
    teams = voter(actor).teams
    return any(teams & _deciding(target) for target in targets)


def _deciding(target: Target) -> set[str]:
    try:
        policy = Policy.from_data(target.policy)
    except NOT_A_POLICY:
        return set()
    return {team for row in (*policy.strictest(), *policy.rollback) for team in row.teams}


def _place(
    kind: RestrictionKind,
    actor: Person,
    via: str,
    reason: str,
    now: datetime | None,
    targets: list[Target],
    **subject: Target | ModelVersion,
) -> Restriction:
    reason = refuse_who_may_not_restrict(actor, reason, targets)
    existing = Restriction.objects.filter(kind=kind, lifted_at=None, **subject).first()
    if existing is not None:
        raise Refused("already_restricted", f"Already done: {existing.sentence}")
    now = now or timezone.now()
    placed = Restriction.objects.create(
        kind=kind, reason=reason, placed_by=actor, placed_at=now, **subject
    )
    _tell(placed, "placed", actor, via, reason, now)
    return placed


def _lift(
    kind: RestrictionKind,
    actor: Person,
    via: str,
    reason: str,
    now: datetime | None,
    targets: list[Target],
    **subject: Target | ModelVersion,
) -> Restriction:
    reason = refuse_who_may_not_restrict(actor, reason, targets)
    found = Restriction.objects.filter(kind=kind, lifted_at=None, **subject).first()
    if found is None:
        [what] = subject.values()
        raise Refused("not_restricted", f"{what} has no {kind}; there is nothing to lift.")
    found.lifted_by, found.lifted_at, found.lifted_reason = actor, now or timezone.now(), reason
    found.save(update_fields=["lifted_by", "lifted_at", "lifted_reason"])
    _tell(found, "lifted", actor, via, reason, found.lifted_at)
    return found


def refuse_who_may_not_restrict(actor: Person, reason: str, targets: list[Target]) -> str:
    """The reason, cleaned. Raises Refused unless the actor decides at one of the targets and gives a reason."""
    if not actor.is_active:
        raise Refused("inactive", "You may not, because your account is not active.")
    if actor.is_machine:
        raise Refused("machine", "You may not, because this is a machine account.")
    if not may_restrict(actor, targets):
        teams = sorted({team for target in targets for team in _deciding(target)})
        raise Refused(
            "may_not_restrict",
            "You may not, because you are in none of the teams that decide here: "
            f"{', '.join(teams) or 'no team'}.",
        )
    reason = clean_reason(reason)
    if not reason:
        raise Refused("reason_missing", "Say why: whoever is stopped by it has to know.")
    return reason


KINDS = {
    (RestrictionKind.LOCK, "placed"): "target.locked",
    (RestrictionKind.LOCK, "lifted"): "target.unlocked",
    (RestrictionKind.HOLD, "placed"): "target.held",
    (RestrictionKind.HOLD, "lifted"): "target.resumed",
    (RestrictionKind.QUARANTINE, "placed"): "version.quarantined",
    (RestrictionKind.QUARANTINE, "lifted"): "version.released",
}


def _tell(
    restriction: Restriction, what: str, actor: Person | None, via: str, reason: str, now: datetime
) -> None:
    """Record it, and bring the messages of the pending promotions that it covers up to date."""
    about: dict[str, Any] = {}
    covered = Promotion.objects.filter(status=PromotionStatus.PENDING)
    if restriction.version is not None:
        version = restriction.version
        about = {"model": version.model.name, "version": version.number}
        covered = covered.filter(version=version)
    else:
        covered = covered.filter(target=restriction.target)
    kind = KINDS[RestrictionKind(restriction.kind), what]
    record(kind, via=via, actor=actor, target=restriction.target, now=now, reason=reason, **about)
    for promotion in covered:
        key = f"restriction-{restriction.pk}-{what}"
        enqueue(EffectKind.ANNOUNCE, promotion, key=key, now=now)
