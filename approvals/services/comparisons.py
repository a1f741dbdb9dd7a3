"""The code between two versions: what has to be read is asked for here, what was read is kept here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from approvals.models import CodeComparison, ModelVersion, Target
from approvals.models.outbox import EffectKind
from approvals.services.history import enqueue

# MLflow's tag may hold anything; only this can name a commit, and only this becomes part of an address.
COMMIT = re.compile(r"[0-9a-f]{7,64}", re.IGNORECASE)
# What could not be read is asked for once more, when somebody asks again after this time.
AGAIN_AFTER = timedelta(minutes=10)
# A new version is compared with what is live when it is registered, so that its page can show it. At a first
# start that would be every version there ever was, so only of what is new, and of so many at once.
NEW_FOR = timedelta(days=1)
AT_ONCE = 20


@dataclass(frozen=True)
class CodeRead:
    """One reading of what lies between two commits. ``status`` is ahead, behind, diverged or identical.

    ``commits`` are [{sha, title, author, at}], newest first and not all: those of the candidate, or where it is
    behind those that it takes back. ``files`` are [{name, status, additions, deletions}], not all; ``file_count``,
    ``additions`` and ``deletions`` are of all that were named.
    """

    status: str
    ahead_by: int
    behind_by: int
    commits: list[dict[str, str]] = field(default_factory=list)
    files: list[Mapping[str, Any]] = field(default_factory=list)
    file_count: int = 0
    additions: int = 0
    deletions: int = 0


def compare_code(*, base: ModelVersion | None, head: ModelVersion, now: datetime) -> None:
    """Have the commits between what is live and a candidate read, once for ever: commits never change. Nothing
    waits for it. Must run inside the verb's transaction."""
    if base is None or base.git_commit == head.git_commit:
        return
    if not COMMIT.fullmatch(base.git_commit) or not COMMIT.fullmatch(head.git_commit):
        return
    row, is_new = CodeComparison.objects.get_or_create(
        repository=head.model.repository, base=base.git_commit, head=head.git_commit
    )
    key = str(row.pk)
    if not is_new:
        if not row.problem or (row.read_at and now - row.read_at < AGAIN_AFTER):
            return
        key = f"{row.pk}:{now.timestamp():.0f}"
    enqueue(
        EffectKind.COMPARE, None, key=key, payload={"comparison": row.pk}, about="code", now=now
    )


@transaction.atomic
def compare_with_live(*, versions: Iterable[ModelVersion], now: datetime) -> None:
    """Have newly registered versions compared with what is live in each environment of their models."""
    fresh = [each for each in versions if each.git_commit and now - each.registered_at < NEW_FOR]
    fresh = sorted(fresh, key=lambda each: each.registered_at)[-AT_ONCE:]
    if not fresh:
        return
    targets = Target.objects.filter(
        model__in={each.model_id for each in fresh}, is_active=True, live_version__isnull=False
    ).select_related("live_version")
    live: dict[int, dict[str, ModelVersion]] = {}
    for target in targets:
        if target.live_version is not None:
            live.setdefault(target.model_id, {})[target.live_version.git_commit] = (
                target.live_version
            )
    for version in fresh:
        for base in live.get(version.model_id, {}).values():
            compare_code(base=base, head=version, now=now)


@transaction.atomic
def record_comparison(
    *,
    comparison_id: int,
    read: CodeRead | None = None,
    problem: str = "",
    now: datetime | None = None,
) -> None:
    """Keep what was read, or why it could not be. A reading that is there is never lost to a later problem.

    No event: nobody did anything and nothing is decided by it; whoever reads the commits again is told the same.
    """
    row = CodeComparison.objects.select_for_update().get(pk=comparison_id)
    if read is None and row.status:
        return
    if read is not None:
        for name, value in vars(read).items():
            setattr(row, name, value)
    row.problem, row.read_at = problem, now or timezone.now()
    row.save()
