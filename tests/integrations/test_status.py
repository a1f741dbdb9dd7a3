"""The sentences that every page shows while something is wrong."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from approvals.models import Effect
from integrations.models import Heartbeat, Poll
from integrations.status import notices
from tests.world import World


@pytest.fixture(autouse=True)
def no_demo(settings: Settings) -> None:
    """The demo's own notice is tested by itself."""
    settings.SANDBOX = False


def alive() -> None:
    Heartbeat.objects.update_or_create(name="worker", defaults={"at": timezone.now()})


def test_all_is_well(world: World) -> None:
    alive()
    assert notices() == []


def test_no_worker(world: World) -> None:
    assert "No worker has been seen yet" in notices()[0]
    Heartbeat.objects.create(name="worker", at=timezone.now() - timedelta(minutes=5))
    assert "What you decide is kept" in notices()[0]
    client = Client()
    client.force_login(world.person("alice"))
    assert "No worker has been seen since" in client.get("/").content.decode()


def test_services_that_cannot_be_read(world: World) -> None:
    alive()
    now = timezone.now()
    for kind, key, failures in (("mlflow", "", 3), ("repository", "a/b", 4), ("run", "a/b#1", 1)):
        Poll.objects.create(
            kind=kind, key=key, due_at=now, failures=failures, last_error="It is down."
        )
    assert notices() == [
        "MLflow cannot be read (It is down); nothing of it is known yet.",
        "GitHub cannot be read (It is down); nothing of it is known yet.",
    ]


@pytest.mark.parametrize("kind", ["announce", "alert"])
def test_messages_that_wait(world: World, kind: str) -> None:
    alive()
    promotion = world.request()
    Effect.objects.filter(promotion=promotion).update(
        kind=kind,
        attempts=5,
        last_error="Slack could not be reached.",
        created_at=timezone.now() - timedelta(minutes=2),
    )
    assert notices() == [
        "Slack's messages wait: Slack could not be reached. They are delivered later."
    ]


def test_the_demo_says_when_it_is_not_ready(world: World, settings: Settings) -> None:
    alive()
    settings.SANDBOX = True
    assert "still being prepared" in notices()[0]
    world.make_live(world.version(1))
    assert notices() == []


def test_visitors_are_told_nothing(db: None) -> None:
    assert "No worker" not in Client().get("/accounts/login/").content.decode()
