"""What a verb sees that had to wait for the lock: the rows as they are then, every one of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from approvals.models import Person, Review, Target, Team
from approvals.policies import Requirement
from approvals.services import Refused
from approvals.services.locks import lock_promotion, lock_target
from tests.world import World


@contextmanager
def waiting(target: Target, act: Callable[[], object]) -> Iterator[Future[object]]:
    """Runs ``act`` in a thread while this one holds the target's lock; the block runs once ``act`` waits."""

    def run() -> object:
        try:
            return act()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        Target.objects.select_for_update().get(pk=target.pk)
        result = pool.submit(run)
        until = time.monotonic() + 20
        while not _somebody_waits():
            assert time.monotonic() < until and not result.done(), "it did not wait"
        yield result


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
        )
        (count,) = cursor.fetchone()
    return bool(count)


@pytest.mark.parametrize("by", ["target", "promotion"])
def test_what_went_live_meanwhile_is_known(committed_world: World, by: str) -> None:
    world = committed_world
    promotion = world.request(world.version(3))
    target, live = promotion.target, world.version(2)

    @transaction.atomic
    def act() -> object:
        if by == "target":
            return lock_target(target.pk).live_version
        return lock_promotion(promotion.pk).target.live_version

    with waiting(target, act) as result:
        Target.objects.filter(pk=target.pk).update(live_version=live)
    assert result.result() == live


def test_who_was_deactivated_meanwhile_does_not_count(committed_world: World) -> None:
    world = committed_world
    promotion = world.request()
    bob = world.person("bob")
    with waiting(promotion.target, lambda: world.review(promotion, "bob")) as result:
        Person.objects.filter(pk=bob.pk).update(is_active=False)
    with pytest.raises(Refused) as refusal:
        result.result()
    assert refusal.value.code == "inactive"
    assert not Review.objects.filter(promotion=promotion).exists()


def test_more_votes_are_not_more_statements(world: World) -> None:
    """Others wait while a vote is counted: BEGIN, what is locked, read and judged, three rows, COMMIT."""
    team = Team.objects.get(slug="ml-leads")
    people = [Person.objects.create(username=f"lead{number}") for number in range(6)]
    team.members.add(*people)
    world.rules(promote=(Requirement((team.slug,), 6),))
    promotion = world.request()
    counts = []
    for person in people[:5]:
        with CaptureQueriesContext(connection) as captured:
            world.review(promotion, person.username)
        counts.append(len(captured))
    # The first of them is the test's own, which looks for the person. Where nobody has voted, no voters are read.
    assert counts == [15, 16, 16, 16, 16], [each["sql"][:80] for each in captured]
