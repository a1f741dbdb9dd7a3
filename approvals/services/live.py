"""What it means that a version went live at a target: the one place where ``live_version`` is assigned."""

from __future__ import annotations

from datetime import datetime

from approvals.models import Deployment, Mark, Promotion
from approvals.models.outbox import EffectKind
from approvals.services.history import enqueue
from approvals.services.out_of_band import end_by_deployment
from approvals.services.restrictions import hold_after_rollback
from approvals.services.settle import close_deployment
from approvals.services.telling import tell_of_end
from approvals.states import DeploymentStatus, MarkKind, PromotionStatus, Via
from approvals.write_back import WriteBack


def went_live(
    deployment: Deployment, now: datetime, *, run_id: int | None = None, url: str = ""
) -> None:
    """The last step succeeded. The target must be locked."""
    target, promotion = deployment.target, deployment.promotion
    former = target.live_version
    adopted = promotion.retroactive
    close_deployment(
        deployment,
        DeploymentStatus.SUCCEEDED,
        via=Via.SYSTEM if adopted else Via.GITHUB,
        kind="deployment.adopted" if adopted else "deployment.succeeded",
        detail=f"{deployment.version} went live in {target.environment.name}.",
        now=now,
        run_id=run_id,
        url=url,
        former=former.number if former else None,
    )
    replaced = target.live_deployment
    target.live_version = deployment.version
    target.live_since = now
    target.live_deployment = deployment
    target.save(update_fields=["live_version", "live_since", "live_deployment"])
    if promotion.is_rollback:
        hold_after_rollback(deployment, now)
        if former is not None and former.pk != deployment.version_id:
            # Rolling back once more must never land on what was rolled back from.
            Mark.objects.create(
                target=target,
                version=former,
                kind=MarkKind.BAD,
                reason=f"Rolled back from: {promotion.reason}",
                placed_by=promotion.requester,
                placed_at=now,
            )
    end_by_deployment(deployment, now)
    if replaced is not None:
        # Its message must not go on saying that it is live.
        enqueue(EffectKind.ANNOUNCE, replaced.promotion, key=f"replaced:{deployment.pk}", now=now)
    if WriteBack.of(target.alias, target.write_back).is_wanted:
        was_another = former is not None and former.pk != deployment.version_id
        enqueue(
            EffectKind.SET_ALIAS,
            promotion,
            key=str(deployment.pk),
            now=now,
            # What was live right before: a retroactive promotion was never dispatched, so it may know no other.
            payload={
                "deployment": deployment.pk,
                "former": former.pk if former and was_another else None,
            },
        )
    tell_of_end(promotion, f"{deployment.version} went live in {target.environment.name}", now=now)
    # What others asked to replace is no longer what is live: their facts are gathered again.
    for other in Promotion.objects.filter(target=target, status=PromotionStatus.PENDING):
        enqueue(EffectKind.GATHER_FACTS, other, key=f"after:{deployment.pk}", now=now)
