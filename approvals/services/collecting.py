"""Evidence that services hold already: jobs of workflow runs for a version's commit, tags of the version in the
registry, metrics of its run. Which of them count as what is the configuration's (``RegisteredModel.evidence``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from approvals.compare import number
from approvals.gates import MetricLimit, Observation
from approvals.models import Environment, Evidence, ModelVersion, RegisteredModel, WorkflowRun
from approvals.services.evidence import record_evidence
from approvals.states import EvidenceVerdict, Via

# What people and tools write into a tag. Anything else is no evidence: the gate stays unknown.
WORDS = {
    **dict.fromkeys(("pass", "passed", "true", "ok", "success"), EvidenceVerdict.PASS),
    **dict.fromkeys(("fail", "failed", "false", "error", "failure"), EvidenceVerdict.FAIL),
}


def repositories_with_jobs() -> set[str]:
    """The repositories of which some model takes evidence from jobs."""
    models = RegisteredModel.objects.filter(is_active=True).exclude(evidence=[])
    return {
        repository
        for repository, evidence in models.values_list("repository", "evidence")
        if any("job" in source for source in evidence)
    }


@transaction.atomic
def record_jobs(
    *, run_pk: int, attempt: int, jobs: Sequence[Mapping[str, Any]], now: datetime | None = None
) -> int:
    """Keep the jobs of a completed run, each ``{name, conclusion, url}``, and what they prove about the versions
    of its commit. Returns how many results are new."""
    run = WorkflowRun.objects.select_for_update().filter(pk=run_pk, attempt=attempt).first()
    if run is None or not run.is_completed:
        return 0
    run.jobs, run.jobs_attempt = [dict(each) for each in jobs], attempt
    run.save(update_fields=["jobs", "jobs_attempt"])
    if not run.head_sha:
        return 0
    versions = ModelVersion.objects.filter(
        model__repository=run.repository, git_commit=run.head_sha, deleted_at=None
    )
    return collect(versions, now=now)


def collect(versions: Iterable[ModelVersion], *, now: datetime | None = None) -> int:
    """Record what the services hold about these versions and we do not have yet. Returns how much that was."""
    moment = now or timezone.now()
    environments = dict(Environment.objects.values_list("name", "pk"))
    found = 0
    for version in versions:
        for source in version.model.evidence:
            environment_id = environments.get(source.get("environment", ""))
            if "tag" in source:
                found += _from_tag(version, source, environment_id, moment)
            elif "metric" in source:
                found += _from_metric(version, source, environment_id, moment)
            elif "job" in source:
                found += _from_jobs(version, source, environment_id, moment)
    return found


def _from_tag(
    version: ModelVersion, source: Mapping[str, str], environment_id: int | None, now: datetime
) -> int:
    value = str(version.tags.get(source["tag"], "")).strip().lower()
    verdict = WORDS.get(value)
    if verdict is None:
        return 0
    words = f"MLflow's tag {source['tag']}"[:200]
    earlier = Evidence.objects.filter(
        version=version, environment=environment_id, name=source["name"], source=words
    ).first()
    if earlier is not None and earlier.verdict == verdict:
        return 0
    # A tag has no time of its own: it counts from when it was first seen to say so.
    _, new = record_evidence(
        actor=None,
        via=Via.MLFLOW,
        version_id=version.pk,
        environment_id=environment_id,
        name=source["name"],
        verdict=verdict,
        source=words,
        key=f"tag after {earlier.pk if earlier else 0}",
        now=now,
    )
    return int(new)


def _from_metric(
    version: ModelVersion, source: Mapping[str, str], environment_id: int | None, now: datetime
) -> int:
    metric, value = source["metric"], version.metrics.get(source["metric"])
    if number(value) is None or value is None:
        return 0
    limit = MetricLimit(metric, source.get("at_least", ""), source.get("at_most", ""))
    passed = limit.check(Observation(metrics={metric: value})).passed
    _, new = record_evidence(
        actor=None,
        via=Via.MLFLOW,
        version_id=version.pk,
        environment_id=environment_id,
        name=source["name"],
        verdict=EvidenceVerdict.PASS if passed else EvidenceVerdict.FAIL,
        numbers={metric[:250]: value},
        source=f"MLflow's {limit.words}"[:200],
        # The same value under the same limits is the same result.
        key=f"{value} {limit.words}"[:200].strip(),
        now=now,
    )
    return int(new)


def _from_jobs(
    version: ModelVersion, source: Mapping[str, str], environment_id: int | None, now: datetime
) -> int:
    if not version.git_commit:
        return 0
    found = 0
    runs = WorkflowRun.objects.filter(
        repository=version.model.repository, head_sha=version.git_commit, jobs_attempt__gt=0
    )
    for run in runs:
        for job in run.jobs:
            if job.get("name") != source["job"] or job.get("conclusion") in {"", "skipped"}:
                continue
            passed = job["conclusion"] == "success"
            _, new = record_evidence(
                actor=None,
                via=Via.GITHUB,
                version_id=version.pk,
                environment_id=environment_id,
                name=source["name"],
                verdict=EvidenceVerdict.PASS if passed else EvidenceVerdict.FAIL,
                link=job.get("url", ""),
                source=f"job {source['job']} of {run.workflow}, run {run.number}"[:200],
                key=f"run {run.run_id}.{run.jobs_attempt} {source['job']}"[:200].strip(),
                produced_at=min(run.updated_at, now),
                workflow_run=run,
                now=now,
            )
            found += new
    return found
