"""What is looked at again and again, and when. Due rows are claimed with ``skip_locked``, so that any
number of workers share them and two beats harm nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Case, DateTimeField, Exists, F, Q, Value, When
from django.utils import timezone

from approvals import services
from integrations import pace, polled
from integrations.errors import Limited, Rejected, Unavailable
from integrations.github.client import Answer, credential, kept_open
from integrations.github.gate import look_for_lost_question
from integrations.github.logs import read_log
from integrations.github.runs import follow_run, poll_repository, read_jobs
from integrations.models import Poll
from integrations.polled import ensure, hurry
from integrations.redaction import redacted
from integrations.slack import installations
from integrations.watching import look_at_artifacts, look_at_serving

__all__ = ["claim", "ensure", "hurry", "look", "poll_due"]

log = structlog.get_logger(__name__)
# Longer than an effect's, because it is not renewed; a look that takes longer still is merely repeated.
LEASE = 2 * timedelta(seconds=settings.EFFECT_LEASE_SECONDS)
GITHUB = ("repository", "run", "jobs", "log")
LOG_AGAIN = 10.0  # seconds until a log that is not there yet is asked for again
SLOWEST = 300.0  # seconds between looks at something that keeps failing


@dataclass(frozen=True)
class Seen:
    """How a look went: seconds until the next one, what GitHub said of its limit, whether anything moved."""

    wait: float
    budget: pace.Budget | None = None
    news: bool = False


# A followed run goes before anything that is not overdue by more than this, so that nothing starves.
HEAD_START = timedelta(seconds=30)
_ORDER = Case(
    When(kind="run", then=F("due_at") - HEAD_START),
    default=F("due_at"),
    output_field=DateTimeField(),
)


@transaction.atomic
def claim(now: datetime) -> Poll | None:
    """Lease one due row; none of GitHub's while GitHub has to be left alone."""
    github_rests = Q(Exists(pace.paused(credential(), now)), kind__in=GITHUB)
    poll = (
        Poll.objects.select_for_update(skip_locked=True)
        .filter(Q(claimed_until=None) | Q(claimed_until__lte=now), ~github_rests, due_at__lte=now)
        .order_by(_ORDER)
        .first()
    )
    if poll is not None:
        # Also the name of this claim: whoever takes over a dead worker's row has another one.
        poll.claimed_until = now + LEASE
        poll.save(update_fields=["claimed_until"])
    return poll


def _mlflow(poll: Poll) -> Seen:
    from integrations.mlflow.sync import FULL_EVERY, sync

    now = timezone.now()
    full = poll.full_at is None or now - poll.full_at >= FULL_EVERY
    done = sync(watermark=poll.watermark, full=full)
    poll.watermark = done.watermark
    if full:
        poll.full_at = now
    return Seen(settings.MLFLOW_POLL_SECONDS)


def _repository(poll: Poll) -> Seen:
    now = timezone.now()
    seen = poll_repository(poll.key, poll.etag)
    # A 304 is a reading too: what was there is there still.
    services.compare_runs(repository=poll.key, read_at=now)
    if seen.answer.status == 200:
        # A first reading is no change: a thousand repositories at a first start stay polite.
        calm_at = now + polled.CALM_AFTER if seen.moved and poll.etag else now
        poll.busy_until = max(filter(None, (calm_at, seen.busy_until)))
    _note(poll, seen.answer)
    return Seen(polled.calm_wait(poll, now), seen.answer.budget, news=seen.moved)


def _run(poll: Poll) -> Seen:
    repository, _, run_id = poll.key.partition("#")
    answer, _completed = follow_run(repository, int(run_id), poll.etag)
    look_for_lost_question(repository, int(run_id))
    _note(poll, answer)
    return Seen(settings.GITHUB_FOLLOW_SECONDS, answer.budget, news=answer.status == 200)


def _jobs(poll: Poll) -> Seen:
    repository, _, run_id = poll.key.partition("#")
    answer = read_jobs(repository, int(run_id))
    _note(poll, answer)
    return Seen(settings.GITHUB_POLL_SECONDS, answer.budget, news=True)


