"""Fixtures of the pages' tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from tests.world import World

Browser = Callable[[str], Client]


@pytest.fixture
def browser(world: World) -> Browser:
    """Makes a signed-in client for one of the demo's people."""

    def as_person(username: str) -> Client:
        client = Client()
        client.force_login(world.person(username))
        return client

    return as_person
