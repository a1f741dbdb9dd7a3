"""A target with rules for signals, and a rollout in steps, to send readings at."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import count
from typing import Any

from django.utils import timezone

from approvals import services
from approvals.models import Deployment, Effect, Event, Promotion, Signal, Target
from approvals.services.signals import Recorded
from approvals.states import Via
from tests.world import World

CANARY = {
    "kind": "canary",
    "steps": [
        {"percent": 10, "wait": 600, "advance": False, "analysis": []},
        {"percent": 50, "wait": 600, "advance": False, "analysis": []},
        {"percent": 100, "wait": 0, "advance": False, "analysis": []},
    ],
}


def rule(
    then: str = "roll_back", above: str = "0.05", times: int = 1, **more: Any
) -> dict[str, Any]:
    return {
        "signal": "error_rate",
        "above": above,
        "below": "",
        "times": times,
        "then": then,
        **more,
    }


def rules(world: World, *found: dict[str, Any]) -> Target:
    target = world.target()
    target.signals = list(found)
    target.save(update_fields=["signals"])
    return target


def two_live(world: World) -> Deployment:
    """v1 was live, v2 is."""
    world.make_live(world.version(1))
    return world.make_live(world.version(2))


NUMBERS = count()


def send(world: World, value: str = "0.09", **more: Any) -> Recorded:
    """One reading, unlike any other unless the test says so."""
    return services.record_signal(
        **{
            "actor": world.person("ci"),
            "via": Via.API,
            "target_id": world.target().pk,
            "name": "error_rate",
            "value": value,
            "key": f"reading-{next(NUMBERS)}",
            **more,
        }
    )


def written() -> tuple[int, ...]:
    """What a signal that does nothing must not change."""
    kinds = ["promotion.requested", "deployment.aborting"]
    return (
        Promotion.objects.count(),
        Deployment.objects.count(),
        Effect.objects.filter(kind__in=["dispatch", "gather_facts"]).count(),
        Event.objects.filter(kind__in=kinds).count(),
    )


def roll_out(world: World, strategy: dict[str, Any] | None = None, number: int = 3) -> Deployment:
    """The new version's rollout, approved and not begun."""
    target = world.target()
    target.strategy = CANARY if strategy is None else strategy
    target.save(update_fields=["strategy"])
    return world.approve(world.request(world.version(number)))


def step(world: World, deployment: Deployment, run_id: int, *, ends: bool = True) -> Deployment:
    """Dispatch the step in hand, and let its run succeed."""
    deployment.refresh_from_db()
    in_hand = deployment.step
    assert in_hand is not None
    order = services.begin_dispatch(
        deployment_id=deployment.pk,
        observed=None if in_hand.goes_back else world.observed(deployment.version),
        step=in_hand.ordinal,
    )
    assert order is not None
    services.record_dispatched(
        deployment_id=deployment.pk, run_id=run_id, url=f"http://127.0.0.1:9/runs/{run_id}"
    )
    if ends:
        services.record_run(
            facts=world.run_facts(deployment, run_id, title=f"Deploy [{in_hand.token}]")
        )
    return Deployment.objects.get(pk=deployment.pk)


def next_step(deployment: Deployment) -> None:
    """The wait of the step in hand is over."""
    services.advance_due(now=timezone.now() + timedelta(hours=1))


def ago(**parts: float) -> datetime:
    return timezone.now() - timedelta(**parts)


def live_for(world: World, minutes: int = 30) -> None:
    """As if what is live had been so for a while."""
    target = world.target()
    target.live_since = ago(minutes=minutes)
    target.save(update_fields=["live_since"])


def events(kind: str) -> list[str]:
    return [
        str(each.data.get("detail", "")) for each in Event.objects.filter(kind=kind).order_by("id")
    ]


def alerts() -> list[str]:
    return [
        str(each.payload["text"]) for each in Effect.objects.filter(kind="alert").order_by("id")
    ]


def outcomes() -> list[str]:
    return list(Signal.objects.order_by("id").values_list("outcome", flat=True))
