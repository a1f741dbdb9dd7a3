"""Rolling back without people, because monitoring says so: the guards, and the request in Countersign's own name.

The configuration's ``signals`` are the authority. Nothing else sets ``Promotion.rolls_back``, and only with it is
a rollback approved by nobody (``cases.terms_of``); locks, holds, quarantines and the preflight apply as always.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.contrib.auth.hashers import make_password

from approvals.models import Deployment, Person, Promotion, Restriction, Target
from approvals.services.asking import write_request
from approvals.services.history import record
from approvals.services.marks import last_known_good
from approvals.services.promotions import policy_or_refuse, refuse_version
from approvals.services.queueing import under_way
from approvals.services.refusal import Refused
from approvals.services.settle import settle
from approvals.services.telling import alert
from approvals.states import (
    SYSTEM_ACCOUNT,
    PromotionKind,
    PromotionStatus,
    RestrictionKind,
    Via,
)


def roll_back_by_itself(target: Target, reason: str, now: datetime) -> Promotion:
    """Ask, as Countersign, that the last known-good version replace what is live. The target must be locked.

    Raises Refused with the guard that stands before it; then nothing was written.
    """
    live = _what_may_be_rolled_back(target, now)
    # A hold is about promotions: it must not take the net away from a version that people approved since.
    closed = Restriction.objects.filter(target=target, lifted_at=None, kind=RestrictionKind.LOCK)
    if stands := closed.select_related("placed_by", "target__model", "target__environment").first():
        raise Refused("closed", stands.sentence)
    policy = policy_or_refuse(target)
    version = last_known_good(target)
    refuse_version(target, version, target.live_version)
    return write_request(
        target=target,
        version=version,
        kind=PromotionKind.ROLLBACK,
        requester=_system_account(),
        via=Via.SYSTEM,
        reason=reason,
        policy=policy,
        now=now,
        rolls_back=live,
    )


def _what_may_be_rolled_back(target: Target, now: datetime) -> Deployment:
    """The live deployment, settled. Raises Refused."""
    if other := under_way(target, now):
        raise Refused(
            "under_way",
            f"{other} Nothing is rolled back while what is live is not settled.",
        )
    live = target.live_deployment
    if live is None:
        raise Refused("nothing_live", "Nothing is live that could be rolled back.")
    if live.promotion.is_rollback:
        raise Refused(
            "is_rollback",
            f"{live.version} is live by a rollback, and a rollback is never rolled back by itself.",
        )
    if earlier := Promotion.objects.filter(rolls_back=live).first():
        raise Refused(
            "already_rolled_back",
            f"A rollback of this deployment was asked for by itself already (promotion {earlier.pk}, "
            f"{earlier.get_status_display().lower()}), and that is done once; now people decide.",
        )
    return live


def rollback_under_way(target: Target) -> Promotion | None:
    """The rollback that monitoring has asked for of what is live, while it may still come to something."""
    if target.live_deployment_id is None:
        return None
    found = (
        Promotion.objects.filter(rolls_back=target.live_deployment_id)
        .select_related("deployment", "version__model")
        .first()
    )
    if found is None or found.is_pending:
        return found
    deployment = getattr(found, "deployment", None)
    return found if deployment is not None and deployment.is_open else None


def _system_account() -> Person:
    """Countersign's own account: a machine, inactive, without a password. Raises Refused where a person has its
    name."""
    account, _ = Person.objects.get_or_create(
        username=SYSTEM_ACCOUNT,
        defaults={
            "first_name": "Countersign",
            "is_machine": True,
            "is_active": False,
            "password": make_password(None),
        },
    )
    if not account.is_machine or account.is_active:
        raise Refused(
            "name_taken",
            f"The account {SYSTEM_ACCOUNT!r} is Countersign's own and somebody else uses it; rename theirs.",
        )
    return account


def withdraw_if_moot(promotion: Promotion, now: datetime) -> bool:
    """Take a rollback by itself back when what it would roll back is not live any more. The target must be locked.
    Returns whether it was."""
    if promotion.rolls_back_id is None or not promotion.is_pending:
        return False
    if promotion.target.live_deployment_id == promotion.rolls_back_id:
        return False
    reason = "What it would roll back is not live any more."
    settle(promotion, PromotionStatus.CANCELLED, now=now, reason=reason)
    record("promotion.cancelled", via=Via.SYSTEM, promotion=promotion, now=now, reason=reason)
    return True


def alert_if_stuck(promotion: Promotion, blockers: Sequence[str], now: datetime) -> None:
    """A rollback by itself that is blocked is everybody's business, once. The target must be locked."""
    if promotion.rolls_back_id is None or not blockers:
        return
    target = promotion.target
    alert(
        target,
        f"It was to be rolled back to {promotion.version} by itself: {' '.join(blockers)}",
        subject=f"{target} is not rolled back: somebody has to act",
        key=f"stuck:{promotion.pk}",
        now=now,
    )
