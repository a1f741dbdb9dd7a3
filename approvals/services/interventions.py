"""What people do about a deployment by hand: call it off, look again, dispatch again, give up."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from approvals.models import Deployment, Person
from approvals.models.outbox import EffectKind
from approvals.services.history import enqueue, record
from approvals.services.locks import lock_deployment
from approvals.services.queueing import queue_changed, why_not_settle
from approvals.services.refusal import Refused, clean_reason
from approvals.services.rollouts import step_failed
from approvals.services.settle import close_deployment, move_deployment
from approvals.services.telling import tell_of_end
from approvals.states import DeploymentStatus, StepOutcome

D = DeploymentStatus


@transaction.atomic
def call_off(
    *, actor: Person, via: str, deployment_id: int, reason: str, now: datetime | None = None
) -> Deployment:
    """Take an approval back that was not used yet: whoever asked, or whoever may decide here. Raises Refused
    (``already_started``, ``may_not_cancel``, ``reason_missing``)."""
    deployment = lock_deployment(deployment_id)
    now = now or timezone.now()
    if why_not := why_not_call_off(deployment, actor, now):
        raise Refused(*why_not)
    reason = clean_reason(reason)
    if not reason:
        raise Refused("reason_missing", "Say why: people have approved it.")
    move_deployment(deployment, D.CANCELLED, detail=f"Called off: {reason}", finished_at=now)
    record(
        "deployment.called_off",
        via=via,
        actor=actor,
        promotion=deployment.promotion,
        now=now,
        version=deployment.version.number,
        reason=reason,
    )
    queue_changed(deployment.target, f"off:{deployment.pk}", now)
    text = f"{actor} called the approved deployment off"
    tell_of_end(deployment.promotion, text, because=reason, now=now, but_not=actor)
    return deployment


def why_not_call_off(
    deployment: Deployment, actor: Person, now: datetime
) -> tuple[str, str] | None:
    """(code, sentence) why this person may not call it off; None when they may."""
    if deployment.status != D.QUEUED or deployment.has_begun:
        return "already_started", "It is too late: the deployment was begun."
    asked = actor.pk == deployment.promotion.requester_id
    if actor.is_active and (asked or why_not_settle(deployment, actor, now) is None):
        return None
    return (
        "may_not_cancel",
        "You may not, because only the one who asked and those who decide may call it off.",
    )


def _unconfirmed_or_refuse(
    deployment: Deployment, actor: Person, reason: str, ask: str, now: datetime
) -> str:
    """Only who may decide here settles what is unconfirmed, and says how they know; the reason, cleaned."""
    if deployment.status != D.UNCONFIRMED:
        raise Refused(
            "not_unconfirmed", "There is nothing to settle: the deployment is not unconfirmed."
        )
    return _settling_or_refuse(deployment, actor, reason, ask, now)


def _settling_or_refuse(
    deployment: Deployment, actor: Person, reason: str, ask: str, now: datetime
) -> str:
    not_counting = why_not_settle(deployment, actor, now)
    if not_counting is not None:
        raise Refused(*not_counting)
    reason = clean_reason(reason)
    if not reason:
        raise Refused("reason_missing", ask)
    return reason


@transaction.atomic
def look_again(
    *, actor: Person, via: str, deployment_id: int, now: datetime | None = None
) -> Deployment:
    """Look an unconfirmed run up once more. Changes nothing but what is found. Raises Refused."""
    deployment = lock_deployment(deployment_id)
    now = now or timezone.now()
    if deployment.status != D.UNCONFIRMED:
        raise Refused("not_unconfirmed", "There is nothing to look for any more.")
    if not actor.is_active:
        raise Refused("inactive", "You may not, because your account is not active.")
    enqueue(
        EffectKind.LOOK_UP,
        deployment.promotion,
        key=f"look:{now.timestamp():.0f}",
        now=now,
        payload={"deployment": deployment.pk, "step": _ordinal(deployment), "again_after": 0},
    )
    return deployment


@transaction.atomic
def dispatch_again(
    *, actor: Person, via: str, deployment_id: int, reason: str, now: datetime | None = None
) -> Deployment:
    """A person who may decide here vouches that no run was started: dispatch once more.

    The facts are checked against the seal again, and the run is looked up once more before the POST.
    Raises Refused.
    """
    deployment = lock_deployment(deployment_id)
    now = now or timezone.now()
    ask = "Say how you know that no run was started."
    reason = _unconfirmed_or_refuse(deployment, actor, reason, ask, now)
    record(
        "deployment.dispatched_again",
        via=via,
        actor=actor,
        promotion=deployment.promotion,
        now=now,
        version=deployment.version.number,
        reason=reason,
    )
    enqueue(
        EffectKind.LOOK_UP,
        deployment.promotion,
        key=f"again:{deployment.step_id}:{deployment.dispatches}",
        now=now,
        payload={
            "deployment": deployment.pk,
            "step": _ordinal(deployment),
            "again_after": deployment.dispatches,
        },
    )
    return deployment


@transaction.atomic
def give_up(
    *, actor: Person, via: str, deployment_id: int, reason: str, now: datetime | None = None
) -> Deployment:
    """A person who may decide here settles that an unconfirmed deployment came to nothing.

    The target is free for the next grant; a rollout that had begun goes back. Or that the version was taken out of
    service by hand, where the way back has failed. Raises Refused.
    """
    deployment = lock_deployment(deployment_id)
    now = now or timezone.now()
    stuck = stuck_on_the_way_back(deployment)
    check = _settling_or_refuse if stuck else _unconfirmed_or_refuse
    ask = "Say how you know that nothing of it is in service."
    reason = check(deployment, actor, reason, ask, now)
    record(
        "deployment.given_up",
        via=via,
        actor=actor,
        promotion=deployment.promotion,
        now=now,
        version=deployment.version.number,
        reason=reason,
    )
    if stuck:
        deployment.percent, deployment.paused = 0, ""
        deployment.save(update_fields=["percent", "paused"])
        close_deployment(
            deployment,
            D.CANCELLED,
            via=via,
            kind="",
            detail=f"Taken out of service by hand: {reason}",
            now=now,
        )
        text = f"{actor} took it out of service by hand"
        tell_of_end(deployment.promotion, text, because=reason, now=now, but_not=actor)
        return deployment
    step_failed(
        deployment,
        detail=f"Given up: {reason}",
        kind="",
        now=now,
        outcome=StepOutcome.CANCELLED,
    )
    return deployment


def stuck_on_the_way_back(deployment: Deployment) -> bool:
    """The run that was to take the version out of service failed, and a person was asked."""
    return bool(deployment.status == D.WAITING and deployment.aborting and deployment.paused)


def _ordinal(deployment: Deployment) -> int:
    return deployment.step.ordinal if deployment.step else 1
