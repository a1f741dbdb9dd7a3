"""The only places where a promotion's or a deployment's status is assigned."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from approvals.models import Deployment, Person, Promotion, Step
from approvals.models.outbox import EffectKind
from approvals.rollouts import Strategy
from approvals.rules import Policy
from approvals.services.history import enqueue, record
from approvals.services.judging import Judgement
from approvals.services.queueing import queue_changed
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
    promotion.save(
        update_fields=[
            "status",
            "decided_at",
            "decision_reason",
            "overridden_by",
            "override_reason",
        ]
    )


def grant(
    promotion: Promotion,
    *,
    judgement: Judgement,
    via: str,
    actor: Person | None,
    now: datetime,
    overriding: str = "",
) -> Deployment:
    """Approve: settle, queue the deployment, and ask for its one dispatch.

    The judgement must say ``approved``, unless ``overriding``, the reason of whoever broke the glass, is given.
    Without ``actor`` it was the policy alone (``automatic``).
    """
    if judgement.decision.verdict != "approved" and not (overriding and actor):
        raise ForbiddenTransition(f"granted while {judgement.decision.verdict}")
    if overriding:
        # Before the status: the database wants both or neither.
        promotion.overridden_by, promotion.override_reason = actor, overriding
    settle(promotion, PromotionStatus.APPROVED, now=now, reason=overriding)
    promotion.grant_lapses_at = lapses_at(promotion, now)
    promotion.save(update_fields=["grant_lapses_at"])
    deployment = _queued(promotion, now)
    how: dict[str, Any] = {} if actor else {"automatic": True}
    if overriding:
        how["override"] = True
    record(
        "promotion.approved",
        via=via,
        actor=actor,
        promotion=promotion,
        now=now,
        version=promotion.version.number,
        seal=promotion.seal,
        **how,
    )
    enqueue(
        EffectKind.DISPATCH,
        promotion,
        key="1",
        now=now,
        payload={"deployment": deployment.pk, "step": 1},
    )
    queue_changed(promotion.target, f"granted:{deployment.pk}", now)
    return deployment


def _queued(promotion: Promotion, now: datetime) -> Deployment:
    """The deployment with its first step, last in the target's queue."""
    strategy = promotion.facts.get("strategy") or {}
    deployment = Deployment.objects.create(
        promotion=promotion,
        target=promotion.target,
        version=promotion.version,
        previous=promotion.target.live_version,
        strategy=strategy,
        place=int(now.timestamp() * 1000),
        created_at=now,
    )
    deployment.step = Step.objects.create(
        deployment=deployment,
        ordinal=1,
        index=0,
        percent=Strategy.from_data(strategy).steps[0].percent,
        token=promotion.token,
    )
    deployment.save(update_fields=["step"])
    return deployment


def lapses_at(promotion: Promotion, now: datetime) -> datetime:
    """When an unused grant lapses: counted from the time for which it is scheduled, where it is."""
    starts = max(now, promotion.run_at or now)
    return starts + timedelta(seconds=Policy.from_data(promotion.policy).grant_lapses_after)


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
    """End a deployment and record why; an empty ``kind`` is recorded already."""
    move_deployment(deployment, status, detail=detail, finished_at=now)
    if kind:
        record(
            kind,
            via=via,
            promotion=deployment.promotion,
            now=now,
            version=deployment.version.number,
            detail=detail,
            **data,
        )
    queue_changed(deployment.target, f"ended:{deployment.pk}", now)
