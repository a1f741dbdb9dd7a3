"""Steering deliveries over the API: the verbs' own rules, in JSON."""

from __future__ import annotations

import pytest

from approvals.api.deliveries import VERBS
from approvals.models import Deployment, Event
from approvals.rollouts import PlanStep
from approvals.states import DeploymentStatus
from tests.web.caller import refuses
from tests.web.conftest import Api
from tests.world import World

D = DeploymentStatus


def path(deployment: Deployment, action: str) -> str:
    return f"promotions/{deployment.promotion_id}/deployment/{action}"


@pytest.fixture
def rolling(world: World) -> Deployment:
    world.make_live(world.version(1))
    world.strategy(PlanStep(10, advance=True), PlanStep(50), PlanStep(100))
    return world.step(world.approve(world.request(world.version(2))))


def test_a_rollout_is_steered(world: World, api_of: Api, rolling: Deployment) -> None:
    bob = api_of("bob")
    status, told = bob("POST", path(rolling, "advance"))
    refuses(lambda: bob("POST", path(rolling, "advance")), 409, "nothing_to_advance")
    assert (status, told["deployment"]["percent"]) == (200, 10)
    assert told["deployment"]["strategy"] == "canary: 10 → 50 → 100 %"
    assert [each["percent"] for each in told["deployment"]["steps"]] == [10, 50]
    refuses(
        lambda: bob("POST", path(rolling, "abort"), {"reason": " "}),
        422,
        "reason_missing",
        "reason",
    )
    status, told = bob("POST", path(rolling, "abort"), {"reason": "Complaints."})
    assert (status, told["deployment"]["aborting"]) == (200, "Aborted by Bob Brandt: Complaints.")
    assert told["deployment"]["steps"][-1]["goes_back"]


@pytest.mark.parametrize("action", VERBS)
def test_strangers_steer_nothing(
    world: World, api_of: Api, rolling: Deployment, action: str
) -> None:
    mallory = api_of("mallory")
    before = Event.objects.count()
    status, _ = mallory("POST", path(rolling, action), {"reason": "Mine.", "seal": "0" * 64})
    assert status in {403, 409}
    assert Event.objects.count() == before


def test_what_is_not_there(world: World, api_of: Api, rolling: Deployment) -> None:
    bob = api_of("bob")
    refuses(lambda: bob("POST", path(rolling, "explode")), 404, "unknown_action")
    refuses(lambda: bob("POST", "promotions/999999/deployment/advance"), 404, "unknown_promotion")
    refuses(
        lambda: bob("POST", f"promotions/{10**30}/deployment/advance"), 404, "unknown_promotion"
    )
    pending = world.request(world.version(3))
    refuses(
        lambda: bob("POST", f"promotions/{pending.pk}/deployment/advance"),
        404,
        "unknown_deployment",
    )


def test_the_queue(world: World, api_of: Api) -> None:
    world.make_live(world.version(1))
    queue = [world.approve(world.request(world.version(number))) for number in (2, 3)]
    first, second = (each.promotion_id for each in queue)
    address = "targets/fraud-detector/production/queue"
    alice, bob = api_of("alice"), api_of("bob")
    status, told = alice("GET", address)
    assert (status, [each["version"] for each in told["queue"]]) == (200, [2, 3])
    refuses(lambda: alice("PUT", address, {"promotions": [second]}), 403, "may_not_reorder")
    refuses(lambda: bob("PUT", address, {"promotions": [77777]}), 409, "not_queued")
    status, told = bob("PUT", address, {"promotions": [second, first]})
    assert [each["promotion"] for each in told["queue"]] == [second, first]
