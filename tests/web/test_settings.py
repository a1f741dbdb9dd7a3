"""What is personal: looks, clocks, sessions and tokens; and the page of people."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.db import connection
from django.template import Context, Template
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from approvals import services
from approvals.models import ApiToken, Event, Membership, Person, Preferences, Team
from approvals.narrative import sentence_of
from approvals.recurrence_words import rule_in_words
from approvals.selectors.preferences import preferences_of
from approvals.selectors.sessions import device_in_words
from approvals.services import Refused
from approvals.states import Via
from tests.web.conftest import Browser
from tests.world import World

LOOKS = {"theme": "dark", "zone": "Europe/Amsterdam", "shortcuts": "yes"}


class TestLooks:
    def test_chosen_and_shown_without_a_line_in_the_history(
        self, world: World, browser: Browser
    ) -> None:
        client, before = browser("bob"), Event.objects.count()
        html = client.post(reverse("looks"), LOOKS, follow=True).content.decode()
        assert '<html lang="en" data-theme="dark">' in html and "Saved." in html
        assert "data-keys" in html and "<strong>Europe/Amsterdam</strong> now" in html
        client.post(reverse("looks"), {"theme": "system", "zone": ""})
        html = client.get(reverse("profile")).content.decode()
        assert "data-theme" not in html.split("<head>")[0] and "data-keys" not in html
        assert Event.objects.count() == before, "colours concern nobody else"

    def test_what_one_is_told_is_told(self, world: World, browser: Browser) -> None:
        browser("bob").post(reverse("preferences"), {"notify": "yes", "mail": "never"})
        event = Event.objects.get(kind="preferences.changed")
        assert "browser notifications on" in sentence_of(event)

    @pytest.mark.parametrize(
        ("wish", "code"),
        [
            ({"theme": "pink"}, "bad_choice"),
            ({"zone": "Mars/Olympus"}, "bad_zone"),
            ({"zone": "../../etc/passwd"}, "bad_zone"),
        ],
    )
    def test_refused(self, world: World, wish: dict[str, str], code: str) -> None:
        with pytest.raises(Refused) as refused:
            services.set_preferences(actor=world.person("bob"), via=Via.BROWSER, **wish)  # type: ignore[arg-type]
        assert refused.value.code == code and not Preferences.objects.exists()
        with pytest.raises(Refused) as refused:
            services.set_preferences(actor=world.person("ci"), via=Via.BROWSER, theme="dark")
        assert refused.value.code == "machine" and not Preferences.objects.exists()

    def test_the_quick_switch_comes_back_but_not_to_strangers(
        self, world: World, browser: Browser
    ) -> None:
        client = browser("bob")
        there = client.post(reverse("theme"), {"theme": "light", "next": "/policy/"})
        assert there["Location"] == "/policy/"
        there = client.post(reverse("theme"), {"theme": "light", "next": "https://evil.example/"})
        assert there["Location"] == reverse("profile")
        assert preferences_of(world.person("bob")).theme == "light"
        assert client.get(reverse("theme")).status_code == 405


class TestClocks:
    def shown(self, client: Client) -> str:
        found = re.search(
            r"Pages show <strong>([^<]+)</strong>", client.get("/profile/").content.decode()
        )
        assert found
        return found[1]

    def test_chosen_then_the_browsers_then_utc(self, world: World, browser: Browser) -> None:
        client = browser("bob")
        assert self.shown(client) == "UTC"
        for cookie, zone in [
            ("Asia%2FTokyo", "Asia/Tokyo"),
            ("../../etc/passwd", "UTC"),
            ("<script>", "UTC"),
            ("x" * 4000, "UTC"),
        ]:
            client.cookies["zone"] = cookie
            assert self.shown(client) == zone
        services.set_preferences(
            actor=world.person("bob"), via=Via.BROWSER, zone="America/Sao_Paulo"
        )
        assert self.shown(client) == "America/Sao_Paulo"
        assert timezone.get_current_timezone_name() == "UTC", "the next request is somebody else's"

    def test_the_tags_and_what_stays_utc(self) -> None:
        moment = datetime(2026, 11, 20, 14, 5, tzinfo=UTC)
        page = Template("{% exactly moment %}{% when moment %}")
        for zone, words in [
            ("UTC", "20 Nov 2026, 14:05 UTC"),
            ("Europe/Amsterdam", "20 Nov 2026, 15:05 CET"),
            ("America/Sao_Paulo", "20 Nov 2026, 11:05 UTC-03"),
            ("Asia/Kathmandu", "20 Nov 2026, 19:50 UTC+05:45"),
        ]:
            with timezone.override(zone):
                html = page.render(Context({"moment": moment}))
            assert f">{words}</time>" in html and f'title="{words}"' in html
            assert html.count('datetime="2026-11-20T14:05:00+00:00"') == 2

    def test_sentences_for_the_history_name_utc(self, world: World, browser: Browser) -> None:
        client = browser("bob")
        client.cookies["zone"] = "Asia%2FTokyo"
        until = f"{timezone.now() + timedelta(days=2):%Y-%m-%dT}12:00"
        carol = world.person("carol")
        client.post(
            reverse("delegation"), {"delegate": carol.pk, "until": until, "zone": "Asia/Tokyo"}
        )
        event = Event.objects.get(kind="delegation.given")
        assert "03:00 UTC" in sentence_of(event)


class TestSessions:
    def test_ends_the_others_never_this_one(self, world: World, browser: Browser) -> None:
        here, there, carol = browser("bob"), browser("bob"), browser("carol")
        for client in (here, there, carol):
            client.get(reverse("people"), HTTP_USER_AGENT="Mozilla/5.0 (X11; Linux) Firefox/130")
        html = here.get(reverse("profile")).content.decode()
        assert html.count("This session") == 1 and html.count('name="session"') == 1
        answer = here.post(reverse("end_sessions"), follow=True).content.decode()
        assert "1 session ended." in answer
        assert there.get(reverse("people")).status_code == 302, "signed out"
        assert here.get(reverse("people")).status_code == 200
        assert carol.get(reverse("people")).status_code == 200, "somebody else's"
        assert Event.objects.filter(kind="sessions.ended").count() == 1

    def test_not_somebody_elses_and_not_ones_own(self, world: World, browser: Browser) -> None:
        bob, carol = world.person("bob"), browser("carol")
        theirs = Session.objects.get().session_key
        row = UserSession.objects.get(session_key=theirs)
        for actor, keep, code in [
            (bob, "", "unknown_session"),
            (world.person("carol"), theirs, "own_session"),
        ]:
            with pytest.raises(Refused) as refused:
                services.end_sessions(actor=actor, via=Via.BROWSER, keep=keep, session_id=row.pk)
            assert refused.value.code == code
        assert carol.get(reverse("people")).status_code == 200
        assert not Event.objects.filter(kind="sessions.ended").exists()

    def test_devices_in_words(self) -> None:
        windows = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit Chrome/130 Safari/537 Edg/130"
        phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18 Mobile Safari"
        assert device_in_words(windows) == "Edge on Windows"
        assert device_in_words(phone) == "Safari on iOS"
        assert device_in_words("") == "A browser that does not say its name"


class TestTokens:
    def test_made_shown_once_and_revoked(self, world: World, browser: Browser) -> None:
        client = browser("bob")
        answer = client.post(reverse("make_token"), {"name": "nightly <b>", "days": "30"})
        secret = re.search(r"cs_[A-Za-z0-9]{40}", answer.content.decode())
        assert secret and "no-store" in answer["Cache-Control"]
        assert services.person_of_token(secret=secret[0]) == world.person("bob")
        html = client.get(reverse("profile")).content.decode()
        assert secret[0] not in html and "nightly &lt;b&gt;" in html
        token = ApiToken.objects.get()
        browser("carol").post(reverse("revoke_token"), {"token": token.pk})
        token.refresh_from_db()
        assert token.revoked_at is None, "mine only"
        client.post(reverse("revoke_token"), {"token": token.pk})
        with pytest.raises(Refused):
            services.person_of_token(secret=secret[0])

    @pytest.mark.parametrize(
        "form", [{"name": ""}, {"name": "x", "days": "soon"}, {"name": "x", "days": "0"}]
    )
    def test_refused(self, world: World, browser: Browser, form: dict[str, str]) -> None:
        answer = browser("bob").post(reverse("make_token"), form)
        assert answer.status_code == 409 and 'role="alert"' in answer.content.decode()
        assert not ApiToken.objects.exists()


class TestPeople:
    def test_teams_what_they_decide_and_who_for_whom(self, world: World, browser: Browser) -> None:
        bob, carol = world.person("bob"), world.person("carol")
        services.delegate(
            actor=carol, via=Via.BROWSER, delegate_id=bob.pk,
            until=timezone.now() + timedelta(days=1), reason="Away <i>",
        )  # fmt: skip
        Person.objects.filter(username="dave").update(is_active=False)
        html = browser("alice").get(reverse("people")).content.decode()
        assert "<strong>Bob Brandt</strong> may approve for <strong>Carol Chen</strong>" in html
        assert "Away &lt;i&gt;" in html and "Machine: never votes" in html
        assert "Cannot sign in" in html and re.search(
            r"asked to approve at <a[^>]*>\d+ target", html
        )
        html = browser("alice").get(reverse("people"), {"q": "brandt"}).content.decode()
        main = html.split("<main")[1].split("</main>")[0]
        assert "person=bob" in main and "person=alice" not in main
        html = browser("alice").get(reverse("people"), {"q": "<script>"}).content.decode()
        assert "Nobody is called so" in html and "<script>" not in html

    def test_constant_queries(self, world: World, browser: Browser) -> None:
        client = browser("alice")

        def cost() -> int:
            with CaptureQueriesContext(connection) as queries:
                client.get(reverse("people"))
            return len(queries)

        few = cost()
        people = Person.objects.bulk_create(Person(username=f"p{each}") for each in range(60))
        team = Team.objects.create(slug="many", name="Many")
        Membership.objects.bulk_create(Membership(team=team, person=each) for each in people)
        assert cost() == few


def test_the_frame_costs_the_same_on_every_page(world: World, browser: Browser) -> None:
    client = browser("bob")
    with CaptureQueriesContext(connection) as queries:
        client.get(reverse("keys"))
    assert len(queries) <= 12, "session, person, wishes, what waits, notices"


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("", "once"),
        ("FREQ=WEEKLY;BYDAY=FR", "every week on Friday"),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=SA,SU", "every 2 weeks on Saturday and Sunday"),
        ("FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR", "every working day"),
        ("FREQ=MONTHLY;BYDAY=-1FR", "every month on the last Friday"),
        ("FREQ=MONTHLY;BYDAY=2MO", "every month on the 2nd Monday"),
        ("FREQ=MONTHLY;BYMONTHDAY=-1", "every month on the last of the month"),
        ("FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=24,31", "every year on the 24th and 31st of the month in December"),
        ("FREQ=DAILY;COUNT=3", "every day, 3 times"),
        ("FREQ=WEEKLY;BYDAY=FR;UNTIL=20261231T170000", "every week on Friday, until 31 Dec 2026"),
        ("FREQ=YEARLY;BYWEEKNO=53;BYDAY=MO", "FREQ=YEARLY;BYWEEKNO=53;BYDAY=MO"),
    ],
)  # fmt: skip
def test_recurrence_in_words(rule: str, words: str) -> None:
    assert rule_in_words(rule, "Europe/Amsterdam") == words


@pytest.mark.parametrize(
    "there",
    ["foo", "logout", "%2F%2Fevil", "//evil.example", "https://evil.example", "approvals:inbox"],
)
def test_a_form_leads_back_to_addresses_of_ours_alone(
    world: World, browser: Browser, there: str
) -> None:
    client = browser("alice")
    for address, data in (
        ("/profile/theme/", {"theme": "dark"}),
        ("/feeds/addresses/", {"action": "renew"}),
    ):
        answer = client.post(address, {**data, "next": there})
        assert (answer.status_code, answer["Location"]) in {(302, "/profile/"), (302, "/timeline/")}
    assert client.get(f"/accounts/login/?next={there}")["Location"] == "/"
    assert (
        client.post("/profile/theme/", {"theme": "dark", "next": "/inbox/?a=b"})["Location"]
        == "/inbox/?a=b"
    )
