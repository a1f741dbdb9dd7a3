"""Races on real PostgreSQL: threads let loose by a barrier, many rounds. Exactly one settlement, always."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from django.db import connection

from approvals import services
from approvals.audit import verify_history
from approvals.models import Deployment, Effect, Event, Promotion, Review
from approvals.models.outbox import EffectKind
from approvals.services import Refused
from approvals.states import DeploymentStatus, PromotionStatus, Verdict, Via
from tests.world import World

ROUNDS = 8
Act = Callable[[], object]


def race(*acts: Act) -> list[str]:
    """Run all at once; each one's outcome: ``done``, a refusal's code, or an unexpected error's name."""
    barrier = threading.Barrier(len(acts))
    outcomes: list[str] = ["" for _ in acts]

    def run(index: int, act: Act) -> None:
        try:
            connection.ensure_connection()
            barrier.wait(timeout=10)
            act()
            outcomes[index] = "done"
        except Refused as refusal:
            outcomes[index] = refusal.code
        except Exception as error:
            outcomes[index] = repr(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    return outcomes


def settlements(promotion: Promotion) -> list[str]:
    kinds = [f"promotion.{status}" for status in PromotionStatus.values if status != "pending"]
    return list(
        Event.objects.filter(promotion=promotion, kind__in=kinds).values_list("kind", flat=True)
    )


def dispatches(promotion: Promotion) -> int:
    return Effect.objects.filter(promotion=promotion, kind=EffectKind.DISPATCH).count()


def fresh(world: World, round_: int) -> Promotion:
    """A sealed request of a version of its own, with nothing else pending or under way."""
    for deployment in Deployment.objects.filter(status=DeploymentStatus.QUEUED):
        services.close_overdue(now=deployment.promotion.grant_lapses_at)
    return world.request(world.version(10 + round_))


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_approve_against_cancel(committed_world: World, round_: int) -> None:
    world = committed_world
    promotion = fresh(world, round_)
    world.review(promotion, "carol")

    outcomes = race(
        lambda: world.review(promotion, "bob"),
        lambda: services.cancel(
            actor=world.person("alice"), via=Via.BROWSER, promotion_id=promotion.pk
        ),
    )
    assert sorted(outcomes) == ["already_decided", "done"], outcomes
    assert len(settlements(promotion)) == 1
    approved = settlements(promotion) == ["promotion.approved"]
    assert dispatches(promotion) == (1 if approved else 0)


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_two_threads_decide_one_promotion(committed_world: World, round_: int) -> None:
    """One last approval against one rejection: one settles it, the other is refused."""
    world = committed_world
    version = world.version(10 + round_)
    promotion = world.request(version, target=world.target("staging"))
    _add_lead(world, "dave")
    outcomes = race(
        lambda: world.review(promotion, "bob"),
        lambda: world.review(promotion, "dave", Verdict.REJECT),
    )
    assert sorted(outcomes) == ["already_decided", "done"], outcomes
    assert len(settlements(promotion)) == 1
    approved = settlements(promotion) == ["promotion.approved"]
    assert dispatches(promotion) == Deployment.objects.filter(promotion=promotion).count()
    assert dispatches(promotion) == (1 if approved else 0)


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_the_two_last_voters(committed_world: World, round_: int) -> None:
    """Quorum two with two simultaneous votes: approved, one deployment, one dispatch."""
    world = committed_world
    promotion = fresh(world, round_)
    outcomes = race(
        lambda: world.review(promotion, "bob"), lambda: world.review(promotion, "carol")
    )
    assert outcomes == ["done", "done"]
    assert settlements(promotion) == ["promotion.approved"]
    assert Deployment.objects.filter(promotion=promotion).count() == 1
    assert dispatches(promotion) == 1


def test_the_same_person_over_two_doors(committed_world: World) -> None:
    world = committed_world
    promotion = fresh(world, 0)
    outcomes = race(
        lambda: world.review(promotion, "bob", via=Via.BROWSER),
        lambda: world.review(promotion, "bob", via=Via.SLACK),
        lambda: world.review(promotion, "bob", via=Via.SLACK),
    )
    assert sorted(outcomes) == ["already_reviewed", "already_reviewed", "done"]
    assert Review.objects.filter(promotion=promotion).count() == 1


def test_approve_against_expire_and_two_beats(committed_world: World) -> None:
    world = committed_world
    for round_ in range(ROUNDS):
        promotion = fresh(world, round_)
        world.review(promotion, "carol")
        end = promotion.expires_at
        outcomes = race(
            lambda p=promotion: world.review(p, "bob"),  # type: ignore[misc]
            lambda e=end: services.close_overdue(now=e),  # type: ignore[misc]
            lambda e=end: services.close_overdue(now=e),  # type: ignore[misc]
        )
        assert outcomes[0] in {"done", "already_decided"}
        assert outcomes[1:] == ["done", "done"]
        assert len(settlements(promotion)) == 1


def test_two_requests_for_one_target(committed_world: World) -> None:
    world = committed_world
    versions = [world.version(20), world.version(21)]
    outcomes = race(*[_ask(world, version.pk) for version in versions for _ in range(2)])
    assert set(outcomes) <= {"done", "already_pending"}
    assert Promotion.objects.filter(status=PromotionStatus.PENDING).count() == 1


def test_two_workers_begin_one_dispatch(committed_world: World) -> None:
    world = committed_world
    deployment = world.approve(fresh(world, 0))
    observed = world.observed(deployment.version)
    orders: list[object] = []

    def begin() -> None:
        orders.append(services.begin_dispatch(deployment_id=deployment.pk, observed=observed))

    assert race(begin, begin, begin) == ["done"] * 3
    assert sum(order is not None for order in orders) == 1


def test_the_history_stays_one_chain(committed_world: World) -> None:
    world = committed_world
    first, second = world.request(world.version(1, "churn-predictor")), fresh(world, 0)
    race(*[_review(world, each, name) for each in (first, second) for name in ("bob", "carol")])
    assert verify_history().broken_at is None
    assert Promotion.objects.filter(status=PromotionStatus.APPROVED).count() == 2


def _ask(world: World, version_id: int) -> Act:
    return lambda: services.request_promotion(
        actor=world.person("alice"),
        via=Via.BROWSER,
        target_id=world.target().pk,
        version_id=version_id,
        reason="Because.",
    )


def _review(world: World, promotion: Promotion, name: str) -> Act:
    return lambda: world.review(promotion, name)


def _add_lead(world: World, name: str) -> None:
    from approvals.models import Team

    Team.objects.get(slug="ml-leads").members.add(world.person(name))


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_lock_against_the_dispatch_and_another_lock(committed_world: World, round_: int) -> None:
    """Whichever comes first holds: nothing is started once the lock is there."""
    world = committed_world
    promotion = fresh(world, round_)
    deployment = world.approve(promotion)

    def lock(name: str) -> None:
        services.lock(
            actor=world.person(name),
            via=Via.BROWSER,
            target_id=promotion.target_id,
            reason="Stop everything.",
        )

    def dispatch() -> None:
        services.begin_dispatch(
            deployment_id=deployment.pk, observed=world.observed(promotion.version)
        )

    outcomes = race(lambda: lock("bob"), dispatch, lambda: lock("carol"))
    assert outcomes[1] == "done"
    assert sorted([outcomes[0], outcomes[2]]) == ["already_restricted", "done"]
    kinds = list(Event.objects.order_by("id").values_list("kind", flat=True))
    deployment.refresh_from_db()
    if deployment.status == DeploymentStatus.DISPATCHING:
        assert kinds.index("deployment.dispatching") < kinds.index("target.locked")
    else:
        assert (deployment.status, deployment.dispatches) == (DeploymentStatus.FAILED, 0)
        assert "deployment.dispatching" not in kinds
    assert kinds.count("target.locked") == 1
    assert verify_history().broken_at is None
