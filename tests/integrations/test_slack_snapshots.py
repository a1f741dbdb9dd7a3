"""The one message in every state reads as somebody reviewed it, and Slack would take it."""

from __future__ import annotations

import pytest

from approvals.models import Promotion
from integrations.slack.messages import render
from tests import blockkit
from tests.integrations.message_scenes import Scene, scenes
from tests.snapshots import assert_snapshot
from tests.world import World


@pytest.mark.parametrize(("name", "made"), scenes().items(), ids=scenes())
def test_the_message(world: World, name: str, made: Scene) -> None:
    content = render(Promotion.objects.get(pk=made(world).pk))
    blockkit.validate_message(content)
    buttons = content["blocks"][-1]["elements"]
    assert 1 <= len(buttons) <= 5
    assert_snapshot(f"messages/{name}", content)
