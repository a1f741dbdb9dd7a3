"""The bypass matrix: doors × refusals. What the verbs refuse cannot be had by any other way in.

A cell is driven through the real door, and then nothing was decided: no promotion moved, no seal changed, no
review, deployment, event or effect was written; only a message may be brought up to date. What a door cannot
express stands in CANNOT with its reason, so that there are no silent gaps. A new door is one function in DOORS.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings as in_force
from django.db import transaction
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from approvals import services
from approvals.management.commands import apply_configuration
from approvals.models import (
    Deployment,
    Effect,
    Event,
    Person,
    Promotion,
    Review,
)
from approvals.models.outbox import EffectKind
from approvals.states import PromotionStatus, Via
from integrations import effects, polls, tasks
from integrations.slack.listeners import answers, bolt_app
from sandbox.slack.delivery import FORM, sign
from tests.approvals.bypass_doors import (
    TOKEN,
    Kit,
    by_administration,
    by_api,
    by_browser,
    by_bulk,
    by_command,
    by_slack,
    by_slash_command,
    by_task,
    by_verb,
    by_webhook,
)
from tests.approvals.bypass_refusals import (
    APPROVE,
    REFUSALS,
    Attempt,
    attempt,
    automatic_with_failing_gate,
    welcome,
)
from tests.world import World, _loaded

Door = Callable[[Kit, Attempt], str]
DOORS: dict[str, Door] = {
    "verb": by_verb,
    "browser": by_browser,
    "slack": by_slack,
    "slash command": by_slash_command,
    "bulk": by_bulk,
    "administration": by_administration,
    "command": by_command,
    "task": by_task,
    "webhook": by_webhook,
    "api": by_api,
}
# Through these a person decides: the good attempt succeeds there, and a refusal is told in its words.
DECIDING = ("verb", "browser", "slack", "bulk", "api")

# Doors by which no person comes: they are tried against the states of a promotion.
FACELESS = ("administration", "command", "task", "webhook")
STATES = (
    "a stranger approves",  # one approval is missing, and nothing else
    "it is decided",
    "it expired",
    "it is not sealed",
    "a gate fails",
    "the target is locked",
    "the version is quarantined",
    "the environment is frozen",
    "automatic, and a gate fails",
)
# Of those, what only time and facts could open: nothing for the administration and commands to tell apart.
SHUT = (*(each for each in STATES if each.startswith("the ")), "a gate fails", "it expired")
# (door, refusal) → why it cannot be tried there.
CANNOT: dict[tuple[str, str], str] = {
    **{
        ("bulk", refusal): "Several at once are approved or rejected; nothing else is done to them."
        for refusal in (
            "who may not breaks the glass",
            "the glass is broken without a reason",
            "another's review is withdrawn",
        )
    },
    **{
        (
            door,
            refusal,
        ): "Nobody acts there: it is about who tries, or what they say, on a promotion "
        "whose state is tried."
        for door in FACELESS
        for refusal in REFUSALS
        if refusal not in STATES
    },
    **{
        (door, refusal): "It never looks at what closes a promotion; pending is pending there."
        for door in ("administration", "command")
        for refusal in SHUT
    },
}
# (door, refusal) → words other than the verb's, and nothing is done all the same.
OTHER_WORDS: dict[tuple[str, str], str] = {
    ("browser", "the inactive approve"): "sent to sign in",
    # Buttons that are not there; a press of one is nobody's.
    ("slack", "who may not breaks the glass"): "",
    ("slack", "the glass is broken without a reason"): "",
}
# What a door may do of its own accord: never a review, a deployment or an approval.
OWN_EVENTS = {
    "command": {"configuration.applied"},
    "task": {"promotion.sealed", "promotion.expired"},
}
# Of what it seals or ends people are told.
OWN_EFFECTS = {EffectKind.MAIL, EffectKind.TELL}


def decided() -> tuple[Any, ...]:
    """Everything that a decision writes; a message may be brought up to date."""
    return (
        list(Promotion.objects.order_by("pk").values_list("pk", "status", "seal", "decided_at")),
        list(Review.objects.order_by("pk").values_list("pk", "verdict", "voided_at")),
        list(Deployment.objects.order_by("pk").values_list("pk", "status", "step__workflow_run")),
        sorted(Effect.objects.exclude(kind=EffectKind.ANNOUNCE).values_list("pk", flat=True)),
        list(Event.objects.order_by("pk").values_list("pk", flat=True)),
    )


def only_its_own(door: str, refusal: str, tried: Attempt, before: tuple[Any, ...]) -> None:
    """Nothing was decided; a task may seal what was unsealed, and end what is overdue."""
    after = decided()
    new = set(Event.objects.exclude(pk__in=before[4]).values_list("kind", flat=True))
    assert new <= OWN_EVENTS.get(door, set()), (door, refusal, new)
    assert door != "task" or worked(refusal, new), (refusal, new)
    assert after[1:3] == before[1:3], (door, refusal)
    effects_of = Effect.objects.filter(pk__in=set(after[3]) ^ set(before[3]))
    told = set(effects_of.values_list("kind", flat=True))
    assert set(before[3]) <= set(after[3]), (door, refusal)
    assert told <= (OWN_EFFECTS if door == "task" and new else set()), (door, refusal, told)
    if not new or door == "command":
        assert after[0] == before[0], (door, refusal)
        return
    status = Promotion.objects.get(pk=tried.promotion.pk).status
    expected = {"it expired": "expired", "it is not sealed": "pending"}
    assert status == expected.get(refusal), (door, refusal, status)


def worked(refusal: str, new: set[str]) -> bool:
    """The tasks did find the promotion, and did what is theirs to do."""
    own = {"it expired": {"promotion.expired"}, "it is not sealed": {"promotion.sealed"}}
    return new == own.get(refusal, set())


@contextmanager
def undone() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.fixture
def kit(world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Kit:
    made = Kit(world)
    for person in Person.objects.filter(is_active=True):
        _, secret = services.create_token(
            actor=None, via=Via.COMMAND, person_id=person.pk, name="matrix"
        )
        made.tokens[person.username] = secret
    settings.SLACK_BOT_TOKEN = ""
    bolt_app.cache_clear()

    class Web:
        def views_open(self, *, trigger_id: str, view: dict[str, Any]) -> None:
            made.dialogs.append(view)

    @contextmanager
    def slack(timeout: int = 0, *, team: str = "") -> Iterator[Web]:
        yield Web()

    def observe(target: Any, number: int) -> services.ObservedFacts:
        assert made.watching is not None
        changes = {name: dict(value) for name, value in made.watching.observed.items()}
        return world.observed(made.watching.promotion.version, **changes)

    monkeypatch.setattr(answers, "slack", slack)
    monkeypatch.setattr(answers, "private", lambda _body, text: made.private.append(text))
    monkeypatch.setattr(effects, "observe", observe)
    monkeypatch.setattr(polls, "LOOK", dict.fromkeys(polls.LOOK, lambda _poll: polls.Seen(60.0)))
    monkeypatch.setattr(apply_configuration, "load", _loaded)
    return made


@pytest.mark.parametrize("refusal", REFUSALS)
def test_no_door_lets_through_what_the_verb_refuses(kit: Kit, refusal: str) -> None:
    tried = REFUSALS[refusal](kit.world)
    before, driven = decided(), []
    for name, door in DOORS.items():
        if (name, refusal) in CANNOT:
            continue
        with undone():
            said = door(kit, tried)
            only_its_own(name, refusal, tried, before)
        driven.append(name)
        if name == "slash command" and tried.verb == APPROVE:
            assert "There is no" in said or tried.says in said, (refusal, said[:500])
        if name in DECIDING:
            words = OTHER_WORDS.get((name, refusal), tried.says)
            assert words in said, (name, refusal, said[:2000])
    assert decided() == before
    assert driven == [name for name in DOORS if (name, refusal) not in CANNOT]


@pytest.mark.parametrize("name", [*DECIDING, "slash command"])
def test_the_doors_are_open_for_whoever_may(kit: Kit, name: str) -> None:
    """Without this the matrix would be full of locked doors."""
    tried = welcome(kit.world)
    DOORS[name](kit, tried)
    assert Promotion.objects.get(pk=tried.promotion.pk).status == PromotionStatus.APPROVED
    assert Deployment.objects.count() == 1


def test_the_tasks_approve_what_is_automatic_and_passes(kit: Kit) -> None:
    """So that a task which approves nothing else is not one that does nothing."""
    tried = automatic_with_failing_gate(kit.world)
    by_task(kit, tried)
    assert Promotion.objects.get(pk=tried.promotion.pk).is_pending
    Promotion.objects.update(policy={**tried.promotion.policy, "gates": []})
    tasks.look_after()
    assert not Promotion.objects.get(pk=tried.promotion.pk).is_pending
    assert Event.objects.get(kind="promotion.approved").actor is None


def test_every_cell_is_driven_or_listed() -> None:
    cells = {(door, refusal) for door in DOORS for refusal in REFUSALS}
    assert set(CANNOT) <= cells and set(OTHER_WORDS) <= cells
    assert all(reason.endswith(".") for reason in CANNOT.values())
    assert not set(CANNOT) & set(OTHER_WORDS)
    assert set(DECIDING) <= set(DOORS)
    assert not {door for door, _ in CANNOT} & {"verb", "browser", "slack"}
    assert set(SHUT) <= set(STATES) <= set(REFUSALS)


def test_the_administration_deletes_nothing(kit: Kit) -> None:
    deployment = kit.world.approve(kit.world.request())
    root = Person.objects.create(username="root", is_staff=True, is_superuser=True)
    client, before = Client(), decided()
    client.force_login(root)
    review = deployment.promotion.reviews.get(person__username="bob")
    for row in (deployment, review):
        name = row._meta.model_name
        many = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
        client.post(reverse(f"admin:approvals_{name}_changelist"), many)
        one = reverse(f"admin:approvals_{name}_delete", args=[row.pk])
        assert client.post(one, {"post": "yes"}).status_code == 403
    assert decided() == before


def test_a_form_of_another_site_decides_nothing(kit: Kit) -> None:
    tried = welcome(kit.world)
    client, before = Client(enforce_csrf_checks=True), decided()
    client.force_login(kit.world.person("bob"))
    address = tried.promotion.get_absolute_url()
    page = client.get(address).content.decode()
    token = TOKEN.search(page)
    assert token is not None and 'value="approve"' in page
    form = {"action": APPROVE, "seal": tried.seal}
    for wrong in ("", "x" * 64, token[1][:-1]):
        assert client.post(address, {**form, "csrfmiddlewaretoken": wrong}).status_code == 403
    assert decided() == before
    assert client.post(address, {**form, "csrfmiddlewaretoken": token[1]}).status_code == 302
    assert decided() != before


def test_a_forged_press_decides_nothing(kit: Kit) -> None:
    """Unsigned, signed by somebody else, and signed an hour ago."""
    tried = welcome(kit.world)
    before = decided()
    body = urlencode({"payload": json.dumps({"type": "block_actions"})}).encode()
    now, old = str(int(time.time())), str(int(time.time()) - 3600)
    secret = in_force.SLACK_SIGNING_SECRET
    for stamp, given in (
        (now, ""),
        (now, sign("not the secret", now, body)),
        (old, sign(secret, old, body)),
        (now, sign(secret, old, body)),
    ):
        answer = Client().post(
            "/integrations/slack/events",
            data=body,
            content_type=FORM,
            headers={"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": given},
        )
        assert answer.status_code == 401
    assert decided() == before
    assert tried.promotion.is_pending


def test_a_run_moves_no_grant_that_was_not_dispatched(kit: Kit) -> None:
    """A genuine webhook that names an approved promotion does not make it live before it was dispatched."""
    deployment = kit.world.approve(kit.world.request())
    tried = attempt(deployment.promotion, "bob", "already_decided", "")
    before = decided()
    with undone():
        by_webhook(kit, tried)
        assert decided() == before
        assert kit.world.target().live_version is None
    again = replace(tried, promotion=Promotion.objects.get(pk=deployment.promotion_id))
    assert again.promotion.status == PromotionStatus.APPROVED
