"""Workflow runs: GitHub's description of a run into ours, and the polls that read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from approvals import services
from approvals.models import Repository, WorkflowRun
from approvals.services.runs import RunFacts
from approvals.states import WorkflowKind
from integrations.failpoints import reach
from integrations.github.client import Answer, moment, read


def workflow_file(path: str) -> str:
    """``.github/workflows/ci.yml@main`` → ``ci.yml``."""
    return path.split("@", 1)[0].rsplit("/", 1)[-1]


def facts_of(
    run: Mapping[str, Any], repository: str, workflows: Mapping[str, str]
) -> RunFacts | None:
    """One run as GitHub tells it; None when its workflow is not configured. Fields may be missing."""
    file = workflow_file(run.get("path") or "")
    created = moment(run.get("created_at"))
    if file not in workflows or created is None:
        return None
    return RunFacts(
        repository=repository,
        run_id=int(run["id"]),
        attempt=int(run.get("run_attempt") or 1),
        number=int(run.get("run_number") or 0),
        workflow=file,
        kind=workflows[file],
        title=(run.get("display_title") or run.get("name") or "")[:500],
        status=run.get("status") or "",
        conclusion=run.get("conclusion") or "",
        event=run.get("event") or "",
        actor=((run.get("triggering_actor") or run.get("actor") or {}).get("login") or "")[:255],
        head_sha=run.get("head_sha") or "",
        head_branch=run.get("head_branch") or "",
        url=run.get("html_url") or "",
        created_at=created,
        started_at=moment(run.get("run_started_at")),
        updated_at=moment(run.get("updated_at")) or created,
    )


# A run that says nothing for so long does not keep its repository busy: it waits for a person.
OPEN_FOR = timedelta(days=1)


@dataclass(frozen=True)
class RepositoryReading:
    """One look at a repository's runs: whether anything that we follow moved, and until when something is
    known to run there."""

    answer: Answer
    moved: bool = False
    busy_until: datetime | None = None


def poll_repository(name: str, etag: str) -> RepositoryReading:
    """Read the newest runs of a repository, conditionally; a 304 costs nothing. Raises Unavailable, Rejected."""
    answer = read(f"/repos/{name}/actions/runs?per_page=100", etag=etag)
    if answer.status == 304:
        return RepositoryReading(answer)
    reach("poll.repository-read")
    repository = Repository.objects.get(name=name)
    told = [
        facts_of(run, name, repository.workflows)
        for run in reversed(answer.data.get("workflow_runs", []))
    ]
    runs = [facts for facts in told if facts is not None]
    kept = {
        each.run_id: (each.attempt, each.status, each.conclusion, each.updated_at)
        for each in WorkflowRun.objects.filter(
            repository=name, run_id__in=[facts.run_id for facts in runs]
        )
    }
    moved = False
    for facts in runs:
        same = kept.get(facts.run_id) == (
            facts.attempt,
            facts.status,
            facts.conclusion,
            facts.updated_at,
        )
        moved = moved or not same
        # What is over and known needs no transaction; a deployment's run may be news to the deployment still.
        if not (same and facts.status == "completed" and facts.kind != WorkflowKind.DEPLOY):
            services.record_run(facts=facts)
    still_open = [facts.updated_at + OPEN_FOR for facts in runs if facts.status != "completed"]
    return RepositoryReading(answer, moved, max(still_open, default=None))


def read_jobs(name: str, run_id: int) -> Answer:
    """Read the jobs of a completed run, for the evidence in them. Raises Unavailable, Rejected."""
    run = WorkflowRun.objects.get(repository=name, run_id=run_id)
    attempt = run.attempt
    answer = read(f"/repos/{name}/actions/runs/{run_id}/jobs?per_page=100")
    services.record_jobs(
        run_pk=run.pk,
        attempt=attempt,
        jobs=[
            {
                "name": job.get("name", ""),
                "conclusion": job.get("conclusion") or "",
                "url": job.get("html_url") or "",
            }
            for job in answer.data.get("jobs", [])
            # GitHub gives those of the newest attempt, which may have begun since.
            if int(job.get("run_attempt") or 1) == attempt
        ],
    )
    return answer


def follow_run(name: str, run_id: int, etag: str) -> tuple[Answer, bool]:
    """Read one run and its steps; returns the answer and whether the run is completed."""
    answer = read(f"/repos/{name}/actions/runs/{run_id}", etag=etag)
    if answer.status == 304:
        return answer, False
    repository = Repository.objects.get(name=name)
    facts = facts_of(answer.data, name, repository.workflows)
    if facts is None:
        return answer, True
    jobs = read(f"/repos/{name}/actions/runs/{run_id}/jobs?per_page=100").data.get("jobs", [])
    reach("poll.run-read")
    run = services.record_run(facts=facts)
    services.record_steps(
        run_pk=run.pk,
        attempt=facts.attempt,
        steps=[
            {
                "job": job.get("name", ""),
                "name": step.get("name", ""),
                "status": step.get("status") or "",
                "conclusion": step.get("conclusion") or "",
            }
            for job in jobs
            for step in job.get("steps") or []
        ],
    )
    return answer, facts.status == "completed"
