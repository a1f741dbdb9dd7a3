"""How I am told: the verb, and the section of the profile page."""

from __future__ import annotations

import re
import threading

import pytest
from django.db import connection
from django.urls import reverse

from approvals import services
from approvals.models import Event, Person, Preferences
from approvals.narrative import sentence_of
from approvals.selectors.preferences import preferences_of
from approvals.services import Refused
from approvals.states import MailWish, Via
from tests.web.conftest import Browser
from tests.world import World

FORM = {"direct": "yes", "reminders": "yes", "mail": "always"}


def wishes(person: Person) -> tuple[bool, bool, str]:
    found = preferences_of(person)
    return found.direct, found.reminders, found.mail


def test_without_a_row_the_channel_is_enough(world: World) -> None:
    assert wishes(world.person("bob")) == (False, True, MailWish.WITHOUT_CHAT)
    assert not Preferences.objects.exists(), "to look makes no row"


def test_one_event_and_only_where_something_changed(world: World) -> None:
    bob = world.person("bob")
    before = Event.objects.count()
    services.set_preferences(actor=bob, via=Via.SLACK, direct=True, mail=MailWish.NEVER)
    event = Event.objects.first()
    assert event is not None and Event.objects.count() == before + 1
    assert sentence_of(event) == (
        "Bob Brandt changed how they are told: direct messages on and mail: never"
    )
    assert wishes(bob) == (True, True, MailWish.NEVER), "what was not said stays"
    services.set_preferences(actor=bob, via=Via.SLACK, direct=True, reminders=True, mail="never")
    services.set_preferences(actor=bob, via=Via.SLACK)
    assert Event.objects.count() == before + 1
    assert wishes(world.person("carol")) == (False, True, MailWish.WITHOUT_CHAT)


@pytest.mark.parametrize(
    ("who", "mail", "code"),
    [("ci", None, "machine"), ("bob", "weekly", "bad_choice"), ("carol", None, "inactive")],
)
def test_refused(world: World, who: str, mail: str | None, code: str) -> None:
    Person.objects.filter(username="carol").update(is_active=False)
    before = Event.objects.count()
    with pytest.raises(Refused) as refused:
        services.set_preferences(actor=world.person(who), via=Via.BROWSER, direct=True, mail=mail)
    assert refused.value.code == code and refused.value.sentence
    assert Event.objects.count() == before and not Preferences.objects.exists()


def test_two_doors_at_once_make_one_row(committed_world: World) -> None:
    bob, barrier = committed_world.person("bob"), threading.Barrier(2)
    problems: list[Exception] = []

    def choose() -> None:
        try:
            barrier.wait(5)
            services.set_preferences(actor=bob, via=Via.SLACK, direct=True)
        except Exception as error:
            problems.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=choose) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(10)
    assert problems == [] and Preferences.objects.count() == 1
    assert Event.objects.filter(kind="preferences.changed").count() == 1


class TestThePage:
    def test_chosen_and_shown(self, world: World, browser: Browser) -> None:
        client = browser("bob")
        html = client.get(reverse("profile")).content.decode()
        assert "How I am told" in html and not re.search(r'name="direct"[^>]* checked', html)
        assert re.search(r'name="reminders"[^>]* checked', html)
        html = client.post(reverse("preferences"), FORM, follow=True).content.decode()
        assert "this is how you are told from now on" in html
        assert re.search(r'name="direct"[^>]* checked', html)
        assert '<option value="always" selected>' in html
        assert wishes(world.person("bob")) == (True, True, MailWish.ALWAYS)

    def test_an_empty_box_is_a_no(self, world: World, browser: Browser) -> None:
        browser("bob").post(reverse("preferences"), {"mail": "never"})
        assert wishes(world.person("bob")) == (False, False, MailWish.NEVER)
        assert wishes(world.person("carol"))[1] is True, "one's own only"

    def test_what_is_no_choice_is_said(self, world: World, browser: Browser) -> None:
        html = browser("bob").post(reverse("preferences"), {**FORM, "mail": "x"}, follow=True)
        assert "Choose one of the ways to be told by mail." in html.content.decode()
        assert not Preferences.objects.exists()

    def test_only_signed_in_and_only_by_post(self, world: World, browser: Browser) -> None:
        assert browser("bob").get(reverse("preferences")).status_code == 405
        client = browser("bob")
        client.logout()
        assert client.post(reverse("preferences"), FORM).status_code == 302
        assert not Preferences.objects.exists()
