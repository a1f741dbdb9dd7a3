"""How quickly GitHub may be read: what the credential has left, and who slows down first.

A limit is never a reason to delay a dispatch or a look-up: nothing here is asked before those.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count, F, Q, QuerySet
from django.db.models.functions import Greatest
from django.utils import timezone

from integrations.models import Poll, RateLimit

# Below this share of the limit repositories are read less often …
LOW = 0.2
# … and below this one also the runs of deployments.
SCARCE = 0.1
# What is left to dispatches and look-ups; no poll is planned with it.
RESERVE = 0.05
# GitHub allows 900 points a minute, a reading being one; the rest is for everything else.
IDLE_A_MINUTE = 600
# A deployment is looked at this often, in seconds, however little is left.
SLOWEST_FOLLOW = 60.0
# A reading of a run that moved takes two calls: the run and its jobs.
CALLS_TO_FOLLOW = 2
# Two answers of one hour may name its end a moment apart.
SAME_HOUR = timedelta(seconds=5)


@dataclass(frozen=True)
class Budget:
    """One answer's word on the limit: calls an hour, calls left, and when it begins anew."""

    limit: int
    remaining: int
    resets_at: datetime


@dataclass(frozen=True)
class Pace:
    """What waits are stretched by. ``limit`` 0 means unknown, and then nothing is; times are seconds."""

    limit: int = 0
    remaining: int = 0
    resets_in: float = 0.0
    repositories: int = 0
    runs: int = 0

    def _below(self, share: float) -> bool:
        return self.resets_in > 0 and self.remaining < share * self.limit

    @property
    def is_low(self) -> bool:
        """Repositories are read less often."""
        return self._below(LOW)

    @property
    def is_scarce(self) -> bool:
        """Followed runs are read less often too."""
        return self._below(SCARCE)

    def repository(self, wait: float, *, busy: bool = False) -> float:
        """Seconds until a repository is read again, which would be ``wait`` with plenty left."""
        if not busy:
            wait = max(wait, self.repositories * 60 / IDLE_A_MINUTE)
        return max(wait, self._lasting(self.repositories)) if self.is_low else wait

    def run(self, wait: float) -> float:
        """Seconds until the run of a deployment is read again; never above a minute for this reason."""
        if not self.is_scarce:
            return wait
        return max(wait, min(self._lasting(self.runs * CALLS_TO_FOLLOW), SLOWEST_FOLLOW))

    def _lasting(self, calls: int) -> float:
        """How far apart rounds of so many calls must be for what is left to last until the reset."""
        left = self.remaining - RESERVE * self.limit
        return min(self.resets_in, self.resets_in * calls / left) if left > 0 else self.resets_in


def crowd() -> dict[str, int]:
    """How many of each kind are polled."""
    counts = Poll.objects.order_by().values_list("kind").annotate(Count("pk"))
    return dict(counts)


def left(
    credential: str,
    budget: Budget | None = None,
    *,
    among: Mapping[str, int] | None = None,
    now: datetime | None = None,
) -> Pace:
    """The pace by what was last told of this credential; ``budget`` is what it was told just now, and is kept."""
    now = now or timezone.now()
    row = RateLimit.objects.filter(credential=credential).first()
    if budget is not None and (row is None or _is_news(row, budget)):
        row = _keep(credential, budget)
    among = among or {}
    repositories, runs = among.get("repository", 0), among.get("run", 0)
    if row is None or row.resets_at is None or row.resets_at <= now:
        return Pace(repositories=repositories, runs=runs)
    resets_in = (row.resets_at - now).total_seconds()
    return Pace(row.limit, row.remaining, resets_in, repositories, runs)


def _is_news(row: RateLimit, budget: Budget) -> bool:
    """Answers overtake each other, so within one hour the smaller rest counts."""
    if row.resets_at is None or row.resets_at < budget.resets_at - SAME_HOUR:
        return True
    return row.resets_at <= budget.resets_at + SAME_HOUR and budget.remaining < row.remaining


@transaction.atomic
def _keep(credential: str, budget: Budget) -> RateLimit:
    row, _ = RateLimit.objects.select_for_update().get_or_create(credential=credential)
    if _is_news(row, budget):
        row.limit, row.remaining, row.resets_at = budget.limit, budget.remaining, budget.resets_at
        row.save(update_fields=["limit", "remaining", "resets_at"])
    return row


def pause(credential: str, until: datetime, reason: str) -> None:
    """GitHub refused to be read before ``until``: nothing that only polls asks it again before."""
    RateLimit.objects.bulk_create([RateLimit(credential=credential)], ignore_conflicts=True)
    RateLimit.objects.filter(credential=credential).update(
        paused_until=Greatest(F("paused_until"), until), reason=reason
    )


def paused(credential: str, now: datetime) -> QuerySet[RateLimit]:
    """The credential's row while GitHub must not be polled with it: it asked so, or nothing is left."""
    used_up = Q(limit__gt=0, remaining=0, resets_at__gt=now)
    return RateLimit.objects.filter(used_up | Q(paused_until__gt=now), credential=credential)
