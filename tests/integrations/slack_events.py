"""For tests of what Slack tells by events: the stand-in sends them in the background, so one waits for them."""

from __future__ import annotations

import secrets
import time
from typing import Any

import requests

from approvals.models import Effect
from approvals.models.outbox import EffectKind
from integrations.effects import HANDLERS
from integrations.outbox import deliver_due
from tests import blockkit
from tests.integrations.slack_fixtures import Slack

JSON = dict[str, Any]


def heard(slack: Slack, event: str, count: int = 1) -> None:
    """Wait until the product has answered so many events of this type."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        sent = [each for each in slack.get("deliveries") if each["what"] == f"event {event}"]
        if len(sent) >= count:
            assert all(each["status"] == 200 for each in sent), sent
            return
        time.sleep(0.02)
    raise AssertionError(f"{event} was not sent {count} times: {slack.get('deliveries')}")


def deliver(*kinds: EffectKind) -> list[Effect]:
    """What a worker does, for effects of these kinds alone; returns them."""
    Effect.objects.exclude(kind__in=kinds).delete()
    Effect.objects.update(due_at="2026-01-01T00:00:00Z")
    deliver_due(HANDLERS, seconds=20)
    return list(Effect.objects.order_by("pk"))


def home_of(slack: Slack, user: str) -> JSON | None:
    """The Home view that somebody sees; it is valid."""
    views = requests.get(f"{slack.url}/_sandbox/views", timeout=10).json()
    home: JSON | None = views["homes"].get(user)
    if home is not None:
        kept = {key: home[key] for key in blockkit.VIEW_KEYS & home.keys()}
        blockkit.validate_view(
            {key: value for key, value in kept.items() if value not in (None, "")}
        )
    return home


def event(user: str, what: JSON, **envelope: Any) -> JSON:
    """An event in its envelope, as Slack would send it."""
    return {
        "token": "x",
        "team_id": "T0ACME",
        "api_app_id": "A0COUNTERSIGN",
        "event": {"user": user, "event_ts": "1795000000.000100", **what},
        "type": "event_callback",
        "event_id": f"Ev{secrets.token_hex(5)}",
        "event_time": 1795000000,
        "is_ext_shared_channel": False,
        **envelope,
    }


def send(slack: Slack, envelope: JSON, **headers: str) -> None:
    """Send an event in the foreground; the product takes it."""
    said = slack.post("send_raw", json=envelope, headers=headers)
    assert said["status"] == 200, said
