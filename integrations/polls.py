"""What is looked at again and again, and when. Due rows are claimed with ``skip_locked``, so that any
number of workers share them and two beats harm nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from approvals import services
from approvals.models import Deployment, Repository, Step, WorkflowRun
from approvals.states import DeploymentStatus, WorkflowKind
from integrations.errors import Rejected, Unavailable
from integrations.models import Poll

log = structlog.get_logger(__name__)
# Longer than an effect's, because it is not renewed; a look that takes longer still is merely repeated.
LEASE = 2 * timedelta(seconds=settings.EFFECT_LEASE_SECONDS)
# Older runs prove nothing that anybody still waits for; some at a time, so that a first start stays polite.
JOBS_SINCE = timedelta(days=30)
JOBS_AT_ONCE = 50
SLOWEST = 300.0  # seconds between looks at something that keeps failing


def ensure(now: datetime) -> None:
    """There is one row for MLflow, one per active repository, one per run being followed."""
    wanted = {("mlflow", "")}
    wanted |= {
        ("repository", name)
        for name in Repository.objects.filter(is_active=True).values_list("name", flat=True)
    }
    wanted |= {
        ("run", f"{repository}#{run_id}")
        for repository, run_id in Deployment.objects.filter(
            status=DeploymentStatus.RUNNING, step__run_id__isnull=False
        ).values_list("target__model__repository", "step__run_id")
    }
    wanted |= {("jobs", key) for key in _unread_jobs(now)}
    present = set(Poll.objects.values_list("kind", "key"))
    Poll.objects.bulk_create(
        [Poll(kind=kind, key=key, due_at=now) for kind, key in wanted - present],
        ignore_conflicts=True,
    )
    for poll in Poll.objects.all():
        if (poll.kind, poll.key) not in wanted and not _wants_a_last_look(poll):
            poll.delete()


def _unread_jobs(now: datetime) -> list[str]:
    """Completed runs whose jobs are evidence and were not read for their last attempt, the newest first."""
    names = [
        name
        for name in Repository.objects.filter(is_active=True).values_list("name", flat=True)
        if services.wants_jobs(name)
    ]
    if not names:
        return []
    unread = (
        WorkflowRun.objects.filter(
            repository__in=names,
            status="completed",
            updated_at__gte=now - JOBS_SINCE,
            jobs_attempt__lt=F("attempt"),
        )
        .exclude(kind=WorkflowKind.DEPLOY)
        .order_by("-created_at")[:JOBS_AT_ONCE]
    )
    return [f"{each.repository}#{each.run_id}" for each in unread]


def _wants_a_last_look(poll: Poll) -> bool:
    """A run whose end came by webhook is read once more, for the outcome of its last steps."""
    if poll.kind != "run" or poll.failures > 3:
        return False
    repository, _, run_id = poll.key.partition("#")
    ended = Step.objects.filter(
        deployment__target__model__repository=repository,
        run_id=int(run_id),
        finished_at__isnull=False,
    )
    finished_at = ended.values_list("finished_at", flat=True).first()
    return finished_at is not None and (
        poll.succeeded_at is None or poll.succeeded_at < finished_at
    )


@transaction.atomic
def claim(now: datetime) -> Poll | None:
    """Lease one due row."""
    poll = (
        Poll.objects.select_for_update(skip_locked=True)
        .filter(Q(claimed_until=None) | Q(claimed_until__lte=now), due_at__lte=now)
        .order_by("due_at")
        .first()
    )
    if poll is not None:
        poll.claimed_until = now + LEASE
        poll.save(update_fields=["claimed_until"])
    return poll


def _mlflow(poll: Poll) -> float:
    from integrations.mlflow.sync import FULL_EVERY, sync

    now = timezone.now()
    full = poll.full_at is None or now - poll.full_at >= FULL_EVERY
    done = sync(watermark=poll.watermark, full=full)
    poll.watermark = done.watermark
    if full:
        poll.full_at = now
    return settings.MLFLOW_POLL_SECONDS


def _repository(poll: Poll) -> float:
    from integrations.github.runs import poll_repository

    answer = poll_repository(poll.key, poll.etag)
    poll.etag = answer.etag or poll.etag
    poll.remaining = answer.remaining
    return settings.GITHUB_POLL_SECONDS


def _run(poll: Poll) -> float:
    from integrations.github.runs import follow_run

    repository, _, run_id = poll.key.partition("#")
    answer, _completed = follow_run(repository, int(run_id), poll.etag)
    poll.etag = answer.etag or poll.etag
    poll.remaining = answer.remaining
    return settings.GITHUB_FOLLOW_SECONDS


def _jobs(poll: Poll) -> float:
    from integrations.github.runs import read_jobs

    repository, _, run_id = poll.key.partition("#")
    poll.remaining = read_jobs(repository, int(run_id)).remaining
    return settings.GITHUB_POLL_SECONDS


LOOK: dict[str, Callable[[Poll], float]] = {
    "mlflow": _mlflow,
    "repository": _repository,
    "run": _run,
    "jobs": _jobs,
}


def look(poll: Poll) -> None:
    """Look once; note how it went and when to look next."""
    try:
        wait = LOOK[poll.kind](poll)
    except (Unavailable, Rejected) as error:
        poll.failures += 1
        poll.last_error = str(error)
        after = error.after if isinstance(error, Unavailable) else None
        wait = after or min(2.0 ** min(poll.failures, 10), SLOWEST)
        log.warning("poll failed", poll=str(poll), error=str(error))
    except Exception as error:
        poll.failures += 1
        poll.last_error = f"An internal error ({type(error).__name__})."
        wait = min(2.0 ** min(poll.failures, 10), SLOWEST)
        log.exception("poll failed", poll=str(poll))
    else:
        poll.failures, poll.last_error, poll.succeeded_at = 0, "", timezone.now()
    poll.claimed_until = None
    poll.due_at = timezone.now() + timedelta(seconds=wait)
    # The row may be gone: the run it followed came to its end.
    Poll.objects.filter(pk=poll.pk).update(**{field: getattr(poll, field) for field in _LOOKED})


_LOOKED = (
    "claimed_until",
    "due_at",
    "etag",
    "watermark",
    "full_at",
    "succeeded_at",
    "failures",
    "last_error",
    "remaining",
)


def poll_due() -> int:
    """Look at everything that is due now. Returns how many were looked at."""
    now = timezone.now()
    ensure(now)
    count = 0
    while (poll := claim(now)) is not None:
        look(poll)
        count += 1
    return count
