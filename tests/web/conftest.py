"""Fixtures of the pages' tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from tests.world import World

Browser = Callable[[str], Client]


@pytest.fixture(autouse=True)
def static_folder(settings: Settings, tmp_path: Path) -> None:
    """Whitenoise warns about a missing folder; nothing is collected for tests."""
    settings.STATIC_ROOT = tmp_path


@pytest.fixture
def browser(world: World) -> Browser:
    """Makes a signed-in client for one of the demo's people."""

    def as_person(username: str) -> Client:
        client = Client()
        client.force_login(world.person(username))
        return client

    return as_person
