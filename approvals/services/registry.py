"""What MLflow says of models, versions and aliases, pushed in by its adapter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from approvals.models import Deployment, Effect, ModelVersion, Promotion, RegisteredModel
from approvals.models.outbox import EffectKind
from approvals.services.collecting import collect
from approvals.services.comparisons import compare_with_live
from approvals.services.history import enqueue, record
from approvals.services.locks import lock_deployment
from approvals.states import PromotionStatus, Via


@dataclass(frozen=True)
class ModelFacts:
    """One registered model as listed: its aliases are {alias: version number}."""

    registry_name: str
    description: str
    tags: Mapping[str, str]
    aliases: Mapping[str, int]


@dataclass(frozen=True)
class VersionFacts:
    """One version and, where it is known, its run. Times are aware; metrics are decimal text."""

    registry_name: str
    number: int
    registered_at: datetime
    updated_at: datetime
    source: str
    status: str
    description: str
    tags: Mapping[str, str]
    run_id: str
    run: Mapping[str, Any] | None = field(default=None)


# The run's part of a version: everything the adapter may put into VersionFacts.run.
RUN_FIELDS = (
    "experiment_id",
    "run_status",
    "run_name",
    "trained_by",
    "run_started_at",
    "run_ended_at",
    "metrics",
    "parameters",
    "datasets",
    "git_commit",
    "git_branch",
)


@transaction.atomic
def record_models(*, models: Iterable[ModelFacts], now: datetime | None = None) -> None:
    """Keep what the registry lists; a configured model that it does not list is gone, and its versions with it."""
    now = now or timezone.now()
    listed = {each.registry_name: each for each in models}
    for model in RegisteredModel.objects.filter(is_active=True):
        facts = listed.get(model.registry_name)
        if facts is None:
            if model.is_registered:
                model.is_registered = False
                model.save(update_fields=["is_registered"])
                model.versions.filter(deleted_at=None).update(deleted_at=now)
            continue
        wanted = (facts.description, dict(facts.tags), True)
        if (model.description, model.tags, model.is_registered) != wanted:
            model.description, model.tags, model.is_registered = wanted
            model.save(update_fields=["description", "tags", "is_registered"])
        _record_aliases(model, facts.aliases)


def _record_aliases(model: RegisteredModel, aliases: Mapping[str, int]) -> None:
    by_number: dict[int, list[str]] = {}
    for alias, number in sorted(aliases.items()):
        by_number.setdefault(number, []).append(alias)
    for version in model.versions.filter(deleted_at=None):
        wanted = by_number.get(version.number, [])
        if version.aliases != wanted:
            version.aliases = wanted
            version.save(update_fields=["aliases"])


def record_versions(*, versions: Iterable[VersionFacts], now: datetime | None = None) -> int:
    """Keep versions as listed; returns how many changed. A version whose identity (creation time, source)
    differs from ours under the same number was deleted and made again: it is a new one."""
    now = now or timezone.now()
    changed = _record_versions(versions, now)
    # Afterwards, because it takes the locks of targets, which come before those of versions.
    with_sources = (each for each in changed if each.model.evidence and each.deleted_at is None)
    collect(with_sources, now=now)
    compare_with_live(versions=changed, now=now)
    return len(changed)


@transaction.atomic
def _record_versions(versions: Iterable[VersionFacts], now: datetime) -> list[ModelVersion]:
    models = {each.registry_name: each for each in RegisteredModel.objects.filter(is_active=True)}
    changed = []
    for facts in versions:
        model = models.get(facts.registry_name)
        version = _record_version(model, facts, now) if model else None
        if version is not None:
            changed.append(version)
    return changed


def _record_version(
    model: RegisteredModel, facts: VersionFacts, now: datetime
) -> ModelVersion | None:
    """The version, None when nothing changed."""
    current = model.versions.filter(number=facts.number, deleted_at=None).first()
    if current and (current.registered_at, current.source) != (facts.registered_at, facts.source):
        current.deleted_at = now
        current.save(update_fields=["deleted_at"])
        current = None
    values: dict[str, Any] = {
        "updated_at": facts.updated_at,
        "status": facts.status,
        "description": facts.description,
        "tags": dict(facts.tags),
        "run_id": facts.run_id,
        **{name: facts.run[name] for name in RUN_FIELDS if facts.run and name in facts.run},
    }
    if current is None:
        created, _ = ModelVersion.objects.update_or_create(
            model=model,
            number=facts.number,
            registered_at=facts.registered_at,
            source=facts.source,
            defaults={**values, "deleted_at": None},
        )
        return created
    different = [name for name, value in values.items() if getattr(current, name) != value]
    if not different:
        return None
    for name in different:
        setattr(current, name, values[name])
    current.save(update_fields=different)
    if set(different) & {"status", "run_status", "metrics", "run_id"}:
        for promotion in Promotion.objects.filter(version=current, status=PromotionStatus.PENDING):
            enqueue(EffectKind.GATHER_FACTS, promotion, key=f"sync:{now.timestamp():.0f}", now=now)
    return current


@transaction.atomic
def record_absent_versions(*, present: Mapping[str, set[int]], now: datetime | None = None) -> int:
    """After a full listing: versions that we know and MLflow no longer has were deleted. Returns how many."""
    now = now or timezone.now()
    gone = 0
    for model in RegisteredModel.objects.filter(is_active=True, registry_name__in=present):
        gone += (
            model.versions.filter(deleted_at=None)
            .exclude(number__in=present[model.registry_name])
            .update(deleted_at=now)
        )
    return gone


@transaction.atomic
def record_signature(*, version_id: int, signature: Mapping[str, Any]) -> None:
    """Keep the signature of a version that was sealed before signatures were read; one that is known stays."""
    ModelVersion.objects.filter(pk=version_id, signature={}).update(signature=dict(signature))


@transaction.atomic
def keep_registry_before(*, effect_id: int, before: Mapping[str, Any]) -> dict[str, Any]:
    """Keep what the registry said before the effect's first write, and return what was kept first: a later
    attempt would read what an earlier one, whose answer was lost, has written."""
    effect = Effect.objects.select_for_update().get(pk=effect_id)
    if "before" not in effect.payload:
        effect.payload = {**effect.payload, "before": dict(before)}
        effect.save(update_fields=["payload"])
    return dict(effect.payload["before"])


@transaction.atomic
def record_registry_written(
    *, effect_id: int, deployment_id: int, written: Mapping[str, Any], now: datetime | None = None
) -> None:
    """Tell what an effect wrote to the registry, once, however often it is delivered; empty: it wrote nothing.

    ``written`` may have ``alias``, ``version`` and ``before`` (a number or None), ``previous`` (the same of the
    other alias), ``tags``, ``stage`` (``name``, ``before``), ``copy`` (``model``, ``alias``, ``version``,
    ``before``) and ``notes``, in words.
    """
    deployment: Deployment = lock_deployment(deployment_id)
    effect = Effect.objects.select_for_update().get(pk=effect_id)
    if not written or effect.payload.get("recorded"):
        return
    effect.payload = {**effect.payload, "recorded": True}
    effect.save(update_fields=["payload"])
    record(
        "registry.written",
        via=Via.MLFLOW,
        promotion=deployment.promotion,
        now=now or timezone.now(),
        **written,
    )
