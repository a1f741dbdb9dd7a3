"""The forms of deciding beside Approve and Reject: what they do, and what they say when they may not."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.urls import reverse
from django.utils import timezone

from approvals import services
from approvals.gates import MetricLimit
from approvals.models import Delegation, Event, Freeze, Promotion, Restriction, Review
from approvals.states import PromotionStatus, RestrictionKind, Via
from tests.web.conftest import Browser
from tests.world import World

AMSTERDAM = ZoneInfo("Europe/Amsterdam")


def local(days: float) -> str:
    """A time some days from now, as the field of a form has it on Amsterdam's clocks."""
    return (timezone.now() + timedelta(days=days)).astimezone(AMSTERDAM).strftime("%Y-%m-%dT%H:%M")


def again(promotion: Promotion) -> Promotion:
    return Promotion.objects.get(pk=promotion.pk)


class TestRunningLater:
    def send(self, browser: Browser, who: str, promotion: Promotion, **form: str) -> str:
        client = browser(who)
        answer = client.post(promotion.get_absolute_url(), form, follow=True)
        return str(answer.content.decode())

    def test_a_time_on_somebodys_clock(self, world: World, browser: Browser) -> None:
        promotion = world.request()
        at = local(2)
        html = self.send(
            browser, "bob", promotion, action="schedule", run_at=at, zone="Europe/Amsterdam"
        )
        expected = datetime.fromisoformat(at).replace(tzinfo=AMSTERDAM)
        assert again(promotion).run_at == expected
        assert "The time is set" in html
        assert f"{expected:%H:%M} Europe/Amsterdam" in html
        assert "Move its time" in html
        self.send(browser, "bob", promotion, action="unschedule")
        assert again(promotion).run_at is None

    @pytest.mark.parametrize(
        ("at", "zone", "says"),
        [
            ("", "UTC", "Choose a day and a time"),
            ("soon", "UTC", "soon"),
            ("2027-03-28T02:30", "Europe/Amsterdam", "does not exist in Europe/Amsterdam"),
            ("2020-01-01T09:00", "UTC", "is not between now and 90 days from now"),
            (local(1), "Europe/Atlantis", "no time zone is called"),
            (local(1), "\x00", "no time zone is called"),
        ],
    )
    def test_times_that_are_none(
        self, world: World, browser: Browser, at: str, zone: str, says: str
    ) -> None:
        promotion, events = world.request(), Event.objects.count()
        client = browser("bob")
        form = {"action": "schedule", "run_at": at, "zone": zone}
        answer = client.post(promotion.get_absolute_url(), form)
        assert answer.status_code == 409
        assert says.lower() in answer.content.decode().lower()
        assert (again(promotion).run_at, Event.objects.count()) == (None, events)

    def test_the_next_open_window(self, world: World, browser: Browser) -> None:
        promotion = world.request()
        ends = timezone.now() + timedelta(hours=5)
        services.freeze(
            actor=world.person("carol"),
            via=Via.BROWSER,
            environment_id=promotion.target.environment_id,
            reason="Audit.",
            ends_at=ends,
        )
        html = self.send(browser, "bob", promotion, action="next_open", zone="UTC")
        assert again(promotion).run_at == ends
        assert "It runs in the next open window" in html
        assert world.review(again(promotion), "bob").status == PromotionStatus.PENDING

    def test_strangers_see_no_form_and_are_refused(self, world: World, browser: Browser) -> None:
        promotion = world.request()
        assert (
            "Run later" not in browser("mallory").get(promotion.get_absolute_url()).content.decode()
        )
        form = {"action": "schedule", "run_at": local(1), "zone": "UTC"}
        assert browser("mallory").post(promotion.get_absolute_url(), form).status_code == 409
        assert again(promotion).run_at is None


