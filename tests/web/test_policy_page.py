"""The page of what is in force, and the form that tries another file on the past."""

from __future__ import annotations

import re
from html import unescape
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from approvals import services
from approvals.gates import LiveIn, MetricLimit, as_data
from approvals.models import Effect, Environment, Event, Promotion, Target
from approvals.policies import Requirement
from approvals.rules import Condition, Rule
from approvals.selectors.policies import table
from approvals.states import Via
from tests.web.conftest import Browser
from tests.world import World

PAGE, TRY = "/policy/", "/policy/simulate/"
EVIL = "<script>alert(1)</script>"


def plain(html: str) -> str:
    """What a person reads."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def page(client: Client) -> str:
    response = client.get(PAGE)
    assert response.status_code == 200
    return response.content.decode()


def rich(world: World) -> Target:
    """A target with something to say in every line."""
    target = world.target()
    rule = Rule(Condition("auc", "higher"), (Requirement(("risk",), 2),))
    target.policy |= {
        "gates": [as_data(MetricLimit("accuracy", "0.80")), as_data(LiveIn("staging", 172800))],
        "rules": [rule.as_data()],
        "checklist": [f"drift & {EVIL}"],
        "comment_required": True,
        "override_team": "platform",
        "remind_after": 86400,
        "escalate_after": 172800,
        "escalate_to": "platform",
    }
    target.freezes = [
        {
            "name": "Weekend",
            "starts": "2026-01-02T16:00",
            "lasts": 230400,
            "zone": "Europe/Amsterdam",
            "repeats": "FREQ=WEEKLY;BYDAY=FR",
        }
    ]
    target.save()
    return target


def test_strangers_see_nothing(world: World, client: Client) -> None:
    assert client.get(PAGE).status_code == 302
    assert client.post(TRY, {"text": "x", "days": 9}).status_code == 302


def test_the_page_says_what_holds_and_who_could(world: World, browser: Browser) -> None:
    rich(world)
    html = page(browser("mallory"))
    article = re.search(
        r'<article[^>]*data-model="fraud-detector" data-environment="production".*?</article>',
        html,
        re.DOTALL,
    )
    assert article
    said = plain(article[0])
    for words in (
        "1 of ml-leads and 1 of risk",
        "2 of risk where auc is worse than the live version's",
        "accuracy at least 0.80 live in staging for 2 d",
        "1 of ml-leads or risk or platform (the requester too)",
        "members of platform, not their own requests",
        "those missing, every 1 d",
        "to platform after 2 d",
        "an undecided request after 3 d",
        "an unused approval after 12 h",
        "Could approve 1 of ml-leads: Bob Brandt",
        "Could approve 2 of risk: Carol Chen; not enough people",
        "Could approve a rollback, 1 of ml-leads or risk or platform: Bob Brandt, Carol Chen or Dave Diaz",
    ):
        assert words in said, words
    assert re.search(r"Weekend: (on now, until|next from) Fri|Weekend: on now, until Mon", said)
    assert EVIL not in html and EVIL in said
    assert 'aria-current="page"' in html


def test_page_and_command_say_the_same_words(world: World, browser: Browser) -> None:
    rich(world)
    out = StringIO()
    call_command("policy", "table", stdout=out)
    printed, seen = out.getvalue(), plain(page(browser("alice")))
    told = table(timezone.now())
    assert len(told) == Target.objects.filter(is_active=True).count()
    for each in told:
        assert len(each.lines) == 14
        for line in each.lines:
            assert f"  {line.label}: {'; '.join(line.texts)}\n" in printed
            assert f"{line.label} {' '.join(line.texts)}" in seen
        for who in (*each.approvers, *each.rollback_approvers):
            assert who.sentence in printed and who.sentence in seen


def test_what_cannot_be_read_is_said(world: World, browser: Browser) -> None:
    Target.objects.filter(environment__name="production").update(policy={"promote": 1}, freezes=[3])
    seen = plain(page(browser("alice")))
    assert "Policy: unreadable: nobody can ask or approve here" in seen
    assert "The freezes of this target cannot be read" in seen
    out = StringIO()
    call_command("policy", "table", stdout=out)
    assert "unreadable: nobody can ask" in out.getvalue()
    html = browser("alice").get(world.version(2).get_absolute_url()).content.decode()
    assert "The policy is unreadable" in plain(html)


def test_placed_freezes_are_named(world: World, browser: Browser) -> None:
    services.freeze(
        actor=world.person("carol"),
        via=Via.BROWSER,
        environment_id=Environment.objects.get(name="production").pk,
        reason="Audit.",
    )
    assert "production is frozen by Carol Chen from" in plain(page(browser("alice")))


def test_the_number_of_queries_does_not_grow(world: World, browser: Browser) -> None:
    client = browser("carol")

    def queries() -> int:
        page(client)
        with CaptureQueriesContext(connection) as captured:
            page(client)
        return len(captured)

    everything = Target.objects.filter(is_active=True)
    assert everything.count() > 3
    many = queries()
    everything.exclude(pk=world.target().pk).update(is_active=False)
    assert queries() == many


def test_the_version_says_what_would_be_asked(world: World, browser: Browser) -> None:
    target = rich(world)
    html = browser("alice").get(world.version(2).get_absolute_url()).content.decode()
    seen = plain(html)
    assert "What would be asked 1 of ml-leads and 1 of risk must approve." in seen
    assert "Passes now: accuracy is 0.92; at least 0.80 is required." in seen
    assert "Fails now: It was never live in staging" in seen
    assert "Whoever approves says why." in seen
    assert EVIL not in html
    services.freeze(
        actor=world.person("carol"),
        via=Via.BROWSER,
        environment_id=target.environment_id,
        reason="Audit.",
    )
    html = browser("alice").get(world.version(2).get_absolute_url()).content.decode()
    assert "Closed now: production is frozen" in plain(html)


def demo() -> str:
    return Path(settings.COUNTERSIGN_CONFIG).read_text()


def test_a_file_is_tried_and_nothing_is_kept(world: World, browser: Browser) -> None:
    promotion = world.request()
    world.approve(promotion)
    counted = [each.objects.count() for each in (Event, Effect, Promotion)]
    before = list(Target.objects.order_by("pk").values())
    text = demo().replace("      - {team: risk, count: 1}\n", "")
    answer = browser("mallory").post(TRY, {"text": text, "days": "30"})
    assert answer.status_code == 200
    html, seen = answer.content.decode(), plain(answer.content.decode())
    assert "WARNING: less would have been asked of 1 promotion." in seen
    assert "Less would be asked: 1 of risk no longer" in seen
    assert 'data-effect="less"' in html and promotion.get_absolute_url() in html
    assert (
        "fraud-detector in production Promotion 1 of ml-leads and 1 of risk 1 of ml-leads" in seen
    )
    assert not re.search(r"<[^>]+\s(style|on\w+)=", html)
    assert counted == [each.objects.count() for each in (Event, Effect, Promotion)]
    assert before == list(Target.objects.order_by("pk").values())

    upload = SimpleUploadedFile("x.yaml", text.encode())
    answer = browser("alice").post(TRY, {"file": upload, "days": "30", "text": ""})
    assert "1 of risk no longer" in plain(answer.content.decode())
    assert browser("alice").get(TRY).status_code == 302


def test_the_form_needs_its_token(world: World) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.person("alice"))
    assert client.post(TRY, {"text": demo(), "days": "30"}).status_code == 403


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({}, "Choose a file, or paste its text."),
        ({"text": "a: *b"}, "your text:1: not valid YAML: aliases"),
        ({"text": "x\x00y"}, "special characters are not allowed"),
        ({"text": "x" * 1_200_000}, "your text: larger than a megabyte"),
        ({"text": "[" * 5000}, "nested too deeply"),
        ({"text": EVIL + ": 1"}, "is not a known key here"),
        ({"text": "environments: \ud800".encode("utf-8", "surrogatepass")}, "your text"),
    ],
)
def test_a_bad_text_is_answered_with_its_place(
    world: World, browser: Browser, data: dict[str, str], sentence: str
) -> None:
    answer = browser("alice").post(TRY, {"days": "30", **data})
    html = answer.content.decode()
    assert answer.status_code == 422
    assert sentence in plain(html)
    assert EVIL not in html


@pytest.mark.parametrize("raw", [b"\xff\xfe\x00", b"\x89PNG\r\n\x1a\n\x00\x00", b"y" * 1_100_000])
def test_a_bad_upload_is_answered(world: World, browser: Browser, raw: bytes) -> None:
    upload = SimpleUploadedFile("<b>.yaml", raw)
    answer = browser("alice").post(TRY, {"days": "30", "file": upload})
    assert answer.status_code == 422
    assert "your file" in plain(answer.content.decode()).lower()


@pytest.mark.parametrize("days", ["0", "366", "-1", "x", "", "9" * 30])
def test_bad_days_are_a_sentence(world: World, browser: Browser, days: str) -> None:
    answer = browser("alice").post(TRY, {"text": demo(), "days": days})
    assert answer.status_code == 422
    assert "Days: between 1 and 365 days are looked at." in plain(answer.content.decode())
