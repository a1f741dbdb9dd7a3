"""What people know of versions that were deployed to a target: known good, known bad. The newest mark holds."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Prefetch
from django.utils import timezone

from approvals.models import Mark, ModelVersion, Person, Promotion, Restriction, Target
from approvals.models.outbox import EffectKind
from approvals.services.history import enqueue, record
from approvals.services.locks import lock_target
from approvals.services.refusal import Refused
from approvals.services.restrictions import refuse_who_may_not_restrict
from approvals.states import DeploymentStatus, MarkKind, PromotionStatus


@transaction.atomic
def mark(
    *,
    actor: Person,
    via: str,
    target_id: int,
    version_id: int,
    kind: str,
    reason: str,
    now: datetime | None = None,
) -> Mark:
    """Say that a version is ``good`` or ``bad`` at a target. A bad one is never rolled back to until it is marked
    good; a promotion of it stays possible, and says so.

    Raises Refused (``unknown_target``, ``unknown_version``, ``unknown_mark``, ``never_deployed``, ``inactive``,
    ``machine``, ``may_not_restrict``, ``reason_missing``, ``already_marked``).
    """
    target = lock_target(target_id)
    now = now or timezone.now()
    if kind not in MarkKind.values:
        raise Refused("unknown_mark", "A version is marked as good or as bad.")
    version = ModelVersion.objects.filter(pk=version_id, model=target.model).first()
    if version is None:
        raise Refused("unknown_version", f"{target.model.name} has no such version.")
    reason = refuse_who_may_not_restrict(actor, reason, [target])
    if not target.deployments.filter(version=version).exists():
        raise Refused(
            "never_deployed",
            f"{version} was never deployed to {target.environment.name}, so there is nothing known of it there.",
        )
    before = newest_mark(target, version)
    if before is not None and before.kind == kind:
        raise Refused("already_marked", f"Already done: {before.sentence}")
    placed = Mark.objects.create(
        target=target, version=version, kind=kind, reason=reason, placed_by=actor, placed_at=now
    )
    record(
        "mark.placed",
        via=via,
        actor=actor,
        target=target,
        now=now,
        version=version.number,
        mark=str(kind),
        reason=reason,
    )
    for promotion in Promotion.objects.filter(
        target=target, version=version, status=PromotionStatus.PENDING
    ):
        enqueue(EffectKind.ANNOUNCE, promotion, key=f"mark:{placed.pk}", now=now)
    return placed


def newest_marks(
    target_ids: Iterable[int], version_ids: Iterable[int] | None = None
) -> dict[tuple[int, int], Mark]:
    """The marks in force at these targets, by (target, version), in one query."""
    rows = Mark.objects.filter(target_id__in=list(target_ids))
    if version_ids is not None:
        rows = rows.filter(version_id__in=list(version_ids))
    newest = (
        rows.select_related("placed_by", "version__model", "target__environment")
        .order_by("target_id", "version_id", "-placed_at", "-id")
        .distinct("target_id", "version_id")
    )
    return {(each.target_id, each.version_id): each for each in newest}


def newest_mark(target: Target, version: ModelVersion) -> Mark | None:
    """What is known of a version at a target; None where nobody said anything."""
    return newest_marks([target.pk], [version.pk]).get((target.pk, version.pk))


def with_marks() -> Prefetch[str, Any, Any]:
    """What a list of promotions fetches so that :func:`mark_of` costs nothing more."""
    return Prefetch(
        "version__marks", Mark.objects.select_related("placed_by", "target__environment")
    )


def mark_of(promotion: Promotion) -> Mark | None:
    """What is known of a promotion's version at its target."""
    version = promotion.version
    if "marks" not in getattr(version, "_prefetched_objects_cache", {}):
        return newest_mark(promotion.target, version)
    here = (each for each in version.marks.all() if each.target_id == promotion.target_id)
    return next(here, None)


def known_good(target: Target) -> list[ModelVersion]:
    """What may be gone back to, the last known-good version first: those that were live here, by their newest
    stay, without the one that is live, the deleted, the quarantined, and those whose newest mark is bad."""
    done = (
        target.deployments.filter(
            status=DeploymentStatus.SUCCEEDED, version__deleted_at=None, finished_at__isnull=False
        )
        .exclude(version_id=target.live_version_id)
        .select_related("version__model")
        .order_by("-finished_at", "-id")
    )
    versions = {each.version_id: each.version for each in done}
    barred = set(
        Restriction.objects.filter(lifted_at=None, version_id__in=versions).values_list(
            "version_id", flat=True
        )
    )
    marks = newest_marks([target.pk], versions)
    barred |= {pk for (_, pk), each in marks.items() if each.kind == MarkKind.BAD}
    return [version for pk, version in versions.items() if pk not in barred]


def last_known_good(target: Target) -> ModelVersion:
    """The version to go back to where nobody chose one. Raises Refused("no_known_good")."""
    found = known_good(target)
    if not found:
        raise Refused(
            "no_known_good",
            f"There is no known-good version to go back to: nothing else was live in "
            f"{target.environment.name} that still exists and is neither quarantined nor marked as bad.",
        )
    return found[0]
