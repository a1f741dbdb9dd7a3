"""The pipeline runs of one model or version: the newest ones, how they ended and how long they took."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db.models import QuerySet

from approvals.models import Deployment, ModelVersion, RegisteredModel, WorkflowRun
from approvals.states import WorkflowKind

# Each source is read so far back at most: a page costs the same whatever happened.
VERSIONS, DEPLOYMENTS, TITLES, RUNS = 100, 60, 400, 40
WIDTH, HEIGHT, GAP = 320, 56, 2


@dataclass(frozen=True)
class Column:
    """One run in the plot: its place, height and words."""

    x: float
    y: float
    width: float
    height: float
    outcome: str
    words: str


@dataclass
class ModelRuns:
    """The newest runs. ``seconds`` is the median of those that completed, None without any."""

    shown: list[WorkflowRun]
    completed: int = 0
    passed: int = 0
    seconds: float | None = None
    columns: list[Column] = field(default_factory=list)
    longest: int = 0

    @property
    def share(self) -> int:
        """Of those that completed, how many percent passed."""
        return round(100 * self.passed / self.completed) if self.completed else 0

    @property
    def median(self) -> str:
        """``1 min 35 s``."""
        return lasted(self.seconds) if self.seconds is not None else "unknown"

    @property
    def most(self) -> str:
        """The longest, which the plot's height stands for."""
        return lasted(self.longest)


def lasted(seconds: float) -> str:
    """``1 min 35 s``, ``40 s``."""
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{whole} s"


def runs_of_model(model: RegisteredModel, shown: int = 7) -> ModelRuns:
    """The newest runs that built its newest versions, deployed them, or name the model. Five queries."""
    runs = _about_model(model)
    found = ModelRuns(runs[:shown])
    timed = [each for each in runs if each.is_completed]
    found.completed = len(timed)
    found.passed = sum(each.conclusion == "success" for each in timed)
    lengths = {each.pk: _seconds(each) for each in timed}
    known = [each for each in lengths.values() if each is not None]
    if known:
        found.seconds, found.longest = statistics.median(known), round(max(known))
        found.columns = _columns(timed[::-1], lengths, max(known))
    return found


def runs_of_version(version: ModelVersion) -> list[WorkflowRun]:
    """The pipeline runs of a version: same commit, named in the title, named by its tag, or its deployments."""
    repository = version.model.repository
    runs = WorkflowRun.objects.filter(repository=repository)
    sources = [_delivered(version.deployments.order_by("-id").values("pk")[:DEPLOYMENTS])]
    if version.git_commit:
        built = runs.filter(head_sha=version.git_commit).exclude(kind=WorkflowKind.DEPLOY)
        sources.append(built.order_by("-created_at"))
    tagged = str(version.tags.get("github.run_id", ""))
    if tagged.isascii() and tagged.isdigit() and len(tagged) < 19:
        sources.append(runs.filter(run_id=int(tagged)))
    # Titles are searched where they are likely: now, and when the version was made.
    named = whole_words(f"{version.model.registry_name} v{version.number}")
    then = runs.filter(created_at__gte=version.registered_at - timedelta(days=1))
    for recent in (runs.order_by("-created_at"), then.order_by("created_at")):
        sources.append(runs.filter(pk__in=recent.values("pk")[:TITLES], title__regex=named))
    return _newest(sources)[:30]


def whole_words(text: str) -> str:
    """A PostgreSQL pattern for ``text`` as whole words: ``my-x v1`` and ``x v12`` are not ``x v1``."""
    return rf"(^|[^[:alnum:]_.-]){re.escape(text)}(?![[:alnum:]_]|[.-][[:alnum:]])"


def _about_model(model: RegisteredModel) -> list[WorkflowRun]:
    runs = WorkflowRun.objects.filter(repository=model.repository)
    commits = list(
        model.versions.exclude(git_commit="")
        .order_by("-number")
        .values_list("git_commit", flat=True)[:VERSIONS]
    )
    built = runs.filter(head_sha__in=commits).exclude(kind=WorkflowKind.DEPLOY)
    recent = runs.order_by("-created_at").values("pk")[:TITLES]
    named = runs.filter(pk__in=recent, title__iregex=whole_words(model.registry_name))
    deployed = Deployment.objects.filter(target__model=model).order_by("-id")
    return _newest(
        [_delivered(deployed.values("pk")[:DEPLOYMENTS]), built.order_by("-created_at"), named]
    )


def _delivered(deployments: Any) -> QuerySet[WorkflowRun]:
    return WorkflowRun.objects.filter(steps_delivered__deployment__in=deployments)


def _newest(sources: Iterable[QuerySet[WorkflowRun]]) -> list[WorkflowRun]:
    """The newest runs of all of these, each read so far back at most."""
    ids = {pk for source in sources for pk in source.values_list("pk", flat=True)[:RUNS]}
    return list(
        WorkflowRun.objects.filter(pk__in=ids)
        .defer("log_tail", "jobs", "steps")
        .order_by("-created_at", "-pk")[:RUNS]
    )


def _seconds(run: WorkflowRun) -> float | None:
    if run.started_at is None:
        return None
    return max((run.updated_at - run.started_at).total_seconds(), 0.0)


def _columns(
    runs: list[WorkflowRun], lengths: dict[int, float | None], longest: float
) -> list[Column]:
    width = WIDTH / max(len(runs), 12)
    found = []
    for index, run in enumerate(runs):
        seconds = lengths[run.pk]
        if seconds is None:
            continue
        height = max(round((HEIGHT - 10) * seconds / longest, 1) if longest else 0, 2)
        outcome = {"success": "passed", "failure": "failed", "timed_out": "failed"}.get(
            run.conclusion, "other"
        )
        found.append(
            Column(
                round(index * width, 1),
                HEIGHT - height,
                round(width - GAP, 1),
                height,
                outcome,
                f"{run.title or run.workflow}: {outcome}, {lasted(seconds)}",
            )
        )
    return found
