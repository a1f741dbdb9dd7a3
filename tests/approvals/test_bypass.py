"""The bypass matrix: doors × refusals. What the verbs refuse cannot be had by any other way in.

A cell is driven through the real door, and then nothing was decided: no promotion moved, no seal changed, no
review, deployment, event or effect was written; only a message may be brought up to date. What a door cannot
express stands in CANNOT with its reason, so that there are no silent gaps. A new door is one function in DOORS.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from html import unescape
from io import StringIO
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings as in_force
from django.core.management import call_command
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import Settings

from approvals import services
from approvals.management.commands import apply_configuration
from approvals.models import (
    Deployment,
    Effect,
    Event,
    Membership,
    Person,
    Promotion,
    Review,
    Team,
)
from approvals.models.outbox import EffectKind
from approvals.services import Refused
from approvals.states import PromotionStatus, Verdict, Via
from integrations import effects, polls, tasks
from integrations.github.views import signature
from integrations.models import SlackIdentity
from integrations.slack import listeners
from integrations.slack.listeners import bolt_app
from sandbox.slack.delivery import FORM, sign
from tests.world import SLACK_TEAM, World, _loaded

APPROVE, OVERRIDE, WITHDRAW = "approve", "override", "withdraw"


@dataclass(frozen=True)
class Attempt:
    """What somebody tries: ``code`` is why the verb refuses it, ``says`` words of its sentence."""

    promotion: Promotion
    who: str
    code: str
    says: str
    seal: str
    verb: str = APPROVE
    comment: str = ""
    # What a worker would read of the version now.
    observed: dict[str, Any] = field(default_factory=dict)


def attempt(promotion: Promotion, who: str, code: str, says: str, **more: Any) -> Attempt:
    now = Promotion.objects.get(pk=promotion.pk)
    return Attempt(now, who, code, says, more.pop("seal", now.seal), **more)


# -- the refusals --------------------------------------------------------------------------------------


def asked(world: World, **policy: Any) -> Promotion:
    """A sealed request under this policy; carol has approved, so that one more would settle it."""
    target = world.target()
    target.policy |= {"override_team": "platform", **policy}
    target.save()
    promotion = world.request()
    if not {"checklist", "comment_required", "automatic", "gates"} & policy.keys():
        world.review(promotion, "carol")
    return promotion


def by_requester(world: World) -> Attempt:
    Membership.objects.create(team=Team.objects.get(slug="ml-leads"), person=world.person("alice"))
    return attempt(asked(world), "alice", "requester", "because you asked for it")


def by_stranger(world: World) -> Attempt:
    return attempt(asked(world), "mallory", "not_in_team", "you are in none of the teams")


def by_machine(world: World) -> Attempt:
    machine = world.person("ci")
    Membership.objects.create(team=Team.objects.get(slug="ml-leads"), person=machine)
    SlackIdentity.objects.create(
        team_id=SLACK_TEAM, user_id="U0CI", person=machine, linked_at=timezone.now()
    )
    return attempt(asked(world), "ci", "machine", "this is a machine account")


def by_inactive(world: World) -> Attempt:
    promotion = asked(world)
    Person.objects.filter(username="bob").update(is_active=False)
    return attempt(promotion, "bob", "inactive", "your account is not active")


def already_decided(world: World) -> Attempt:
    promotion = asked(world)
    services.cancel(actor=world.person("alice"), via=Via.BROWSER, promotion_id=promotion.pk)
    return attempt(promotion, "bob", "already_decided", "It is too late: this was cancelled")


def expired(world: World) -> Attempt:
    promotion = asked(world)
    Promotion.objects.filter(pk=promotion.pk).update(expires_at=timezone.now())
    return attempt(promotion, "bob", "expired", "It is too late: this expired")


def stale_seal(world: World) -> Attempt:
    promotion = asked(world)
    seen, moved = promotion.seal, {"metrics": {"accuracy": "0.871", "auc": "0.95"}}
    world.review(world.seal(promotion, metrics=dict(moved["metrics"])), "carol")
    says = "accuracy was 0.92 and is 0.871 now"
    return attempt(promotion, "bob", "stale", says, seal=seen, observed=moved)


def unsealed(world: World) -> Attempt:
    promotion = services.request_promotion(
        actor=world.person("alice"),
        via=Via.BROWSER,
        target_id=world.target().pk,
        version_id=world.version().pk,
        reason="Because.",
    )
    return attempt(promotion, "bob", "not_sealed", "still being gathered")


GATE = {"kind": "metric", "metric": "auc", "at_least": "0.99", "at_most": ""}


def gate_fails(world: World) -> Attempt:
    return attempt(asked(world, gates=[GATE]), "bob", "blocked", "at least 0.99 is required")


def closed(world: World, verb: Callable[..., Any], name: str, says: str) -> Attempt:
    promotion = asked(world)
    subject = {
        "target_id": promotion.target_id,
        "version_id": promotion.version_id,
        "environment_id": promotion.target.environment_id,
    }
    verb(actor=world.person("carol"), via=Via.BROWSER, reason="Drift.", **{name: subject[name]})
    return attempt(promotion, "bob", "blocked", says)


def checklist_not_ticked(world: World) -> Attempt:
    promotion = asked(world, checklist=["I read the report."])
    return attempt(promotion, "bob", "checklist", "Tick what you have checked first")


def comment_missing(world: World) -> Attempt:
    promotion = asked(world, comment_required=True)
    return attempt(promotion, "bob", "reason_missing", "the policy asks for a comment")


def twice(world: World) -> Attempt:
    return attempt(asked(world), "carol", "already_reviewed", "one person counts once")


def for_the_requester(world: World) -> Attempt:
    """alice is a lead too and has handed her approvals to mallory, who would decide on alice's own request."""
    Membership.objects.create(team=Team.objects.get(slug="ml-leads"), person=world.person("alice"))
    services.delegate(
        actor=world.person("alice"),
        via=Via.BROWSER,
        delegate_id=world.person("mallory").pk,
        until=timezone.now() + timedelta(days=1),
    )
    return attempt(asked(world), "mallory", "not_in_team", "you are in none of the teams")


