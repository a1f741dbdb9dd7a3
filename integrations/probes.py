"""One harmless look at a connection, for the button that tests it. Nothing is written anywhere, and nothing that
is secret comes back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from celery import current_app
from django.conf import settings

from approvals.models import Repository, Target
from integrations.errors import Rejected, Unavailable, outside_transaction, why
from integrations.github.client import read
from integrations.hints import hint_for
from integrations.polled import slack_teams
from integrations.redaction import redacted


@dataclass(frozen=True)
class Outcome:
    """How a test went: ``said`` in one sentence, ``hint`` what to do, ``took`` milliseconds."""

    ok: bool
    said: str
    took: int
    hint: str = ""


class Unknown(Exception):
    """There is no such connection."""


def probe(service: str, key: str) -> Outcome:
    """Test a connection. Raises Unknown; every answer and failure is an :class:`Outcome`. Must run outside of a
    transaction."""
    outside_transaction()
    look = PROBES.get(service)
    if look is None:
        raise Unknown
    began = time.monotonic()
    try:
        said, ok = look(key), True
    except (Unavailable, Rejected) as error:
        said, ok = str(error), False
    took = int((time.monotonic() - began) * 1000)
    said = redacted(said)
    return Outcome(ok, said, took, "" if ok else hint_for(said))


def _mlflow(key: str) -> str:
    from integrations.mlflow.client import mlflow

    with mlflow() as client:
        found = client.search_registered_models(max_results=1)
    return "MLflow lists its registered models." if found else "MLflow answers; it has no models."


def _github(key: str) -> str:
    """The limit costs nothing to ask for; of a repository also whether it may be read and written."""
    if key and not Repository.objects.filter(name=key, is_active=True).exists():
        raise Unknown
    limits = read("/rate_limit").data
    core = limits.get("resources", {}).get("core", {}) if isinstance(limits, dict) else {}
    left = f"{int(core.get('remaining') or 0):,} of {int(core.get('limit') or 0):,} calls are left"
    if not key:
        return f"GitHub answers: {left} this hour."
    found = read(f"/repos/{key}").data
    branch = str(found.get("default_branch") or "unknown")[:100]
    return f"{key} can be read (its default branch is {branch}); {left} this hour."


def _slack(key: str) -> str:
    from integrations.slack.client import slack

    if key not in slack_teams():
        raise Unknown
    with slack(team=key) as client:
        answer = client.auth_test()
    return f"Slack knows us as {answer.get('user')} in the workspace {answer.get('team')}."


def _socket(key: str) -> str:
    from integrations.slack import socket_mode

    if not settings.SLACK_APP_TOKEN:
        raise Unknown
    socket_mode.address()
    return "Slack would open a connection for Socket Mode."


def _mail(key: str) -> str:
    from integrations.mail.client import connected, is_configured

    if not is_configured():
        raise Unknown
    with connected() as server:
        code = server.connection.noop()[0] if server.connection else 0
    if code != 250:
        raise Unavailable(f"The mail server answered {code} to NOOP.")
    return "The mail server takes our sign-in and answers."


def _serving(key: str) -> str:
    from integrations.serving.health import read_served

    target = Target.objects.filter(pk=int(key), is_active=True).first() if key.isdigit() else None
    if target is None or not target.health_url:
        raise Unknown
    number = read_served(target.health_url)
    return f"The serving layer at {host_of(target.health_url)} says that it serves v{number}."


def _redis(key: str) -> str:
    try:
        with current_app.connection_for_write(transport_options={"socket_timeout": 2}) as broker:
            broker.ensure_connection(max_retries=1, timeout=2)
    except Exception as error:  # kombu's transports raise their own
        raise Unavailable(f"Redis could not be reached ({why(error)}).") from None
    return "Redis answers."


PROBES: dict[str, Callable[[str], str]] = {
    "mlflow": _mlflow,
    "github": _github,
    "slack": _slack,
    "socket": _socket,
    "mail": _mail,
    "serving": _serving,
    "redis": _redis,
}


def host_of(address: str) -> str:
    """An address by its host and port alone: user, password and query may be secrets."""
    parts = urlsplit(address)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.hostname or ''}{port}"
