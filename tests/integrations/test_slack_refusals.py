"""The refusal table: every unwelcome press, over real HTTP. Each is answered by one private sentence that says
why, nothing is changed by it, and the message is brought up to date in the same stroke."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest
from django.utils import timezone

from approvals import services
from approvals.gates import MetricLimit
from approvals.models import Deployment, Effect, Promotion, Review
from approvals.models.outbox import EffectKind
from approvals.states import Via
from integrations.models import SlackIdentity
from tests.integrations.slack_fixtures import Slack, slack, snapshot, static_folder
from tests.world import SLACK_TEAM

__all__ = ["slack", "static_folder"]
SLACK_TRANSPORTS = ("http", "socket")

DAY = r"\d{1,2} [A-Z][a-z]{2} \d{4}, \d\d:\d\d UTC"


@dataclass(frozen=True)
class Unwelcome:
    """Who presses, and what they are told (a pattern). ``value`` is what the button carries, where it is not the
    message's own; ``rejecting`` is refused in the same words; ``refreshes``: it was about a promotion."""

    user: str
    told: str
    value: str | None = None
    rejecting: bool = True
    refreshes: bool = True


def not_linked(slack: Slack, promotion: Promotion) -> Unwelcome:
    address = re.escape(f"{slack.product}/integrations/slack/link/") + r"[^ <>]+/"
    return Unwelcome(
        "frank", f"Countersign does not know who you are. Link your account first .*: {address}"
    )


def in_no_team(slack: Slack, promotion: Promotion) -> Unwelcome:
    why = "You may not, because you are in none of the teams that decide here: ml-leads, risk."
    return Unwelcome("mallory", re.escape(why))


def own_request(slack: Slack, promotion: Promotion) -> Unwelcome:
    why = "You may not, because you asked for it; somebody else has to decide."
    return Unwelcome("alice", re.escape(why))


def already_decided(slack: Slack, promotion: Promotion) -> Unwelcome:
    slack.world.review(promotion, "carol", "reject")
    return Unwelcome("bob", rf"It is too late: this was rejected by Carol Chen on {DAY}\.")


def expired(slack: Slack, promotion: Promotion) -> Unwelcome:
    Promotion.objects.update(expires_at=timezone.now() - timedelta(minutes=1))
    return Unwelcome("bob", rf"It is too late: this expired on {DAY}\.")


def expired_and_settled(slack: Slack, promotion: Promotion) -> Unwelcome:
    services.close_overdue(now=promotion.expires_at)
    return Unwelcome("bob", rf"It is too late: this was expired on {DAY}\.")


def facts_changed(slack: Slack, promotion: Promotion) -> Unwelcome:
    slack.world.seal(promotion, metrics={"accuracy": "0.871", "auc": "0.95"})
    why = "The facts changed since you looked: accuracy was 0.92 and is 0.871 now. Look again, then decide."
    return Unwelcome("bob", re.escape(why))


def voted_already(slack: Slack, promotion: Promotion) -> Unwelcome:
    slack.world.review(promotion, "bob")
    why = rf"You have decided already \(approve, {DAY}\); one person counts once\."
    return Unwelcome("bob", why)


def foreign_organisation(slack: Slack, promotion: Promotion) -> Unwelcome:
    why = "You may not, because people of other organisations cannot decide here."
    return Unwelcome("eve", re.escape(why))


def deactivated_person(slack: Slack, promotion: Promotion) -> Unwelcome:
    bob = slack.world.person("bob")
    bob.is_active = False
    bob.save()
    return Unwelcome("bob", r"You may not, because your account is not active\.")


def machine_account(slack: Slack, promotion: Promotion) -> Unwelcome:
    SlackIdentity.objects.create(
        team_id=SLACK_TEAM,
        user_id="U0FRANK",
        person=slack.world.person("ci"),
        linked_at=timezone.now(),
    )
    why = "You may not, because this is a machine account."
    return Unwelcome("frank", re.escape(why))


def blocked_by_a_gate(slack: Slack, promotion: Promotion) -> Unwelcome:
    slack.world.rules(gates=(MetricLimit("auc", "0.99"),))
    slack.ask(version=slack.world.version(3))
    why = "It is blocked: auc is 0.95; at least 0.99 is required."
    return Unwelcome("bob", re.escape(why), rejecting=False)


def blocked_by_a_freeze(slack: Slack, promotion: Promotion) -> Unwelcome:
    services.freeze(
        actor=slack.world.person("carol"),
        via=Via.BROWSER,
        environment_id=promotion.target.environment_id,
        reason="Audit.",
    )
    why = "It is blocked: production is frozen (Carol Chen: Audit.) until somebody lifts it."
    return Unwelcome("bob", re.escape(why), rejecting=False)


