"""Walks a rollout from step to step: wait, judge, advance, pause, or go back to the former version.

Each step is a dispatch of its own (``services.delivery``). A deployment all at once has one step and never waits.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from approvals.models import Deployment, Person, Step, WorkflowRun
from approvals.models.outbox import EffectKind
from approvals.rollouts import FAIL, INCONCLUSIVE, PASS, PlanStep, Strategy
from approvals.services.history import enqueue, record
from approvals.services.live import went_live
from approvals.services.locks import lock_deployment
from approvals.services.settle import close_deployment, move_deployment
from approvals.services.telling import tell_of_failure
from approvals.states import DeploymentStatus, StepOutcome, Via
from approvals.wording import listed

D = DeploymentStatus


def plan_of(deployment: Deployment) -> Strategy:
    """The approved rollout. Raises ValueError, KeyError or TypeError for spoilt data."""
    return Strategy.from_data(deployment.strategy)


def planned_step(deployment: Deployment) -> PlanStep | None:
    """What the strategy says of the step in hand; None for the way back."""
    step = deployment.step
    if step is None or step.index is None:
        return None
    return plan_of(deployment).steps[step.index]


def step_told(deployment: Deployment) -> dict[str, Any]:
    """What events say of the step in hand; nothing where everything goes at once."""
    step = deployment.step
    if step is None or not deployment.strategy:
        return {}
    return {"step": step.ordinal, "percent": step.percent, "goes_back": step.goes_back}


def _end_step(
    deployment: Deployment, outcome: StepOutcome, detail: str, now: datetime, attempt: int = 0
) -> Step:
    step = deployment.step
    if step is None:
        raise RuntimeError(f"{deployment} has no step to end.")
    step.outcome, step.detail, step.finished_at, step.attempt = outcome, detail, now, attempt
    step.save(update_fields=["outcome", "detail", "finished_at", "attempt"])
    return step


def step_succeeded(deployment: Deployment, run: WorkflowRun, now: datetime) -> None:
    """The run of the step in hand came to a good end. The target must be locked."""
    step = _end_step(deployment, StepOutcome.SUCCEEDED, "", now, run.attempt)
    deployment.percent = step.percent
    deployment.save(update_fields=["percent"])
    if step.goes_back:
        _gone_back(deployment, now)
    elif step.index is not None and step.index + 1 == len(plan_of(deployment).steps):
        went_live(deployment, now, run_id=run.run_id, url=run.url)
    else:
        _between(deployment, now)


def _between(deployment: Deployment, now: datetime) -> None:
    """A step is done and another follows: wait for what the strategy says."""
    plan = planned_step(deployment)
    if plan is None:
        raise RuntimeError(f"{deployment} is between no steps.")
    until = now + timedelta(seconds=plan.wait)
    sentence = f"{deployment.version} {_serves(deployment)}."
    move_deployment(deployment, D.WAITING, detail=sentence, waits_until=until)
    record(
        "deployment.step_succeeded",
        via=Via.GITHUB,
        promotion=deployment.promotion,
        now=now,
        version=deployment.version.number,
        detail=sentence,
        **step_told(deployment),
    )
    if deployment.aborting:
        _start_way_back(deployment, now)
    else:
        go_on_if_due(deployment, now)


def _serves(deployment: Deployment) -> str:
    if deployment.percent:
        return f"serves {deployment.percent} % in {deployment.target.environment}"
    kind = plan_of(deployment).kind
    beside = "gets a copy of the requests" if kind == "shadow" else "stands beside"
    return f"{beside} in {deployment.target.environment} and serves nobody yet"


def step_failed(
    deployment: Deployment,
    *,
    detail: str,
    kind: str,
    now: datetime,
    outcome: StepOutcome = StepOutcome.FAILED,
    attempt: int = 0,
    **data: Any,
) -> None:
    """The step in hand came to nothing: the deployment ends, or, where earlier steps are in service, goes back; a
    way back that failed waits for a person. The target must be locked; an empty ``kind`` is recorded already."""
    step = _end_step(deployment, outcome, detail, now, attempt)
    told = {"detail": detail, **data, **step_told(deployment)}
    if step.ordinal == 1:
        status = D.CANCELLED if outcome == StepOutcome.CANCELLED else D.FAILED
        close_deployment(
            deployment, status, via=Via.GITHUB, kind=kind, detail=detail, now=now, **data
        )
    elif step.goes_back:
        if kind:
            _record_failed_step(deployment, kind, now, told)
        question = (
            f"Going back failed: {detail} Start it once more, or settle by hand what is served."
        )
        move_deployment(deployment, D.WAITING, detail=question, paused=question)
    else:
        if kind:
            _record_failed_step(deployment, kind, now, told)
        go_back(deployment, detail, now, ends_as=outcome)
    tell_of_failure(deployment, detail, now)


def _record_failed_step(
    deployment: Deployment, kind: str, now: datetime, told: dict[str, Any]
) -> None:
    record(
        kind,
        via=Via.GITHUB,
        promotion=deployment.promotion,
        now=now,
        version=deployment.version.number,
        **told,
    )


def go_back(
    deployment: Deployment,
    reason: str,
    now: datetime,
    *,
    ends_as: StepOutcome,
    actor: Person | None = None,
    via: str = Via.SYSTEM,
) -> None:
    """Return to the former version: at once between steps, else when the run in hand has ended. The target must be
    locked and the deployment begun."""
    deployment.aborting, deployment.ends_as = reason, ends_as
    deployment.paused, deployment.waits_until = "", None
    deployment.save(update_fields=["aborting", "ends_as", "paused", "waits_until"])
    record(
        "deployment.aborting",
        via=via,
        actor=actor,
        promotion=deployment.promotion,
        now=now,
        version=deployment.version.number,
        reason=reason,
        percent=deployment.percent,
    )
    step = deployment.step
    if step is not None and step.outcome and deployment.status != D.WAITING:
        move_deployment(deployment, D.WAITING, detail=f"Going back: {reason}")
    if deployment.status == D.WAITING:
        if step is not None and not step.outcome:
            # The next step was decided and not yet begun: it is not begun any more.
            _end_step(deployment, StepOutcome.CANCELLED, "Not begun: it goes back.", now)
        _start_way_back(deployment, now)


def _start_way_back(deployment: Deployment, now: datetime) -> None:
    _next_step(deployment, None, 0, now)


def step_token(promotion_token: str, ordinal: int) -> str:
    """The token of a later step: the promotion's, which people have seen by then, the number, and 48 random bits.

    Nobody may be able to foretell it: a run started by hand with the token of a step to come would pass for ours.
    """
    return f"{promotion_token}-{ordinal}-{secrets.token_hex(6)}"


def _next_step(deployment: Deployment, index: int | None, percent: int, now: datetime) -> None:
    ordinal = deployment.steps.count() + 1
    deployment.step = Step.objects.create(
        deployment=deployment,
        ordinal=ordinal,
        index=index,
        percent=percent,
        token=step_token(deployment.promotion.token, ordinal),
    )
    deployment.waits_until = None
    deployment.save(update_fields=["step", "waits_until"])
    enqueue(
        EffectKind.DISPATCH,
        deployment.promotion,
        key=str(ordinal),
        now=now,
        payload={"deployment": deployment.pk, "step": ordinal},
    )


def _gone_back(deployment: Deployment, now: datetime) -> None:
    reason = deployment.aborting
    former = deployment.previous
    serves = f"{former} serves everybody again" if former else "nothing is served"
    status = D.CANCELLED if deployment.ends_as == StepOutcome.CANCELLED else D.FAILED
    close_deployment(
        deployment,
        status,
        via=Via.SYSTEM,
        kind="deployment.gone_back",
        detail=f"It went back, and {serves}. {reason}",
        now=now,
        reason=reason,
        former=former.number if former else None,
    )
    tell_of_failure(deployment, deployment.detail, now)


def go_on_if_due(deployment: Deployment, now: datetime) -> bool:
    """Between steps: start the next one, pause or go back, as the strategy's wait and analysis say. The target
    must be locked. Returns whether something was done."""
    step, plan = deployment.step, planned_step(deployment)
    if (
        deployment.status != D.WAITING
        or step is None
        or plan is None
        or step.outcome != StepOutcome.SUCCEEDED
        or deployment.paused
        or deployment.aborting
    ):
        return False
    verdict, sentence = analyse(deployment, plan)
    if verdict == FAIL:
        go_back(deployment, f"The analysis failed: {sentence}", now, ends_as=StepOutcome.FAILED)
        return True
    if deployment.waits_until and deployment.waits_until > now:
        return False
    if verdict == INCONCLUSIVE:
        pause(deployment, f"The analysis says nothing: {sentence}", now)
        return True
    if plan.advance:
        pause(deployment, "A person decides whether it goes on.", now)
        return True
    next_step(deployment, now)
    return True


def analyse(deployment: Deployment, plan: PlanStep) -> tuple[str, str]:
    """(verdict, sentence) over the signals that were observed since the step in hand succeeded.

    One reading out of bounds fails; without any reading of a signal that is asked for nothing can be said.
    """
    step = deployment.step
    since = step.finished_at if step else None
    readings = deployment.readings.filter(observed_at__gte=since, resolved=False) if since else None
    missing = []
    for limit in plan.analysis:
        values = (
            list(readings.filter(name=limit.signal).values_list("value", flat=True))
            if readings is not None
            else []
        )
        bad = [value for value in values if limit.judge(value) != PASS]
        if bad:
            return FAIL, f"{limit.words} was asked, and it was {bad[0]}."
        if not values:
            missing.append(limit.signal)
    if missing:
        return INCONCLUSIVE, f"there was no reading of {listed(missing)}."
    return PASS, ""


def pause(
    deployment: Deployment,
    why: str,
    now: datetime,
    *,
    actor: Person | None = None,
    via: str = Via.SYSTEM,
) -> None:
    """No step begins until a person lets it go on; ``actor`` where a person paused it. The target must be
    locked."""
    held = f"Paused by {actor}: {why}" if actor else why
    deployment.paused, deployment.detail = held, held
    deployment.save(update_fields=["paused", "detail"])
    record(
        "deployment.paused",
        via=via,
        actor=actor,
        promotion=deployment.promotion,
        now=now,
        version=deployment.version.number,
        reason=why,
        **step_told(deployment),
    )


def pause_rollout(
    deployment: Deployment,
    why: str,
    now: datetime,
    *,
    actor: Person | None = None,
    via: str = Via.SYSTEM,
) -> bool:
    """A signal, or ``actor``, asks that a person looks before the rollout goes on. The target must be locked.
    Returns whether it was paused by this."""
    if why_not_pause(deployment):
        return False
    pause(deployment, why, now, actor=actor, via=via)
    return True


def next_step(deployment: Deployment, now: datetime) -> None:
    """Decide the step after the one that has ended, and ask for its dispatch. The target must be locked."""
    step = deployment.step
    if step is None or step.index is None:
        raise RuntimeError(f"{deployment} has no step to advance from.")
    index = step.index + 1
    _next_step(deployment, index, plan_of(deployment).steps[index].percent, now)


def why_not_advance(deployment: Deployment) -> str:
    """Why a rollout cannot be told to go on, in a sentence; empty when it can."""
    step = deployment.step
    between = deployment.status == D.WAITING and step is not None and not step.goes_back
    ended = step is not None and step.outcome == StepOutcome.SUCCEEDED
    if between and not deployment.aborting and (ended or deployment.paused):
        return ""
    return "There is no step to start now."


def why_not_pause(deployment: Deployment) -> str:
    """Why a rollout cannot be paused, in a sentence; empty when it can."""
    step = deployment.step
    rolling = deployment.status in {D.WAITING, D.DISPATCHING, D.RUNNING, D.UNCONFIRMED}
    last = step is not None and step.percent == 100
    if rolling and deployment.strategy and not (last or deployment.paused or deployment.aborting):
        return ""
    return "There is no rollout that could be paused."


def why_not_abort(deployment: Deployment) -> str:
    """Why a rollout cannot be aborted, in a sentence; empty when it can."""
    step = deployment.step
    if not deployment.strategy or not deployment.has_begun or not deployment.is_open:
        return "There is no rollout to abort."
    if deployment.status == D.WAITING and step is not None and step.outcome:
        return "" if not deployment.aborting or deployment.paused else "It goes back already."
    if deployment.aborting:
        return "It goes back already."
    if step is not None and step.percent == 100 and deployment.status != D.WAITING:
        return "The last step is under way; roll back once it has ended."
    return ""


def advance_due(*, now: datetime | None = None) -> int:
    """Judge every rollout between two steps. Returns how many moved."""
    moment = now or timezone.now()
    waiting = Deployment.objects.filter(status=D.WAITING, paused="", aborting="")
    moved = 0
    for deployment_id in list(waiting.values_list("pk", flat=True)):
        with transaction.atomic():
            moved += go_on_if_due(lock_deployment(deployment_id), moment)
    return moved
