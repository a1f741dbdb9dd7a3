"""What people do to a rollout: let it go on, pause it, abort it."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from approvals.models import Deployment, Person
from approvals.services.history import record
from approvals.services.locks import lock_deployment
from approvals.services.queueing import queue_changed, why_not_settle
from approvals.services.refusal import Refused, clean_reason
from approvals.services.rollouts import (
    go_back,
    next_step,
    pause_rollout,
    why_not_abort,
    why_not_advance,
    why_not_pause,
)
from approvals.states import StepOutcome


@transaction.atomic
def advance(
    *,
    actor: Person,
    via: str,
    deployment_id: int,
    reason: str = "",
    step: int | None = None,
    now: datetime | None = None,
) -> Deployment:
    """Somebody who may decide lets a rollout go on: over a pause, an inconclusive analysis, or the rest of a wait.

    ``step`` is the number of the step after which they saw it stand, where the door knows: a press that comes late
    must not start the step after the next. Raises Refused (``nothing_to_advance``, ``moved_on``, or why they may
    not).
    """
    deployment = lock_deployment(deployment_id)
    now = now or timezone.now()
    if why_not := why_not_advance(deployment):
        raise Refused("nothing_to_advance", why_not)
    if refusal := why_not_settle(deployment, actor, now):
        raise Refused(*refusal)
    if step is not None and (deployment.step is None or deployment.step.ordinal != step):
        raise Refused("moved_on", "The rollout has moved on since you looked. Look again first.")
    deployment.paused = ""
    deployment.save(update_fields=["paused"])
    record(
        "deployment.advanced",
        via=via,
        actor=actor,
        promotion=deployment.promotion,
        now=now,
        version=deployment.version.number,
        reason=clean_reason(reason),
        percent=deployment.percent,
    )
    if deployment.step and deployment.step.outcome:
        next_step(deployment, now)
    else:
        # The next step was decided before it was paused: its effect only waits.
        queue_changed(deployment.target, f"advanced:{deployment.step_id}", now)
    return deployment


@transaction.atomic
def hold_rollout(
    *, actor: Person, via: str, deployment_id: int, reason: str, now: datetime | None = None
) -> Deployment:
    """Somebody who may decide pauses a rollout: the step in hand ends, and no other begins until it is advanced.

    Raises Refused (``nothing_to_pause``, ``reason_missing``, or why they may not).
    """
    deployment = lock_deployment(deployment_id)
    now = now or timezone.now()
    if why_not := why_not_settle(deployment, actor, now):
        raise Refused(*why_not)
    reason = clean_reason(reason)
    if not reason:
        raise Refused("reason_missing", "Say why: whoever lets it go on has to know.")
    if not pause_rollout(deployment, reason, now, actor=actor, via=via):
        raise Refused("nothing_to_pause", why_not_pause(deployment))
    return deployment


@transaction.atomic
def abort(
    *, actor: Person, via: str, deployment_id: int, reason: str, now: datetime | None = None
) -> Deployment:
    """Return to the former version: whoever may decide, or whoever may roll back. Raises Refused
    (``nothing_to_abort``, ``reason_missing``, or why they may not)."""
    deployment = lock_deployment(deployment_id)
    now = now or timezone.now()
    if why_not := why_not_abort(deployment):
        raise Refused("nothing_to_abort", why_not)
    if refusal := why_not_settle(deployment, actor, now):
        raise Refused(*refusal)
    reason = clean_reason(reason)
    if not reason:
        raise Refused("reason_missing", "Say why: it is read long after.")
    go_back(
        deployment,
        f"Aborted by {actor}: {reason}",
        now,
        ends_as=StepOutcome.CANCELLED,
        actor=actor,
        via=via,
    )
    return deployment