def blocked_by_a_lock(slack: Slack, promotion: Promotion) -> Unwelcome:
    services.lock(
        actor=slack.world.person("carol"),
        via=Via.BROWSER,
        target_id=promotion.target_id,
        reason="Inventory.",
    )
    why = rf"It is blocked: fraud-detector in production is locked by Carol Chen since {DAY}: Inventory\."
    return Unwelcome("bob", why, rejecting=False)


def forged_value(slack: Slack, promotion: Promotion) -> Unwelcome:
    why = "This button is not one that Countersign made."
    return Unwelcome("bob", re.escape(why), value='{"p":', refreshes=False)


def seal_of_another(slack: Slack, promotion: Promotion) -> Unwelcome:
    why = "The facts are not the ones you saw. Look at them again, then decide."
    return Unwelcome("bob", re.escape(why), json.dumps({"p": promotion.pk, "s": "f" * 64}))


def unknown_promotion(slack: Slack, promotion: Promotion) -> Unwelcome:
    value = json.dumps({"p": promotion.pk + 100, "s": promotion.seal})
    return Unwelcome("bob", r"There is no (such )?promotion.*", value, refreshes=False)


def message_of_an_older_release(slack: Slack, promotion: Promotion) -> Unwelcome:
    """From when a button carried no seal yet: it decides nothing, and a fresh button takes its place."""
    why = "The facts are not the ones you saw. Look at them again, then decide."
    return Unwelcome("bob", re.escape(why), json.dumps({"p": promotion.pk}))


TABLE: list[Callable[[Slack, Promotion], Unwelcome]] = [
    not_linked,
    in_no_team,
    own_request,
    already_decided,
    expired,
    expired_and_settled,
    facts_changed,
    voted_already,
    foreign_organisation,
    deactivated_person,
    machine_account,
    blocked_by_a_gate,
    blocked_by_a_freeze,
    blocked_by_a_lock,
    forged_value,
    seal_of_another,
    unknown_promotion,
    message_of_an_older_release,
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.__name__)
def test_an_unwelcome_press(slack: Slack, row: Callable[[Slack, Promotion], Unwelcome]) -> None:
    promotion = slack.ask()
    # What is pressed is what was shown before the world went on.
    shown = slack.press("bob", "approve", dry=True)["payload"]["actions"][0]["value"]
    unwelcome = row(slack, promotion)
    if len(slack.messages()) > 1:  # the row asked for another one, and it is about that
        shown = slack.press("bob", "approve", dry=True)["payload"]["actions"][0]["value"]
    value = unwelcome.value if unwelcome.value is not None else shown
    before, seen = snapshot(), slack.messages()
    Effect.objects.filter(kind=EffectKind.ANNOUNCE).delete()

    for action in ("approve", "reject") if unwelcome.rejecting else ("approve",):
        said = slack.press(unwelcome.user, action, value=value)
        assert (said["status"], said["opened_view"]) == (200, None)
        [whisper] = said["ephemeral"]
        assert re.fullmatch(unwelcome.told, whisper["text"]), whisper["text"]

    assert snapshot() == before
    assert not Deployment.objects.exists()
    assert Review.objects.filter(via=Via.SLACK).count() == 0
    asked = Effect.objects.filter(kind=EffectKind.ANNOUNCE, dedupe_key__contains=":press:")
    assert asked.exists() == unwelcome.refreshes
    whispers = slack.get("ephemerals")
    assert {each["user"] for each in whispers} == {whispers[0]["user"]}
    slack.deliver()
    assert len(slack.messages()) == len(seen), "nobody else sees anything of it"


@pytest.mark.http_only
@pytest.mark.parametrize("kept", ["{{{", "[]", "{}", '{"p": 1}', '{"p": "x", "s": ""}'])
def test_a_dialog_that_is_not_ours_decides_nothing(slack: Slack, kept: str) -> None:
    slack.ask()
    before = snapshot()
    view = {"id": "V1", "type": "modal", "callback_id": "reject", "private_metadata": kept}
    answer = slack.send(
        {
            "type": "view_submission",
            "team": {"id": "T0ACME"},
            "user": {"id": "U0BOB", "team_id": "T0ACME"},
            "view": {**view, "blocks": [], "state": {"values": {}}},
        }
    )
    assert answer.status_code == 200 and "not one that Countersign made" in answer.text
    assert snapshot() == before
