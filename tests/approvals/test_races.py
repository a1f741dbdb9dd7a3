"""Races on real PostgreSQL: threads let loose by a barrier, many rounds. Exactly one settlement, always."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from approvals import services
from approvals.audit import verify_history
from approvals.models import Deployment, Effect, Event, Freeze, Promotion, Review
from approvals.models.outbox import EffectKind
from approvals.services import Refused
from approvals.services.delivery import NotYet
from approvals.services.protection import AskingRun
from approvals.services.reviews import Answer
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


# -- more pairs, each for some rounds in one database ------------------------------------------------------

SOME = range(4)


def one_settlement(promotion: Promotion, outcomes: list[str]) -> str:
    """Settled exactly once, dispatched only when approved, in one unbroken history; returns as what."""
    [kind] = settlements(promotion)
    approved = kind == "promotion.approved"
    assert dispatches(promotion) == (1 if approved else 0), outcomes
    assert Deployment.objects.filter(promotion=promotion).count() == (1 if approved else 0)
    promotion.refresh_from_db()
    assert kind == f"promotion.{promotion.status}"
    assert verify_history().broken_at is None
    return kind


def lend(world: World, lender: str, delegate: str) -> None:
    services.delegate(
        actor=world.person(lender),
        via=Via.BROWSER,
        delegate_id=world.person(delegate).pk,
        until=timezone.now() + timedelta(days=1),
    )


def test_the_last_approval_against_a_newer_request(committed_world: World) -> None:
    world = committed_world
    for round_ in SOME:
        promotion = fresh(world, 2 * round_)
        newer = world.version(11 + 2 * round_)
        world.review(promotion, "carol")
        outcomes = race(lambda p=promotion: world.review(p, "bob"), _ask(world, newer.pk))  # type: ignore[misc]
        assert outcomes[0] in {"done", "already_decided"} and outcomes[1] == "done", outcomes
        kind = one_settlement(promotion, outcomes)
        assert (kind == "promotion.approved") == (outcomes[0] == "done")
        waiting = Promotion.objects.get(status=PromotionStatus.PENDING)
        assert waiting.version == newer


def test_two_people_decide_the_same_list(committed_world: World) -> None:
    """In opposite orders, at different targets: no deadlock, each one's word counts once."""
    world = committed_world
    for round_ in SOME:
        one = fresh(world, round_)
        other = world.request(world.version(10 + round_, "churn-predictor"))
        items = {each.pk: each.seal for each in (one, other)}
        answers: dict[str, list[Answer]] = {}

        def decide(name: str, order: int, items: dict[int, str] = items) -> None:
            answers[name] = services.review_many(  # noqa: B023
                actor=world.person(name),
                via=Via.BROWSER,
                verdict=Verdict.APPROVE,
                items=dict(list(items.items())[::order]),
            )

        outcomes = race(lambda: decide("bob", 1), lambda: decide("carol", -1))
        assert outcomes == ["done", "done"], outcomes
        assert all(each.refused is None for said in answers.values() for each in said), answers
        for promotion in (one, other):
            assert one_settlement(promotion, outcomes) == "promotion.approved"
            assert promotion.reviews.count() == 2


def test_two_beats_remind_approve_and_close_once(committed_world: World) -> None:
    world = committed_world
    target = world.target()
    target.policy |= {"remind_after": 60, "escalate_after": 60, "escalate_to": "platform"}
    target.save()
    gate = {"kind": "metric", "metric": "auc", "at_least": "0.99", "at_most": ""}
    staging = world.target("staging")
    staging.policy |= {"automatic": True, "promote": [], "gates": [gate]}
    staging.save()
    for round_ in SOME:
        promotion = fresh(world, round_)
        automatic = world.request(world.version(10 + round_), target=world.target("staging"))
        assert automatic.is_pending
        # As if its gate passed by time: from now on the beat may approve it.
        Promotion.objects.filter(pk=automatic.pk).update(policy={**automatic.policy, "gates": []})
        now = promotion.requested_at + timedelta(seconds=61)
        assert set(race(*[lambda: services.remind_due(now=now)] * 3)) == {"done"}  # noqa: B023
        assert set(race(*[lambda: services.approve_due(now=now)] * 3)) == {"done"}  # noqa: B023
        told = Event.objects.filter(promotion=promotion).values_list("kind", flat=True)
        for kind in ("promotion.reminded", "promotion.escalated"):
            assert list(told).count(kind) == 1
        assert one_settlement(automatic, []) == "promotion.approved"
        end = promotion.expires_at
        assert set(race(*[lambda: services.close_overdue(now=end)] * 3)) == {"done"}  # noqa: B023
        assert one_settlement(promotion, []) == "promotion.expired"


def test_breaking_the_glass_against_the_last_approval(committed_world: World) -> None:
    world = committed_world
    target = world.target()
    target.policy |= {"override_team": "platform"}
    target.save()
    for round_ in SOME:
        promotion = fresh(world, round_)
        world.review(promotion, "carol")
        outcomes = race(
            lambda p=promotion: world.review(p, "bob"),  # type: ignore[misc]
            lambda p=promotion: services.override(  # type: ignore[misc]
                actor=world.person("dave"),
                via=Via.BROWSER,
                promotion_id=p.pk,
                seal=p.seal,
                reason="Fraud is under way.",
            ),
        )
        assert sorted(outcomes) == ["already_decided", "done"], outcomes
        assert one_settlement(promotion, outcomes) == "promotion.approved"
        overridden = promotion.overridden_by is not None
        assert overridden == (outcomes[1] == "done")
        kinds = promotion.events.values_list("kind", flat=True)
        assert ("promotion.overridden" in kinds) == overridden