def _log(poll: Poll) -> Seen:
    repository, _, run_id = poll.key.partition("#")
    answer, done = read_log(repository, int(run_id))
    if answer is not None:
        _note(poll, answer)
    budget = answer.budget if answer is not None else None
    return Seen(settings.GITHUB_POLL_SECONDS if done else LOG_AGAIN, budget, news=done)


def _serving(poll: Poll) -> Seen:
    return Seen(look_at_serving(poll))


def _artifacts(poll: Poll) -> Seen:
    return Seen(look_at_artifacts(poll))


def _slack(poll: Poll) -> Seen:
    return Seen(installations.look(poll.key))


def _note(poll: Poll, answer: Answer) -> None:
    poll.etag = answer.etag or poll.etag
    poll.remaining = answer.remaining


LOOK: dict[str, Callable[[Poll], Seen]] = {
    "mlflow": _mlflow,
    "repository": _repository,
    "run": _run,
    "jobs": _jobs,
    "log": _log,
    "serving": _serving,
    "artifacts": _artifacts,
    "slack": _slack,
}


def look(poll: Poll, among: Mapping[str, int] | None = None) -> bool:
    """Look once; note how it went and when to look next. Returns whether anything moved.

    ``among`` is how many of each kind are polled, for who looks at many one after another.
    """
    due_at, lease, busy_until = poll.due_at, poll.claimed_until, poll.busy_until
    news = False
    try:
        seen = LOOK[poll.kind](poll)
        wait, news = _paced(poll, seen, among), seen.news
    except Limited as error:
        # Not this row's failure: all that use the credential wait (``claim``), and the page says why.
        poll.last_error, wait = redacted(str(error)), error.after or SLOWEST
        log.warning("poll failed", poll=str(poll), error=str(error))
    except (Unavailable, Rejected) as error:
        poll.failures += 1
        poll.last_error = redacted(str(error))
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
    poll.looked_at = timezone.now()
    next_at = poll.looked_at + timedelta(seconds=wait)
    values: dict[str, Any] = {field: getattr(poll, field) for field in _LOOKED}
    # Hurried meanwhile: the look may have come before what happened, so the row stays due. And it may be gone
    # (its run came to an end), or somebody else's, who took it over from a worker that seemed dead.
    Poll.objects.filter(pk=poll.pk, claimed_until=lease).update(
        **values,
        claimed_until=None,
        due_at=_unless_hurried("due_at", due_at, next_at),
        busy_until=_unless_hurried("busy_until", busy_until, poll.busy_until),
    )
    return news


_LOOKED = (
    "etag",
    "watermark",
    "full_at",
    "looked_at",
    "succeeded_at",
    "failures",
    "last_error",
    "remaining",
)


def _unless_hurried(field: str, was: datetime | None, value: datetime | None) -> Case:
    unchanged = Q(**{field: was}) if was is not None else Q(**{f"{field}__isnull": True})
    return Case(
        When(unchanged, then=Value(value, DateTimeField())),
        default=F(field),
        output_field=DateTimeField(),
    )


def _paced(poll: Poll, seen: Seen, among: Mapping[str, int] | None) -> float:
    """The wait, stretched as the rate limit asks for."""
    if poll.kind not in GITHUB:
        return seen.wait
    among = pace.crowd() if among is None else among
    left = pace.left(credential(), seen.budget, among=among)
    if poll.kind == "run":
        return left.run(seen.wait)
    busy = poll.busy_until is not None and poll.busy_until > timezone.now()
    return left.repository(seen.wait, busy=busy or poll.kind in {"jobs", "log"})


def poll_due(*, seconds: float | None = None) -> int:
    """Look at what is due now, for about ``seconds`` (TICK_SECONDS); the next tick goes on, so that polling
    a thousand repositories never keeps all workers from delivering. Returns how many were looked at."""
    now = timezone.now()
    polled.ensure_sometimes(now)
    until = time.monotonic() + (settings.TICK_SECONDS if seconds is None else seconds)
    count, news = 0, False
    among: dict[str, int] | None = None
    with kept_open():
        while (poll := claim(now)) is not None:
            among = pace.crowd() if among is None else among
            news |= look(poll, among)
            count += 1
            if time.monotonic() >= until:
                break
    if news:
        polled.ensure(now)  # a run that ended may have jobs to read, or need no following any more
    return count
