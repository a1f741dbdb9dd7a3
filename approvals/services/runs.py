"""What GitHub says of workflow runs, from a poll or a webhook alike."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from approvals.models import Deployment, Promotion, Step, WorkflowRun
from approvals.models.outbox import EffectKind
from approvals.services.delivery import started
from approvals.services.history import enqueue, record
from approvals.services.locks import lock_deployment
from approvals.services.rollouts import step_failed, step_succeeded
from approvals.states import DeploymentStatus, PromotionStatus, StepOutcome, Via, WorkflowKind

D = DeploymentStatus
# A promotion's token; from the second step on with its number and random bits of its own.
TOKEN = re.compile(r"\[(cs-[0-9a-f]{12}(?:-[0-9]{1,4}-[0-9a-f]{12})?)\]")

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
    if facts.status == "in_progress":
        values["began"] = True
    run, created = WorkflowRun.objects.select_for_update().get_or_create(
        repository=facts.repository, run_id=facts.run_id, defaults=values
    )
    moved = created
    if not created:
        kept = run.attempt, RANK.get(run.status, -1), run.updated_at
        moved = facts.order > kept
        if moved:
            if facts.attempt > run.attempt:
                values["steps"], values["log_tail"] = [], ""
                values.setdefault("began", False)
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
    """The deployment whose step this run delivers: by the id we were given, else by the token in its title."""
    if facts.kind != WorkflowKind.DEPLOY:
        return None
    here = Step.objects.filter(
        deployment__target__model__repository=facts.repository,
        deployment__target__workflow=facts.workflow,
    )
    known = here.filter(run_id=facts.run_id).values_list("deployment", flat=True).first()
    if known is not None:
        return known
    token = TOKEN.search(facts.title)
    if token is None:
        return None
    waiting = here.filter(
        token=token[1], run_id=None, deployment__status__in=[D.DISPATCHING, D.UNCONFIRMED]
    )
    return waiting.values_list("deployment", flat=True).first()


def _advance(deployment: Deployment, run: WorkflowRun, now: datetime) -> None:
    """Move the step in hand by this run; a run of an earlier step, or one that is done with, moves nothing."""
    step = deployment.step
    if step is None or step.outcome:
        return
    token = TOKEN.search(run.title)
    if step.run_id != run.run_id and (step.run_id or not token or token[1] != step.token):
        return
    started(deployment, run_id=run.run_id, url=run.url, now=now)
    if step.workflow_run_id != run.pk:
        step.workflow_run = run
        step.save(update_fields=["workflow_run"])
    if deployment.status != D.RUNNING:
        return
    if not run.is_completed:
        note_waiting(deployment, waits_at_github(run, now), now)
        return
    if run.conclusion == "success":
        step_succeeded(deployment, run, now)
        return
    cancelled = run.conclusion == "cancelled"
    step_failed(
        deployment,
        kind="deployment.cancelled" if cancelled else "deployment.failed",
        detail=how_it_ended(run),
        now=now,
        outcome=StepOutcome.CANCELLED if cancelled else StepOutcome.FAILED,
        attempt=run.attempt,
        run_id=run.run_id,
        url=run.url,
        conclusion=run.conclusion,
    )


def how_it_ended(run: WorkflowRun) -> str:
    """A run that did not succeed, in one sentence. GitHub does not say who cancelled a run; one that never began
    was most likely cancelled by its concurrency group, where a newer run cancels the pending one."""
    if run.conclusion == "cancelled":
        if run.began:
            return "The workflow run was cancelled on GitHub."
        return (
            "The workflow run was cancelled on GitHub, as far as was seen before it began: by hand, or by a newer "
            "run of its concurrency group (set `queue: max` there)."
        )
    sentences = {
        "timed_out": "The workflow run took longer than GitHub allows it.",
        "action_required": "GitHub asks for an action before the workflow run may go on, and ended it.",
        "startup_failure": "GitHub could not start the workflow run: its file has an error.",
        "stale": "GitHub gave the workflow run up after 14 days without progress.",
        "skipped": "Every job of the workflow run was skipped, so nothing was deployed.",
        "neutral": "The workflow run ended neither well nor badly, which does not count as success.",
    }
    return sentences.get(
        run.conclusion, f"The workflow run ended with {run.conclusion or 'no conclusion'}."
    )


# A hosted runner is there within seconds; after this a person should know that none is.
NO_RUNNER_AFTER = timedelta(minutes=5)


def waits_at_github(run: WorkflowRun, now: datetime) -> str:
    """What a run that has not ended waits for at GitHub, in one sentence; empty while it works."""
    if run.status == "waiting":
        return (
            "The workflow run waits at GitHub for the reviewers or the rules of its environment; let it go "
            "on there."
        )
    if run.status == "pending":
        return "The workflow run waits at GitHub for another run of its concurrency group."
    if run.status in {"requested", "queued"} and now - run.created_at > NO_RUNNER_AFTER:
        minutes = int(NO_RUNNER_AFTER.total_seconds() // 60)
        return f"GitHub has not started the workflow run for more than {minutes} minutes: no runner has taken it."
    return ""


def note_waiting(deployment: Deployment, sentence: str, now: datetime) -> None:
    """Say everywhere what the run waits for. The target must be locked."""
    if deployment.detail == sentence:
        return
    deployment.detail = sentence
    deployment.save(update_fields=["detail"])
    if sentence:
        record(
            "deployment.waits",
            via=Via.GITHUB,
            promotion=deployment.promotion,
            now=now,
            version=deployment.version.number,
            detail=sentence,
        )
    else:
        key = f"works:{deployment.step_id}:{now.timestamp():.0f}"
        enqueue(EffectKind.ANNOUNCE, deployment.promotion, key=key, now=now)


def watch_runs(*, now: datetime | None = None) -> int:
    """Time alone tells that no runner takes a run: nothing changes at GitHub, so no reading says so. Returns how
    many were noted."""
    moment = now or timezone.now()
    idle = Deployment.objects.filter(
        status=D.RUNNING,
        detail="",
        step__workflow_run__status__in=["requested", "queued"],
        step__workflow_run__created_at__lt=moment - NO_RUNNER_AFTER,
    )
    noted = 0
    for deployment_id in list(idle.values_list("pk", flat=True)):
        with transaction.atomic():
            deployment = lock_deployment(deployment_id)
            run = deployment.workflow_run
            if deployment.status == D.RUNNING and run is not None:
                note_waiting(deployment, waits_at_github(run, moment), moment)
                noted += 1
    return noted


@transaction.atomic
def record_steps(*, run_pk: int, attempt: int, steps: Sequence[Mapping[str, Any]]) -> None:
    """Keep the steps of a run's jobs, for following it live; nothing is decided on them."""
    WorkflowRun.objects.filter(pk=run_pk, attempt=attempt).update(steps=list(steps))


@transaction.atomic
def record_log(*, run_pk: int, attempt: int, tail: str) -> None:
    """Keep the last lines of a run's log, once for each attempt; empty where GitHub has none. Nothing is decided
    on them, so there is no event."""
    runs = WorkflowRun.objects.filter(pk=run_pk, attempt=attempt, log_attempt__lt=attempt)
    runs.update(log_tail=tail, log_attempt=attempt)
