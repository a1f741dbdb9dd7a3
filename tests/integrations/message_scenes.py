"""Promotions in every state that their message can tell of, made by the product's own verbs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone

from approvals import services
from approvals.gates import AgainstLive, EvidencePassed, MetricLimit, RunsGreen
from approvals.models import (
    Deployment,
    Effect,
    Environment,
    Membership,
    OutOfBandChange,
    Person,
    Promotion,
    Restriction,
    Team,
    WorkflowRun,
)
from approvals.models.outbox import EffectKind
from approvals.rollouts import PlanStep
from approvals.services.registry import ModelFacts
from approvals.states import RestrictionKind, Via
from integrations.models import SlackIdentity
from tests.approvals.signal_world import rule, rules, send
from tests.world import World

Scene = Callable[[World], Promotion]
HOSTILE = (
    "*stars* _under_ ~tilde~ `code` ```fence``` :rotating_light: <!channel> <@U0BOB> & @here\n"
    "> a quote\n"
    "✓ *risk*: approved by Carol Chen\n"
    "שלום עולם, v1 ← v2\n"
    "\u202eturned\u2066 around\u0000\n"
    "モデルは良い。 Модель лучше. النموذج أفضل.\n" + "long" * 350
)
GATES = (
    MetricLimit("accuracy", "0.8"),
    AgainstLive("auc", "higher", "0.01"),
    RunsGreen("ci"),
    EvidencePassed("fairness", 0),
)
_scenes: dict[str, Scene] = {}


def scene(made: Scene) -> Scene:
    _scenes[made.__name__] = made
    return made


def scenes() -> dict[str, Scene]:
    """Name → what makes the promotion."""
    return dict(_scenes)


def act(world: World, who: str, **more: Any) -> dict[str, Any]:
    return {"actor": world.person(who), "via": Via.BROWSER, **more}


def two(world: World) -> None:
    """v1 is live; v2 is better in the one metric and worse in the other."""
    model = world.target().model
    model.metrics = [["auc", "higher"], ["accuracy", "higher"], ["latency_ms", "lower"]]
    model.save()
    first = {"auc": "0.9412", "accuracy": "0.912", "latency_ms": "12", "recall": "0.5"}
    second = {"auc": "0.9635", "accuracy": "0.934", "latency_ms": "13.5", "recall": "0.7"}
    world.make_live(world.version(1, metrics=first))
    world.version(2, metrics={**second, "f1_macro": "0.8"})


def asked(world: World, **more: Any) -> Promotion:
    two(world)
    return world.request(world.version(2, metrics=_metrics()), **more)


def _metrics() -> dict[str, str]:
    return {
        "auc": "0.9635",
        "accuracy": "0.934",
        "latency_ms": "13.5",
        "recall": "0.7",
        "f1_macro": "0.8",
    }


def granted(world: World) -> Deployment:
    return world.approve(asked(world))


def begun(world: World, deployment: Deployment) -> None:
    observed = world.observed(deployment.version)
    services.begin_dispatch(deployment_id=deployment.pk, observed=observed)


@scene
def pending(world: World) -> Promotion:
    return asked(world, reason="It catches more fraud.\nThe latency was agreed with the shop.")


@scene
def pending_first_of_two(world: World) -> Promotion:
    return world.review(asked(world), "bob")


@scene
def pending_blocked(world: World) -> Promotion:
    """Gates fail, the target is locked, a freeze is coming and the target is on hold."""
    two(world)
    gates = (MetricLimit("auc", "0.97"), MetricLimit("latency_ms", "", "13"), *GATES)
    world.rules(gates=gates)
    promotion = world.request(world.version(2, metrics=_metrics()))
    services.lock(**act(world, "dave", target_id=promotion.target_id, reason="Audit *this* week."))
    return promotion


@scene
def pending_freeze_ahead(world: World) -> Promotion:
    world.rules(gates=(MetricLimit("auc", "0.9"), MetricLimit("accuracy", "0.9")))
    promotion = asked(world)
    now = timezone.now()
    services.freeze(
        **act(world, "dave", environment_id=promotion.target.environment_id),
        reason="Year-end close.",
        begins_at=now + timedelta(hours=20),
        ends_at=now + timedelta(days=9),
    )
    return promotion


@scene
def pending_on_hold(world: World) -> Promotion:
    """After a rollback: automation waits, people may go on."""
    promotion = asked(world)
    Restriction.objects.create(
        kind=RestrictionKind.HOLD,
        target=promotion.target,
        reason="Rolled back to fraud-detector v1.",
        placed_by=world.person("dave"),
        placed_at=timezone.now(),
    )
    return promotion


@scene
def pending_scheduled(world: World) -> Promotion:
    promotion = asked(world)
    run_at = datetime(2026, 11, 1, tzinfo=UTC).replace(year=timezone.now().year + 1)
    Promotion.objects.filter(pk=promotion.pk).update(run_at=run_at, run_zone="Europe/Amsterdam")
    return promotion


@scene
def pending_gathering(world: World) -> Promotion:
    two(world)
    target = world.target()
    version = world.version(2, metrics=_metrics())
    return services.request_promotion(
        **act(world, "alice", target_id=target.pk, version_id=version.pk, reason="Better.")
    )


@scene
def pending_problem(world: World) -> Promotion:
    promotion = pending_gathering(world)
    services.record_facts_problem(promotion_id=promotion.pk, problem="model.pkl cannot be read.")
    return promotion


@scene
def pending_hostile(world: World) -> Promotion:
    return asked(world, reason=HOSTILE)


@scene
def pending_first_ever(world: World) -> Promotion:
    return world.request(world.version(2, metrics={"accuracy": "0.92", "auc": "0.95"}))


@scene
def pending_confirmed(world: World) -> Promotion:
    """The environment asks once more after a press."""
    Environment.objects.filter(name="production").update(confirm=True)
    return asked(world)


@scene
def pending_crowd(world: World) -> Promotion:
    """40 people could approve, 20 of them linked; 60 metrics that nobody named."""
    crowd(world, 40)
    world.rules(promote=())
    target = world.target()
    target.policy["promote"] = [
        {"teams": ["risk"], "count": 12},
        {"teams": ["ml-leads"], "count": 1},
    ]
    target.save()
    target.model.metrics = []
    target.model.save()
    metrics = {f"metric_{index:02}": "0.9" for index in range(60)}
    return world.request(world.version(2, metrics=metrics))


def crowd(world: World, count: int) -> None:
    team = Team.objects.get(slug="risk")
    for index in range(count):
        person = Person.objects.create(
            username=f"risk{index:02}", first_name=f"Riskä{index:02}", last_name="van der Langenaam"
        )
        Membership.objects.create(team=team, person=person)
        if index % 2:
            SlackIdentity.objects.create(
                team_id="T0ACME",
                user_id=f"URISK{index:02}",
                person=person,
                linked_at=timezone.now(),
            )


@scene
def automatic_blocked(world: World) -> Promotion:
    target = world.rules(automatic=True, promote=(), gates=(MetricLimit("accuracy", "0.95"),))
    return world.request(world.version(2), target=target)


@scene
def automatic_queued(world: World) -> Promotion:
    target = world.rules(automatic=True, promote=(), gates=(MetricLimit("accuracy", "0.9"),))
    return world.request(world.version(2), target=target)


@scene
def rejected(world: World) -> Promotion:
    return world.review(asked(world), "bob", "reject", comment="Recall *fell* for new shops.")


@scene
def cancelled(world: World) -> Promotion:
    promotion = asked(world)
    return services.cancel(
        **act(world, "alice", promotion_id=promotion.pk, reason="Wrong training data.")
    )


@scene
def expired(world: World) -> Promotion:
    promotion = asked(world)
    services.close_overdue(now=promotion.expires_at)
    return promotion


@scene
def superseded(world: World) -> Promotion:
    promotion = asked(world)
    world.request(world.version(3))
    return promotion


@scene
def queued(world: World) -> Promotion:
    return granted(world).promotion


@scene
def queued_behind(world: World) -> Promotion:
    granted(world)
    world.approve(world.request(world.version(3)))
    return world.approve(world.request(world.version(4))).promotion


@scene
def queued_frozen(world: World) -> Promotion:
    deployment = granted(world)
    services.freeze(
        **act(world, "dave", environment_id=deployment.target.environment_id),
        reason="Year-end close.",
    )
    return deployment.promotion


@scene
def queued_scheduled(world: World) -> Promotion:
    promotion = pending_scheduled(world)
    return world.approve(promotion).promotion


@scene
def queued_asks(world: World) -> Promotion:
    """What it was to replace did not go live: a person has to confirm."""
    before = granted(world)
    asks = world.approve(world.request(world.version(3)))
    begun(world, before)
    services.record_run(facts=world.run_facts(before, 77, conclusion="failure"))
    begun(world, asks)
    return asks.promotion


@scene
def dispatching(world: World) -> Promotion:
    deployment = granted(world)
    begun(world, deployment)
    return deployment.promotion


@scene
def running(world: World) -> Promotion:
    deployment = granted(world)
    begun(world, deployment)
    services.record_dispatched(
        deployment_id=deployment.pk, run_id=77, url="http://127.0.0.1:9/runs/77"
    )
    steps = [
        {"name": "Check out", "status": "completed", "conclusion": "success"},
        {"name": "Deploy *the* model", "status": "in_progress", "conclusion": ""},
        {"name": "Smoke test", "status": "queued", "conclusion": ""},
    ]
    services.record_run(facts=world.run_facts(deployment, status="in_progress", conclusion=""))
    [run] = WorkflowRun.objects.filter(run_id=77)
    services.record_steps(run_pk=run.pk, attempt=1, steps=steps)
    return deployment.promotion


@scene
def unconfirmed(world: World) -> Promotion:
    deployment = granted(world)
    begun(world, deployment)
    services.record_unconfirmed(
        deployment_id=deployment.pk, detail="GitHub did not answer, and no run was found."
    )
    return deployment.promotion


def canary(world: World) -> Deployment:
    two(world)
    world.strategy(PlanStep(10, wait=600), PlanStep(50, advance=True), PlanStep(100))
    return world.approve(world.request(world.version(2, metrics=_metrics())))


@scene
def canary_waiting(world: World) -> Promotion:
    return world.step(canary(world)).promotion


@scene
def canary_paused(world: World) -> Promotion:
    deployment = world.step(canary(world))
    services.hold_rollout(
        **act(world, "bob", deployment_id=deployment.pk, reason="The error rate looks odd.")
    )
    return deployment.promotion


@scene
def canary_going_back(world: World) -> Promotion:
    deployment = world.step(canary(world))
    services.abort(**act(world, "bob", deployment_id=deployment.pk, reason="False *alarms*."))
    return deployment.promotion


@scene
def canary_went_back(world: World) -> Promotion:
    promotion = canary_going_back(world)
    world.step(Deployment.objects.get(promotion=promotion))
    return promotion


@scene
def canary_stuck(world: World) -> Promotion:
    """The way back failed."""
    promotion = canary_going_back(world)
    world.step(Deployment.objects.get(promotion=promotion), "failure")
    return promotion


@scene
def live(world: World) -> Promotion:
    return world.deploy(granted(world), 78).promotion


@scene
def live_written(world: World) -> Promotion:
    promotion = live(world)
    Effect.objects.filter(kind=EffectKind.SET_ALIAS).update(
        status="done", finished_at=timezone.now()
    )
    return promotion


@scene
def was_live(world: World) -> Promotion:
    promotion = live(world)
    world.make_live(world.version(3))
    return promotion


@scene
def failed(world: World) -> Promotion:
    deployment = granted(world)
    begun(world, deployment)
    services.record_dispatched(
        deployment_id=deployment.pk, run_id=77, url="http://127.0.0.1:9/runs/77"
    )
    services.record_run(facts=world.run_facts(deployment, 77, conclusion="failure"))
    return deployment.promotion


@scene
def stopped(world: World) -> Promotion:
    """The artifacts changed after the approval."""
    deployment = granted(world)
    changed = world.observed(deployment.version, version={"artifact_digest": "sha256:" + "f" * 64})
    services.begin_dispatch(deployment_id=deployment.pk, observed=changed)
    return deployment.promotion


@scene
def lapsed(world: World) -> Promotion:
    deployment = granted(world)
    lapses_at = deployment.promotion.grant_lapses_at
    services.close_overdue(now=(lapses_at or timezone.now()) + timedelta(seconds=1))
    return deployment.promotion


@scene
def called_off(world: World) -> Promotion:
    deployment = granted(world)
    services.call_off(**act(world, "alice", deployment_id=deployment.pk, reason="Not today."))
    return deployment.promotion


@scene
def broken_glass(world: World) -> Promotion:
    world.rules(override_team="platform")
    promotion = asked(world)
    return services.override(
        **act(world, "dave", promotion_id=promotion.pk, seal=promotion.seal),
        reason="<!channel> Fraud wave since noon, risk is asleep.",
    )


def _moved(world: World) -> OutOfBandChange:
    """v1 is live, and two readings have shown the alias on v2."""
    two(world)
    Effect.objects.filter(kind=EffectKind.SET_ALIAS).update(
        status="done", finished_at=timezone.now()
    )
    for _ in range(2):
        facts = ModelFacts("fraud-detector", "", {}, {"champion": 2})
        services.compare_aliases(models=[facts], read_at=timezone.now())
    return OutOfBandChange.objects.get(declared_at__isnull=False)


@scene
def adoption(world: World) -> Promotion:
    change = _moved(world)
    services.adopt(
        **act(world, "alice", change_id=change.pk, reason="The night shift moved it by hand.")
    )
    return world.seal(Promotion.objects.get(retroactive=True))


@scene
def adopted(world: World) -> Promotion:
    promotion = adoption(world)
    for name in ("bob", "carol"):
        world.review(promotion, name)
    return promotion


@scene
def rollback(world: World) -> Promotion:
    was_live(world)
    target = world.target()
    promotion = services.request_rollback(
        **act(world, "dave", target_id=target.pk, reason="False alarms since noon.")
    )
    return world.seal(promotion)


@scene
def rollback_by_itself(world: World) -> Promotion:
    live_written(world)
    rules(world, rule())
    send(world, "0.09")
    promotion = Promotion.objects.get(rolls_back__isnull=False)
    return world.seal(promotion)
