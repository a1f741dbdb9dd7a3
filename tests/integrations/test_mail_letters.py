"""What a mail says: everything needed to decide, true at its delivery, harmless; its links decide nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.db.models import Max
from django.test import Client
from django.utils import timezone

from approvals import services
from approvals.explain import explain
from approvals.gates import MetricLimit
from approvals.models import Deployment, Effect, Event, Person, Promotion, Review
from approvals.models.outbox import EffectKind
from approvals.rollouts import PlanStep
from approvals.states import Verdict
from integrations.mail.message import compose
from integrations.models import SentMail
from sandbox.mail.mailbox import Message
from tests.integrations.mail_fixtures import Mail, mail
from tests.world import World

__all__ = ["mail"]

SNAPSHOTS = Path(__file__).with_name("mail_snapshots")
HERE = "http://127.0.0.1:8000"


def newest(mail: Mail, to: str) -> Message:
    """Deliver the newest mail that is waiting, and nothing else; the copy of ``to``."""
    effect = Effect.objects.filter(kind=EffectKind.MAIL).latest("id")
    Effect.objects.exclude(pk=effect.pk).delete()
    mail.box.messages.clear()
    mail.deliver(effect)
    [message] = mail.to(to)
    return message


def half_approved(world: World) -> Promotion:
    world.make_live(world.version(1))
    world.rules(
        gates=(MetricLimit("accuracy", "0.9"), MetricLimit("auc", "0.99")), remind_after=3600
    )
    reason = "It catches more fraud,\nand costs <b>nothing</b> & more."
    promotion = world.request(
        world.version(2, metrics={"accuracy": "0.94", "auc": "0.995"}), reason=reason
    )
    world.review(promotion, "bob")
    Effect.objects.exclude(promotion=promotion).delete()
    return promotion


def granted(world: World) -> Deployment:
    promotion = half_approved(world)
    world.review(promotion, "carol")
    return Deployment.objects.get(promotion=promotion)


def request(world: World) -> str:
    half_approved(world)
    return "carol"


def reminder(world: World) -> str:
    half_approved(world)
    services.remind_due(now=timezone.now() + timedelta(hours=2))
    return "carol"


def late(world: World) -> str:
    promotion = half_approved(world)
    world.review(promotion, "carol", Verdict.REJECT, comment="The auditors said no.")
    Effect.objects.filter(payload__occasion="outcome").delete()
    return "carol"


def rejected(world: World) -> str:
    world.review(half_approved(world), "carol", Verdict.REJECT, comment="The auditors said no.")
    return "alice"


def live(world: World) -> str:
    world.deploy(granted(world))
    return "alice"


def failed_rollout(world: World) -> str:
    world.strategy(PlanStep(10), PlanStep(100))
    deployment = granted(world)
    for conclusion in ("success", "failure", "success"):
        deployment = world.step(deployment, conclusion)
    return "alice"


SITUATIONS: list[Callable[[World], str]] = [request, reminder, late, rejected, live, failed_rollout]


def settled(text: str) -> str:
    """Without what differs from run to run."""
    text = re.sub(r"\d{1,2} [A-Z][a-z]{2} \d{4}, \d\d:\d\d UTC", "(time)", text)
    text = re.sub(r"(?<=Time left: )[\w ]+", "(duration)", text)
    text = re.sub(r"(?<=Seal: )[0-9a-f]{10}", "(seal)", text)
    text = re.sub(r"(?<=promotions/)\d+|(?<=promotion )\d+", "(number)", text)
    return re.sub(r"\n\s*\n(\s*\n)+", "\n\n", text)


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda each: each.__name__)
def test_the_mail_is_the_reviewed_one(mail: Mail, situation: Callable[[World], str]) -> None:
    """UPDATE_SNAPSHOTS=1 writes them anew; look at what changed."""
    message = newest(mail, situation(mail.world))
    found = {
        "txt": f"Subject: {message.subject}\n\n{message.part('plain')}",
        "html": message.part("html"),
    }
    for kind, text in found.items():
        file = SNAPSHOTS / f"{situation.__name__}.{kind}"
        if os.environ.get("UPDATE_SNAPSHOTS") == "1":
            file.parent.mkdir(exist_ok=True)
            file.write_text(settled(text), encoding="utf-8")
        assert settled(text) == file.read_text(encoding="utf-8"), file.name


def test_the_words_of_every_other_door(mail: Mail) -> None:
    promotion = Promotion.objects.get(pk=half_approved(mail.world).pk)
    message = newest(mail, "carol")
    plain, body = message.part("plain"), unescape(message.part("html"))
    explained = explain(promotion, mail.world.person("carol"))
    for sentence in [*explained.sentences, explained.you]:
        assert sentence in plain and sentence in body, sentence
    assert promotion.short_seal in plain
    assert "accuracy: 0.94, live 0.91 (+0.03, better)" in plain


def test_every_link_shows_something_and_changes_nothing(mail: Mail) -> None:
    """Scanners and previews follow links, with whatever session the browser has."""
    half_approved(mail.world)
    message = newest(mail, "carol")
    addresses = set(re.findall(r"https?://[^\s\"<]+", message.part("plain") + message.part("html")))
    assert {each.removeprefix(HERE).strip("/#").split("/")[0] for each in addresses} == {
        "promotions",
        "profile",
    }

    def state() -> list[Any]:
        return [
            list(Promotion.objects.order_by("pk").values()),
            list(Review.objects.order_by("pk").values()),
            Event.objects.count(),
            Effect.objects.aggregate(Max("id")),
            Person.objects.values_list("pk", "email", "is_active").count(),
        ]

    before = state()
    for name in ("carol", "bob", "alice", "mallory", ""):
        client = Client()
        if name:
            client.force_login(mail.world.person(name))
        for address in addresses:
            path = address.removeprefix(HERE).partition("#")[0]
            answer = client.get(path, follow=bool(name))
            assert answer.status_code == (200 if name else 302)
            if name == "carol" and "promotions" in path:
                assert 'id="actions"' in answer.content.decode()
            client.head(path)
    assert state() == before


def test_who_can_not_act_is_not_asked_to(mail: Mail) -> None:
    promotion = half_approved(mail.world)
    effect = Effect.objects.filter(kind=EffectKind.MAIL).latest("id")
    effect.promotion = promotion
    for name, words in (
        ("carol", "Decide in Countersign"),
        ("bob", "See where it stands in Countersign"),
    ):
        made = compose(effect, mail.world.person(name))
        assert f"{words}: {HERE}/promotions/{promotion.pk}/?decide#actions" in made.body
        assert made.subject.startswith("[Countersign] Decide: ") == (name == "carol")


def test_mails_of_one_promotion_are_one_thread(mail: Mail) -> None:
    promotion = half_approved(mail.world)
    first = newest(mail, "carol").parsed
    mail.world.review(promotion, "carol", Verdict.REJECT)
    second = newest(mail, "bob").parsed
    assert first["References"] == second["References"] == first["In-Reply-To"]
    assert first["Message-ID"] != second["Message-ID"]
    assert first["List-Id"] == "<production.fraud-detector.countersign.acme.example>"
    assert first["Auto-Submitted"] == "auto-generated"
    mail.world.version(3)
    mail.world.request(mail.world.version(3))
    assert newest(mail, "carol").parsed["References"] != first["References"]


HOSTILE = (
    "<img src=x onerror=alert(1)> & </blockquote><script>alert(2)</script>\r\nBcc: mallory@acme.example\r\n\r\n"
    "-- \nDecide in Countersign: http://evil.example/\n\u202egnp.exe\u2066 "
    "مرحبا بالعالم \x1b[31m\x00 {{ settings.SECRET_KEY }}"
)

LONG = (HOSTILE * 12)[:1990]  # a reason has at most 2,000 characters


def test_what_people_write_is_only_text(mail: Mail) -> None:
    world = mail.world
    Person.objects.filter(username="alice").update(
        first_name="Al\r\nBcc: x@evil.example\r\n<i>", last_name="\u202e" + "x" * 140
    )
    metrics = {f"<b>m{number}\u202e\r\nX: y " + "long " * 60: "0.5" for number in range(60)}
    promotion = world.request(world.version(2, metrics=metrics), reason=LONG)
    request = newest(mail, "carol")
    world.review(promotion, "bob", Verdict.REJECT, comment=LONG)
    outcome = newest(mail, "alice")
    for message in (request, outcome):
        plain, html = message.part("plain"), message.part("html")
        assert message.recipients in (["carol@acme.example"], ["alice@acme.example"])
        assert message.parsed["Bcc"] is None and message.parsed["X"] is None
        assert not set("\u202e\u2066\x1b\x00") & set(plain + html + message.subject)
        assert "<script" not in html and "<img" not in html and "<b>" not in html
        assert "&lt;script&gt;alert(2)&lt;/script&gt;" in html and "{{ settings" in html
        # Nothing is loaded from anywhere, and only our own addresses are links.
        assert not re.search(r"(?i)src=\"|url\(|@import|<link|<form|<iframe", html)
        links = re.findall(r'href="([^"]*)"', html)
        assert links and all(each.startswith(f"{HERE}/") for each in links)
        # What passes for ours in plain text stands behind a mark, or in the middle of a line.
        ours = [line for line in plain.splitlines() if line.startswith("Decide in Countersign")]
        assert all(line.startswith(f"Decide in Countersign: {HERE}/") for line in ours)
        assert plain.count("\n-- \n") == 1
        # Each value is cut on its own: what comes after a long one is there.
        assert len(plain) < 12_000 and f"Seal: {promotion.short_seal}" in plain
        assert "48 more metrics are on the page." in plain
        assert "مرحبا" in plain and max(map(len, message.source.splitlines())) < 998


def test_forty_approvers_and_none(mail: Mail) -> None:
    world = mail.world
    for number in range(40):
        person = Person.objects.create(
            username=f"p{number}",
            first_name="Long Name" * 5,
            last_name=str(number),
            email=f"p{number}@acme.example",
        )
        world.person("carol").teams.get(slug="risk").members.add(person)
    promotion = world.request()
    effect = Effect.objects.get(kind=EffectKind.MAIL)
    Effect.objects.exclude(pk=effect.pk).delete()
    mail.deliver(effect)
    assert len(mail.box.messages) == 42 == SentMail.objects.count()
    assert f"Seal: {promotion.short_seal}" in mail.to("p7")[0].part("plain")


def test_a_mail_of_an_older_release_is_still_written(mail: Mail) -> None:
    """What waits in the outbox during an upgrade names no occasion."""
    promotion = mail.world.request()
    effect = Effect.objects.get(kind=EffectKind.MAIL)
    del effect.payload["occasion"]
    effect.promotion = promotion
    made = compose(effect, mail.world.person("bob"))
    assert made.subject == "[Countersign] Waiting: fraud-detector v2 → production"
    assert "Alice Anders asks, because" in str(made.alternatives[0][0])
