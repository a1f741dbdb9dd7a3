"""Every dialog in every state: Slack takes it, it reads as reviewed, and nothing long hides what follows."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings as in_force
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from approvals import services
from approvals.gates import EvidencePassed, MetricLimit
from approvals.models import (
    Deployment,
    Environment,
    Membership,
    Person,
    Promotion,
    Target,
    Team,
)
from approvals.rollouts import PlanStep
from approvals.rules import Policy
from approvals.selectors.catalogue import rollback_choices
from approvals.services.cases import terms_of
from approvals.states import Via
from integrations.slack import modals
from integrations.slack.listeners import bolt_app
from integrations.slack.listeners.answers import promotion_with
from integrations.slack.text import whole
from sandbox.slack.delivery import FORM, sign
from tests import blockkit
from tests.snapshots import assert_snapshot
from tests.world import World

JSON = dict[str, Any]
Scene = Callable[[World], JSON]
DIALOGS: dict[str, Scene] = {}


def dialog(made: Scene) -> Scene:
    DIALOGS[made.__name__] = made
    return made


def by(world: World, who: str) -> dict[str, Any]:
    return {"actor": world.person(who), "via": Via.BROWSER}


def details(world: World, promotion: Promotion, who: str) -> JSON:
    return modals.details(promotion_with(promotion.pk), world.person(who))


def asked(world: World, **rules: Any) -> Promotion:
    """v1 is live, v2 is asked for under these rules: better in one metric, worse in the other, on other data."""
    model = world.target().model
    model.metrics = [["auc", "higher"], ["accuracy", "higher"], ["latency_ms", "lower"]]
    model.save()
    live = {"auc": "0.9412", "accuracy": "0.912", "latency_ms": "12", "recall": "0.5"}
    metrics = {"auc": "0.9635", "accuracy": "0.934", "latency_ms": "13.5", "f1_macro": "0.8"}
    world.make_live(world.version(1, metrics=live))
    world.rules(**rules)
    data = [{"name": "payments", "digest": "def456", "context": "evaluation"}]
    return world.request(world.version(2, metrics=metrics, datasets=data))


def rolling(world: World) -> Deployment:
    world.make_live(world.version(1))
    world.strategy(PlanStep(10, wait=3600), PlanStep(50, wait=3600), PlanStep(100))
    return world.step(world.approve(world.request(world.version(2))))


@dialog
def details_for_whoever_decides(world: World) -> JSON:
    return details(world, asked(world), "bob")


@dialog
def details_for_the_requester(world: World) -> JSON:
    return details(world, asked(world), "alice")


@dialog
def details_for_a_stranger(world: World) -> JSON:
    return details(world, asked(world), "mallory")


@dialog
def details_after_my_approval_asked_once_more(world: World) -> JSON:
    Environment.objects.update(confirm=True)
    promotion = asked(world)
    world.review(promotion, "carol")
    return details(world, promotion, "bob")


@dialog
def details_while_it_is_blocked(world: World) -> JSON:
    promotion = asked(world, gates=(MetricLimit("auc", "0.99"), EvidencePassed("fairness", 86400)))
    version = promotion.version
    services.record_evidence(
        **by(world, "ci"),
        version_id=version.pk,
        environment_id=None,
        name="fairness",
        verdict="fail",
        numbers={"gap": "0.31"},
        link="https://reports.example/7",
        source="nightly",
    )
    services.quarantine(**by(world, "carol"), version_id=version.pk, reason="Leaked labels.")
    return details(world, promotion, "bob")


@dialog
def details_before_the_facts_are_sealed(world: World) -> JSON:
    promotion = services.request_promotion(
        **by(world, "alice"),
        target_id=world.target().pk,
        version_id=world.version().pk,
        reason="Because.",
    )
    return details(world, promotion, "bob")


@dialog
def details_of_what_was_rejected(world: World) -> JSON:
    promotion = asked(world)
    world.review(promotion, "carol", "reject")
    return details(world, promotion, "bob")


@dialog
def details_of_what_waits_for_its_turn(world: World) -> JSON:
    return details(world, world.approve(asked(world)).promotion, "bob")


@dialog
def details_of_a_rollout(world: World) -> JSON:
    return details(world, rolling(world).promotion, "bob")


@dialog
def details_of_a_paused_rollout(world: World) -> JSON:
    deployment = rolling(world)
    services.hold_rollout(**by(world, "bob"), deployment_id=deployment.pk, reason="Errors.")
    return details(world, deployment.promotion, "bob")


@dialog
def details_of_a_rollout_for_a_stranger(world: World) -> JSON:
    return details(world, rolling(world).promotion, "mallory")


@dialog
def details_of_what_is_unconfirmed(world: World) -> JSON:
    deployment = world.approve(asked(world))
    services.begin_dispatch(
        deployment_id=deployment.pk, observed=world.observed(deployment.version)
    )
    services.record_unconfirmed(deployment_id=deployment.pk, detail="No run turned up.")
    return details(world, deployment.promotion, "bob")


@dialog
def details_of_what_is_live(world: World) -> JSON:
    live = world.deploy(world.approve(asked(world)))
    who = by(world, "bob")
    version = live.version
    services.mark(
        **who,
        target_id=live.target_id,
        version_id=version.pk,
        kind="bad",
        reason="It misses fraud.",
    )
    services.quarantine(**who, version_id=version.pk, reason="Leaked labels.")
    return details(world, live.promotion, "bob")


@dialog
def reject(world: World) -> JSON:
    promotion = asked(world)
    return modals.reject(promotion, promotion.seal)


def approving(world: World, **rules: Any) -> JSON:
    promotion = promotion_with(asked(world, **rules).pk)
    terms = terms_of(promotion, Policy.from_data(promotion.policy))
    return modals.approve(promotion, promotion.seal, terms)


@dialog
def approve_with_a_comment(world: World) -> JSON:
    return approving(world, comment_required=True)


@dialog
def approve_with_ticks(world: World) -> JSON:
    long = "I compared the confusion matrices of both versions for every country and found nothing worse."
    return approving(world, checklist=("Model card read", long, "Rollback tried"))


def asking(act: str, promotion: Promotion) -> JSON:
    return modals.ask_why(act, promotion_with(promotion.pk))


@dialog
def cancel(world: World) -> JSON:
    return asking("cancel", asked(world))


@dialog
def call_off(world: World) -> JSON:
    return asking("call_off", world.approve(asked(world)).promotion)


@dialog
def advance(world: World) -> JSON:
    return asking("advance", rolling(world).promotion)


@dialog
def pause(world: World) -> JSON:
    return asking("pause", rolling(world).promotion)


@dialog
def abort(world: World) -> JSON:
    return asking("abort", rolling(world).promotion)


@dialog
def confirm(world: World) -> JSON:
    world.make_live(world.version(1))
    second, third = (world.approve(world.request(world.version(n))) for n in (2, 3))
    services.begin_dispatch(deployment_id=second.pk, observed=world.observed(second.version))
    services.record_run(facts=world.run_facts(second, 77, conclusion="failure"))
    services.begin_dispatch(deployment_id=third.pk, observed=world.observed(third.version))
    return asking("confirm", third.promotion)


@dialog
def rollback(world: World) -> JSON:
    for number in (1, 2, 3):
        world.make_live(world.version(number))
    target = Target.objects.get(pk=world.target().pk)
    view = modals.rollback(target, rollback_choices(world.person("bob"), target))
    for option in view["blocks"][-2]["element"]["options"]:
        option["value"] = option["text"]["text"]  # else the row's number
    return view


@dialog
def notice(world: World) -> JSON:
    sentence = "You may not, because <!channel> said so. Open"
    return modals.notice(f"{sentence} {in_force.BASE_URL}/integrations/slack/link/a:b_c_:d/ first.")


@pytest.mark.parametrize("name", DIALOGS)
def test_every_dialog_in_every_state(world: World, name: str) -> None:
    view = DIALOGS[name](world)
    blockkit.validate_view(view)
    assert_snapshot(f"dialogs/{name}", view)


HOSTILE = (
    "<!channel> <@U0BOB> <https://evil.example|click> & *bold* _it_ `code`\n> quote\n"
    "שלום עולם \u202eturned\u2066 around \u200f مرحبا\nモデルは良い。\n"
)


def everything_is_long(world: World) -> Promotion:
    """A thousand metrics, forty approvers, and hostile text as long as anything may be, in every place."""
    long = (HOSTILE * 40)[:2000]
    leads = Team.objects.get(slug="ml-leads")
    for number in range(40):
        person = Person.objects.create(
            username=f"lead{number}", first_name="&" * 150, last_name=f"<!here>{number}" + "ש" * 100
        )
        Membership.objects.create(team=leads, person=person)
    world.rules(
        gates=tuple(MetricLimit(f"<!channel>{i}{'x' * 200}", "1") for i in range(20)),
        checklist=tuple(f"{i}: {HOSTILE} {'y' * 200}"[:200] for i in range(60)),
        comment_required=True,
    )
    metrics = {f"{'モ' * 200}{number}": "0.9" for number in range(1000)}
    data = [{"name": long, "digest": long, "context": long}] * 40
    version = world.version(2, metrics=metrics, datasets=data)
    version.parameters = {f"{long[:200]}{i}": long for i in range(100)}
    version.run_name = version.trained_by = version.git_branch = ("<&>" * 90)[:250]
    version.save()
    for number in range(20):
        services.record_evidence(
            **by(world, "ci"),
            version_id=version.pk,
            environment_id=None,
            name=f"check-{number}",
            verdict="pass",
            numbers={f"{'<' * 200}{i}": "0." + "1" * 40 for i in range(100)},
            link="https://reports.example/" + "x" * 400,
            source="<!everyone>" * 18,
        )
    target = world.target()
    target.inputs = {f"input{i}": long for i in range(100)}
    target.save()
    promotion = world.request(version, reason=long)
    services.lock(**by(world, "carol"), target_id=target.pk, reason=long)
    return promotion


def test_nothing_long_hides_what_comes_after_it(world: World) -> None:
    promotion = promotion_with(everything_is_long(world).pk)
    terms = terms_of(promotion, Policy.from_data(promotion.policy))
    for view in (
        modals.details(promotion, world.person("bob")),
        modals.approve(promotion, promotion.seal, terms),
        modals.reject(promotion, promotion.seal),
        modals.ask_why("cancel", promotion),
        modals.notice(HOSTILE * 100),
    ):
        blockkit.validate_view(view)
        text = json.dumps(view, ensure_ascii=False)
        assert len(json.dumps(view)) < 250_000
        assert "<!" not in text.replace("<!date", "") and "<@" not in text
        assert "\u202e" not in text and "\u2066" not in text
    view = modals.details(promotion, world.person("bob"))
    text = json.dumps(view, ensure_ascii=False)
    for part in ("*You*", "Who and what it takes", "Metrics", "Where it comes from", "Evidence"):
        assert part in text
    for end in (
        "Artifact: `sha256",
        "check-19",
        promotion.seal,
        "Open in Countersign",
        "Slack takes no more",
    ):
        assert end in text, end
    view = modals.approve(promotion, promotion.seal, terms)
    boxes = [b["element"] for b in view["blocks"] if b["type"] == "input"]
    assert [len(each["options"]) for each in boxes[:-1]] == [10] * 6
    text = json.dumps(view, ensure_ascii=False)
    assert "*60.* \u206859:" in text, "each item that is long stands there whole"


def test_a_checklist_stands_there_once(world: World) -> None:
    text = json.dumps(approve_with_ticks(world)["blocks"])
    assert text.count("Model card read") == 1
    assert text.count("confusion matrices") == 1 and text.count("2. as written above") == 1


def test_a_sentence_that_is_too_long_ends_with_a_sentence() -> None:
    text = " ".join(f"Gate {i} does not pass." for i in range(300))
    cut = whole(text, 3000)
    assert len(cut) <= 3000 and cut.endswith("does not pass. …")
    assert whole("x" * 40, 10) == "xxxxxxxx…"
    assert whole("良い。" * 10, 10).endswith("。 …")
    assert whole("Short.", 10) == "Short."
    assert len(modals.said("<&>. " * 2000)) <= 3000


def test_how_much_an_approving_press_asks_of_the_database(world: World) -> None:
    """Quick because it is little. Four of these begin and end the two transactions."""
    promotion = world.request()
    button = {"type": "button", "action_id": "approve", "block_id": "b", "action_ts": "1"}
    payload = {
        "type": "block_actions",
        "user": {"id": "U0BOB", "team_id": "T0ACME"},
        "team": {"id": "T0ACME"},
        "token": "x",
        "trigger_id": "1",
        "actions": [{**button, "value": json.dumps({"p": promotion.pk, "s": promotion.seal})}],
    }
    body, stamp = urlencode({"payload": json.dumps(payload)}).encode(), str(int(time.time()))
    bolt_app.cache_clear()
    with CaptureQueriesContext(connection) as asked_for:
        answer = Client().post(
            "/integrations/slack/events",
            data=body,
            content_type=FORM,
            headers={
                "X-Slack-Request-Timestamp": stamp,
                "X-Slack-Signature": sign(in_force.SLACK_SIGNING_SECRET, stamp, body),
            },
        )
    assert answer.status_code == 200
    assert promotion.reviews.count() == 1
    assert len(asked_for) <= 21, [each["sql"][:100] for each in asked_for.captured_queries]
