"""Writes a request, whoever made it: the row, the one that it supersedes, what is told, what is gathered."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from approvals.models import Deployment, ModelVersion, Person, Promotion, Target
from approvals.models.outbox import EffectKind
from approvals.rules import Policy
from approvals.services.comparisons import compare_code
from approvals.services.history import enqueue, record
from approvals.services.queueing import replaced_by_next
from approvals.services.settle import settle
from approvals.services.telling import tell_of_end
from approvals.states import PromotionKind, PromotionStatus


def write_request(
    *,
    target: Target,
    version: ModelVersion,
    kind: PromotionKind,
    requester: Person,
    via: str,
    reason: str,
    policy: Policy,
    now: datetime,
    rolls_back: Deployment | None = None,
    retroactive: bool = False,
) -> Promotion:
    """The pending promotion, its event, and the effect that gathers its facts. The target must be locked and
    everything be checked. ``rolls_back``: the deployment that monitoring has rolled back, for
    ``services.rollbacks`` alone; ``retroactive``: it adopts what is live, for ``services.answering`` alone."""
    older = target.promotions.filter(kind=kind, status=PromotionStatus.PENDING).first()
    if older is not None:
        # Settled first: the database allows one pending promotion per target and kind.
        settle(
            older, PromotionStatus.SUPERSEDED, now=now, reason=f"{version} was asked for instead."
        )
    rollback = kind == PromotionKind.ROLLBACK
    replaces = (
        target.live_version if retroactive else replaced_by_next(target, rollback=rollback, now=now)
    )
    promotion = Promotion.objects.create(
        target=target,
        version=version,
        kind=kind,
        requester=requester,
        via=via,
        reason=reason,
        requested_at=now,
        expires_at=now + timedelta(seconds=policy.expires_after),
        replaces=replaces,
        policy=target.policy,
        rolls_back=rolls_back,
        retroactive=retroactive,
    )
    if older is not None:
        older.superseded_by = promotion
        older.save(update_fields=["superseded_by"])
        record(
            "promotion.superseded",
            via=via,
            actor=requester,
            promotion=older,
            now=now,
            version=older.version.number,
            by_promotion=promotion.pk,
            by_version=version.number,
        )
        text = f"{version} was asked for instead of {older.version}, by {requester}"
        tell_of_end(older, text, now=now, but_not=requester)
    told: dict[str, Any] = {"retroactive": True} if retroactive else {}
    record(
        "promotion.requested",
        via=via,
        actor=requester,
        promotion=promotion,
        now=now,
        kind=kind.value,
        version=version.number,
        replaces=replaces.number if replaces else None,
        reason=reason,
        **told,
    )
    enqueue(EffectKind.GATHER_FACTS, promotion, key="request", now=now)
    compare_code(base=replaces, head=version, now=now)
    return promotion
