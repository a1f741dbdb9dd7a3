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
    """Approve: settle, queue the deployment, and ask for its one dispatch. What is adopted is live already: it
    goes live at once and nothing is dispatched.

    The judgement must say ``approved``, unless ``overriding``, the reason of whoever broke the glass, is given.
    Without ``actor`` it was the policy alone (``automatic``).
    """
    if judgement.decision.verdict != "approved" and not (overriding and actor):
        raise ForbiddenTransition(f"granted while {judgement.decision.verdict}")
    if promotion.retroactive and actor is None:
        raise ForbiddenTransition("what went live round the gate was granted by nobody")
    if overriding:
        # Before the status: the database wants both or neither.
        promotion.overridden_by, promotion.override_reason = actor, overriding
    settle(promotion, PromotionStatus.APPROVED, now=now, reason=overriding)
    promotion.grant_lapses_at = lapses_at(promotion, now)
    promotion.save(update_fields=["grant_lapses_at"])
    deployment = _queued(promotion, now)
    how: dict[str, Any] = {} if actor else {"automatic": True}
    if judgement.terms.by_itself:
        how["by_itself"] = judgement.terms.by_itself
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
    if promotion.retroactive:
        _adopt(deployment, now)
        return deployment
    enqueue(
        EffectKind.DISPATCH,
        promotion,
        key="1",
        now=now,
        payload={"deployment": deployment.pk, "step": 1},
    )
    queue_changed(promotion.target, f"granted:{deployment.pk}", now)
    return deployment


def _adopt(deployment: Deployment, now: datetime) -> None:
    """The deployment of a retroactive promotion succeeds without a step."""
    from approvals.services.live import went_live  # which ends deployments by this module

    promotion = deployment.promotion
    promotion.grant_spent_at = now
    promotion.save(update_fields=["grant_spent_at"])
    deployment.percent = 100
    deployment.save(update_fields=["percent"])
    went_live(deployment, now)


def _queued(promotion: Promotion, now: datetime) -> Deployment:
    """The deployment, last in the target's queue, with its first step where there is something to fire."""
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
    if promotion.retroactive:
        return deployment
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
    unfired = deployment.status == DeploymentStatus.QUEUED and status == DeploymentStatus.SUCCEEDED
    if not may_become(deployment.status, status) or (
        unfired and not deployment.promotion.retroactive
    ):
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
