"""The Celery tasks: each looks in the database for what is due. A lost or doubled message harms nothing."""

from __future__ import annotations

import time

from celery import shared_task
from celery.signals import beat_init, before_task_publish, worker_ready
from django.db import DatabaseError, connection
from django.utils import timezone

from approvals import services
from integrations import polls, tidying
from integrations.models import Heartbeat
from integrations.outbox import deliver_due


# Hashing a large artifact may take long; what a dead worker held is freed by its lease, not by this.
@shared_task(time_limit=4 * 3600, soft_time_limit=4 * 3600 - 60)
def deliver_effects() -> None:
    """Deliver what the outbox holds: woken on commit, and by the sweep."""
    from integrations.effects import HANDLERS
    from integrations.slack.homes import keep_fresh

    deliver_due(HANDLERS)
    # Here, because a worker that was woken by somebody's act shows them its outcome at once.
    keep_fresh()


@shared_task
def poll() -> None:
    """Look at MLflow, at repositories and at runs that are due."""
    polls.poll_due()


@shared_task
def look_after() -> None:
    """What time alone brings about: expire, lapse, approve automatically, remind, escalate."""
    services.close_overdue()
    services.approve_due()
    services.advance_due()
    services.watch_runs()
    services.remind_due()


@shared_task
def look_at_messages() -> None:
    """Bring messages up to date that time alone has made untrue."""
    from integrations.slack.announce import out_of_date

    out_of_date()


@shared_task
def tidy() -> None:
    """Forget what nobody can need any more."""
    tidying.forget_deliveries()


@worker_ready.connect
def _first_heartbeat(**_: object) -> None:
    """A worker that just started is alive at once, not ten seconds later."""
    heartbeat.delay()


@shared_task
def heartbeat() -> None:
    """A worker is alive."""
    Heartbeat.objects.update_or_create(name="worker", defaults={"at": timezone.now()})


# Seconds between two signs of life of beat itself; it sends something every two.
BEAT_SAYS_EVERY = 10.0
_beat_said = -BEAT_SAYS_EVERY


@beat_init.connect
def _watch_beat(**_: object) -> None:
    """In beat's own process: whatever it sends is a sign of life, also while no worker takes it."""
    before_task_publish.connect(_beat_is_alive)


def _beat_is_alive(**_: object) -> None:
    """Beat is alive: noted apart from the worker's heartbeat, which needs beat, Redis and a worker."""
    global _beat_said
    if time.monotonic() - _beat_said < BEAT_SAYS_EVERY:
        return
    _beat_said = time.monotonic()
    try:
        Heartbeat.objects.update_or_create(name="beat", defaults={"at": timezone.now()})
    except DatabaseError:  # it goes on ticking; the next sign finds a connection or not
        connection.close()