def test_breaking_the_glass_is_marked_everywhere(world: World, browser: Browser) -> None:
    world.rules(override_team="platform")
    promotion = world.request()
    page = promotion.get_absolute_url()
    assert "Break the glass" not in browser("bob").get(page).content.decode()
    assert "Break the glass" in browser("dave").get(page).content.decode()
    form = {"action": "override", "seal": promotion.seal, "text": "Fraud is running now."}
    html = browser("dave").post(page, form, follow=True).content.decode()
    assert "The glass was broken" in html and "Fraud is running now." in html
    world.deploy(again(promotion).deployment)
    for address in (page, "/timeline/", "/", promotion.target.model.get_absolute_url()):
        assert 'data-glass="broken"' in browser("alice").get(address).content.decode(), address


def test_ticks_are_asked_and_kept_when_refused(world: World, browser: Browser) -> None:
    world.rules(checklist=("Read <it>", "Told support"), comment_required=True)
    promotion = world.request()
    page = promotion.get_absolute_url()
    client = browser("bob")
    assert "Read &lt;it&gt;" in client.get(page).content.decode()
    form = {"action": "approve", "seal": promotion.seal, "text": "Fine.", "ticked": ["Read <it>"]}
    answer = client.post(page, form)
    html = answer.content.decode()
    assert answer.status_code == 409 and "Told support" in html
    assert 'value="Read &lt;it&gt;" checked' in html and ">Fine.</textarea>" in html
    assert not Review.objects.exists()
    client.post(page, {**form, "ticked": ["Read <it>", "Told support"]})
    assert Review.objects.get().ticked == ["Read <it>", "Told support"]


class TestFreezes:
    def test_placed_shown_and_lifted(self, world: World, browser: Browser) -> None:
        carol, environment = browser("carol"), world.target().environment
        form = {
            "action": "freeze",
            "environment": str(environment.pk),
            "begins": "",
            "ends": local(1),
            "zone": "Europe/Amsterdam",
            "reason": "Audit <week>.",
        }
        html = carol.post(reverse("freezes"), form, follow=True).content.decode()
        placed = Freeze.objects.get()
        assert "Frozen now" in html and "Audit &lt;week&gt;." in html
        assert placed.placed_by == world.person("carol")
        assert "Frozen until" in browser("alice").get("/").content.decode()
        stranger = browser("mallory")
        assert "Freeze production" not in stranger.get(reverse("freezes")).content.decode()
        lift = {"action": "unfreeze", "freeze": str(placed.pk), "reason": "Now!"}
        assert stranger.post(reverse("freezes"), lift).status_code == 409
        assert Freeze.objects.get().lifted_at is None
        carol.post(reverse("freezes"), {**lift, "reason": "It is over."})
        assert Freeze.objects.get().lifted_at is not None
        assert "Frozen until" not in browser("alice").get("/").content.decode()
        said = browser("alice").get("/timeline/?environment=production").content.decode()
        assert "Carol Chen froze production until" in said
        assert "Carol Chen lifted the freeze of production: It is over." in said

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"reason": " "}, "Say why"),
            ({"ends": "2020-01-01T00:00"}, "ends after it begins"),
            ({"ends": "never"}, "never"),
            ({"environment": "999"}, "no such environment"),
            ({"environment": "x"}, "no such environment"),
            ({"zone": "Moon/Base"}, "No time zone is called"),
        ],
    )
    def test_what_is_no_freeze(
        self, world: World, browser: Browser, changes: dict[str, str], says: str
    ) -> None:
        form = {
            "action": "freeze",
            "environment": str(world.target().environment_id),
            "ends": local(1),
            "zone": "UTC",
            "reason": "Audit.",
            **changes,
        }
        answer = browser("carol").post(reverse("freezes"), form)
        assert answer.status_code == 409 and says in answer.content.decode()
        assert not Freeze.objects.exists()


