"""The outbox: claim, deliver, record. Effects leave in the order of their lane, one at a time.

A claim is a lease: a worker that dies loses it, and the effect is delivered again. So every handler
must be safe to repeat; the dispatch is guarded by the deployment's status (``services.delivery``).
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta

import structlog
from celery import current_app
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import Case, Exists, OuterRef, Q, QuerySet, SmallIntegerField, When
from django.utils import timezone

from approvals.models import Effect
from approvals.models.outbox import EffectKind
from approvals.states import EffectStatus
from integrations.errors import Rejected, Unavailable
from integrations.failpoints import reach
from integrations.redaction import redacted

log = structlog.get_logger(__name__)

Handler = Callable[[Effect], None]

# A delivery that takes longer (hashing large artifacts) renews its lease; a dead worker's runs out.
LEASE = timedelta(seconds=settings.EFFECT_LEASE_SECONDS)
LONGEST_WAIT = 60.0
BROKEN_WAIT = 2.0
# About a week of trying once a minute; then it is given up and shown as such.
MOST_ATTEMPTS = 10_000
OPEN = (EffectStatus.WAITING, EffectStatus.CLAIMED)


class Later(Exception):
    """Not an error: the effect has to wait for something; deliver again after ``seconds``."""

    def __init__(self, sentence: str, seconds: float) -> None:
        super().__init__(sentence)
        self.seconds = seconds


def wake(**_: object) -> None:
    """Ask a worker to look now, without keeping the click waiting for a broker that may be down.

    When the call is lost nothing is lost: the sweep finds the effect.
    """
    _WAKER.wake()


class _Waker:
    """One thread a process that sends wake-up calls; calls that pile up become one."""

    def __init__(self) -> None:
        self._wanted = threading.Event()
        self._lock = threading.Lock()
        self._process = 0

    def wake(self) -> None:
        self._wanted.set()
        with self._lock:
            # A forked process has the memory of its parent but not its threads.
            if self._process != os.getpid():
                self._process = os.getpid()
                threading.Thread(target=self._run, name="outbox-waker", daemon=True).start()

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            try:
                # By name: the task knows the outbox, not the other way round.
                current_app.send_task("integrations.tasks.deliver_effects", expires=30)
            except Exception as error:
                log.warning("no wake-up call: the broker is away", error=type(error).__name__)


_WAKER = _Waker()


# A deployment does not wait for messages about it: a worker that is woken would deliver those first.
_URGENT_FIRST = Case(
    When(kind__in=[EffectKind.DISPATCH, EffectKind.LOOK_UP], then=0),
    default=1,
    output_field=SmallIntegerField(),
)


@transaction.atomic
def claim() -> Effect | None:
    """Lease the oldest due effect that is the first open one of its lane, dispatches before all others; None
    when there is none."""
    now = timezone.now()
    earlier = Effect.objects.filter(lane=OuterRef("lane"), pk__lt=OuterRef("pk"), status__in=OPEN)
    effect = (
        Effect.objects.select_for_update(skip_locked=True, of=("self",))
        .filter(
            Q(status=EffectStatus.WAITING) | Q(status=EffectStatus.CLAIMED, claimed_until__lte=now),
            ~Exists(earlier),
            due_at__lte=now,
        )
        .order_by(_URGENT_FIRST, "due_at", "pk")
        .first()
    )
    if effect is None:
        return None
    effect.status = EffectStatus.CLAIMED
    effect.claim = secrets.token_hex(8)
    effect.claimed_until = now + LEASE
    effect.attempts += 1
    effect.save(update_fields=["status", "claim", "claimed_until", "attempts"])
    return effect


def deliver(effect: Effect, handlers: Mapping[str, Handler]) -> None:
    """Run the handler and record the outcome, unless the lease went to somebody else meanwhile."""
    try:
        with _renewed(effect):
            reach(f"{effect.kind}.claimed")
            handlers[effect.kind](effect)
            reach(f"{effect.kind}.handled")
    except Later as error:
        effect.attempts -= 1  # waiting one's turn is not a failed attempt
        _wait(effect, str(error), error.seconds)
    except Unavailable as error:
        _wait(effect, str(error), error.after or min(2.0 ** min(effect.attempts, 10), LONGEST_WAIT))
    except Rejected as error:
        _finish(effect, EffectStatus.FAILED, str(error))
    except (InterfaceError, OperationalError):
        # The database went away in the middle. The next query finds a connection or the lease runs out.
        connection.close_if_unusable_or_obsolete()
        _wait(effect, "The database's connection broke.", BROKEN_WAIT)
    except Exception as error:
        # An error of ours: kept and tried again, so that a mended release delivers it.
        log.exception("effect failed", effect=effect.pk, kind=effect.kind)
        _wait(effect, f"An internal error ({type(error).__name__}).", LONGEST_WAIT)
    else:
        _finish(effect, EffectStatus.DONE, "")


@contextmanager
def _renewed(effect: Effect) -> Iterator[None]:
    """Extend the lease while the handler runs, from a thread with a connection of its own."""
    done = threading.Event()

    def renew() -> None:
        try:
            while not done.wait(LEASE.total_seconds() / 3):
                _mine(effect).update(claimed_until=timezone.now() + LEASE)
        finally:
            connection.close()

    thread = threading.Thread(target=renew, name=f"lease-{effect.pk}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _finish(effect: Effect, status: EffectStatus, error: str) -> None:
    _mine(effect).update(
        status=status,
        last_error=redacted(error),
        finished_at=timezone.now(),
        claimed_until=None,
        claim="",
    )


def _wait(effect: Effect, error: str, seconds: float) -> None:
    if effect.attempts >= MOST_ATTEMPTS:
        _finish(effect, EffectStatus.FAILED, error)
        return
    _mine(effect).update(
        status=EffectStatus.WAITING,
        attempts=effect.attempts,
        last_error=redacted(error),
        due_at=timezone.now() + timedelta(seconds=seconds),
        claimed_until=None,
        claim="",
    )


def _mine(effect: Effect) -> QuerySet[Effect]:
    return Effect.objects.filter(pk=effect.pk, claim=effect.claim, status=EffectStatus.CLAIMED)


def same_behind(effect: Effect) -> list[int]:
    """The effects that wait right behind this one in its lane, up to the first of another kind."""
    behind = Effect.objects.filter(lane=effect.lane, pk__gt=effect.pk, status__in=OPEN)
    found = []
    for pk, kind, status in behind.order_by("pk").values_list("pk", "kind", "status"):
        if (kind, status) != (effect.kind, EffectStatus.WAITING):
            break
        found.append(pk)
    return found


def done_with(effects: Sequence[int]) -> None:
    """One delivery did for these too. None of them can have been claimed: the one before them was under way."""
    Effect.objects.filter(pk__in=effects, status=EffectStatus.WAITING).update(
        status=EffectStatus.DONE, last_error="", finished_at=timezone.now()
    )


def deliver_due(handlers: Mapping[str, Handler], *, seconds: float = 5.0) -> int:
    """Deliver what is due, for at most about ``seconds``. Returns how many were delivered or put off."""
    until, count = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        effect = claim()
        if effect is None:
            break
        deliver(effect, handlers)
        count += 1
    return count
