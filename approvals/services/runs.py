"""What GitHub says of workflow runs, from a poll or a webhook alike."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from approvals.models import Deployment, Promotion, WorkflowRun
from approvals.models.outbox import EffectKind
from approvals.services.delivery import started
from approvals.services.history import enqueue
from approvals.services.locks import lock_deployment
from approvals.services.restrictions import hold_after_rollback
from approvals.services.settle import close_deployment
from approvals.states import DeploymentStatus, PromotionStatus, Via, WorkflowKind

D = DeploymentStatus
TOKEN = re.compile(r"\[(cs-[0-9a-f]{12})\]")

# GitHub's statuses in the order in which a run walks through them (FACTS: run status).
RANK = {
    status: rank
    for rank, status in enumerate(
        ["requested", "queued", "pending", "waiting", "in_progress", "completed"]
    )
}


@dataclass(frozen=True)
class RunFacts:
    """One reading of a workflow run. Times are aware."""

    repository: str
    run_id: int
    attempt: int
    number: int
    workflow: str
    kind: str
    title: str
    status: str
    conclusion: str
    event: str
    actor: str
    head_sha: str
    head_branch: str
    url: str
    created_at: datetime
    started_at: datetime | None
    updated_at: datetime

    @property
    def order(self) -> tuple[int, int, datetime]:
        """Later readings compare greater: attempt, then status, then GitHub's own clock."""
        return self.attempt, RANK.get(self.status, -1), self.updated_at


@transaction.atomic
def record_run(*, facts: RunFacts, now: datetime | None = None) -> WorkflowRun:
    """Keep one reading of a run; a stale one changes nothing. Advances the deployment it belongs to."""
    deployment_id = _deployment_of(facts)
    deployment = lock_deployment(deployment_id) if deployment_id else None
    values = {name: value for name, value in vars(facts).items() if name not in _IDENTITY}
    run, created = WorkflowRun.objects.select_for_update().get_or_create(
        repository=facts.repository, run_id=facts.run_id, defaults=values
    )
    moved = created
    if not created:
        kept = run.attempt, RANK.get(run.status, -1), run.updated_at
        moved = facts.order > kept
        if moved:
            if facts.attempt > run.attempt:
                values["steps"] = []
            for name, value in values.items():
                setattr(run, name, value)
            run.save(update_fields=list(values))
    if deployment is not None:
        _advance(deployment, run, now or timezone.now())
    elif moved and run.is_completed:
        _tell_those_who_wait(run, now or timezone.now())
    return run


def _tell_those_who_wait(run: WorkflowRun, now: datetime) -> None:
    """A gate may pass or fail by this run: the messages of pending promotions of its commit say so."""
    waiting = Promotion.objects.filter(
        status=PromotionStatus.PENDING,
        target__model__repository=run.repository,
        version__git_commit=run.head_sha,
    ).exclude(version__git_commit="")
    for promotion in waiting:
        enqueue(EffectKind.ANNOUNCE, promotion, key=f"run-{run.run_id}-{run.attempt}", now=now)


_IDENTITY = {"repository", "run_id"}


def _deployment_of(facts: RunFacts) -> int | None:
    """The deployment that this run delivers: by the id we were given, else by the token in its title."""
    if facts.kind != WorkflowKind.DEPLOY:
        return None
    here = Deployment.objects.filter(
        target__model__repository=facts.repository, target__workflow=facts.workflow
    )
    known = here.filter(run_id=facts.run_id).values_list("pk", flat=True).first()
    if known is not None:
        return known
    token = TOKEN.search(facts.title)
    if token is None:
        return None
    waiting = here.filter(
        promotion__token=token[1], run_id=None, status__in=[D.DISPATCHING, D.UNCONFIRMED]
    )
    return waiting.values_list("pk", flat=True).first()


def _advance(deployment: Deployment, run: WorkflowRun, now: datetime) -> None:
    if deployment.run_id not in {None, run.run_id}:
        return
    started(deployment, run_id=run.run_id, url=run.url, now=now)
    if deployment.workflow_run_id != run.pk:
        deployment.workflow_run = run
        deployment.save(update_fields=["workflow_run"])
    if deployment.status != D.RUNNING or not run.is_completed:
        return
    if run.conclusion == "success":
        _succeed(deployment, run, now)
        return
    cancelled = run.conclusion == "cancelled"
    close_deployment(
        deployment,
        D.CANCELLED if cancelled else D.FAILED,
        via=Via.GITHUB,
        kind="deployment.cancelled" if cancelled else "deployment.failed",
        detail="The workflow run was cancelled on GitHub."
        if cancelled
        else f"The workflow run ended with {run.conclusion or 'no conclusion'}.",
        now=now,
        run_id=run.run_id,
        url=run.url,
        conclusion=run.conclusion,
    )


def _succeed(deployment: Deployment, run: WorkflowRun, now: datetime) -> None:
    target, promotion = deployment.target, deployment.promotion
    former = target.live_version
    close_deployment(
        deployment,
        D.SUCCEEDED,
        via=Via.GITHUB,
        kind="deployment.succeeded",
        detail=f"{deployment.version} went live in {target.environment.name}.",
        now=now,
        run_id=run.run_id,
        url=run.url,
        former=former.number if former else None,
    )
    replaced = target.live_deployment
    target.live_version = deployment.version
    target.live_since = now
    target.live_deployment = deployment
    target.save(update_fields=["live_version", "live_since", "live_deployment"])
    if promotion.is_rollback:
        hold_after_rollback(deployment, now)
    if replaced is not None:
        # Its message must not go on saying that it is live.
        enqueue(EffectKind.ANNOUNCE, replaced.promotion, key=f"replaced:{deployment.pk}", now=now)
    if target.alias:
        enqueue(
            EffectKind.SET_ALIAS,
            promotion,
            key=str(deployment.pk),
            now=now,
            payload={"deployment": deployment.pk},
        )
    # What others asked to replace is no longer what is live: their facts are gathered again.
    for other in Promotion.objects.filter(target=target, status=PromotionStatus.PENDING):
        enqueue(EffectKind.GATHER_FACTS, other, key=f"after:{deployment.pk}", now=now)


@transaction.atomic
def record_steps(*, run_pk: int, attempt: int, steps: Sequence[Mapping[str, Any]]) -> None:
    """Keep the steps of a run's jobs, for following it live; nothing is decided on them."""
    WorkflowRun.objects.filter(pk=run_pk, attempt=attempt).update(steps=list(steps))