def override_by_stranger(world: World) -> Attempt:
    says = "breaking the glass is for members of platform"
    promotion = asked(world)
    return attempt(
        promotion, "bob", "may_not_override", says, verb=OVERRIDE, comment="It cannot wait."
    )


def override_without_reason(world: World) -> Attempt:
    says = "Say why it cannot wait"
    return attempt(asked(world), "dave", "reason_missing", says, verb=OVERRIDE, comment=" \n ")


def automatic_with_failing_gate(world: World) -> Attempt:
    promotion = asked(world, automatic=True, promote=[], gates=[GATE])
    return attempt(promotion, "bob", "not_in_team", "you are in none of the teams")


def withdraw_of_another(world: World) -> Attempt:
    says = "You have no review here that counts."
    return attempt(asked(world), "bob", "nothing_to_withdraw", says, verb=WITHDRAW)


REFUSALS: dict[str, Callable[[World], Attempt]] = {
    "the requester approves": by_requester,
    "a stranger approves": by_stranger,
    "a machine approves": by_machine,
    "the inactive approve": by_inactive,
    "it is decided": already_decided,
    "it expired": expired,
    "the seal is stale": stale_seal,
    "it is not sealed": unsealed,
    "a gate fails": gate_fails,
    "the target is locked": lambda world: closed(world, services.lock, "target_id", "is locked"),
    "the version is quarantined": lambda world: closed(
        world, services.quarantine, "version_id", "is quarantined"
    ),
    "the environment is frozen": lambda world: closed(
        world, services.freeze, "environment_id", "is frozen"
    ),
    "the checklist is not ticked": checklist_not_ticked,
    "the comment is missing": comment_missing,
    "the same person approves twice": twice,
    "a delegate approves for the requester": for_the_requester,
    "who may not breaks the glass": override_by_stranger,
    "the glass is broken without a reason": override_without_reason,
    "automatic, and a gate fails": automatic_with_failing_gate,
    "another's review is withdrawn": withdraw_of_another,
}


def welcome(world: World) -> Attempt:
    """Nothing is wrong with this one: it shows that a door is open at all."""
    return attempt(asked(world), "bob", "", "")


# -- the doors -----------------------------------------------------------------------------------------


@dataclass
class Kit:
    """What the doors need."""

    world: World
    private: list[str] = field(default_factory=list)
    dialogs: list[dict[str, Any]] = field(default_factory=list)
    watching: Attempt | None = None
    tokens: dict[str, str] = field(default_factory=dict)


def by_verb(kit: Kit, tried: Attempt) -> str:
    """The verb itself, which every other door has to call."""
    who: dict[str, Any] = {
        "actor": kit.world.person(tried.who),
        "via": Via.API,
        "promotion_id": tried.promotion.pk,
    }
    try:
        if tried.verb == OVERRIDE:
            services.override(**who, seal=tried.seal, reason=tried.comment)
        elif tried.verb == WITHDRAW:
            services.withdraw_review(**who)
        else:
            services.review(**who, verdict=Verdict.APPROVE, seal=tried.seal, comment=tried.comment)
    except Refused as refused:
        assert refused.code == tried.code
        return refused.sentence
    return ""


TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


