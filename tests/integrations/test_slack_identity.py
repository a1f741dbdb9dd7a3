"""Who is who in Slack: linking asks Slack, and what somebody is there counts at every press."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
import requests
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from approvals.audit import verify_history
from approvals.models import Effect, Event, InboundDelivery, Person, Review
from approvals.models.outbox import EffectKind
from approvals.narrative import whence
from approvals.services import Refused, set_active
from approvals.states import Via
from integrations import polls
from integrations.models import Poll, SlackIdentity, SlackStanding
from integrations.slack import identities, standings
from tests.integrations.slack_fixtures import CHANNEL, Slack, slack, snapshot, static_folder
from tests.world import World

__all__ = ["slack", "static_folder"]
TEAM = "T0ACME"


def address(user_id: str = "U0FRANK", team: str = TEAM) -> str:
    return urlsplit(identities.link_address(identities.SlackUser(team, user_id))).path


def identity(name: str = "bob") -> SlackIdentity:
    return SlackIdentity.objects.get(person__username=name)


def eventually(true: Callable[[], bool], what: str) -> None:
    """Events arrive in the background."""
    until = time.monotonic() + 10
    while not true():
        assert time.monotonic() < until, what
        time.sleep(0.02)


def refreshed() -> int:
    return Effect.objects.filter(kind=EffectKind.ANNOUNCE).count()


class TestLinking:
    def test_says_who_in_which_workspace_and_what_it_replaces(
        self, slack: Slack, client: Client
    ) -> None:
        slack.ask()
        polls.look(Poll.objects.create(kind="slack", key=TEAM, due_at=timezone.now()))
        SlackIdentity.objects.filter(user_id="U0BOB").update(name="Bob Brandt")
        bob, path, waiting = slack.world.person("bob"), address(), refreshed()
        client.force_login(bob)
        page = client.get(path).content.decode()
        assert "Frank Fuchs" in page and "<strong>Acme</strong>" in page and TEAM in page
        assert "Your account is linked to Bob Brandt" in page and "That link will end." in page
        assert identity().user_id == "U0BOB", "looking links nothing"
        client.post(path)
        made = identity()
        assert (made.user_id, made.name, made.standing) == (
            "U0FRANK",
            "Frank Fuchs",
            SlackStanding.MEMBER,
        )
        assert made.checked_at is not None and refreshed() > waiting, "the mentions change"
        page = client.get("/profile/").content.decode()
        assert "Frank Fuchs" in page and "Acme" in page and "Unlink" in page
        waiting = refreshed()
        Effect.objects.filter(kind=EffectKind.ANNOUNCE).delete()
        client.post("/integrations/slack/unlink/")
        assert not SlackIdentity.objects.filter(person=bob).exists() and refreshed() == 1

    @pytest.mark.parametrize(
        ("user_id", "sentence"),
        [
            ("U0GRETA", "guests of the Slack workspace cannot decide"),
            ("U0DORA", "your Slack account is deactivated"),
            ("U0ROBO", "this is a bot"),
            ("U0COUNTERSIGN", "this is a bot"),
            ("U0EVE", "people of other organisations cannot decide here"),
            ("U0NOBODY", "your Slack account is deactivated"),
        ],
    )
    def test_who_is_refused(
        self, slack: Slack, client: Client, user_id: str, sentence: str
    ) -> None:
        self._refused(slack, client, address(user_id), sentence)

    def test_another_organisations_address(self, slack: Slack, client: Client) -> None:
        self._refused(slack, client, address("U0EVE", "T0OTHER"), "other organisations")
        assert slack.calls("users.info") == 0

    def _refused(self, slack: Slack, client: Client, path: str, sentence: str) -> None:
        client.force_login(slack.world.person("bob"))
        before = snapshot()
        for answer in (client.get(path, follow=True), client.post(path, follow=True)):
            assert sentence in answer.content.decode()
        assert snapshot() == before and identity().user_id == "U0BOB"
        assert not InboundDelivery.objects.filter(source="slack-link").exists()

    def test_slack_cannot_be_asked(self, slack: Slack, client: Client) -> None:
        """Nobody is linked unseen; the address is good still."""
        client.force_login(slack.world.person("bob"))
        path, before = address(), snapshot()
        slack.fault("server_error", "users.info", times=2)
        for answer in (client.get(path), client.post(path)):
            assert answer.status_code == 503
            page = answer.content.decode()
            assert "Slack could not be asked who you are" in page and "Try again" in page
        assert snapshot() == before and identity().user_id == "U0BOB"
        assert client.post(path).status_code == 302 and identity().user_id == "U0FRANK"

    def test_signing_in_comes_back_to_the_address(self, slack: Slack) -> None:
        session, path = requests.Session(), address()
        page = session.get(slack.product + path, timeout=10)
        assert urlsplit(page.url).path == "/accounts/login/"
        token = session.cookies["countersign_csrf"]
        there = f'name="next" value="{path}"'
        assert page.text.count(there) >= 2, "for a password, and for one click in the sandbox"
        answer = session.post(
            f"{slack.product}/sandbox/sign-in/bob/",
            {"csrfmiddlewaretoken": token, "next": path},
            timeout=10,
        )
        assert answer.url == slack.product + path and "Frank Fuchs" in answer.text

    @pytest.mark.parametrize("same_person", [True, False])
    def test_used_by_two_at_once(self, slack: Slack, same_person: bool) -> None:
        """One wins; the other is told, and nobody is linked twice."""
        token = address().split("/")[-2]
        people = [slack.world.person(name) for name in ("bob", "bob" if same_person else "carol")]
        barrier, outcomes = threading.Barrier(2), []

        def use(person: Person) -> None:
            try:
                barrier.wait(10)
                identities.link(actor=person, token=token)
                outcomes.append("linked")
            except Refused as refusal:
                outcomes.append(refusal.code)
            finally:
                connection.close()

        threads = [threading.Thread(target=use, args=(person,)) for person in people]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert outcomes.count("linked") == 1
        assert set(outcomes) <= {"linked", "link_used", "link_taken"} and len(outcomes) == 2
        assert SlackIdentity.objects.filter(user_id="U0FRANK").count() == 1
        assert Event.objects.filter(kind="slack.linked").count() == 1


class TestAtEveryPress:
    @pytest.mark.parametrize("standing", [each for each in SlackStanding if each != "member"])
    def test_who_is_no_member_any_more(self, slack: Slack, standing: SlackStanding) -> None:
        slack.ask()
        SlackIdentity.objects.filter(user_id="U0BOB").update(standing=standing)
        before = snapshot()
        for action in ("approve", "reject", "details"):
            assert slack.told("bob", action) == standings.WHY_NOT[standing]
        assert snapshot() == before and slack.calls("users.info") == 0, "no press waits for Slack"

    def test_inactive_and_machine_accounts(self, slack: Slack) -> None:
        slack.ask()
        before = snapshot()
        Person.objects.filter(username="bob").update(is_machine=True)
        assert "this is a machine account" in slack.told("bob", "approve")
        Person.objects.filter(username="bob").update(is_active=False, is_machine=False)
        assert "your account is not active" in slack.told("bob", "approve")
        assert snapshot() == before

    def test_deactivated_by_an_administrator(self, slack: Slack) -> None:
        slack.ask()
        bob, waiting = slack.world.person("bob"), refreshed()
        admin = slack.world.person("dave")
        Person.objects.filter(pk=admin.pk).update(is_superuser=True)
        admin.refresh_from_db()
        set_active(actor=admin, via=Via.COMMAND, person_id=bob.pk, active=False)
        assert refreshed() > waiting
        assert "your account is not active" in slack.told("bob", "approve")
        assert not Review.objects.exists()


class TestOrigin:
    def test_a_decision_names_channel_user_and_person(self, slack: Slack, client: Client) -> None:
        promotion = slack.ask()
        slack.press("bob", "approve")
        slack.submit("carol", slack.dialog("carol", "reject"), text="No.")
        for kind, name in (("review.approved", "bob"), ("review.rejected", "carol")):
            event = Event.objects.get(kind=kind)
            assert event.actor == slack.world.person(name)
            assert event.data["origin"] == {
                "team": TEAM,
                "channel": CHANNEL,
                "user": f"U0{name.upper()}",
            }
            assert whence(event) == f"as U0{name.upper()} in {CHANNEL} of {TEAM}"
        client.force_login(slack.world.person("alice"))
        words = f"through Slack as U0BOB in {CHANNEL} of {TEAM}"
        assert words in client.get(promotion.get_absolute_url()).content.decode()
        assert words in client.get("/timeline/").content.decode()
        assert verify_history().broken_at is None

    def test_other_doors_name_none(self, slack: Slack) -> None:
        promotion = slack.ask()
        slack.told("mallory", "approve")
        slack.world.review(promotion, "bob")
        assert "origin" not in Event.objects.get(kind="review.approved").data


class TestStandings:
    def changed(self, slack: Slack, **flags: object) -> None:
        slack.post("user_change", user="U0BOB", **flags)

    def standing(self) -> str:
        return identity().standing

    def test_slacks_event_counts_at_once(self, slack: Slack) -> None:
        slack.ask()
        SlackIdentity.objects.update(checked_at=timezone.now() - timedelta(minutes=5))
        waiting = refreshed()
        self.changed(slack, is_restricted=True, real_name="Bob, the guest")
        eventually(lambda: self.standing() == "guest", "the event is heard")
        assert identity().name == "Bob, the guest" and refreshed() > waiting
        event = Event.objects.get(kind="slack.standing")
        assert event.data["person"] == "bob" and event.data["standing"] == "guest"
        assert "guests" in slack.told("bob", "approve") and not Review.objects.exists()
        SlackIdentity.objects.update(checked_at=timezone.now() - timedelta(minutes=5))
        self.changed(slack, is_restricted=False)
        eventually(lambda: self.standing() == "member", "and taken back")
        assert slack.calls("users.info") == 0

    def test_an_event_counts_once(self, slack: Slack) -> None:
        same = {"event_id": "Ev0SAME"}
        self.changed(slack, is_restricted=True, outer=same)
        eventually(lambda: self.standing() == "guest", "the event is heard")
        SlackIdentity.objects.update(standing="member")
        self.changed(slack, is_restricted=True, outer=same)
        heard = [e for e in slack.get("deliveries") if e["what"] == "event user_change"]
        eventually(
            lambda: len([e for e in slack.get("deliveries") if e["status"]]) == 2, "both answered"
        )
        assert self.standing() == "member" and heard
        assert Event.objects.filter(kind="slack.standing").count() == 1

    def test_late_news(self, slack: Slack) -> None:
        """Late news takes rights away and never gives them back; Slack is asked who is right."""
        now = timezone.now()
        Poll.objects.create(kind="slack", key=TEAM, due_at=now + timedelta(hours=1))
        SlackIdentity.objects.update(standing="guest", checked_at=now)
        late = {"event_time": int(now.timestamp()) - 3600}
        self.changed(slack, real_name="Bob", outer=late)
        eventually(lambda: len(slack.get("deliveries")) == 1, "it arrives")
        assert self.standing() == "guest"
        self.changed(slack, deleted=True, outer=late)
        eventually(lambda: self.standing() == "deactivated", "what takes away counts")
        poll = Poll.objects.get(kind="slack")
        assert poll.due_at <= timezone.now() and identity().checked_at is None
        self.changed(slack, deleted=False, silent=True)
        polls.look(poll)
        assert self.standing() == "member"

    def test_somebody_elses_event(self, slack: Slack) -> None:
        before = snapshot()
        slack.post("user_change", user="U0FRANK", deleted=True)
        self.changed(slack, deleted=True, outer={"team_id": "T0OTHER"})
        eventually(lambda: len(slack.get("deliveries")) == 2, "they arrive")
        assert self.standing() == "member" and snapshot() == before

    def test_a_look_finds_what_no_event_told(
        self, slack: Slack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.changed(slack, deleted=True, silent=True)
        poll = Poll.objects.create(kind="slack", key=TEAM, due_at=timezone.now())
        monkeypatch.setattr(standings, "AT_ONCE", 3)
        polls.look(poll)
        assert slack.calls("users.info") == 3, "a few at a time"
        poll.refresh_from_db()
        assert poll.due_at <= timezone.now() + timedelta(seconds=61)
        polls.look(poll)
        assert slack.calls("users.info") == 5 and self.standing() == "deactivated"
        polls.look(poll)
        assert slack.calls("users.info") == 5, "not again within the hour"
        assert Event.objects.filter(kind="slack.standing").count() == 1

    def test_slack_is_down(self, slack: Slack) -> None:
        poll = Poll.objects.create(kind="slack", key=TEAM, due_at=timezone.now())
        slack.fault("server_error", times=9)
        polls.look(poll)
        poll.refresh_from_db()
        assert poll.failures == 1 and self.standing() == "member"


USER = {"id": "U1", "team_id": "T0ACME"}


@pytest.mark.parametrize(
    ("flags", "standing"),
    [
        ({}, "member"),
        ({"is_ultra_restricted": True}, "guest"),
        ({"is_restricted": True, "deleted": True}, "deactivated"),
        ({"id": "USLACKBOT"}, "bot"),
        ({"is_workflow_bot": True}, "bot"),
        ({"is_stranger": True}, "foreign"),
        ({"team_id": "T9"}, "foreign"),
        ({"team_id": None}, "foreign"),
        # On Enterprise Grid the organisation counts where the settings name it.
        ({"team_id": "T9", "enterprise_user": {"enterprise_id": "E1"}}, "member"),
        ({"team_id": None, "enterprise_user": {"enterprise_id": "E1", "teams": []}}, "member"),
        ({"team_id": "T9", "enterprise_user": {"enterprise_id": "E2"}}, "foreign"),
    ],
)
def test_what_a_user_object_says(
    flags: dict[str, object], standing: str, settings: Settings, world: World
) -> None:
    settings.SLACK_TEAM_ID = [TEAM, "E1"]
    assert standings.standing_of({**USER, **flags}, TEAM) == standing