@pytest.mark.parametrize("verdict", Verdict.values)
def test_a_lender_and_their_delegate_at_once(committed_world: World, verdict: str) -> None:
    """Two approvals are one; where both reject, it is rejected once."""
    world = committed_world
    lend(world, "bob", "dave")
    for round_ in SOME:
        promotion = fresh(world, round_)
        outcomes = race(
            lambda p=promotion: world.review(p, "bob", verdict),  # type: ignore[misc]
            lambda p=promotion: world.review(p, "dave", verdict),  # type: ignore[misc]
        )
        assert promotion.reviews.count() == 1
        if verdict == Verdict.REJECT:
            assert sorted(outcomes) == ["already_decided", "done"], outcomes
            assert one_settlement(promotion, outcomes) == "promotion.rejected"
            continue
        assert sorted(outcomes) == ["already_reviewed", "done"], outcomes
        assert settlements(promotion) == []
        world.review(promotion, "carol")
        assert one_settlement(promotion, outcomes) == "promotion.approved"


def _begin(world: World, deployment: Deployment, orders: list[object]) -> Act:
    def begin() -> None:
        try:
            order = services.begin_dispatch(
                deployment_id=deployment.pk, observed=world.observed(deployment.version)
            )
        except NotYet as wait:
            orders.append(str(wait))
        else:
            orders.append(order)

    return begin


def test_setting_a_time_against_the_dispatch(committed_world: World) -> None:
    """Either it was begun and the time is refused, or it waits for its time."""
    world = committed_world
    for round_ in SOME:
        deployment = world.approve(fresh(world, round_))
        orders: list[object] = []
        outcomes = race(
            _begin(world, deployment, orders),
            lambda d=deployment: services.schedule(  # type: ignore[misc]
                actor=world.person("carol"),
                via=Via.BROWSER,
                promotion_id=d.promotion_id,
                run_at=timezone.now() + timedelta(hours=3),
            ),
        )
        assert outcomes[0] == "done" and outcomes[1] in {"done", "already_started"}, outcomes
        deployment.refresh_from_db()
        begun = deployment.status == DeploymentStatus.DISPATCHING
        assert begun == (outcomes[1] == "already_started")
        assert deployment.dispatches == (1 if begun else 0)
        assert begun or str(orders[0]).startswith("Waiting for its time")
        assert one_settlement(deployment.promotion, outcomes) == "promotion.approved"
        _end(deployment)


def test_a_freeze_against_the_dispatch(committed_world: World) -> None:
    """Whichever comes first holds: once the freeze is there, the grant waits."""
    world = committed_world
    for round_ in SOME:
        deployment = world.approve(fresh(world, round_))
        orders: list[object] = []
        placed = race(
            _begin(world, deployment, orders),
            lambda d=deployment: services.freeze(  # type: ignore[misc]
                actor=world.person("bob"),
                via=Via.BROWSER,
                environment_id=d.target.environment_id,
                reason="Audit.",
            ),
        )
        assert placed == ["done", "done"], placed
        deployment.refresh_from_db()
        frozen = Event.objects.filter(kind="environment.frozen").latest("id")
        begun = deployment.promotion.events.filter(kind="deployment.dispatching").first()
        if deployment.status == DeploymentStatus.DISPATCHING:
            assert begun is not None and begun.pk < frozen.pk
        else:
            assert begun is None and str(orders[0]).startswith("Waiting: production is frozen")
            assert (deployment.status, deployment.dispatches) == (DeploymentStatus.QUEUED, 0)
        assert one_settlement(deployment.promotion, placed) == "promotion.approved"
        services.unfreeze(
            actor=world.person("bob"),
            via=Via.BROWSER,
            freeze_id=Freeze.objects.get(lifted_at=None).pk,
            reason="Done.",
        )
        _end(deployment)


def _end(deployment: Deployment) -> None:
    """The target is free for the next round."""
    if deployment.status == DeploymentStatus.DISPATCHING:
        services.record_dispatch_refused(deployment_id=deployment.pk, detail="Not today.")
    else:
        services.stop_dispatch(deployment_id=deployment.pk, problem="Not today.")


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_two_runs_with_one_token_at_githubs_gate(committed_world: World, round_: int) -> None:
    """The answer to the dispatch is still out, and somebody started a second run with its token: one passes."""
    world = committed_world
    deployment = world.approve(fresh(world, round_))
    services.begin_dispatch(
        deployment_id=deployment.pk, observed=world.observed(deployment.version)
    )
    passed: list[int] = []

    def asking(run_id: int) -> Act:
        run = AskingRun(
            repository="acme/ml-models",
            run_id=run_id,
            attempt=1,
            workflow="deploy-model.yml",
            title=f"Deploy [{deployment.promotion.token}]",
            event="workflow_dispatch",
            branch="main",
            actor="mallory",
            url="http://127.0.0.1:9/run",
        )

        def act() -> None:
            answer = services.answer_gate(run=run, environment="production")
            assert answer is not None
            services.record_gate_answer(run=run, answer=answer)
            if answer.passes:
                passed.append(run_id)

        return act

    assert race(asking(5), asking(6)) == ["done", "done"]
    deployment.refresh_from_db()
    assert [deployment.run_id] == passed
    kinds = Event.objects.filter(kind__startswith="gate.").values_list("kind", flat=True)
    assert sorted(kinds) == ["gate.held", "gate.passed"]
    assert verify_history().broken_at is None