def by_browser(kit: Kit, tried: Attempt) -> str:
    """What a page's form sends, with Django's cross-site check on."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(kit.world.person(tried.who))
    # The form of a small page will do: the token is the session's.
    token = TOKEN.search(client.get(reverse("profile"), follow=True).content.decode())
    assert token is not None
    form = {"action": tried.verb, "seal": tried.seal, "text": tried.comment}
    form["csrfmiddlewaretoken"] = token[1]
    answer = client.post(tried.promotion.get_absolute_url(), form)
    if answer.status_code == 302 and "/accounts/login/" in answer["Location"]:
        return "sent to sign in"
    assert answer.status_code == (409 if tried.code else 302), answer.status_code
    return unescape(answer.content.decode())


def _to_slack(payload: dict[str, Any]) -> str:
    body, stamp = urlencode({"payload": json.dumps(payload)}).encode(), str(int(time.time()))
    answer = Client().post(
        "/integrations/slack/events",
        data=body,
        content_type=FORM,
        headers={
            "X-Slack-Request-Timestamp": stamp,
            "X-Slack-Signature": sign(in_force.SLACK_SIGNING_SECRET, stamp, body),
        },
    )
    assert answer.status_code == 200, answer.content
    return answer.content.decode()


def by_slack(kit: Kit, tried: Attempt) -> str:
    """A signed press of a button; where it opens a dialog, that dialog sent without what it asks for."""
    person = kit.world.person(tried.who)
    payload: dict[str, Any] = {
        "user": {"id": f"U0{tried.who.upper()}", "username": tried.who, "team_id": SLACK_TEAM},
        "team": {"id": SLACK_TEAM, "domain": "acme"},
        "api_app_id": "A0COUNTERSIGN",
        "token": "x",
        "trigger_id": "1.2.3",
    }
    assert SlackIdentity.objects.filter(person=person, user_id=payload["user"]["id"]).exists()
    button = {
        "type": "button",
        "action_id": tried.verb,
        "block_id": "decide",
        "action_ts": f"{time.time():.6f}",
        "value": json.dumps({"p": tried.promotion.pk, "s": tried.seal}),
    }
    kit.private.clear()
    kit.dialogs.clear()
    message = {"type": "message", "message_ts": "1.2", "channel_id": "C0RELEASES"}
    pressed = {"type": "block_actions", "actions": [button], "container": message}
    _to_slack({**payload, **pressed, "response_url": "http://127.0.0.1:9/"})
    said = " ".join(kit.private)
    for view in kit.dialogs:
        values = {"reason": {"text": {"type": "plain_text_input", "value": None}}}
        sent = {**view, "state": {"values": values}, "id": "V1"}
        said += _to_slack({**payload, "type": "view_submission", "view": sent})
    return said


def by_administration(kit: Kit, tried: Attempt) -> str:
    """Forms of the administration, as a superuser: there is none to add, change or delete a decision."""
    root, _ = Person.objects.get_or_create(username="root", is_staff=True, is_superuser=True)
    client, promotion = Client(), tried.promotion
    client.force_login(root)
    review = {"promotion": promotion.pk, "person": root.pk, "verdict": "approve"}
    tries: list[tuple[str, list[int], dict[str, Any]]] = [
        ("promotion_change", [promotion.pk], {"status": "approved", "seal": "0" * 64}),
        ("review_add", [], {**review, "seal": tried.seal, "via": "browser"}),
    ]
    for name, arguments, form in tries:
        answer = client.post(reverse(f"admin:approvals_{name}", args=arguments), form)
        assert answer.status_code == 403, name
    return ""


def by_command(kit: Kit, tried: Attempt) -> str:
    """``policy`` only reads; the configuration is applied anew, and every policy with it."""
    out, target = StringIO(), tried.promotion.target
    names = (target.model.name, target.environment.name)
    call_command("policy", "explain", *names, "--as", tried.who, stdout=out)
    call_command("policy", "table", stdout=out)
    call_command("apply_configuration", stdout=out)
    call_command("verify_history", stdout=out)
    return ""


def by_task(kit: Kit, tried: Attempt) -> str:
    """What beat and workers do, with everything due and every service answering."""
    kit.watching = tried
    Effect.objects.update(due_at=timezone.now() - timedelta(minutes=1))
    tasks.look_after()
    tasks.deliver_effects()
    tasks.poll()
    tasks.look_after()
    return ""


def by_webhook(kit: Kit, tried: Attempt) -> str:
    """A run of GitHub's that names the promotion, forged and genuine, says that it was deployed."""
    now, promotion = timezone.now().isoformat(), tried.promotion
    run = {
        "id": 5,
        "run_attempt": 1,
        "run_number": 1,
        "path": ".github/workflows/deploy-model.yml",
        "display_title": f"Deploy [{promotion.token}]",
        "status": "completed",
        "conclusion": "success",
        "event": "workflow_dispatch",
        "created_at": now,
        "updated_at": now,
    }
    told = {"workflow_run": run, "repository": {"full_name": "acme/ml-models"}}
    body = json.dumps({"action": "completed", **told}).encode()
    for secret, status in (("not the secret", 401), (in_force.GITHUB_WEBHOOK_SECRET, 200)):
        answer = Client().post(
            "/integrations/github/webhook",
            data=body,
            content_type="application/json",
            headers={
                "X-GitHub-Event": "workflow_run",
                "X-GitHub-Delivery": f"d-{status}",
                "X-Hub-Signature-256": signature(secret, body),
            },
        )
        assert answer.status_code == status
    assert answer.content == b"recorded\n", "it is a run that is kept"
    return ""


