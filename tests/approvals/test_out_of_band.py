"""Out-of-band changes: declared after two readings, never while something moves, and what each answer does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from approvals import services
from approvals.explain import explain
from approvals.gates import MetricLimit
from approvals.models import (
    Deployment,
    Effect,
    Event,
    Membership,
    ModelVersion,
    OutOfBandChange,
    Person,
    Promotion,
    Repository,
    Target,
    Team,
    WorkflowRun,
)
from approvals.models.outbox import EffectKind
from approvals.narrative import sentence_of
from approvals.services import Refused
from approvals.services.foreign_runs import named_by
from approvals.services.registry import ModelFacts, VersionFacts
from approvals.services.settle import ForbiddenTransition, move_deployment
from approvals.states import ChangeAnswer, ChangeKind, DeploymentStatus, PromotionStatus, Via
from tests.approvals.test_races import race
from tests.world import World

D = DeploymentStatus


def read(number: int | None, alias: str = "champion") -> None:
    """One reading of the registry: the alias points there."""
    aliases = {} if number is None else {alias: number}
    facts = ModelFacts("fraud-detector", "", {}, aliases)
    services.compare_aliases(models=[facts], read_at=timezone.now())


def written(target: Target | None = None) -> None:
    """Everything that waits to be written to the registry was."""
    Effect.objects.filter(kind=EffectKind.SET_ALIAS, status="waiting").update(
        status="done", finished_at=timezone.now()
    )


def live(world: World, number: int = 2) -> ModelVersion:
    """The version is live in production and its alias is written."""
    version = world.version(number)
    world.make_live(version)
    written()
    return version


def moved(world: World) -> OutOfBandChange:
    """v2 is live, and two readings have shown the alias on v3."""
    live(world)
    world.version(3)
    read(3)
    read(3)
    return OutOfBandChange.objects.get(declared_at__isnull=False)


def kinds() -> list[str]:
    found = Event.objects.filter(kind__startswith="out_of_band.").order_by("id")
    return [each.removeprefix("out_of_band.") for each in found.values_list("kind", flat=True)]


def alerts() -> int:
    return Effect.objects.filter(kind=EffectKind.ALERT).count()


def answer(world: World, verb: str, change: OutOfBandChange, who: str, **more: Any) -> Any:
    reason = more.pop("reason", "It was the night shift.")
    return getattr(services, verb)(
        actor=world.person(who), via=Via.BROWSER, change_id=change.pk, reason=reason, **more
    )


def rows() -> list[Any]:
    counted: list[Any] = [each.objects.count() for each in (Event, Effect, Promotion, Deployment)]
    return [*counted, *OutOfBandChange.objects.order_by("pk").values_list("answer", "ended_at")]


def refused(code: str, act: Callable[[], object]) -> str:
    before = rows()
    with pytest.raises(Refused) as caught:
        act()
    assert caught.value.code == code, caught.value.sentence
    assert rows() == before
    return caught.value.sentence


class TestTwoReadings:
    def test_one_is_not_enough(self, world: World) -> None:
        live(world)
        world.version(3)
        read(3)
        change = OutOfBandChange.objects.get()
        assert (change.seen, change.declared_at, kinds(), alerts()) == (1, None, [], 0)
        read(2)
        assert not OutOfBandChange.objects.exists(), "it was a moment between two states"
        assert kinds() == []

    def test_two_declare_it_once(self, world: World) -> None:
        change = moved(world)
        read(3)
        assert (change.kind, change.version) == (ChangeKind.ALIAS, world.version(3))
        assert "champion points to fraud-detector v3" in change.sentence
        assert "fraud-detector v2 is what went live through Countersign" in change.sentence
        assert kinds() == ["declared"]
        assert alerts() == 1
        alert = Effect.objects.get(kind=EffectKind.ALERT)
        assert change.get_absolute_url() in alert.payload["text"]
        assert set(alert.payload["people"]) >= {world.person(n).pk for n in ("bob", "carol")}
        assert Effect.objects.filter(kind=EffectKind.MAIL, promotion=None).count() == 1
        event = Event.objects.get(kind="out_of_band.declared")
        assert event.promotion == world.target().live_deployment.promotion  # type: ignore[union-attr]
        assert "Out-of-band change of fraud-detector in production" in sentence_of(event)
        assert Effect.objects.filter(
            kind=EffectKind.ANNOUNCE, promotion=event.promotion, dedupe_key__endswith=f":{event.pk}"
        ).exists(), "the live promotion's message says so"
        assert event.promotion is not None
        assert f"Out-of-band: {change.sentence}" in explain(event.promotion).notes

    def test_the_same_reading_counts_once(self, world: World) -> None:
        live(world)
        world.version(3)
        now = timezone.now()
        facts = ModelFacts("fraud-detector", "", {}, {"champion": 3})
        for _ in range(3):
            services.compare_aliases(models=[facts], read_at=now)
        assert OutOfBandChange.objects.get().seen == 1

    def test_gone_after_two_readings_without_it(self, world: World) -> None:
        change = moved(world)
        read(2)
        change.refresh_from_db()
        assert (change.missed, change.ended_at) == (1, None)
        read(3)
        change.refresh_from_db()
        assert change.missed == 0
        read(2)
        read(2)
        change.refresh_from_db()
        assert (change.answer, change.ended_at is None) == (ChangeAnswer.GONE, False)
        assert kinds() == ["declared", "ended"]
        read(3)
        read(3)
        assert kinds() == ["declared", "ended", "declared"], "it happened again"

    def test_another_finding_is_another_change(self, world: World) -> None:
        first = moved(world)
        read(None)
        read(None)
        first.refresh_from_db()
        assert first.answer == ChangeAnswer.GONE
        second = OutOfBandChange.objects.get(ended_at=None)
        assert (second.version, second.declared_at is None) == (None, False)
        assert "points to nothing" in second.sentence

    def test_registered_anew_under_its_number_is_another_version(self, world: World) -> None:
        live(world)
        again = world.version(2, registered_at=timezone.now())
        read(2)
        read(2)
        change = OutOfBandChange.objects.get()
        assert change.version == again != world.target().live_version
        assert "another fraud-detector v2, registered later" in change.sentence

    def test_nothing_live_yet_is_said_mildly_and_may_be_taken_over(self, world: World) -> None:
        version = world.version(2)
        read(2)
        read(2)
        change = OutOfBandChange.objects.get()
        assert (change.version, kinds(), alerts()) == (version, ["noted"], 0)
        assert "nothing has gone live here through Countersign" in change.sentence
        refused("nothing_to_put_back", lambda: answer(world, "put_back", change, "bob"))
        answered = answer(world, "adopt", change, "alice")
        world.approve(world.seal(answered.promotion))
        assert world.target().live_version == version
        assert kinds() == ["noted", "answered", "adopted"]


class TestNeverWhileSomethingMoves:
    def test_an_undelivered_write(self, world: World) -> None:
        world.make_live(world.version(2))
        for _ in range(3):
            read(None)
        assert not OutOfBandChange.objects.exists()
        written()
        read(None)
        assert OutOfBandChange.objects.exists()

    def test_a_reading_begun_before_the_write(self, world: World) -> None:
        begun = timezone.now()
        live(world)
        services.compare_aliases(models=[ModelFacts("fraud-detector", "", {}, {})], read_at=begun)
        assert not OutOfBandChange.objects.exists()

    def test_an_active_deployment(self, world: World) -> None:
        live(world)
        deployment = world.approve(world.request(world.version(3)))
        services.begin_dispatch(
            deployment_id=deployment.pk, observed=world.observed(deployment.version)
        )
        for _ in range(3):
            read(3)
        assert not OutOfBandChange.objects.exists()

    def test_what_waits_in_the_queue_moves_nothing(self, world: World) -> None:
        live(world)
        world.approve(world.request(world.version(3)))
        read(3)
        assert OutOfBandChange.objects.exists()


class TestIgnoring:
    def test_silent_until_the_finding_changes(self, world: World) -> None:
        change = moved(world)
        answer(world, "ignore_change", change, "bob")
        change.refresh_from_db()
        assert (change.answer, change.answered_by) == (ChangeAnswer.IGNORED, world.person("bob"))
        for _ in range(4):
            read(3)
        assert kinds() == ["declared", "ignored"]
        assert OutOfBandChange.objects.count() == 1
        world.version(4)
        read(4)
        read(4)
        assert kinds() == ["declared", "ignored", "declared"]
        read(3)
        read(3)
        assert kinds()[3:] == ["ended", "declared"], "v3 again, after something else"

    def test_who_may(self, world: World) -> None:
        change = moved(world)
        for who in ("alice", "mallory"):
            for verb in ("ignore_change", "put_back"):
                act = partial(answer, world, verb, change, who)
                assert "risk" in refused("may_not_answer", act)
        refused("machine", lambda: answer(world, "ignore_change", change, "ci"))
        refused("reason_missing", lambda: answer(world, "ignore_change", change, "bob", reason=" "))
        Person.objects.filter(username="bob").update(is_active=False)
        refused("inactive", lambda: answer(world, "ignore_change", change, "bob"))
        answer(world, "ignore_change", change, "carol")
        said = refused("already_answered", lambda: answer(world, "put_back", change, "carol"))
        assert "ignored by Carol" in said

    def test_where_nobody_is_asked_those_who_may_ask_answer(self, world: World) -> None:
        change = moved(world)
        target = world.target()
        target.policy.update(promote=[], rollback=[], automatic=True)
        target.save()
        refused("may_not_answer", lambda: answer(world, "ignore_change", change, "mallory"))
        answer(world, "ignore_change", change, "alice")

    def test_what_one_reading_has_shown_cannot_be_answered(self, world: World) -> None:
        live(world)
        read(None)
        change = OutOfBandChange.objects.get()
        refused("unknown_change", lambda: answer(world, "ignore_change", change, "bob"))
        change.pk = 10**9
        refused("unknown_change", lambda: answer(world, "adopt", change, "alice"))


class TestPuttingBack:
    def test_it_is_written_once_more_and_ends_when_seen(self, world: World) -> None:
        change = moved(world)
        answer(world, "put_back", change, "bob")
        effect = Effect.objects.get(kind=EffectKind.SET_ALIAS, status="waiting")
        deployment = world.target().live_deployment
        assert deployment is not None
        assert effect.payload == {"deployment": deployment.pk}
        said = refused("already_answered", lambda: answer(world, "ignore_change", change, "carol"))
        assert "is having it put back" in said
        read(3)  # not compared: it is not written yet
        written()
        read(2)
        read(2)
        change.refresh_from_db()
        assert (change.answer, change.ended_at is None) == (ChangeAnswer.PUT_BACK, False)
        assert kinds() == ["declared", "answered", "put_back"]

    def test_still_there_afterwards_is_open_again(self, world: World) -> None:
        change = moved(world)
        for _ in range(2):
            answer(world, "put_back", change, "bob")
            written()
            read(3)
            change.refresh_from_db()
            assert (change.answer, change.ended_at) == ("", None)
        assert kinds() == ["declared", *["answered", "persists"] * 2]
        assert Effect.objects.filter(kind=EffectKind.SET_ALIAS).count() == 3

    def test_two_people_answer_at_once(self, committed_world: World) -> None:
        world = committed_world
        change = moved(world)
        acts = [
            lambda: answer(world, "put_back", change, "bob"),
            lambda: answer(world, "ignore_change", change, "carol"),
            lambda: answer(world, "adopt", change, "alice"),
        ]
        outcomes = race(*acts)
        assert sorted(outcomes) == ["already_answered", "already_answered", "done"]
        assert len(kinds()) == 2


class TestAdopting:
    def adopt(self, world: World) -> Promotion:
        promotion = answer(world, "adopt", moved(world), "alice").promotion
        assert isinstance(promotion, Promotion)
        return world.seal(promotion)

    def test_nothing_is_fired(self, world: World) -> None:
        promotion = self.adopt(world)
        assert (promotion.retroactive, promotion.kind) == (True, "promote")
        assert promotion.facts["retroactive"] is True
        assert any(note.startswith("Retroactive") for note in explain(promotion).notes)
        dispatched = Effect.objects.filter(kind=EffectKind.DISPATCH).count()
        deployment = world.approve(promotion)
        assert (deployment.status, deployment.step, deployment.percent) == (D.SUCCEEDED, None, 100)
        target = world.target()
        assert target.live_version == promotion.version
        assert target.live_deployment == deployment
        assert Effect.objects.filter(kind=EffectKind.DISPATCH).count() == dispatched
        change = OutOfBandChange.objects.get()
        assert (change.answer, change.promotion) == (ChangeAnswer.ADOPTED, promotion)
        assert kinds() == ["declared", "answered", "adopted"]
        told = [sentence_of(each) for each in promotion.events.order_by("id")]
        assert "asked to adopt fraud-detector v3, which is live in production" in told[0]
        assert any("it was adopted, nothing was fired" in each for each in told)
        written()
        read(3)
        assert not OutOfBandChange.objects.filter(ended_at=None).exists()

    def test_normal_quorum_and_never_the_requester(self, world: World) -> None:
        promotion = self.adopt(world)
        world.review(promotion, "bob")
        promotion.refresh_from_db()
        assert promotion.is_pending, "one of two"
        with pytest.raises(Refused):
            world.review(promotion, "mallory")
        assert world.target().live_version == world.version(2)

    def test_who_may_ask(self, world: World) -> None:
        change = moved(world)
        refused("may_not_request", lambda: answer(world, "adopt", change, "mallory"))
        refused("reason_missing", lambda: answer(world, "adopt", change, "alice", reason=""))
        other = world.version(2).pk
        refused(
            "unknown_version", lambda: answer(world, "adopt", change, "alice", version_id=other)
        )

    def test_only_from_a_change(self, world: World) -> None:
        change = moved(world)
        refused(
            "already_live",
            lambda: services.request_rollback(
                actor=world.person("alice"),
                via=Via.API,
                target_id=change.target_id,
                version_id=world.version(2).pk,
                reason="Once more.",
            ),
        )
        assert not world.request(world.version(3)).retroactive

    @pytest.mark.parametrize("close", ["lock", "quarantine"])
    def test_locks_and_quarantines_hold(self, world: World, close: str) -> None:
        promotion = self.adopt(world)
        subject = (
            {"target_id": promotion.target_id}
            if close == "lock"
            else {"version_id": promotion.version_id}
        )
        getattr(services, close)(
            actor=world.person("bob"), via=Via.BROWSER, reason="Drift.", **subject
        )
        with pytest.raises(Refused, match="blocked"):
            world.review(promotion, "carol")
        assert world.target().live_version == world.version(2)

    def test_gates_hold(self, world: World) -> None:
        world.rules(gates=(MetricLimit("auc", at_least="0.99"),))
        target = world.target()
        world.rules(target, gates=())
        live(world)
        world.rules(world.target(), gates=(MetricLimit("auc", at_least="0.99"),))
        world.version(3)
        read(3)
        read(3)
        change = OutOfBandChange.objects.get()
        promotion = world.seal(answer(world, "adopt", change, "alice").promotion)
        with pytest.raises(Refused, match=r"at least 0\.99 is required"):
            world.review(promotion, "bob")

    def test_rejected_it_stays_open(self, world: World) -> None:
        promotion = self.adopt(world)
        change = OutOfBandChange.objects.get()
        said = refused("already_answered", lambda: answer(world, "ignore_change", change, "bob"))
        assert f"promotion {promotion.pk}, which waits for approval" in said
        world.review(promotion, "bob", "reject")
        change.refresh_from_db()
        assert change.ended_at is None
        answer(world, "put_back", change, "bob")

    def test_what_is_no_longer_there_is_not_adopted(self, world: World) -> None:
        promotion = self.adopt(world)
        read(2)
        read(2)
        with pytest.raises(Refused, match="no longer there"):
            world.review(promotion, "bob")
        assert Promotion.objects.get(pk=promotion.pk).is_pending

    def test_not_while_a_deployment_is_under_way(self, world: World) -> None:
        change = moved(world)
        queued = world.approve(world.request(world.version(4)))
        promotion = world.seal(answer(world, "adopt", change, "alice").promotion)
        services.begin_dispatch(deployment_id=queued.pk, observed=world.observed(queued.version))
        with pytest.raises(Refused, match="A deployment is under way here"):
            world.review(promotion, "bob")

    def test_never_automatically(self, world: World) -> None:
        change = moved(world)
        gate = MetricLimit("auc", at_least="0.5")
        world.rules(promote=(), rollback=(), automatic=True, gates=(gate,))
        promotion = world.seal(answer(world, "adopt", change, "alice").promotion)
        assert promotion.is_pending, "a usual promotion would be approved by now"
        assert not services.approve_automatically(promotion_id=promotion.pk)
        assert services.approve_due() == 0
        # Those who may ask decide, where the policy asks nobody; never whoever asked.
        with pytest.raises(Refused, match="you asked for it"):
            world.review(promotion, "alice")
        team = Team.objects.get(slug=promotion.policy["requesters"][0])
        Membership.objects.get_or_create(team=team, person=world.person("dave"))
        world.review(promotion, "dave")
        assert world.target().live_version == promotion.version
        facts = {**promotion.facts, "policy": {"automatic": True}}
        refuses = pytest.raises(IntegrityError, match="retroactive_is_approved_by_people")
        with refuses, transaction.atomic():
            Promotion.objects.filter(pk=promotion.pk).update(facts=facts)

    def test_nothing_else_succeeds_unfired(self, world: World) -> None:
        deployment = world.approve(world.request(world.version(3)))
        with pytest.raises(ForbiddenTransition):
            move_deployment(deployment, D.SUCCEEDED)

    def test_there_is_no_time_to_set(self, world: World) -> None:
        promotion = self.adopt(world)
        refused(
            "nothing_to_schedule",
            lambda: services.schedule(
                actor=world.person("bob"),
                via=Via.BROWSER,
                promotion_id=promotion.pk,
                run_at=timezone.now() + timedelta(hours=3),
            ),
        )


def by_hand(world: World, **changes: Any) -> WorkflowRun:
    """A reading of a run that somebody started on GitHub."""
    deployment = Deployment.objects.latest("id")
    changes = {
        "run_id": 555,
        "title": "Deploy fraud-detector v3 to production []",
        "actor": "mallory-gh",
        **changes,
    }
    return services.record_run(facts=world.run_facts(deployment, **changes))


def look() -> None:
    services.compare_runs(repository="acme/ml-models", read_at=timezone.now())


class TestRuns:
    def test_ours_are_no_finding(self, world: World) -> None:
        live(world)
        queued = world.approve(world.request(world.version(3)))
        services.begin_dispatch(deployment_id=queued.pk, observed=world.observed(queued.version))
        # GitHub shows it before it answers the dispatch.
        WorkflowRun.objects.create(
            **vars(world.run_facts(queued, 78, status="in_progress", conclusion=""))
        )
        look()
        look()
        assert not OutOfBandChange.objects.exists()

    def test_started_by_hand(self, world: World) -> None:
        live(world)
        run = by_hand(world)
        look()
        look()
        change = OutOfBandChange.objects.get()
        assert (change.kind, change.run, change.target) == ("run", run, world.target())
        assert "mallory-gh started deploy-model.yml by hand on GitHub" in change.sentence
        assert (kinds(), alerts()) == (["declared"], 1)
        # It names v3, which is not known here.
        refused("unknown_version", lambda: answer(world, "adopt", change, "alice"))

    def test_of_before_it_was_followed_or_of_another_kind(self, world: World) -> None:
        live(world)
        run = by_hand(world)
        Repository.objects.update(followed_since=run.created_at + timedelta(seconds=1))
        by_hand(world, run_id=556, kind="ci")
        look()
        assert not OutOfBandChange.objects.exists()

    def test_a_token_used_again_hides_nothing(self, world: World) -> None:
        live(world)
        token = Deployment.objects.get().promotion.token
        by_hand(world, title=f"Deploy fraud-detector v3 to production [{token}]")
        look()
        look()
        assert kinds() == ["declared"]

    def test_run_again_by_hand(self, world: World) -> None:
        deployment = world.make_live(world.version(2), run_id=77)
        services.record_run(facts=world.run_facts(deployment, 77, attempt=2, actor="carol-gh"))
        look()
        look()
        change = OutOfBandChange.objects.get()
        assert "run again on GitHub (attempt 2)" in change.sentence
        assert change.version == world.version(2)

    def test_failed_it_is_noted_mildly(self, world: World) -> None:
        live(world)
        by_hand(world, conclusion="failure")
        for _ in range(4):
            look()
        change = OutOfBandChange.objects.get()
        assert (change.answer, kinds(), alerts()) == ("gone", ["noted", "ended"], 0)

    def test_at_work_and_then_failed(self, world: World) -> None:
        live(world)
        by_hand(world, status="in_progress", conclusion="")
        look()
        look()
        assert kinds() == ["declared"]
        by_hand(world, conclusion="cancelled")
        look()
        assert kinds() == ["declared", "ended"]
        look()
        look()
        assert OutOfBandChange.objects.count() == 1

    def test_waiting_it_has_changed_nothing_yet(self, world: World) -> None:
        live(world)
        by_hand(world, status="queued", conclusion="")
        look()
        assert not OutOfBandChange.objects.exists()

    def test_which_targets(self, world: World) -> None:
        live(world)
        targets = list(Target.objects.select_related("model", "environment"))
        run = by_hand(world)

        def named(title: str) -> set[tuple[str, str]]:
            run.title = title
            return {(e.model.name, e.environment.name) for e in named_by(run, targets)}

        assert named("Deploy fraud-detector v3 to production []") == {
            ("fraud-detector", "production")
        }
        assert {model for model, _ in named("Deploy fraud-detector v3")} == {"fraud-detector"}
        every = {(e.model.name, e.environment.name) for e in targets if e.workflow == run.workflow}
        assert named("Deploy my-fraud-detector to pre-production") == every
        assert named("") == every

    def test_put_back_deploys_the_live_version_again(self, world: World) -> None:
        version = live(world)
        world.version(3)
        by_hand(world)
        look()
        look()
        change = OutOfBandChange.objects.get()
        assert change.version == world.version(3)
        refused("may_not_request", lambda: answer(world, "put_back", change, "mallory"))
        promotion = world.seal(answer(world, "put_back", change, "alice").promotion)
        assert (promotion.kind, promotion.version) == ("rollback", version)
        deployment = world.deploy(world.approve(promotion), 900)
        assert deployment.status == D.SUCCEEDED
        assert world.target().live_version == version
        change.refresh_from_db()
        assert change.answer == ChangeAnswer.PUT_BACK
        look()
        assert OutOfBandChange.objects.count() == 1
        assert not version.marks.exists(), "it was not rolled back from"

    def test_adopted_it_writes_the_alias(self, world: World) -> None:
        live(world)
        version = world.version(3)
        by_hand(world)
        look()
        look()
        change = OutOfBandChange.objects.get()
        deployment = world.approve(world.seal(answer(world, "adopt", change, "alice").promotion))
        assert world.target().live_version == version
        effect = Effect.objects.get(kind=EffectKind.SET_ALIAS, status="waiting")
        assert effect.payload["deployment"] == deployment.pk

    def test_one_answer_for_all_that_one_may_answer(self, world: World) -> None:
        live(world)
        by_hand(world, title="Deploy")
        look()
        look()
        changes = list(OutOfBandChange.objects.select_related("target"))
        assert len(changes) > 1
        mine = next(each for each in changes if each.target == world.target())
        outside = next(each for each in changes if each.target != world.target())
        outside.target.policy.update(
            promote=[{"teams": ["platform"], "count": 1}],
            rollback=[{"teams": ["platform"], "count": 1}],
        )
        outside.target.save()
        answer(world, "ignore_change", mine, "bob")
        still = OutOfBandChange.objects.filter(ended_at=None)
        assert outside in still, "bob does not decide there"
        assert mine not in still
        assert still.count() < len(changes) - 1, "other targets where bob decides"

    def test_something_else_live_since(self, world: World) -> None:
        live(world)
        by_hand(world)
        look()
        look()
        world.make_live(world.version(4))
        change = OutOfBandChange.objects.get()
        assert change.answer == ChangeAnswer.GONE


class TestServingAndArtifacts:
    def served(self, number: int, minutes: float = 0) -> None:
        target = Target.objects.get(model__name="fraud-detector", environment__name="production")
        services.compare_served(
            target_id=target.pk,
            number=number,
            read_at=timezone.now() + timedelta(minutes=minutes),
        )

    def test_another_version_is_served(self, world: World) -> None:
        live(world)
        self.served(1)
        assert not OutOfBandChange.objects.exists(), "it may need a while to follow"
        Target.objects.update(live_since=timezone.now() - timedelta(hours=1))
        self.served(2)
        assert not OutOfBandChange.objects.exists()
        self.served(1)
        self.served(1)
        change = OutOfBandChange.objects.get()
        assert "says that it serves version 1, which MLflow does not have" in change.sentence
        assert (change.kind, change.version, kinds()) == ("serving", None, ["declared"])
        self.served(2)
        self.served(2)
        assert kinds() == ["declared", "ended"]

    def hashed(self, version: ModelVersion, digest: str, problem: str = "") -> bool:
        return services.compare_artifacts(
            version_id=version.pk, digest=digest, problem=problem, read_at=timezone.now()
        )

    def test_artifacts_that_changed(self, world: World) -> None:
        version = live(world)
        sealed = world.observed(version).version["artifact_digest"]
        assert not self.hashed(version, sealed)
        assert not OutOfBandChange.objects.exists()
        assert self.hashed(version, "sha256:other"), "look again soon"
        assert not self.hashed(version, "sha256:other")
        change = OutOfBandChange.objects.get()
        assert (change.kind, change.version) == ("artifact", version)
        # What is adopted is what is there now; from then on that is expected.
        promotion = answer(world, "adopt", change, "alice").promotion
        promotion = world.seal(promotion, version={"artifact_digest": "sha256:other"})
        world.approve(promotion)
        assert not self.hashed(version, "sha256:other")
        assert not OutOfBandChange.objects.filter(ended_at=None).exists()

    def test_artifacts_that_cannot_be_read(self, world: World) -> None:
        version = live(world)
        self.hashed(version, "", "MLflow does not find weights.txt.")
        self.hashed(version, "", "MLflow does not find weights.txt.")
        assert "does not find weights.txt" in OutOfBandChange.objects.get().sentence


def test_the_tag_of_what_is_live(world: World) -> None:
    version = live(world)
    promotion = Deployment.objects.get().promotion_id

    def listed(tags: dict[str, str]) -> None:
        facts = VersionFacts(
            registry_name="fraud-detector",
            number=2,
            registered_at=version.registered_at,
            updated_at=version.updated_at,
            source=version.source,
            status="READY",
            description="",
            tags=tags,
            run_id=version.run_id,
        )
        services.compare_tags(versions=[facts], read_at=timezone.now())
        services.record_versions(versions=[facts])

    listed({})
    listed({})
    assert not OutOfBandChange.objects.exists(), "it never had one"
    listed({"countersign.promotion": str(promotion)})
    assert not OutOfBandChange.objects.exists()
    listed({})
    listed({})
    change = OutOfBandChange.objects.get()
    assert (change.kind, kinds()) == ("tags", ["declared"])
    assert "is gone" in change.sentence
    refused("nothing_to_adopt", lambda: answer(world, "adopt", change, "alice"))
    listed({"countersign.promotion": "9999"})
    listed({"countersign.promotion": "9999"})
    assert kinds() == ["declared", "ended", "declared"]
    answer(world, "put_back", OutOfBandChange.objects.get(ended_at=None), "bob")
    written()
    listed({"countersign.promotion": str(promotion)})
    listed({"countersign.promotion": str(promotion)})
    assert kinds()[-1] == "put_back"


def test_a_promotion_is_what_it_was_without_the_change(world: World) -> None:
    """A status that nobody adopts is not touched by any of this."""
    promotion = world.request(world.version(3))
    assert "retroactive" not in promotion.facts
    assert promotion.status == PromotionStatus.PENDING
