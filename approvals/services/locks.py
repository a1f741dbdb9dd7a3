"""The one lock that every verb takes first: the target's row.

Everything that can be decided or delivered at a target hangs on it, so two verbs about the same
target run one after the other, and no order of locks can deadlock.
"""

from __future__ import annotations

from django.db import connection

from approvals.models import Deployment, Environment, ModelVersion, Promotion, Target
from approvals.services.refusal import Refused


def lock_target(target_id: int) -> Target:
    """The target, locked until the transaction ends. Raises Refused("unknown_target")."""
    if not connection.in_atomic_block:
        raise RuntimeError("A lock outside a transaction holds nothing.")
    try:
        return (
            Target.objects.select_for_update(of=("self",))
            .select_related("model", "environment", "live_version", "live_deployment")
            .get(pk=target_id)
        )
    except Target.DoesNotExist:
        raise Refused("unknown_target", "There is no such target.") from None


def lock_environment(environment_id: int) -> tuple[Environment, list[Target]]:
    """The environment and its targets, all locked, in one order for everybody. Raises
    Refused("unknown_environment")."""
    environment = Environment.objects.filter(pk=environment_id).first()
    if environment is None:
        raise Refused("unknown_environment", "There is no such environment.")
    ids = environment.targets.order_by("pk").values_list("pk", flat=True)
    return environment, [lock_target(each) for each in ids]


def lock_everywhere(version_id: int) -> tuple[ModelVersion, list[Target]]:
    """The version and its model's targets, all locked, in one order for everybody. Raises
    Refused("unknown_version")."""
    version = ModelVersion.objects.select_related("model").filter(pk=version_id).first()
    if version is None:
        raise Refused("unknown_version", "There is no such version.")
    ids = Target.objects.filter(model=version.model).order_by("pk").values_list("pk", flat=True)
    return version, [lock_target(each) for each in ids]


def lock_promotion(promotion_id: int) -> Promotion:
    """The promotion, read after its target was locked. Raises Refused("unknown_promotion")."""
    target_id = (
        Promotion.objects.filter(pk=promotion_id).values_list("target_id", flat=True).first()
    )
    if target_id is None:
        raise Refused("unknown_promotion", f"There is no promotion {promotion_id}.")
    target = lock_target(target_id)
    promotion = Promotion.objects.select_related("version", "requester").get(pk=promotion_id)
    promotion.target = target
    promotion.version.model = target.model
    return promotion


def lock_deployment(deployment_id: int) -> Deployment:
    """The deployment, read after its target was locked. Raises Refused("unknown_deployment")."""
    promotion_id = (
        Deployment.objects.filter(pk=deployment_id).values_list("promotion_id", flat=True).first()
    )
    if promotion_id is None:
        raise Refused("unknown_deployment", f"There is no deployment {deployment_id}.")
    promotion = lock_promotion(promotion_id)
    deployment = Deployment.objects.select_related("version", "previous", "step__workflow_run").get(
        pk=deployment_id
    )
    deployment.promotion, deployment.target = promotion, promotion.target
    return deployment
