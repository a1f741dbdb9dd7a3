"""Who really gets a mail: decided at delivery, by wishes and by how else somebody is reached."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from approvals.models import Effect, Preferences, Promotion
from approvals.models.outbox import EffectKind
from approvals.states import MailWish, Occasion
from integrations.mail.wishes import readers
from integrations.models import SlackIdentity, SlackStanding, SlackWorkspace
from tests.integrations.mail_fixtures import Mail, mail
from tests.world import SLACK_TEAM, World

__all__ = ["mail"]

W, A, N = MailWish.WITHOUT_CHAT, MailWish.ALWAYS, MailWish.NEVER
REQUEST, REMINDER, OUTCOME = Occasion.REQUEST, Occasion.REMINDER, Occasion.OUTCOME
NEWS = ""  # of a target


def _effect(promotion: Promotion, occasion: str) -> Effect:
    payload: dict[str, Any] = {"occasion": occasion} if occasion else {}
    return Effect(kind=EffectKind.MAIL, target=promotion.target, payload=payload)


@pytest.mark.parametrize(
    ("wish", "reminders", "linked", "gets"),
    [
        # No row of preferences: mail while there is no chat, and reminders.
        (None, None, True, [NEWS]),
        (None, None, False, [REQUEST, REMINDER, OUTCOME, NEWS]),
        (W, True, True, [NEWS]),
        (W, False, False, [REQUEST, OUTCOME, NEWS]),
        (A, True, True, [REQUEST, REMINDER, OUTCOME, NEWS]),
        (A, False, True, [REQUEST, OUTCOME, NEWS]),
        (N, True, True, []),
        (N, True, False, []),
    ],
)
def test_by_wish_and_link(
    world: World, wish: str | None, reminders: bool | None, linked: bool, gets: list[str]
) -> None:
    bob, promotion = world.person("bob"), world.request()
    if wish is not None:
        Preferences.objects.create(person=bob, mail=wish, reminders=bool(reminders))
    if not linked:
        SlackIdentity.objects.filter(person=bob).delete()
    everything = (REQUEST, REMINDER, OUTCOME, NEWS)
    assert [each for each in everything if readers(_effect(promotion, each), [bob])] == gets


def _unconfigured(settings: Settings, promotion: Promotion) -> None:
    settings.SLACK_BOT_TOKEN = ""


def _uninstalled(settings: Settings, promotion: Promotion) -> None:
    SlackWorkspace.objects.create(team_id=SLACK_TEAM, is_active=False)


def _a_guest(settings: Settings, promotion: Promotion) -> None:
    SlackIdentity.objects.update(standing=SlackStanding.GUEST)


def _no_channel(settings: Settings, promotion: Promotion) -> None:
    promotion.target.channel = ""


@pytest.mark.parametrize("why", [_unconfigured, _uninstalled, _a_guest, _no_channel])
def test_a_link_that_reaches_nobody_counts_for_nothing(
    world: World, settings: Settings, why: Any
) -> None:
    promotion, bob = world.request(), world.person("bob")
    assert readers(_effect(promotion, REQUEST), [bob]) == []
    why(settings, promotion)
    assert readers(_effect(promotion, REQUEST), [bob]) == [bob]


def test_a_workspace_installed_with_a_token_of_its_own_reaches_its_people(
    world: World, settings: Settings
) -> None:
    settings.SLACK_BOT_TOKEN = ""
    SlackWorkspace.objects.create(team_id=SLACK_TEAM, token="encrypted", is_active=True)
    assert readers(_effect(world.request(), REQUEST), [world.person("bob")]) == []


def test_decided_at_delivery_and_redelivered_once(mail: Mail) -> None:
    """bob changes his mind between the request and the mail; carol is linked meanwhile."""
    world = mail.world
    bob, carol = world.person("bob"), world.person("carol")
    SlackIdentity.objects.create(
        team_id=SLACK_TEAM, user_id="U0BOB", person=bob, linked_at=timezone.now()
    )
    world.request()
    effect = Effect.objects.get(kind=EffectKind.MAIL)
    Effect.objects.exclude(pk=effect.pk).delete()
    Preferences.objects.create(person=bob, mail=MailWish.ALWAYS)
    SlackIdentity.objects.create(
        team_id=SLACK_TEAM, user_id="U0CAROL", person=carol, linked_at=timezone.now()
    )
    mail.deliver(effect)
    Effect.objects.update(status="waiting")
    mail.deliver(effect)
    assert mail.readers() == ["bob"]
