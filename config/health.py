"""``/healthz``: this process answers. ``/readyz``: what it needs answers too."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from celery import current_app
from django.contrib.auth.decorators import login_not_required
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone

# The heartbeat task runs every ten seconds; three missed beats count as dead.
HEARTBEAT_LIMIT = timedelta(seconds=35)


@login_not_required
def healthz(request: HttpRequest) -> HttpResponse:
    """200 as soon as the process serves requests."""
    return HttpResponse("ok\n", content_type="text/plain")


class NoHeartbeat(Exception):
    """No worker has said lately that it is alive."""


def _database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _broker() -> None:
    with current_app.connection_for_write(transport_options={"socket_timeout": 2}) as broker:
        broker.ensure_connection(max_retries=1, timeout=2)


def _worker() -> None:
    from integrations.models import Heartbeat

    beat = Heartbeat.objects.filter(name="worker").first()
    if beat is None or timezone.now() - beat.at > HEARTBEAT_LIMIT:
        raise NoHeartbeat("no heartbeat from a worker in the last 35 seconds")


CHECKS: dict[str, Callable[[], None]] = {
    "database": _database,
    "broker": _broker,
    "worker": _worker,
}


@login_not_required
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when database, broker and a worker's heartbeat are all there, else 503 naming which is not."""
    result = {}
    for name, check in CHECKS.items():
        try:
            check()
            result[name] = "ok"
        except NoHeartbeat as error:
            result[name] = str(error)
        except Exception as error:
            # The class says enough; a message could hold an address with a password in it.
            result[name] = f"unavailable ({type(error).__name__})"
    ready = all(value == "ok" for value in result.values())
    return JsonResponse(result, status=200 if ready else 503)
