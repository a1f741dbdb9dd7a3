"""Fixtures of the pages' tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from tests.web.caller import Caller, token_of
from tests.world import World

Browser = Callable[[str], Client]
Api = Callable[[str], Caller]


@pytest.fixture
def browser(world: World) -> Browser:
    """Makes a signed-in client for one of the demo's people."""

    def as_person(username: str) -> Client:
        client = Client()
        client.force_login(world.person(username))
        return client

    return as_person


@pytest.fixture
def api_of(world: World) -> Api:
    """Makes a caller of the API with a new token of one of the demo's people."""
    return lambda username: Caller(token_of(world, username))
