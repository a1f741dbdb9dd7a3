"""The one lock that every verb takes first: the target's row.

Everything that can be decided or delivered at a target hangs on it, so two verbs about the same
target run one after the other, and no order of locks can deadlock.
"""

from __future__ import annotations

from django.db import connection
from django.db.models import Subquery

from approvals.models import Deployment, Environment, ModelVersion, Promotion, Target
from approvals.services.refusal import Refused


def lock_target(target_id: int) -> Target:
    """The target, locked until the transaction ends. Raises Refused("unknown_target")."""
    if not _lock(target_id):
        raise Refused("unknown_target", "There is no such target.")
    return _locked(target_id)


def _locked(target_id: int) -> Target:
    joined = "model", "environment", "live_version", "live_deployment"
    return Target.objects.select_related(*joined).get(pk=target_id)


def _lock(target_id: int | Subquery) -> bool:
    """Lock the row; False where there is none.

    It is read by the next statement, never by this one: whoever waits here has looked at all other rows before,
    so that of a target which went live meanwhile PostgreSQL would tell the new ``live_version_id``, and to the
    join that there is no such version.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("A lock outside a transaction holds nothing.")
    rows = Target.objects.select_for_update().filter(pk=target_id).order_by()
    return bool(rows.values_list("pk"))


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
    # Which target it is about never changes, so it is looked up by the statement that locks it.
    of = Promotion.objects.filter(pk=promotion_id).order_by().values("target_id")
    if not _lock(Subquery(of)):
        raise Refused("unknown_promotion", f"There is no promotion {promotion_id}.")
    promotion = Promotion.objects.select_related("version", "requester").get(pk=promotion_id)
    # Not in one statement with seven joins: planning it takes PostgreSQL longer than both.
    target = _locked(promotion.target_id)
    promotion.target = target
    promotion.version.model = target.model
    if promotion.replaces_id is not None and promotion.replaces_id == target.live_version_id:
        promotion.replaces = target.live_version
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
