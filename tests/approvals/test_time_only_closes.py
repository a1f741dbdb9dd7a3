"""Time only closes, but for what is about time: soaking, freezes, schedules, delegations."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from approvals import services
from approvals.models import Effect, Event, Promotion, Review
from approvals.services import Refused
from approvals.states import Via
from tests.world import World

SEAL = "s" * 64
TEAMS = ["a", "b", "c"]
REQUESTER = 0
# -- time ----------------------------------------------------------------------------------------------


def outcome(world: World, promotion: Promotion, name: str, now: datetime) -> str:
    """What an approval at ``now`` would come to; undone again."""
    counts = [each.objects.count() for each in (Review, Event, Effect)]
    with transaction.atomic():
        try:
            world.review(promotion, name, now=now)
            said = "done"
        except Refused as refused:
            said = refused.code
            assert [each.objects.count() for each in (Review, Event, Effect)] == counts
        transaction.set_rollback(True)
    return said


PEOPLE = ("alice", "bob", "carol", "dave")
LATER = (timedelta(0), timedelta(hours=71), timedelta(days=3), timedelta(days=40))


def nothing(world: World, promotion: Promotion) -> None:
    """As it was asked."""


def half_decided(world: World, promotion: Promotion) -> None:
    world.review(promotion, "bob")


def locked(world: World, promotion: Promotion) -> None:
    who: dict[str, Any] = {"actor": world.person("bob"), "via": Via.BROWSER, "reason": "Drift."}
    services.lock(**who, target_id=promotion.target_id)


def in_dispute(world: World, promotion: Promotion) -> None:
    services.record_facts_problem(promotion_id=promotion.pk, problem="The artifact is gone.")


def lent(world: World, promotion: Promotion) -> None:
    services.delegate(
        actor=world.person("bob"),
        via=Via.BROWSER,
        delegate_id=world.person("dave").pk,
        until=timezone.now() + timedelta(hours=48),
    )


def failing(world: World, promotion: Promotion) -> None:
    gates = [{"kind": "metric", "metric": "auc", "at_least": "0.99", "at_most": ""}]
    promotion.policy = {**promotion.policy, "gates": gates}
    promotion.save(update_fields=["policy"])


@pytest.mark.parametrize("make", [nothing, half_decided, locked, in_dispute, lent, failing])
def test_time_only_closes(world: World, make: Callable[[World, Promotion], None]) -> None:
    """Waiting turns no refusal into an approval: neither for the one who asked nor for anybody else."""
    promotion = world.request()
    make(world, promotion)
    start = timezone.now() + timedelta(seconds=1)
    seen = {name: [outcome(world, promotion, name, start + at) for at in LATER] for name in PEOPLE}
    for name, outcomes in seen.items():
        opened = [before for before, after in pairwise(outcomes) if after == "done"]
        assert all(before == "done" for before in opened), (name, outcomes)
        assert outcomes[-2:] == ["expired", "expired"]
    first = {"nothing": "done", "lent": "done", "half_decided": "already_reviewed"}
    assert seen["bob"][0] == first.get(make.__name__, "blocked")
    assert (seen["dave"][0] == "done") == (make is lent)
    assert seen["dave"][2] != "done", "the delegation is over"


@pytest.mark.parametrize("what", ["soak", "freeze", "schedule", "delegation"])
def test_what_time_does_open(world: World, what: str) -> None:
    """The four things that wait for a moment, and no sooner than that."""
    version, now = world.version(), timezone.now()
    bob, hours = world.person("bob"), timedelta(hours=10)
    target = world.target()
    if what == "soak":
        live = world.make_live(version, "staging")
        assert live.finished_at is not None
        target.policy["gates"] = [{"kind": "live_in", "environment": "staging", "seconds": 36000}]
        target.save()
        now = live.finished_at
    promotion = world.request(version)
    who: dict[str, Any] = {"actor": bob, "via": Via.BROWSER}
    if what in {"freeze", "schedule"}:
        services.freeze(
            **who,
            environment_id=target.environment_id,
            reason="Audit.",
            ends_at=now + hours,
            now=now,
        )
    name = "bob"
    if what == "delegation":
        name = "dave"
        services.delegate(
            **who,
            delegate_id=world.person("dave").pk,
            begins_at=now + hours,
            until=now + 2 * hours,
            now=now,
        )
    if what == "schedule":
        assert outcome(world, promotion, "bob", now) == "blocked"
        services.schedule(**who, promotion_id=promotion.pk, run_at=now + hours, now=now)
        assert outcome(world, promotion, "bob", now) == "done", "it would run after the freeze"
        return
    shut = "not_in_team" if what == "delegation" else "blocked"
    moment = timedelta(seconds=1)
    assert outcome(world, promotion, name, now) == shut
    assert outcome(world, promotion, name, now + hours - moment) == shut
    assert outcome(world, promotion, name, now + hours) == "done"
