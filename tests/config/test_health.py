"""``/healthz`` and ``/readyz``."""

from __future__ import annotations

from datetime import timedelta

import pytest
from celery import current_app
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from config import health
from integrations.models import Heartbeat


@pytest.mark.django_db
def test_alive_and_ready(client: Client) -> None:
    assert client.get("/healthz").content == b"ok\n"
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {
        "database": "ok",
        "broker": "ok",
        "worker": "no heartbeat from a worker in the last 35 seconds",
    }
    beat = Heartbeat.objects.create(name="worker", at=timezone.now())
    answer = client.get("/readyz")
    assert answer.status_code == 200 and set(answer.json().values()) == {"ok"}
    beat.at = timezone.now() - timedelta(seconds=36)
    beat.save()
    assert client.get("/readyz").status_code == 503


def test_what_is_down_is_named_without_its_address(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down() -> None:
        raise OperationalError("connection to postgresql://user:password@db.internal failed")

    for name in health.CHECKS:
        monkeypatch.setitem(health.CHECKS, name, down)
    assert client.get("/healthz").status_code == 200, "alive all the same"
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == dict.fromkeys(health.CHECKS, "unavailable (OperationalError)")


def test_an_unreachable_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(current_app.conf, "broker_url", "redis://127.0.0.1:9/0")
    monkeypatch.setattr(current_app.conf, "broker_write_url", "redis://127.0.0.1:9/0")
    began = timezone.now()
    with pytest.raises(Exception, match="refused"):
        health._broker()
    assert timezone.now() - began < timedelta(seconds=8)