def test_a_hold_is_shown_and_ended(world: World, browser: Browser) -> None:
    target = world.target()
    held = Restriction.objects.create(
        kind=RestrictionKind.HOLD,
        target=target,
        reason="Rolled back to v1.",
        placed_by=world.person("bob"),
        placed_at=timezone.now(),
    )
    page = target.model.get_absolute_url()
    html = browser("bob").get(page).content.decode()
    assert "is on hold by Bob Brandt" in html and "End the hold" in html
    assert "Lock" in html, "a hold does not keep anybody from locking"
    assert "End the hold" not in browser("mallory").get(page).content.decode()
    browser("bob").post(reverse("restrict", args=["resume", target.pk]), {"reason": "Found it."})
    held.refresh_from_db()
    assert held.lifted_by == world.person("bob")


class TestDelegating:
    def test_given_used_and_taken_back(self, world: World, browser: Browser) -> None:
        form = {
            "delegate": str(world.person("mallory").pk),
            "until": local(1),
            "zone": "Europe/Amsterdam",
            "reason": "Holiday.",
        }
        html = browser("bob").post(reverse("delegation"), form, follow=True).content.decode()
        assert "Mallory Moss may now approve for you." in html and "Take it back" in html
        promotion = world.request()
        waiting = browser("mallory").get(reverse("inbox")).content.decode()
        assert promotion.get_absolute_url() in waiting
        held = browser("mallory").get(reverse("profile")).content.decode()
        assert "You may approve for <strong>Bob Brandt</strong>" in held
        approve = {"action": "approve", "seal": promotion.seal}
        html = (
            browser("mallory")
            .post(promotion.get_absolute_url(), approve, follow=True)
            .content.decode()
        )
        assert "Mallory Moss for Bob Brandt" in html
        browser("bob").post(reverse("delegation"), {"action": "end"})
        assert Delegation.objects.get().ended_at is not None

    def test_refusals_are_said(self, world: World, browser: Browser) -> None:
        for changes, says in (
            ({"delegate": str(world.person("ci").pk)}, "a machine cannot decide"),
            ({"delegate": "x"}, "Choose an active colleague"),
            ({"until": "2020-01-01T00:00"}, "ends in the future"),
            ({"until": ""}, "Choose a day and a time"),
        ):
            form = {"delegate": str(world.person("dave").pk), "until": local(1), "zone": "UTC"}
            html = (
                browser("bob")
                .post(reverse("delegation"), {**form, **changes}, follow=True)
                .content.decode()
            )
            assert says in html, changes
        assert not Delegation.objects.exists()


def test_several_at_once_each_with_its_answer(world: World, browser: Browser) -> None:
    one, two = world.request(), world.request(world.version(1, "churn-predictor"))
    world.rules(world.target(model="demand-forecast"), gates=(MetricLimit("accuracy", "0.99"),))
    three = world.request(world.version(1, "demand-forecast"))
    client = browser("bob")
    html = client.get(reverse("inbox")).content.decode()
    assert html.count('name="promotion"') == 2, "what is blocked cannot be chosen"
    assert "Blocked:</strong> accuracy" in html
    form = {"action": "approve", "promotion": [one.pk, two.pk, three.pk], "text": ""}
    seals = {f"seal-{each.pk}": each.seal for each in (one, three)}
    html = client.post(
        reverse("decide_many"), {**form, **seals, f"seal-{two.pk}": "0" * 64}, follow=True
    ).content.decode()
    text = re.sub(r"<[^>]+>", "", html)
    assert "fraud-detector v2 to production: approved." in text
    assert "churn-predictor v1 to production: not done. The facts are not the ones you saw." in text
    assert "demand-forecast v1 to production: not done. It is blocked: accuracy" in text
    assert [each.promotion_id for each in Review.objects.all()] == [one.pk]
    for nothing in ({}, {"action": "approve"}, {"action": "x", "promotion": [one.pk]}):
        html = client.post(reverse("decide_many"), nothing, follow=True).content.decode()
        assert "Choose what to decide" in html
    odd = {"action": "reject", "promotion": ["x", "9" * 30, "999"], "text": "No."}
    assert (
        "There is no promotion 999."
        in client.post(reverse("decide_many"), odd, follow=True).content.decode()
    )
    assert Review.objects.count() == 1
