"""What GitHub's own gate is answered: a run may deploy to a protected environment only as the one firing of a
spent grant that is under way. Any other run is held, and whoever looks at it is told where to ask."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone

from approvals.models import Deployment, Effect, Event, Step, Target, WorkflowRun
from approvals.models.outbox import EffectKind
from approvals.seals import digest
from approvals.services.delivery import started
from approvals.services.history import enqueue, record
from approvals.services.locks import lock_deployment, lock_promotion, lock_target
from approvals.services.runs import TOKEN
from approvals.services.telling import alert
from approvals.states import DeploymentStatus, Via

D = DeploymentStatus
UNDER_WAY = {D.DISPATCHING, D.RUNNING, D.UNCONFIRMED}
DISPATCHED = "workflow_dispatch"
# GitHub asks within seconds, and asks once.
QUESTION_LOST_AFTER = timedelta(seconds=30)


@dataclass(frozen=True)
class AskingRun:
    """A run that waits at an environment's gate, as read from GitHub just now. ``branch`` is the branch or tag
    that it runs on, ``workflow`` its file's name."""

    repository: str
    run_id: int
    attempt: int
    workflow: str
    title: str
    event: str
    branch: str
    actor: str
    url: str


@dataclass(frozen=True)
class GateAnswer:
    """What GitHub is told: let it pass, or nothing decided; ``comment`` says why, and where one asks.
    ``promotion`` (where it passes) or ``target`` (where that can be told) is the id of what it is about."""

    environment: str
    comment: str
    passes: bool
    why: str = ""
    promotion: int | None = None
    target: int | None = None


def _targets(repository: str, environment: str) -> QuerySet[Target]:
    """The targets that a run of this repository could deploy to there. GitHub tells environments apart without
    regard to case."""
    return Target.objects.filter(
        model__repository=repository,
        environment__name__iexact=environment,
        environment__is_active=True,
        is_active=True,
    ).select_related("model", "environment")


@transaction.atomic
def record_gate_request(
    *,
    repository: str,
    run_id: int,
    environment: str,
    request_id: int,
    asked: bool = True,
    now: datetime | None = None,
) -> bool:
    """GitHub asks whether a run may deploy to an environment: have it answered, once per request.

    ``request_id`` tells the requests of one run apart: each attempt has a deployment of its own on GitHub. Not
    ``asked`` are we where a run only seems to wait for us (its question may have been lost).
    Returns False, and does nothing, where no target of that repository and environment is configured.
    """
    if not _targets(repository, environment).exists():
        return False
    payload = {"repository": repository, "run_id": run_id, "environment": environment}
    enqueue(
        EffectKind.ANSWER_GATE,
        None,
        key=f"{run_id}:{request_id}:{digest([repository, environment])[:16]}",
        now=now or timezone.now(),
        payload={**payload, "asked": asked},
    )
    return True


def waits_unasked(*, repository: str, run_id: int, now: datetime | None = None) -> bool:
    """Whether a run waits at GitHub for a while already, and no question about it came: it may have been lost."""
    since = (now or timezone.now()) - QUESTION_LOST_AFTER
    waiting = WorkflowRun.objects.filter(
        repository=repository, run_id=run_id, status="waiting", updated_at__lte=since
    )
    asked = Effect.objects.filter(kind=EffectKind.ANSWER_GATE, payload__run_id=run_id)
    return waiting.exists() and not asked.exists()


@transaction.atomic
def answer_gate(
    *, run: AskingRun, environment: str, now: datetime | None = None
) -> GateAnswer | None:
    """Judge a run that waits at an environment's gate.

    A run that passes is from then on the run of its step, so no second one can pass by the same token. None where
    no target of that repository and environment is configured (any more). Idempotent.
    """
    targets = list(_targets(run.repository, environment))
    if not targets:
        return None
    deployment, step, why = _grant_of(run)
    if deployment is not None and step is not None:
        why = _why_held(run, environment, deployment, step)
        if not why:
            # The answer to the dispatch may still be out, or lost: this is its run.
            started(deployment, run_id=run.run_id, url=run.url, now=now or timezone.now())
            return _passed(deployment)
    name = targets[0].environment.name
    return _held(name, _target_of(run, targets, deployment), why)


