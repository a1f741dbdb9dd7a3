"""Rollouts from step to step: what each outcome leads to, who may steer, and what never happens."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from approvals import services
from approvals.models import Deployment, Effect, Event, Promotion, Signal, Step
from approvals.models.outbox import EffectKind
from approvals.narrative import sentence_of
from approvals.rollouts import Limit, PlanStep, Strategy, gets_the_new_one, problem_with, share_of
from approvals.selectors.news import TOLD
from approvals.services import Refused
from approvals.services.delivery import NotYet
from approvals.states import DeploymentStatus, StepOutcome, Via
from tests.world import World

D = DeploymentStatus
pytestmark = pytest.mark.django_db


@pytest.fixture
def rolling(world: World) -> Deployment:
    """v1 is live, v2 is approved for a canary of 10, 50 and 100 %."""
    world.make_live(world.version(1))
    world.strategy()
    return world.approve(world.request(world.version(2)))


def orders(deployment: Deployment) -> list[tuple[int | None, int, str]]:
    rows = Step.objects.filter(deployment=deployment).order_by("ordinal")
    return [(each.index, each.percent, each.outcome) for each in rows]


def kinds(deployment: Deployment) -> list[str]:
    events = Event.objects.filter(promotion=deployment.promotion, kind__startswith="deployment.")
    return [
        each.removeprefix("deployment.")
        for each in events.order_by("pk").values_list("kind", flat=True)
    ]


def refused(code: str, verb: Any, deployment: Deployment, actor: Any, **more: Any) -> None:
    before = Event.objects.count(), Step.objects.count(), Effect.objects.count()
    with pytest.raises(Refused) as caught:
        verb(actor=actor, via=Via.BROWSER, deployment_id=deployment.pk, **more)
    assert caught.value.code == code
    assert (Event.objects.count(), Step.objects.count(), Effect.objects.count()) == before


def test_it_climbs_step_by_step_and_goes_live(world: World, rolling: Deployment) -> None:
    one = world.version(1)
    for percent in (10, 50):
        rolling = world.step(rolling)
        assert (rolling.status, rolling.percent) == (D.WAITING, percent)
        assert world.target().live_version == one, "nobody but the last step makes it live"
    rolling = world.step(rolling)
    assert (rolling.status, rolling.percent) == (D.SUCCEEDED, 100)
    assert world.target().live_version == rolling.version
    assert orders(rolling) == [(0, 10, "succeeded"), (1, 50, "succeeded"), (2, 100, "succeeded")]
    assert kinds(rolling) == [
        *["dispatching", "started", "step_succeeded"] * 2,
        *["dispatching", "started", "succeeded"],
    ]
    tokens = list(Step.objects.filter(deployment=rolling).values_list("token", flat=True))
    token = rolling.promotion.token
    assert tokens[0] == token
    later = [re.fullmatch(rf"{token}-([0-9])-[0-9a-f]{{12}}", each) for each in tokens[1:]]
    assert [each and each[1] for each in later] == ["2", "3"]


def test_nobody_foretells_the_token_of_a_step(world: World, rolling: Deployment) -> None:
    """A run started by hand with a guessed token, even before its step is dispatched, is none of ours."""
    rolling = world.step(rolling)
    assert rolling.step is not None
    services.begin_dispatch(
        deployment_id=rolling.pk, observed=world.observed(rolling.version), step=2
    )
    for number, guess in enumerate(("", "-2", "-3", f"-2-{'0' * 12}")):
        token = f"{rolling.promotion.token}{guess}"
        facts = world.run_facts(rolling, 9900 + number, title=f"Deploy [{token}]", actor="mallory")
        services.record_run(facts=facts)
    again = Deployment.objects.select_related("step").get(pk=rolling.pk)
    assert (again.status, again.run_id, again.percent) == (D.DISPATCHING, None, 10)


def test_each_step_says_its_strategy_and_percent(world: World, rolling: Deployment) -> None:
    order = services.begin_dispatch(
        deployment_id=rolling.pk, observed=world.observed(rolling.version)
    )
    assert order is not None
    assert (order.inputs["strategy"], order.inputs["percent"]) == ("canary", "10")
    assert order.inputs["countersign"] == rolling.promotion.token


def test_all_at_once_sends_nothing_new(world: World) -> None:
    deployment = world.approve(world.request(world.version(1)))
    order = services.begin_dispatch(
        deployment_id=deployment.pk, observed=world.observed(deployment.version)
    )
    assert order is not None
    assert not {"strategy", "percent"} & order.inputs.keys()


def test_the_plan_is_sealed(world: World, rolling: Deployment) -> None:
    promotion = rolling.promotion
    assert promotion.facts["strategy"]["kind"] == "canary"
    world.strategy(PlanStep(50), PlanStep(100))
    order = services.begin_dispatch(
        deployment_id=rolling.pk, observed=world.observed(rolling.version)
    )
    rolling.refresh_from_db()
    assert order is None
    assert rolling.status == D.FAILED
    assert "the rollout's steps" in rolling.detail


def test_the_first_version_and_a_rollback_go_all_at_once(world: World) -> None:
    world.strategy()
    first = world.request(world.version(1))
    assert "strategy" not in first.facts
    world.deploy(world.approve(first))
    two = world.approve(world.request(world.version(2)))
    for _ in range(3):
        two = world.step(two)
    rollback = services.request_rollback(
        actor=world.person("bob"),
        via=Via.BROWSER,
        target_id=world.target().pk,
        version_id=world.version(1).pk,
        reason="Worse.",
    )
    assert "strategy" not in world.seal(rollback).facts


def test_a_wait_is_kept(world: World) -> None:
    world.make_live(world.version(1))
    world.strategy(PlanStep(10, wait=600), PlanStep(100))
    rolling = world.step(world.approve(world.request(world.version(2))))
    now = timezone.now()
    assert services.advance_due(now=now + timedelta(minutes=9)) == 0
    assert Step.objects.filter(deployment=rolling).count() == 1
    assert services.advance_due(now=now + timedelta(minutes=11)) == 1
    assert services.advance_due(now=now + timedelta(minutes=11)) == 0, "once"
    assert Step.objects.filter(deployment=rolling).count() == 2


def test_a_person_lets_it_go_on(world: World) -> None:
    world.make_live(world.version(1))
    world.strategy(PlanStep(10, advance=True), PlanStep(100))
    rolling = world.step(world.approve(world.request(world.version(2))))
    assert rolling.paused == "A person decides whether it goes on."
    assert services.advance_due(now=timezone.now() + timedelta(days=9)) == 0
    for name, code in {"alice": "requester", "mallory": "not_in_team"}.items():
        refused(code, services.advance, rolling, world.person(name))
    services.advance(
        actor=world.person("carol"), via=Via.SLACK, deployment_id=rolling.pk, reason="Fine so far."
    )
    refused("nothing_to_advance", services.advance, rolling, world.person("carol"))
    assert world.step(rolling).status == D.SUCCEEDED


def signal(deployment: Deployment, name: str, value: str) -> None:
    now = timezone.now()
    Signal.objects.create(
        target=deployment.target,
        deployment=deployment,
        name=name,
        value=value,
        observed_at=now,
        received_at=now,
        via=Via.API,
    )


@pytest.fixture
def analysed(world: World) -> Deployment:
    """At 10 %, with an analysis of the error rate after ten minutes."""
    world.make_live(world.version(1))
    limit = Limit("error_rate", at_most="0.02")
    world.strategy(PlanStep(10, wait=600, analysis=(limit,)), PlanStep(100))
    return world.step(world.approve(world.request(world.version(2))))


def test_an_analysis_passes(world: World, analysed: Deployment) -> None:
    signal(analysed, "error_rate", "0.01")
    signal(analysed, "latency", "99")
    services.advance_due(now=timezone.now() + timedelta(minutes=11))
    assert world.step(analysed).status == D.SUCCEEDED


def test_an_analysis_fails_at_once(world: World, analysed: Deployment) -> None:
    signal(analysed, "error_rate", "0.021")
    assert services.advance_due() == 1
    analysed.refresh_from_db()
    assert analysed.aborting == (
        "The analysis failed: error_rate at most 0.02 was asked, and it was 0.021."
    )
    ended = world.step(analysed)
    assert (ended.status, ended.percent) == (D.FAILED, 0)
    assert world.target().live_version == world.version(1)


def test_without_readings_a_person_is_asked(world: World, analysed: Deployment) -> None:
    assert services.advance_due(now=timezone.now() + timedelta(minutes=11)) == 1
    analysed.refresh_from_db()
    assert analysed.paused == ("The analysis says nothing: there was no reading of error_rate.")
    assert Step.objects.filter(deployment=analysed).count() == 1


def test_readings_from_before_the_step_count_for_nothing(
    world: World, analysed: Deployment
) -> None:
    signal(analysed, "error_rate", "0.9")
    Signal.objects.update(observed_at=timezone.now() - timedelta(hours=1))
    assert services.advance_due() == 0


@pytest.mark.parametrize(
    ("conclusion", "ends", "outcome"),
    [("failure", D.FAILED, "failed"), ("cancelled", D.CANCELLED, "cancelled")],
)
def test_a_later_step_that_fails_goes_back(
    world: World, rolling: Deployment, conclusion: str, ends: str, outcome: str
) -> None:
    rolling = world.step(world.step(rolling), conclusion)
    assert (rolling.status, rolling.percent) == (D.WAITING, 10)
    assert rolling.aborting
    assert orders(rolling)[1:] == [(1, 50, outcome), (None, 0, "")]
    with pytest.raises(Refused, match="goes back already"):
        services.abort(
            actor=world.person("bob"), via=Via.BROWSER, deployment_id=rolling.pk, reason="x"
        )
    rolling = world.step(rolling)
    assert (rolling.status, rolling.percent) == (ends, 0)
    assert "fraud-detector v1 serves everybody again" in rolling.detail
    assert kinds(rolling)[-1] == "gone_back"
    assert Effect.objects.filter(kind=EffectKind.SET_ALIAS).count() == 1, "only that of v1"


def test_a_first_step_that_fails_changed_nothing(world: World, rolling: Deployment) -> None:
    rolling = world.step(rolling, "failure")
    assert rolling.status == D.FAILED
    assert orders(rolling) == [(0, 10, "failed")]


def test_going_back_that_fails_waits_for_a_person(world: World, rolling: Deployment) -> None:
    rolling = world.step(world.step(world.step(rolling), "failure"), "failure")
    assert (rolling.status, rolling.percent) == (D.WAITING, 10)
    assert rolling.paused.startswith("Going back failed: ")
    assert services.advance_due(now=timezone.now() + timedelta(days=1)) == 0
    refused("nothing_to_advance", services.advance, rolling, world.person("bob"))
    services.abort(
        actor=world.person("bob"), via=Via.BROWSER, deployment_id=rolling.pk, reason="Once more."
    )
    assert world.step(rolling).status == D.CANCELLED


def test_a_way_back_that_never_works_is_settled_by_hand(world: World, rolling: Deployment) -> None:
    rolling = world.step(world.step(rolling))
    refused("not_unconfirmed", services.give_up, rolling, world.person("bob"), reason="Mine.")
    rolling = world.step(world.step(rolling, "failure"), "failure")
    refused("not_in_team", services.give_up, rolling, world.person("mallory"), reason="Mine.")
    refused("reason_missing", services.give_up, rolling, world.person("bob"), reason=" ")
    services.give_up(
        actor=world.person("bob"),
        via=Via.BROWSER,
        deployment_id=rolling.pk,
        reason="The router was set back.",
    )
    rolling.refresh_from_db()
    assert (rolling.status, rolling.percent) == (D.CANCELLED, 0)
    assert rolling.detail == "Taken out of service by hand: The router was set back."
    live = world.target().live_version
    assert live is not None
    assert live.number == 1


def test_aborting_between_steps(world: World, rolling: Deployment) -> None:
    rolling = world.step(rolling)
    for name, code in {"alice": "requester", "mallory": "not_in_team"}.items():
        refused(code, services.abort, rolling, world.person(name), reason="No.")
    refused("reason_missing", services.abort, rolling, world.person("bob"), reason=" ")
    services.abort(
        actor=world.person("bob"), via=Via.SLACK, deployment_id=rolling.pk, reason="Complaints."
    )
    rolling.refresh_from_db()
    # The second step was decided, and is not begun any more.
    assert orders(rolling) == [(0, 10, "succeeded"), (1, 50, "cancelled"), (None, 0, "")]
    stale = services.begin_dispatch(
        deployment_id=rolling.pk, observed=world.observed(rolling.version), step=2
    )
    assert stale is None
    assert world.step(rolling).status == D.CANCELLED


def test_aborting_while_a_step_runs_waits_for_its_end(world: World, rolling: Deployment) -> None:
    rolling = world.step(rolling)
    services.begin_dispatch(
        deployment_id=rolling.pk, observed=world.observed(rolling.version), step=2
    )
    services.abort(
        actor=world.person("bob"), via=Via.BROWSER, deployment_id=rolling.pk, reason="Complaints."
    )
    rolling = Deployment.objects.select_related("step", "promotion").get(pk=rolling.pk)
    assert rolling.status == D.DISPATCHING
    services.record_run(facts=world.run_facts(rolling, 5151))
    rolling = Deployment.objects.select_related("step", "promotion").get(pk=rolling.pk)
    assert (rolling.status, rolling.percent) == (D.WAITING, 50)
    assert world.step(rolling).status == D.CANCELLED


def test_the_last_step_is_not_aborted(world: World, rolling: Deployment) -> None:
    rolling = world.step(world.step(rolling))
    services.begin_dispatch(
        deployment_id=rolling.pk, observed=world.observed(rolling.version), step=3
    )
    refused("nothing_to_abort", services.abort, rolling, world.person("bob"), reason="Late.")


def test_a_rollout_between_steps_does_not_wait_for_what_waits_for_it(
    world: World, rolling: Deployment
) -> None:
    """A rollback goes first, but not before what is under way: each would wait for the other for ever."""
    rolling = world.step(rolling)
    rollback = world.approve(
        world.seal(
            services.request_rollback(
                actor=world.person("bob"),
                via=Via.BROWSER,
                target_id=world.target().pk,
                version_id=world.version(1).pk,
                reason="v2 is bad.",
            )
        )
    )
    with pytest.raises(NotYet, match="Waiting for the deployment"):
        services.refuse_too_early(deployment_id=rollback.pk)
    services.refuse_too_early(deployment_id=rolling.pk)
    for _ in range(2):
        rolling = world.step(rolling)
    assert rolling.status == D.SUCCEEDED
    services.refuse_too_early(deployment_id=rollback.pk)


def test_what_is_not_begun_or_all_at_once_is_not_aborted(world: World, rolling: Deployment) -> None:
    refused("nothing_to_abort", services.abort, rolling, world.person("bob"), reason="Early.")


def test_pausing_lets_the_step_end_and_no_other_begin(world: World, rolling: Deployment) -> None:
    rolling = world.step(rolling)
    services.begin_dispatch(
        deployment_id=rolling.pk, observed=world.observed(rolling.version), step=2
    )
    services.hold_rollout(
        actor=world.person("carol"), via=Via.BROWSER, deployment_id=rolling.pk, reason="A look."
    )
    rolling = Deployment.objects.select_related("step", "promotion").get(pk=rolling.pk)
    services.record_run(facts=world.run_facts(rolling, 5252))
    rolling.refresh_from_db()
    assert (rolling.status, rolling.paused) == (D.WAITING, "Paused by Carol Chen: A look.")
    assert services.advance_due() == 0
    services.advance(actor=world.person("bob"), via=Via.BROWSER, deployment_id=rolling.pk)
    assert world.step(rolling).status == D.SUCCEEDED


def test_changed_artifacts_between_steps_go_back(world: World, rolling: Deployment) -> None:
    rolling = world.step(rolling)
    changed = world.observed(rolling.version, version={"artifact_digest": "sha256:" + "9" * 64})
    order = services.begin_dispatch(deployment_id=rolling.pk, observed=changed, step=2)
    rolling = Deployment.objects.select_related("step", "promotion").get(pk=rolling.pk)
    assert order is None
    assert "the artifact was" in rolling.aborting
    assert orders(rolling)[-1] == (None, 0, "")


def test_a_lock_between_steps_pauses_and_changes_nothing(world: World, rolling: Deployment) -> None:
    rolling = world.step(rolling)
    services.lock(
        actor=world.person("bob"),
        via=Via.BROWSER,
        target_id=world.target().pk,
        reason="Incident.",
    )
    order = services.begin_dispatch(
        deployment_id=rolling.pk, observed=world.observed(rolling.version), step=2
    )
    assert order is None
    rolling.refresh_from_db()
    assert "Incident." in rolling.paused
    assert (rolling.status, rolling.percent, rolling.aborting) == (D.WAITING, 10, "")
    with pytest.raises(NotYet, match=r"Incident\."):
        services.refuse_too_early(deployment_id=rolling.pk)
    services.unlock(
        actor=world.person("bob"), via=Via.BROWSER, target_id=world.target().pk, reason="Over."
    )
    services.advance(actor=world.person("carol"), via=Via.BROWSER, deployment_id=rolling.pk)
    assert orders(rolling) == [(0, 10, "succeeded"), (1, 50, "")], "the same step, not another"
    assert world.step(rolling).percent == 50


def test_the_way_back_needs_no_facts_and_no_gates(world: World, rolling: Deployment) -> None:
    rolling = world.step(world.step(rolling), "failure")
    services.lock(
        actor=world.person("bob"),
        via=Via.BROWSER,
        target_id=world.target().pk,
        reason="Incident.",
    )
    services.refuse_too_early(deployment_id=rolling.pk)
    order = services.begin_dispatch(deployment_id=rolling.pk, observed=None, step=3)
    assert order is not None
    assert (order.inputs["strategy"], order.inputs["percent"]) == ("go-back", "0")


def test_a_later_step_without_facts_is_an_error_of_ours(world: World, rolling: Deployment) -> None:
    with pytest.raises(RuntimeError):
        services.begin_dispatch(deployment_id=rolling.pk, observed=None)


def test_a_clear_refusal_of_a_later_step_goes_back(world: World, rolling: Deployment) -> None:
    rolling = world.step(rolling)
    services.begin_dispatch(
        deployment_id=rolling.pk, observed=world.observed(rolling.version), step=2
    )
    services.record_dispatch_refused(deployment_id=rolling.pk, detail="Unexpected input.")
    rolling.refresh_from_db()
    assert (rolling.status, rolling.aborting) == (D.WAITING, "Unexpected input.")


def test_a_rate_limit_of_a_later_step_tries_it_again(world: World, rolling: Deployment) -> None:
    rolling = world.step(rolling)
    observed = world.observed(rolling.version)
    services.begin_dispatch(deployment_id=rolling.pk, observed=observed, step=2)
    services.postpone_dispatch(deployment_id=rolling.pk, detail="Later.")
    rolling = Deployment.objects.select_related("step").get(pk=rolling.pk)
    assert (rolling.status, rolling.dispatches) == (D.WAITING, 0)
    assert world.step(rolling).percent == 50


def test_an_unconfirmed_step_is_settled_like_any(world: World, rolling: Deployment) -> None:
    rolling = world.step(rolling)
    services.begin_dispatch(
        deployment_id=rolling.pk, observed=world.observed(rolling.version), step=2
    )
    services.record_unconfirmed(deployment_id=rolling.pk, detail="Lost.")
    services.give_up(
        actor=world.person("bob"), via=Via.BROWSER, deployment_id=rolling.pk, reason="No run."
    )
    rolling = Deployment.objects.select_related("step", "promotion").get(pk=rolling.pk)
    assert rolling.status == D.WAITING
    assert rolling.aborting == "Given up: No run."
    assert world.step(rolling).status == D.CANCELLED


def test_a_run_of_an_earlier_step_moves_nothing(world: World, rolling: Deployment) -> None:
    rolling = world.step(rolling)
    first = Step.objects.get(deployment=rolling, ordinal=1)
    before = orders(rolling)
    services.record_run(
        facts=world.run_facts(
            rolling,
            first.run_id or 0,
            title=f"Deploy [{first.token}]",
            attempt=2,
            conclusion="failure",
        )
    )
    assert orders(rolling) == before


def test_a_rollout_holds_the_target(world: World, rolling: Deployment) -> None:
    world.step(rolling)
    third = world.approve(world.request(world.version(3)))
    assert third.promotion.facts["target"]["replaces"] == "2"
    with pytest.raises(NotYet, match="fraud-detector v2"):
        services.refuse_too_early(deployment_id=third.pk)


def test_nothing_is_told_twice(world: World, rolling: Deployment) -> None:
    rolling = world.step(world.step(rolling))
    services.record_run(
        facts=world.run_facts(rolling, Step.objects.get(ordinal=2, deployment=rolling).run_id or 0)
    )
    told = Event.objects.filter(promotion=rolling.promotion, kind__in=TOLD)
    sentences = [sentence_of(each) for each in told]
    assert len(sentences) == len(set(sentences)) > 5
    assert Promotion.objects.get(pk=rolling.promotion_id).grant_spent_at


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        (Strategy("canary", (PlanStep(50), PlanStep(10), PlanStep(100))), "50 → 10 → 100"),
        (Strategy("canary", (PlanStep(10), PlanStep(50))), "the last step is 100 %"),
        (Strategy("canary", (PlanStep(100),)), "needs a step before"),
        (Strategy("canary", (PlanStep(0), PlanStep(100))), "between 1 and 100"),
        (Strategy("blue-green", (PlanStep(10), PlanStep(100))), "begins at 0 %"),
        (Strategy("canary", (PlanStep(10), PlanStep(100, wait=5))), "nothing to wait for"),
        (
            Strategy("canary", (PlanStep(10, analysis=(Limit("x", at_most="1"),)), PlanStep(100))),
            "needs a time",
        ),
        (Strategy("roulette"), "the kind is one of"),
        (Strategy("all-at-once", (PlanStep(50), PlanStep(100))), "one step"),
        (Strategy("canary", (PlanStep(10), PlanStep(10), PlanStep(100))), "the steps go up"),
    ],
)
def test_what_cannot_be_a_strategy(strategy: Strategy, words: str) -> None:
    assert words in problem_with(strategy)
    if strategy.as_data():
        with pytest.raises(ValueError, match=re.escape(words)):
            Strategy.from_data(strategy.as_data())


def test_a_strategy_survives_the_database() -> None:
    made = Strategy(
        "a-b",
        (PlanStep(50, 60, (Limit("clicks", at_least="0.1"),), advance=True), PlanStep(100)),
    )
    assert Strategy.from_data(made.as_data()) == made
    assert Strategy.from_data({}) == Strategy()


def test_the_split_is_even_and_nobody_moves_back() -> None:
    keys = [f"user-{number}" for number in range(100_000)]
    had: set[str] = set()
    for percent in (10, 50, 100):
        has = {key for key in keys if gets_the_new_one(key, "cs-0123456789ab", percent)}
        assert abs(len(has) / 1000 - percent) < 0.5
        assert had <= has
        had = has
    other = {key for key in keys if gets_the_new_one(key, "cs-ba9876543210", 10)}
    assert 800 < len(other & {k for k in keys if share_of(k, "cs-0123456789ab") < 10}) < 1200


def test_outcomes_are_the_status_words() -> None:
    assert {each.value for each in StepOutcome} <= {each.value for each in D}
