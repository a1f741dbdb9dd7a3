"""One deployment at a time at a target, the rest in order; what is replaced is what will be live by then."""

from __future__ import annotations

import pytest

from approvals import services
from approvals.models import Deployment, Effect, Event, Promotion
from approvals.models.outbox import EffectKind
from approvals.services import Refused
from approvals.services.delivery import NotYet
from approvals.services.queueing import queue_of
from approvals.states import DeploymentStatus, PromotionStatus, Via
from tests.world import World

D = DeploymentStatus
pytestmark = pytest.mark.django_db


def granted(world: World, number: int) -> Deployment:
    return world.approve(world.request(world.version(number)))


@pytest.fixture
def queue(world: World) -> list[Deployment]:
    """v1 is live; v2, v3 and v4 are approved, none begun."""
    world.make_live(world.version(1))
    return [granted(world, number) for number in (2, 3, 4)]


def replaces(deployment: Deployment) -> str:
    return str(deployment.promotion.facts["target"]["replaces"])


def begin(world: World, deployment: Deployment) -> object:
    return services.begin_dispatch(
        deployment_id=deployment.pk, observed=world.observed(deployment.version)
    )


def order(world: World) -> list[int]:
    return [each.version.number for each in queue_of(world.target())]


def test_each_replaces_the_one_before(queue: list[Deployment]) -> None:
    assert [replaces(each) for each in queue] == ["1", "2", "3"]


def test_they_go_in_order_and_nobody_is_asked_twice(world: World, queue: list[Deployment]) -> None:
    second, third, fourth = queue
    for later in (third, fourth):
        with pytest.raises(NotYet, match="Waiting for the deployment of promotion"):
            begin(world, later)
    for each in (second, third, fourth):
        world.deploy(each, 500 + each.pk)
        each.refresh_from_db()
        assert (each.status, each.asks_to_confirm) == (D.SUCCEEDED, "")
    live = world.target().live_version
    assert live is not None
    assert live.number == 4


def test_other_targets_do_not_wait(world: World, queue: list[Deployment]) -> None:
    begin(world, queue[0])
    other = world.approve(world.request(world.version(1, "credit-limit")))
    assert begin(world, other) is not None


def test_a_pending_promotion_holds_nobody(world: World, queue: list[Deployment]) -> None:
    world.request(world.version(5))
    assert begin(world, queue[0]) is not None


def test_what_ends_wakes_the_next(world: World, queue: list[Deployment]) -> None:
    effect = Effect.objects.get(kind=EffectKind.DISPATCH, promotion=queue[1].promotion)
    Effect.objects.filter(pk=effect.pk).update(due_at=effect.created_at.replace(year=2100))
    world.deploy(queue[0], 501)
    effect.refresh_from_db()
    assert effect.due_at.year < 2100


def test_when_one_fails_the_next_asks_a_person(world: World, queue: list[Deployment]) -> None:
    second, third, _ = queue
    begin(world, second)
    services.record_run(facts=world.run_facts(second, 77, conclusion="failure"))
    assert begin(world, third) is None
    third.refresh_from_db()
    assert third.status == D.QUEUED
    assert third.asks_to_confirm == (
        "fraud-detector v1 is live now, not fraud-detector v2 as when it was approved. Somebody who decides "
        "here has to confirm that fraud-detector v3 goes live all the same."
    )
    assert Event.objects.filter(kind="deployment.asks", promotion=third.promotion).count() == 1
    with pytest.raises(NotYet):
        services.refuse_too_early(deployment_id=third.pk)
    for name, code in {"alice": "requester", "mallory": "not_in_team"}.items():
        with pytest.raises(Refused) as refused:
            services.confirm(
                actor=world.person(name),
                via=Via.BROWSER,
                deployment_id=third.pk,
                seal=third.asked_seal,
            )
        assert refused.value.code == code
    with pytest.raises(Refused, match="look again"):
        services.confirm(
            actor=world.person("bob"), via=Via.BROWSER, deployment_id=third.pk, seal="0" * 64
        )
    assert begin(world, third) is None, "nobody confirmed"
    third.refresh_from_db()
    services.confirm(
        actor=world.person("bob"), via=Via.BROWSER, deployment_id=third.pk, seal=third.asked_seal
    )
    world.deploy(third, 78)
    third.refresh_from_db()
    assert third.status == D.SUCCEEDED
    assert Event.objects.filter(kind="deployment.asks", promotion=third.promotion).count() == 1


