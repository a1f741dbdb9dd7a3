"""Trying an effect again: by those who decide there, never what starts a workflow, and written down."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from approvals import services
from approvals.models import Effect, Event
from approvals.models.outbox import EffectKind
from approvals.narrative import sentence_of
from approvals.services.refusal import Refused
from approvals.states import EffectStatus, Via
from tests.world import World


def effect_of(world: World, kind: str = EffectKind.ANNOUNCE, **values: object) -> Effect:
    promotion = world.request()
    effect = Effect.objects.filter(promotion=promotion).latest("pk")
    later = timezone.now() + timedelta(minutes=5)
    Effect.objects.filter(pk=effect.pk).update(
        **{"kind": kind, "status": "failed", "last_error": "No.", "due_at": later, **values}
    )
    return Effect.objects.get(pk=effect.pk)


def retry(world: World, name: str, effect: Effect) -> Effect:
    return services.retry_effect(actor=world.person(name), via=Via.BROWSER, effect_id=effect.pk)


@pytest.mark.parametrize("status", ["failed", "waiting"])
@pytest.mark.parametrize("name", ["bob", "carol", "dave"])
def test_those_who_decide_there_may(world: World, name: str, status: str) -> None:
    effect = effect_of(world, status=status)
    again = retry(world, name, effect)
    assert (again.status, again.finished_at) == (EffectStatus.WAITING, None)
    assert again.due_at <= timezone.now()
    event = Event.objects.get(kind="effect.retried")
    assert (event.actor, event.promotion) == (world.person(name), effect.promotion)
    assert sentence_of(event).endswith(
        "had it tried again to bring the message and its thread up to date"
    )


@pytest.mark.parametrize("name", ["alice", "mallory", "ci"])
def test_others_may_not(world: World, name: str) -> None:
    effect = effect_of(world)
    with pytest.raises(Refused) as refused:
        retry(world, name, effect)
    assert refused.value.code == "may_not_retry"
    unchanged(effect)


@pytest.mark.parametrize("kind", [EffectKind.DISPATCH, EffectKind.LOOK_UP])
@pytest.mark.parametrize("status", ["failed", "waiting"])
@pytest.mark.parametrize("name", ["bob", "dave"])
def test_what_starts_a_workflow_is_never_repeated(
    world: World, kind: str, status: str, name: str
) -> None:
    effect = effect_of(world, kind, status=status)
    with pytest.raises(Refused, match="started once") as refused:
        retry(world, name, effect)
    assert refused.value.code == "never_repeated"
    unchanged(effect)


@pytest.mark.parametrize("status", ["claimed", "done"])
def test_what_is_under_way_or_delivered_is_left_alone(world: World, status: str) -> None:
    effect = effect_of(world, status=status)
    with pytest.raises(Refused):
        retry(world, "bob", effect)
    unchanged(effect)


def test_what_belongs_to_no_target_is_for_administrators(world: World) -> None:
    effect = effect_of(world, EffectKind.COMPARE, promotion=None, target=None)
    with pytest.raises(Refused):
        retry(world, "bob", effect)
    unchanged(effect)
    type(world.person("bob")).objects.filter(username="bob").update(is_staff=True)
    assert retry(world, "bob", effect).status == EffectStatus.WAITING


def test_nothing_there(world: World) -> None:
    with pytest.raises(Refused):
        services.retry_effect(actor=world.person("bob"), via=Via.BROWSER, effect_id=10**9)


def unchanged(effect: Effect) -> None:
    now = Effect.objects.get(pk=effect.pk)
    assert (now.status, now.due_at) == (effect.status, effect.due_at)
    assert not Event.objects.filter(kind="effect.retried").exists()
