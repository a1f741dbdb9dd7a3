"""What administrators can do, and what not even they can."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from approvals import services
from approvals.models import Effect, Event, Person, Promotion
from approvals.services import Refused
from approvals.states import Via
from integrations.models import SlackIdentity
from tests.world import World


@pytest.fixture
def admin(world: World) -> Client:
    Person.objects.filter(username="dave").update(is_staff=True, is_superuser=True)
    client = Client()
    client.force_login(world.person("dave"))
    return client


def test_every_list_opens(world: World, admin: Client) -> None:
    world.make_live(world.version(1))
    for app in ("approvals", "integrations"):
        assert admin.get(reverse("admin:app_list", args=[app])).status_code == 200
    for model in (
        "event",
        "promotion",
        "review",
        "deployment",
        "effect",
        "person",
        "target",
        "restriction",
        "evidence",
        "apitoken",
    ):
        assert admin.get(reverse(f"admin:approvals_{model}_changelist")).status_code == 200
    for model in ("poll", "heartbeat", "slackidentity", "slackmessage"):
        assert admin.get(reverse(f"admin:integrations_{model}_changelist")).status_code == 200


def test_a_token_is_shown_without_its_digest(world: World, admin: Client) -> None:
    token, secret = services.create_token(
        actor=None, via=Via.COMMAND, person_id=world.person("ci").pk, name="pipeline"
    )
    for view, arguments in (("changelist", []), ("change", [token.pk])):
        html = admin.get(
            reverse(f"admin:approvals_apitoken_{view}", args=arguments)
        ).content.decode()
        assert token.prefix in html
        assert token.digest not in html and secret not in html


@pytest.mark.parametrize(
    "model",
    [
        "promotion",
        "review",
        "deployment",
        "event",
        "target",
        "restriction",
        "evidence",
        "apitoken",
    ],
)
def test_the_administration_is_no_way_round(world: World, admin: Client, model: str) -> None:
    """The admin door: nothing of a decision can be added, changed or deleted there."""
    promotion = world.request()
    world.review(promotion, "bob")
    events = Event.objects.count()
    pk = promotion.pk if model == "promotion" else Event.objects.latest("pk").pk
    for view, arguments in (("add", []), ("change", [pk]), ("delete", [pk])):
        address = reverse(f"admin:approvals_{model}_{view}", args=arguments)
        answer = admin.post(address, {"status": "approved", "post": "yes"})
        assert answer.status_code in {302, 403}, (view, answer.status_code)
    promotion.refresh_from_db()
    assert promotion.status == "pending"
    assert Event.objects.count() == events


def test_activation_is_a_verb_with_an_event(world: World, admin: Client) -> None:
    carol = world.person("carol")
    data = {
        "username": "carol",
        "first_name": "Carol",
        "last_name": "Chen",
        "email": carol.email,
        "is_active": "",
    }
    address = reverse("admin:approvals_person_change", args=[carol.pk])
    assert admin.post(address, data).status_code == 302
    assert not world.person("carol").is_active
    event = Event.objects.get(kind="person.deactivated")
    assert (event.actor, event.data) == (world.person("dave"), {"person": "carol"})
    assert admin.post(address, {**data, "is_active": "on"}).status_code == 302
    assert world.person("carol").is_active


def test_only_administrators_activate_and_retry(world: World) -> None:
    promotion = world.request()
    effect = Effect.objects.filter(promotion=promotion).latest("pk")
    Effect.objects.filter(pk=effect.pk).update(status="failed")
    bob = world.person("bob")
    with pytest.raises(Refused):
        services.set_active(
            actor=bob, via=Via.BROWSER, person_id=world.person("mallory").pk, active=False
        )
    with pytest.raises(Refused):
        services.retry_effect(actor=world.person("mallory"), via=Via.BROWSER, effect_id=effect.pk)
    effect.refresh_from_db()
    assert effect.status == "failed"
    assert world.person("mallory").is_active


def test_what_was_given_up_can_be_delivered_again(world: World, admin: Client) -> None:
    promotion = world.request()
    effect = Effect.objects.filter(promotion=promotion).latest("pk")
    Effect.objects.filter(pk=effect.pk).update(status="failed", last_error="Slack said no.")
    address = reverse("admin:approvals_effect_changelist")
    admin.post(address, {"action": "retry", "_selected_action": [effect.pk]})
    effect.refresh_from_db()
    assert effect.status == "waiting"
    event = Event.objects.get(kind="effect.retried")
    assert (event.actor, event.data["effect"]) == (world.person("dave"), effect.pk)


def test_unlinking_somebody_is_recorded(world: World, admin: Client) -> None:
    identity = SlackIdentity.objects.get(person__username="bob")
    admin.post(
        reverse("admin:integrations_slackidentity_delete", args=[identity.pk]), {"post": "yes"}
    )
    assert not SlackIdentity.objects.filter(pk=identity.pk).exists()
    event = Event.objects.get(kind="slack.unlinked")
    assert (event.actor, event.data["person"]) == (world.person("dave"), "bob")


def test_deactivating_takes_effect_in_every_door(world: World) -> None:
    promotion = world.request()
    world.review(promotion, "bob")
    Person.objects.filter(username="dave").update(is_superuser=True)
    services.set_active(
        actor=world.person("dave"),
        via=Via.BROWSER,
        person_id=world.person("bob").pk,
        active=False,
    )
    # bob's earlier approval does not count any more.
    world.review(promotion, "carol")
    assert Promotion.objects.get(pk=promotion.pk).status == "pending"


def test_the_administration_has_the_same_sign_in(db: None) -> None:
    answer = Client().get("/admin/login/")
    assert answer.status_code == 302
    assert answer["Location"].startswith("/accounts/login/")
