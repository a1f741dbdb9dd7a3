"""Reads what gates look at for many promotions, in a number of queries that does not depend on how many."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from datetime import datetime
from typing import TypeVar

from django.db.models import Model, Q, prefetch_related_objects

from approvals.models import (
    Deployment,
    Evidence,
    Freeze,
    OutOfBandChange,
    Promotion,
    Restriction,
    WorkflowRun,
)
from approvals.services.at_hand import CHANGES, EVIDENCE, FREEZES, LIVED, RESTRICTIONS, RUNS
from approvals.services.queueing import open_here
from approvals.states import DeploymentStatus

T = TypeVar("T", bound=Model)


def bring(promotions: Sequence[Promotion], now: datetime) -> None:
    """Hang on promotions of ``with_everything`` what ``services.conditions.outcomes_of`` looks at."""
    versions = {each.version_id for each in promotions}
    targets = {each.target_id for each in promotions}
    prefetch_related_objects([each.target for each in promotions], open_here())
    closed = list(
        Restriction.objects.filter(
            Q(target__in=targets) | Q(version__in=versions), lifted_at=None
        ).select_related("placed_by", "target__model", "target__environment", "version__model")
    )
    frozen = _by(
        Freeze.objects.filter(
            Q(ends_at=None) | Q(ends_at__gt=now),
            environment__in={each.target.environment_id for each in promotions},
            lifted_at=None,
        ).select_related("placed_by"),
        lambda each: each.environment_id,
    )
    runs = _by(
        WorkflowRun.objects.filter(
            repository__in={each.version.model.repository for each in promotions},
            head_sha__in={each.version.git_commit for each in promotions} - {""},
        ).order_by("created_at", "run_id"),
        lambda each: (each.repository, each.head_sha),
    )
    lived = _by(
        Deployment.objects.filter(
            # A long past, which hardly any policy asks for.
            target__model__in={
                e.version.model_id for e in promotions if "live_in" in str(e.policy)
            },
            status=DeploymentStatus.SUCCEEDED,
            finished_at__isnull=False,
        )
        .select_related("target__environment")
        .order_by("finished_at", "pk"),
        lambda each: each.target.model_id,
    )
    # Whose word counts depends on who asks, so the newest of each person, not of each name alone.
    of_each = ("version_id", "name", "environment_id", "recorded_by_id", "verdict")
    newest = (
        Evidence.objects.filter(version__in=versions)
        .select_related("recorded_by", "workflow_run")
        .order_by(*of_each, "-produced_at", "-id")
        .distinct(*of_each)
    )
    evidence = _by(
        sorted(newest, key=lambda each: (each.produced_at, each.pk), reverse=True),
        lambda each: each.version_id,
    )
    changes = _by(
        OutOfBandChange.objects.filter(target__in=targets, ended_at=None),
        lambda each: each.target_id,
    )
    for each in promotions:
        version, target = each.version, each.target
        here = [r for r in closed if target.pk == r.target_id or version.pk == r.version_id]
        for row, name, rows in (
            (each, RESTRICTIONS, here),
            (target, CHANGES, changes.get(target.pk, [])),
            (target.environment, FREEZES, frozen.get(target.environment_id, [])),
            (version, RUNS, runs.get((version.model.repository, version.git_commit), [])),
            (version, LIVED, lived.get(version.model_id, [])),
            (version, EVIDENCE, evidence.get(version.pk, [])),
        ):
            setattr(row, name, rows)


def _by(rows: Iterable[T], key: Callable[[T], Hashable]) -> dict[Hashable, list[T]]:
    found: dict[Hashable, list[T]] = {}
    for each in rows:
        found.setdefault(key(each), []).append(each)
    return found