def by_bulk(kit: Kit, tried: Attempt) -> str:
    """Many at once, each by its own policy."""
    [answer] = services.review_many(
        actor=kit.world.person(tried.who),
        via=Via.BROWSER,
        verdict=Verdict.APPROVE,
        items={tried.promotion.pk: tried.seal},
        comment=tried.comment,
    )
    assert (answer.refused.code if answer.refused else "") == tried.code
    return answer.refused.sentence if answer.refused else ""


def by_api(kit: Kit, tried: Attempt) -> str:
    """A bearer token of that person; a session would not do."""
    person = kit.world.person(tried.who)
    secret = kit.tokens.get(tried.who, "")
    address = f"/api/v1/promotions/{tried.promotion.pk}"
    client = Client(headers={"Authorization": f"Bearer {secret}"})
    if tried.verb == WITHDRAW:
        answer = client.delete(f"{address}/reviews/mine")
    else:
        override = tried.verb == OVERRIDE
        body = {"seal": tried.seal or "0" * 64, "reason" if override else "comment": tried.comment}
        body |= {} if override else {"verdict": "approve"}
        way = "override" if override else "reviews"
        answer = client.post(f"{address}/{way}", json.dumps(body), "application/json")
    said = answer.json()
    assert answer.status_code in ({401, 403, 404, 409, 422} if tried.code else {201}), said
    if person.is_active and tried.code:
        assert said["code"] == tried.code, said
    return str(said.get("message", ""))


Door = Callable[[Kit, Attempt], str]
DOORS: dict[str, Door] = {
    "verb": by_verb,
    "browser": by_browser,
    "slack": by_slack,
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
    ("slack", "another's review is withdrawn"): "",
}
# What a door may do of its own accord: never a review, a deployment or an approval.
OWN_EVENTS = {
    "command": {"configuration.applied"},
    "task": {"promotion.sealed", "promotion.expired"},
}


def decided() -> tuple[Any, ...]:
    """Everything that a decision writes; a message may be brought up to date."""
    return (
        list(Promotion.objects.order_by("pk").values_list("pk", "status", "seal", "decided_at")),
        list(Review.objects.order_by("pk").values_list("pk", "verdict", "voided_at")),
        list(Deployment.objects.order_by("pk").values_list("pk", "status", "workflow_run")),
        sorted(Effect.objects.exclude(kind=EffectKind.ANNOUNCE).values_list("pk", flat=True)),
        list(Event.objects.order_by("pk").values_list("pk", flat=True)),
    )


def only_its_own(door: str, refusal: str, tried: Attempt, before: tuple[Any, ...]) -> None:
    """Nothing was decided; a task may seal what was unsealed, and end what is overdue."""
    after = decided()
    new = set(Event.objects.exclude(pk__in=before[4]).values_list("kind", flat=True))
    assert new <= OWN_EVENTS.get(door, set()), (door, refusal, new)
    assert door != "task" or worked(refusal, new), (refusal, new)
    assert after[1:4] == before[1:4], (door, refusal)
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
    def slack(timeout: int = 0) -> Iterator[Web]:
        yield Web()

    def observe(target: Any, number: int) -> services.ObservedFacts:
        assert made.watching is not None
        changes = {name: dict(value) for name, value in made.watching.observed.items()}
        return world.observed(made.watching.promotion.version, **changes)

    monkeypatch.setattr(listeners, "slack", slack)
    monkeypatch.setattr(listeners, "_private", lambda _body, text: made.private.append(text))
    monkeypatch.setattr(effects, "observe", observe)
    monkeypatch.setattr(polls, "LOOK", dict.fromkeys(polls.LOOK, lambda _poll: 60.0))
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
        if name in DECIDING:
            words = OTHER_WORDS.get((name, refusal), tried.says)
            assert words in said, (name, refusal, said[:2000])
    assert decided() == before
    assert driven == [name for name in DOORS if (name, refusal) not in CANNOT]


@pytest.mark.parametrize("name", DECIDING)
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
