"""Deployment workflows that nobody here started: begun by hand on GitHub, or run again there."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from approvals.models import ModelVersion, OutOfBandChange, Repository, Step, Target, WorkflowRun
from approvals.services.locks import lock_target
from approvals.services.out_of_band import Finding, note_reading
from approvals.services.readings import watched_targets
from approvals.services.runs import TOKEN
from approvals.states import ChangeKind, WorkflowKind

# GitHub lets a run be run again for 30 days.
SINCE = timedelta(days=31)


def compare_runs(*, repository: str, read_at: datetime, now: datetime | None = None) -> None:
    """Look for deployment runs that no step of ours knows, and for runs of ours that were run again, after the
    repository's runs were read."""
    now = now or timezone.now()
    followed = Repository.objects.filter(name=repository, is_active=True).first()
    if followed is None:
        return
    recent = list(
        WorkflowRun.objects.filter(
            repository=repository, kind=WorkflowKind.DEPLOY, created_at__gte=now - SINCE
        ).order_by("created_at", "run_id")
    )
    here = Step.objects.filter(deployment__target__model__repository=repository)
    here = here.select_related("deployment__promotion", "deployment__target")
    by_run = {each.run_id: each for each in here.filter(run_id__in=[e.run_id for e in recent])}
    awaited = set(here.filter(run_id=None, outcome="").values_list("token", flat=True))
    answered = set(
        OutOfBandChange.objects.filter(run__in=recent, ended_at__isnull=False).values_list(
            "target_id", "key"
        )
    )
    targets: list[Target] | None = None

    def note(run: WorkflowRun, target_id: int, step: Step | None) -> None:
        # What a run did is answered once; it does not happen again.
        if (target_id, _key(run)) not in answered:
            _note(run, target_id, step, read_at, now)

    for run in recent:
        step = by_run.get(run.run_id)
        if step is not None:
            if step.outcome and 0 < step.attempt < run.attempt:
                note(run, step.deployment.target_id, step)
            continue
        token = TOKEN.search(run.title)
        # GitHub may show a run before it has answered the dispatch of it.
        if run.created_at < followed.followed_since or (token and token[1] in awaited):
            continue
        if targets is None:
            targets = [each for each in watched_targets() if each.model.repository == repository]
        for target in named_by(run, targets):
            note(run, target.pk, None)


def _key(run: WorkflowRun) -> str:
    return f"run:{run.run_id}:{run.attempt}"


def named_by(run: WorkflowRun, targets: list[Target]) -> list[Target]:
    """The targets that a run's title names; where it names none, all that its workflow delivers to."""
    delivered = [each for each in targets if each.workflow == run.workflow]
    of_model = [e for e in delivered if _names(run.title, e.model.registry_name)]
    exactly = [e for e in of_model if _names(run.title, e.environment.name)]
    return exactly or of_model or delivered


def _names(title: str, name: str) -> bool:
    """As a whole word: ``fraud`` is not named by ``fraud-detector``."""
    return re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-]|\.\w)", title) is not None


def _version_in(run: WorkflowRun, target: Target) -> ModelVersion | None:
    found = re.search(
        rf"(?<![\w.-]){re.escape(target.model.registry_name)} v(\d{{1,9}})\b", run.title
    )
    if found is None:
        return None
    return target.model.versions.filter(number=int(found[1]), deleted_at=None).first()


@transaction.atomic
def _note(
    run: WorkflowRun, target_id: int, step: Step | None, read_at: datetime, now: datetime
) -> None:
    target = lock_target(target_id)
    if not target.is_active:
        return
    version = step.deployment.version if step else _version_in(run, target)
    found = _finding(run, step, version)
    if found is not None:
        note_reading(target, ChangeKind.RUN, found, read_at=read_at, now=now, run=run)


def _finding(run: WorkflowRun, step: Step | None, version: ModelVersion | None) -> Finding | None:
    """None while it only waits: nothing has been changed yet."""
    ended_well = run.is_completed and run.conclusion == "success"
    if not run.is_completed and run.status != "in_progress":
        return None
    who = run.actor or "Somebody"
    if step is not None:
        what = (
            f"{who} had the workflow run of promotion {step.deployment.promotion_id} run again on "
            f"GitHub (attempt {run.attempt})"
        )
    else:
        how = "by hand " if run.event == "workflow_dispatch" else f"by {run.event or 'something'} "
        what = f"{who} started {run.workflow} {how}on GitHub (“{run.title}”)"
    if run.is_completed and not ended_well:
        outcome = f"It ended with {run.conclusion or 'no conclusion'}: as far as known it changed nothing."
    elif ended_well:
        outcome = "It succeeded, and no promotion asked for it."
    else:
        outcome = "It is at work, and no promotion asked for it."
    return Finding(
        key=_key(run),
        sentence=f"{what}. {outcome}",
        version_id=version.pk if version else None,
        harmless=run.is_completed and not ended_well,
    )