def test_a_question_holds_nobody_behind_it(world: World, queue: list[Deployment]) -> None:
    second, third, fourth = queue
    begin(world, second)
    services.record_run(facts=world.run_facts(second, 77, conclusion="failure"))
    begin(world, third)
    begin(world, fourth)
    fourth.refresh_from_db()
    assert fourth.asks_to_confirm.startswith("fraud-detector v1 is live now, not fraud-detector v3")


def test_what_is_older_than_live_says_so(world: World, queue: list[Deployment]) -> None:
    second, _, fourth = queue
    services.reorder(
        actor=world.person("bob"),
        via=Via.BROWSER,
        target_id=world.target().pk,
        deployment_ids=[fourth.pk],
    )
    assert order(world) == [4, 2, 3]
    begin(world, fourth)
    fourth.refresh_from_db()
    services.confirm(
        actor=world.person("bob"), via=Via.BROWSER, deployment_id=fourth.pk, seal=fourth.asked_seal
    )
    world.deploy(fourth, 79)
    begin(world, second)
    second.refresh_from_db()
    assert second.asks_to_confirm.startswith("fraud-detector v2 is older than what is live.")


def test_other_differences_are_never_confirmed(world: World, queue: list[Deployment]) -> None:
    second, third, _ = queue
    begin(world, second)
    services.record_run(facts=world.run_facts(second, 77, conclusion="failure"))
    changed = world.observed(third.version, metrics={"accuracy": "0.1"})
    assert services.begin_dispatch(deployment_id=third.pk, observed=changed) is None
    third.refresh_from_db()
    assert third.status == D.FAILED


def test_the_order_is_for_those_who_decide(world: World, queue: list[Deployment]) -> None:
    before = order(world)
    for name in ("alice", "mallory", "ci"):
        with pytest.raises(Refused) as refused:
            services.reorder(
                actor=world.person(name),
                via=Via.BROWSER,
                target_id=world.target().pk,
                deployment_ids=[queue[2].pk],
            )
        assert refused.value.code == "may_not_reorder"
    with pytest.raises(Refused) as refused:
        services.reorder(
            actor=world.person("bob"),
            via=Via.BROWSER,
            target_id=world.target().pk,
            deployment_ids=[queue[2].pk, 10**9],
        )
    assert refused.value.code == "not_queued"
    assert order(world) == before
    assert not Event.objects.filter(kind="queue.reordered").exists()


def test_the_same_order_is_no_event(world: World, queue: list[Deployment]) -> None:
    services.reorder(
        actor=world.person("bob"),
        via=Via.BROWSER,
        target_id=world.target().pk,
        deployment_ids=[each.pk for each in queue],
    )
    assert not Event.objects.filter(kind="queue.reordered").exists()


def test_a_rollback_goes_first(world: World, queue: list[Deployment]) -> None:
    begin(world, queue[0])
    rollback = services.request_rollback(
        actor=world.person("bob"),
        via=Via.BROWSER,
        target_id=world.target().pk,
        version_id=world.version(1).pk,
        reason="v2 is bad.",
    )
    sealed = world.seal(rollback)
    assert sealed.facts["target"]["replaces"] == "2"
    world.approve(sealed)
    assert order(world) == [1, 3, 4]


def test_granting_seals_what_is_asked_anew(world: World) -> None:
    world.make_live(world.version(1))
    second = world.request(world.version(2))
    rollback_first = Promotion.objects.get(pk=second.pk)
    world.approve(rollback_first)
    third = world.request(world.version(3))
    assert third.facts["target"]["replaces"] == "2"
    before = Effect.objects.filter(kind=EffectKind.GATHER_FACTS, promotion=third).count()
    deployment = Deployment.objects.get(promotion=second)
    services.call_off(
        actor=world.person("alice"), via=Via.BROWSER, deployment_id=deployment.pk, reason="No."
    )
    assert (
        Effect.objects.filter(kind=EffectKind.GATHER_FACTS, promotion=third).count() == before + 1
    )
    assert world.seal(third).facts["target"]["replaces"] == "1"
    assert Promotion.objects.get(pk=third.pk).status == PromotionStatus.PENDING
