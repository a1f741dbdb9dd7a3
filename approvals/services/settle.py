"""The only places where a promotion's or a deployment's status is assigned."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from approvals.models import Deployment, Person, Promotion
from approvals.models.outbox import EffectKind
from approvals.policies import Policy
from approvals.services.history import enqueue, record
from approvals.states import DeploymentStatus, PromotionStatus, may_become


class ForbiddenTransition(RuntimeError):
    """A verb tried what the transition table does not allow: an error of ours, never of the user."""


def settle(
    promotion: Promotion, status: PromotionStatus, *, now: datetime, reason: str = ""
) -> None:
    """End a pending promotion. The target must be locked; the caller records the event."""
    if not may_become(promotion.status, status):
        raise ForbiddenTransition(f"{promotion.status} → {status}")
    promotion.status = status
    promotion.decided_at = now
    promotion.decision_reason = reason
    promotion.save(update_fields=["status", "decided_at", "decision_reason"])


def grant(promotion: Promotion, *, via: str, actor: Person, now: datetime) -> Deployment:
    """Approve: settle, queue the deployment, and ask for its one dispatch."""
    settle(promotion, PromotionStatus.APPROVED, now=now)
    lapses = Policy.from_data(promotion.policy).grant_lapses_after
    promotion.grant_lapses_at = now + timedelta(seconds=lapses)
    promotion.save(update_fields=["grant_lapses_at"])
    deployment = Deployment.objects.create(
        promotion=promotion,
        target=promotion.target,
        version=promotion.version,
        previous=promotion.target.live_version,
        created_at=now,
    )
    record(
        "promotion.approved",
        via=via,
        actor=actor,
        promotion=promotion,
        now=now,
        version=promotion.version.number,
        seal=promotion.seal,
    )
    enqueue(EffectKind.DISPATCH, promotion, key="1", now=now, payload={"deployment": deployment.pk})
    return deployment


def move_deployment(deployment: Deployment, status: DeploymentStatus, **fields: Any) -> None:
    """Assign a deployment's status and the fields that go with it. The target must be locked."""
    if not may_become(deployment.status, status):
        raise ForbiddenTransition(f"{deployment.status} → {status}")
    deployment.status = status
    for name, value in fields.items():
        setattr(deployment, name, value)
    deployment.save(update_fields=["status", *fields])


def close_deployment(
    deployment: Deployment,
    status: DeploymentStatus,
    *,
    via: str,
    kind: str,
    detail: str,
    now: datetime,
    **data: Any,
) -> None:
    """End a deployment and record why."""
    move_deployment(deployment, status, detail=detail, finished_at=now)
    record(
        kind,
        via=via,
        promotion=deployment.promotion,
        now=now,
        version=deployment.version.number,
        detail=detail,
        **data,
    )