@transaction.atomic
def record_gate_answer(*, run: AskingRun, answer: GateAnswer, now: datetime | None = None) -> None:
    """GitHub was told: keep it in the history, and tell those who decide of a run that is held. Once per attempt,
    environment and answer."""
    now = now or timezone.now()
    promotion = lock_promotion(answer.promotion) if answer.promotion else None
    target = lock_target(answer.target) if answer.target else None
    kind = "gate.passed" if answer.passes else "gate.held"
    same: dict[str, Any] = {
        "run_id": run.run_id,
        "attempt": run.attempt,
        "environment": answer.environment,
    }
    if Event.objects.filter(kind=kind, data__contains=same).exists():
        return
    record(
        kind,
        via=Via.GITHUB,
        promotion=promotion,
        target=target,
        now=now,
        why=answer.why,
        repository=run.repository,
        workflow=run.workflow,
        title=run.title,
        by=run.actor,
        url=run.url,
        **same,
    )
    if target is not None and not answer.passes:
        whose = run.actor or "somebody"
        alert(
            target,
            f"GitHub's gate to {target} holds a workflow run of {whose}. {answer.why} {run.url}",
            subject=f"A workflow run to {target} is held",
            key=f"gate:{run.run_id}:{run.attempt}",
            now=now,
        )


def _grant_of(run: AskingRun) -> tuple[Deployment | None, Step | None, str]:
    """The deployment, locked, and step that the token in the run's title belongs to, else why there is none."""
    tokens = set(TOKEN.findall(run.title))
    if not tokens:
        return None, None, "It carries no token of an approval, so nobody approved it."
    if len(tokens) > 1:
        return (
            None,
            None,
            "Its title carries more than one token, and only one approval can be meant.",
        )
    token = tokens.pop()
    found = Step.objects.filter(
        token=token, deployment__target__model__repository=run.repository
    ).first()
    if found is None:
        return None, None, f"The token in its title ({token}) belongs to no approval."
    deployment = lock_deployment(found.deployment_id)
    return deployment, Step.objects.get(pk=found.pk), ""


def _why_held(run: AskingRun, environment: str, deployment: Deployment, step: Step) -> str:
    """Why the grant that the run's token belongs to does not let this run pass; empty when it does."""
    target = deployment.target
    if target.environment.name.casefold() != environment.casefold():
        return f"Its token belongs to an approval for {target}, not for {environment}."
    ref = re.sub(r"^refs/(heads|tags)/", "", target.ref)
    if (run.workflow, run.branch, run.event) != (target.workflow, ref, DISPATCHED):
        return f"What was approved is {target.workflow} on {ref}, started by Countersign; this is something else."
    if step.run_id not in {None, run.run_id}:
        return "Countersign started another run for the approval in its title."
    if run.attempt != 1:
        return f"This is attempt {run.attempt}, and an approval starts one run, once."
    if deployment.status not in UNDER_WAY:
        status = DeploymentStatus(deployment.status).label.lower()
        return f"The deployment that its token belongs to is not under way: it is {status}."
    if deployment.step_id != step.pk or step.outcome:
        return "The step that its token belongs to is done with; another one is in hand."
    return ""


def _target_of(
    run: AskingRun, targets: list[Target], deployment: Deployment | None
) -> Target | None:
    """Which target a run that is held was for, as far as it can be told: by its token's model, because there is
    only one, or by the one model that its title names."""
    if deployment is not None:
        same = [each for each in targets if each.model_id == deployment.target.model_id]
        if same:
            return same[0]
    if len(targets) == 1:
        return targets[0]
    named = [
        each
        for each in targets
        if re.search(rf"(?<![\w.-]){re.escape(each.model.registry_name)}(?![\w.-])", run.title)
    ]
    return named[0] if len(named) == 1 else None


def _passed(deployment: Deployment) -> GateAnswer:
    promotion = deployment.promotion
    page = f"{settings.BASE_URL}{promotion.get_absolute_url()}"
    return GateAnswer(
        environment=deployment.target.environment.name,
        comment=f"Approved in Countersign: {deployment.version}. {page}",
        passes=True,
        promotion=promotion.pk,
    )


def _held(environment: str, target: Target | None, why: str) -> GateAnswer:
    path = target.model.get_absolute_url() if target else reverse("overview")
    where = f"Ask for the promotion at {settings.BASE_URL}{path} and cancel this run"
    return GateAnswer(
        environment=environment,
        comment=f"Held by Countersign. {why} {where}.",
        passes=False,
        why=why,
        target=target.pk if target else None,
    )
