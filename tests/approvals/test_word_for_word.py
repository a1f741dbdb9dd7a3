"""Each door explains a promotion in the same words: page, ``manage.py policy explain``, API, Slack and mail."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from approvals import services
from approvals.explain import explain
from approvals.gates import EvidencePassed, MetricLimit
from approvals.models import Effect, Person, Promotion
from approvals.policies import Requirement
from approvals.rules import Condition, Rule
from approvals.states import Via
from integrations.mail.message import compose
from integrations.slack.modals import details
from tests.world import World


def fresh(world: World) -> Promotion:
    return world.request(world.version(2))


def half(world: World) -> Promotion:
    promotion = fresh(world)
    world.review(promotion, "bob")
    return promotion


def delegated(world: World) -> Promotion:
    services.delegate(
        actor=world.person("bob"),
        via=Via.BROWSER,
        delegate_id=world.person("mallory").pk,
        until=timezone.now() + timedelta(days=1),
    )
    promotion = fresh(world)
    world.review(promotion, "mallory")
    return promotion


def gated(world: World) -> Promotion:
    world.make_live(world.version(1))
    world.rules(gates=(MetricLimit("accuracy", "0.9"), MetricLimit("auc", "0.99")))
    return fresh(world)


def unknown(world: World) -> Promotion:
    world.rules(gates=(EvidencePassed("load-test", 3600), MetricLimit("fairness", "0.5")))
    return fresh(world)


def locked(world: World) -> Promotion:
    promotion = fresh(world)
    services.lock(
        actor=world.person("bob"),
        via=Via.BROWSER,
        target_id=promotion.target_id,
        reason="Inventory <today> & tomorrow.",
    )
    return promotion


def frozen_and_scheduled(world: World) -> Promotion:
    promotion = fresh(world)
    now = timezone.now()
    services.freeze(
        actor=world.person("carol"),
        via=Via.BROWSER,
        environment_id=promotion.target.environment_id,
        reason="Audit.",
        ends_at=now + timedelta(hours=5),
    )
    services.schedule(
        actor=world.person("bob"),
        via=Via.BROWSER,
        promotion_id=promotion.pk,
        run_at=now + timedelta(hours=6),
        zone="Europe/Amsterdam",
    )
    return promotion


def more_is_asked(world: World) -> Promotion:
    rule = Rule(
        Condition(first_promotion=True), (Requirement(("platform",)),), ("Model card read",), True
    )
    world.rules(rules=(rule,), remind_after=3600, escalate_after=7200, escalate_to="risk")
    return fresh(world)


def stuck(world: World) -> Promotion:
    promotion = fresh(world)
    Person.objects.filter(username="carol").update(is_active=False)
    return promotion


def automatic(world: World) -> Promotion:
    world.rules(promote=(), automatic=True, gates=(MetricLimit("accuracy", "0.99"),))
    return fresh(world)


def changed_policy(world: World) -> Promotion:
    promotion = fresh(world)
    world.rules(trainer_may_approve=False)
    return promotion


SITUATIONS: list[Callable[[World], Promotion]] = [
    fresh,
    half,
    delegated,
    gated,
    unknown,
    locked,
    frozen_and_scheduled,
    more_is_asked,
    stuck,
    automatic,
    changed_policy,
]

ASKED = {"payload": {"occasion": "request", "subject": "Decide", "text": "Somebody asks."}}


def words(text: str) -> str:
    return " ".join(text.split())


def page_text(client: Client, person: Person, promotion: Promotion) -> str:
    client.force_login(person)
    answer = client.get(promotion.get_absolute_url()).content.decode()
    return words(html.unescape(re.sub(r"<[^>]+>", " ", answer))).replace(" :", ":")


def command_lines(username: str) -> list[str]:
    out = StringIO()
    call_command("policy", "explain", "fraud-detector", "production", "--as", username, stdout=out)
    lines = out.getvalue().splitlines()
    return [line.strip() for line in lines if line.startswith("  ")]


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda each: each.__name__)
def test_the_same_words(
    world: World, client: Client, situation: Callable[[World], Promotion]
) -> None:
    promotion = Promotion.objects.get(pk=situation(world).pk)
    for username in ("carol", "mallory"):
        person = world.person(username)
        if not person.is_active:
            continue
        explained = explain(promotion, person)
        assert explained.sentences

        assert command_lines(username) == [*explained.sentences, f"{person}: {explained.you}"]

        shown = page_text(client, person, promotion)
        for sentence in explained.sentences:
            assert words(sentence) in shown, sentence
        assert words(explained.you) in shown

        _, secret = services.create_token(
            actor=None, via=Via.COMMAND, person_id=person.pk, name="test"
        )
        answer = client.get(
            f"/api/v1/promotions/{promotion.pk}", headers={"Authorization": f"Bearer {secret}"}
        ).json()
        assert (answer["sentences"], answer["why_not"]) == (
            explained.sentences,
            explained.why_not,
        )

        modal = json.dumps(details(promotion, person), ensure_ascii=False)
        for sentence in [*explained.sentences, explained.you]:
            assert html.escape(sentence, quote=False) in modal, sentence

        mail = compose(Effect(promotion=promotion, target=promotion.target, **ASKED), person)
        for text in (str(mail.body), html.unescape(str(mail.alternatives[0][0]))):
            for sentence in [*explained.sentences, explained.you]:
                assert words(sentence) in words(text), sentence
