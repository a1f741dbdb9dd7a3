"""Keeps models, versions, aliases and runs in step: two requests when nothing changed.

Aliases and tags bump no timestamp and version searches never return aliases, so each pass lists the
models (which carry aliases) and the newest versions by update time, down to the watermark less an overlap.
Now and then everything is listed, which is the only way to see what was deleted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils import timezone

from approvals import services
from approvals.models import ModelVersion, RegisteredModel
from approvals.services.registry import ModelFacts, VersionFacts
from integrations.mlflow.candidate import decimal, moment
from integrations.mlflow.client import mlflow

PAGE_MODELS = 1000
PAGE_VERSIONS = 200
# Concurrent creates can appear behind a watermark already passed.
OVERLAP = timedelta(minutes=10)
FULL_EVERY = timedelta(minutes=5)
# A full listing comes in one page (MLflow gives up to 200,000): what moves between two pages would be
# missed, and a version that is missed looks deleted.
PAGE_FULL = 100_000
RUNS_AT_ONCE = 500
ENDED = ("FINISHED", "FAILED", "KILLED")
GIT_COMMIT, GIT_BRANCH = "mlflow.source.git.commit", "mlflow.source.git.branch"


@dataclass(frozen=True)
class Synced:
    """What one pass did: the new watermark in ms, requests made, versions changed."""

    watermark: int
    requests: int
    changed: int


def sync(*, watermark: int, full: bool) -> Synced:
    """One pass. Raises Unavailable; what was read before that is kept."""
    configured = set(
        RegisteredModel.objects.filter(is_active=True).values_list("registry_name", flat=True)
    )
    read_at = timezone.now()
    with mlflow() as client:
        requests = 0
        models, token = [], None
        while True:
            page = client.search_registered_models(max_results=PAGE_MODELS, page_token=token)
            requests += 1
            models += [each for each in page if each.name in configured]
            token = page.token
            if not token:
                break
        versions, used = _versions(client, configured, watermark, full)
        requests += used
        runs, used = _runs(client, versions)
        requests += used
    facts = [_facts(each, runs.get(each.run_id or "")) for each in versions]
    services.compare_tags(versions=facts, read_at=read_at)
    changed = services.record_versions(versions=facts)
    listed = [
        ModelFacts(
            registry_name=each.name,
            description=each.description or "",
            tags=dict(each.tags or {}),
            aliases={alias: int(number) for alias, number in (each.aliases or {}).items()},
        )
        for each in models
    ]
    services.record_models(models=listed)
    if full:
        present: dict[str, set[int]] = {each.name: set() for each in models}
        for version in versions:
            present.setdefault(version.name, set()).add(int(version.version))
        services.record_absent_versions(present=present)
    services.compare_aliases(models=listed, read_at=read_at)
    newest = max((each.last_updated_timestamp for each in versions), default=watermark)
    return Synced(max(watermark, newest), requests, changed)


def _versions(
    client: Any, configured: set[str], watermark: int, full: bool
) -> tuple[list[Any], int]:
    """Versions of configured models: all of them, or those updated since the watermark less the overlap."""
    floor = 0 if full else watermark - int(OVERLAP.total_seconds() * 1000)
    found, token, requests = [], None, 0
    while True:
        page = client.search_model_versions(
            max_results=PAGE_FULL if full else PAGE_VERSIONS,
            order_by=["last_updated_timestamp DESC"],
            page_token=token,
        )
        requests += 1
        fresh = [each for each in page if each.last_updated_timestamp >= floor]
        found += [each for each in fresh if each.name in configured]
        token = page.token
        if not token or len(fresh) < len(page):
            return found, requests


def _runs(client: Any, versions: Iterable[Any]) -> tuple[dict[str, Any], int]:
    """The runs worth reading: of versions that are new or changed, and all that had not finished."""
    known = {
        (name, number): (updated, run_status)
        for name, number, updated, run_status in ModelVersion.objects.filter(
            deleted_at=None
        ).values_list("model__registry_name", "number", "updated_at", "run_status")
    }
    wanted = set(
        ModelVersion.objects.filter(deleted_at=None, model__is_active=True)
        .exclude(run_id="")
        .exclude(run_status__in=ENDED)
        .values_list("run_id", flat=True)
    )
    for each in versions:
        updated, run_status = known.get((each.name, int(each.version)), (None, ""))
        if each.run_id and (
            updated != moment(each.last_updated_timestamp) or run_status not in ENDED
        ):
            wanted.add(each.run_id)
    if not wanted:
        return {}, 0
    experiments, requests = _experiments(client)
    runs = {}
    ids = sorted(wanted)
    for start in range(0, len(ids), RUNS_AT_ONCE):
        quoted = ", ".join(f"'{each}'" for each in ids[start : start + RUNS_AT_ONCE])
        page = client.search_runs(
            experiments, f"attributes.run_id IN ({quoted})", max_results=RUNS_AT_ONCE
        )
        requests += 1
        runs.update({run.info.run_id: run for run in page})
    _record_unfinished(runs, versions)
    return runs, requests


def _experiments(client: Any) -> tuple[list[str], int]:
    """The ids of all experiments: a search of runs without them finds nothing."""
    found, token, requests = [], None, 0
    while True:
        page = client.search_experiments(max_results=PAGE_MODELS, page_token=token)
        requests += 1
        found += [each.experiment_id for each in page]
        token = page.token
        if not token:
            return found, requests


def _record_unfinished(runs: dict[str, Any], versions: Iterable[Any]) -> None:
    """A run that finished moves no clock of its version: record it for versions not in this listing."""
    listed = {each.run_id for each in versions}
    rows = ModelVersion.objects.filter(
        deleted_at=None, run_id__in=runs.keys() - listed
    ).select_related("model")
    services.record_versions(
        versions=[
            VersionFacts(
                registry_name=row.model.registry_name,
                number=row.number,
                registered_at=row.registered_at,
                updated_at=row.updated_at,
                source=row.source,
                status=row.status,
                description=row.description,
                tags=row.tags,
                run_id=row.run_id,
                run=_run_facts(runs[row.run_id]),
            )
            for row in rows
        ]
    )


def _facts(version: Any, run: Any | None) -> VersionFacts:
    return VersionFacts(
        registry_name=version.name,
        number=int(version.version),
        registered_at=moment(version.creation_timestamp),
        updated_at=moment(version.last_updated_timestamp),
        source=version.source or "",
        status=version.status or "",
        description=version.description or "",
        tags=dict(version.tags or {}),
        run_id=version.run_id or "",
        run=_run_facts(run) if run is not None else None,
    )


def _run_facts(run: Any) -> dict[str, Any]:
    tags = run.data.tags
    datasets = [
        {
            "name": each.dataset.name,
            "digest": each.dataset.digest,
            "source_type": each.dataset.source_type or "",
            "context": next(
                (tag.value for tag in each.tags if tag.key == "mlflow.data.context"), ""
            ),
        }
        for each in (run.inputs.dataset_inputs if run.inputs else [])
    ]
    return {
        "experiment_id": run.info.experiment_id,
        "run_status": run.info.status,
        "run_name": (run.info.run_name or "")[:250],
        "trained_by": (tags.get("mlflow.user") or run.info.user_id or "")[:250],
        "run_started_at": moment(run.info.start_time) if run.info.start_time else None,
        "run_ended_at": moment(run.info.end_time) if run.info.end_time else None,
        "metrics": {name: decimal(value) for name, value in run.data.metrics.items()},
        "parameters": dict(run.data.params),
        "datasets": datasets,
        "git_commit": tags.get(GIT_COMMIT, "")[:64],
        "git_branch": tags.get(GIT_BRANCH, "")[:250],
    }
