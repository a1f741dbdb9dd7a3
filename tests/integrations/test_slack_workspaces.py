"""Several workspaces: installing by OAuth, tokens encrypted and renewed, the app removed again."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import yaml
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings
from slack_bolt import Ack, BoltContext

from approvals.audit import verify_history
from approvals.models import Event, InboundDelivery, Person, Promotion, Review
from approvals.services import Refused
from approvals.states import Verdict
from config.logs import configure_logging
from integrations import polls, status
from integrations.checks import services_are_configured
from integrations.errors import Unavailable
from integrations.models import Poll, SlackIdentity, SlackWorkspace
from integrations.polled import ensure, slack_teams
from integrations.slack import identities, installations, workspaces
from integrations.slack.client import slack as client_of
from integrations.slack.encryption import decrypt
from integrations.slack.listeners import bolt_app
from integrations.slack.messages import render
from tests.integrations.slack_fixtures import (
    CLIENT_ID,
    CLIENT_SECRET,
    Slack,
    slack,
    snapshot,
    static_folder,
)
from tests.integrations.test_slack_identity import eventually
from tests.world import World

__all__ = ["slack", "static_folder"]
LAB, GRID, ACME = "T0LAB", "E0GRID", "T0ACME"
PAGE = "/integrations/slack/workspaces/"


@dataclass
class Installer:
    """An administrator's browser, in the product and in Slack."""

    slack: Slack
    browser: Client

    def begin(self) -> str:
        """Slack's page that the product sends the administrator to."""
        answer = self.browser.get("/integrations/slack/install")
        assert answer.status_code == 302
        return answer["Location"]

    def allow(self, page: str, team: str = LAB) -> str:
        """Press there; the way back, as path and query."""
        assert requests.get(page, timeout=10).status_code == 200
        answer = requests.post(page, {"team": team}, allow_redirects=False, timeout=10)
        back = urlsplit(answer.headers["Location"])
        assert f"{back.scheme}://{back.netloc}" == self.slack.product
        return f"{back.path}?{back.query}"

    def end(self, way: str) -> str:
        """Come back; what the next page says."""
        return self.browser.get(way, follow=True).content.decode()

    def install(self, team: str = LAB) -> SlackWorkspace:
        assert "The Slack app is installed in" in self.end(self.allow(self.begin(), team))
        return SlackWorkspace.objects.get(team_id=team)


@pytest.fixture
def installer(slack: Slack, settings: Settings) -> Iterator[Installer]:
    settings.SLACK_CLIENT_ID, settings.SLACK_CLIENT_SECRET = CLIENT_ID, CLIENT_SECRET
    Person.objects.filter(username="dave").update(is_superuser=True, is_staff=True)
    browser = Client()
    browser.force_login(slack.world.person("dave"))
    yield Installer(slack, browser)


def raw(row: SlackWorkspace) -> tuple[str, str]:
    """What stands in the database."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT token, refresh_token FROM integrations_slackworkspace WHERE id = %s", [row.pk]
        )
        found: tuple[str, str] = cursor.fetchone()
    return found


def link(name: str, user_id: str, team: str) -> None:
    person = Person.objects.get(username=name)
    SlackIdentity.objects.update_or_create(
        person=person, defaults={"team_id": team, "user_id": user_id, "linked_at": timezone.now()}
    )


def show(promotion: Promotion, channel: str, team: str) -> str:
    """The promotion's message in a channel of another workspace; its ts."""
    with client_of(team=team) as client:
        return str(client.chat_postMessage(channel=channel, **render(promotion))["ts"])


def soon_over(row: SlackWorkspace, **ago: float) -> None:
    SlackWorkspace.objects.filter(pk=row.pk).update(expires_at=timezone.now() - timedelta(**ago))


class TestInstalling:
    def test_a_second_workspace(self, installer: Installer) -> None:
        slack = installer.slack
        page = installer.begin()
        asked = {key: value[0] for key, value in parse_qs(urlsplit(page).query).items()}
        manifest = yaml.safe_load(installations.MANIFEST.read_text())
        assert asked["scope"].split(",") == manifest["oauth_config"]["scopes"]["bot"]
        assert asked["redirect_uri"] == f"{slack.product}/integrations/slack/oauth"
        assert not SlackWorkspace.objects.exists()
        assert "installed in Acme Lab" in installer.end(installer.allow(page))
        row = SlackWorkspace.objects.get()
        assert (row.team_id, row.name, row.is_active, row.problem) == (LAB, "Acme Lab", True, "")
        assert row.installed_by == slack.world.person("dave") and row.scopes == asked[
            "scope"
        ].split(",")
        assert row.expires_at and row.expires_at > timezone.now() + timedelta(hours=11)
        event = Event.objects.get(kind="slack.installed")
        assert event.actor == row.installed_by and event.data["team"] == LAB
        assert verify_history().broken_at is None
        # Each is spoken to with its own token, and sees its own channels.
        for team, channel in ((LAB, "C0LAB"), ("", "C0RELEASES"), (ACME, "C0RELEASES")):
            with client_of(team=team) as client:
                assert client.auth_test()["team_id"] == (team or ACME)
                client.chat_postMessage(channel=channel, text="Hello.")
        assert workspaces.place_of(f"{LAB}/C0LAB") == (LAB, "C0LAB")
        assert workspaces.default_team() == ACME and workspaces.is_configured()

    def test_its_people_link_and_decide(self, installer: Installer, client: Client) -> None:
        slack = installer.slack
        promotion = slack.ask()
        installer.install()
        ts = show(promotion, "C0LAB", LAB)
        told = slack.told("lena", "approve", ts=ts)
        assert told.startswith("Countersign does not know who you are.")
        client.force_login(slack.world.person("bob"))
        path = told[told.index("/integrations/slack/link/") :].split()[0]
        assert "Acme Lab" in client.get(path).content.decode()
        client.post(path)
        identity = SlackIdentity.objects.get(person__username="bob")
        assert (identity.team_id, identity.user_id, identity.name) == (LAB, "U0LENA", "Lena Lang")
        assert "Acme Lab" in client.get("/profile/").content.decode()
        # The dialog is opened with the token of the workspace that the press came from.
        view = slack.dialog("lena", "reject", ts=ts)
        slack.submit("lena", view, text="Not good enough.")
        review = Review.objects.get()
        assert (review.person.username, review.verdict) == ("bob", Verdict.REJECT)
        event = Event.objects.get(kind="review.rejected")
        assert event.data["origin"] == {"team": LAB, "channel": "C0LAB", "user": "U0LENA"}

    def test_without_a_token_in_the_settings(
        self, installer: Installer, settings: Settings
    ) -> None:
        """Installed workspaces are enough."""
        settings.SLACK_BOT_TOKEN, settings.SLACK_TEAM_ID = "", []
        assert not workspaces.is_configured() and workspaces.default_team() == ""
        with pytest.raises(Unavailable, match="not installed in any workspace"):
            workspaces.token_of("")
        installer.install()
        assert workspaces.is_configured() and workspaces.place_of("C0LAB") == (LAB, "C0LAB")
        assert workspaces.token_of("") == workspaces.token_of(LAB) != ""
        assert services_are_configured(None) == []
        ensure(timezone.now())
        assert Poll.objects.get(kind="slack").key == LAB

    def test_an_organisation(self, installer: Installer) -> None:
        """Enterprise Grid: the app is installed in all workspaces; the organisation's id stands for them."""
        slack = installer.slack
        promotion = slack.ask()
        row = installer.install(GRID)
        assert (row.team_id, row.enterprise_id, row.name) == (GRID, GRID, "Grid Group")
        ts = show(promotion, "C0GRID", GRID)
        told = slack.told("gina", "approve", ts=ts)
        assert told.startswith("Countersign does not know who you are.")
        client = Client()
        client.force_login(slack.world.person("bob"))
        client.post(told[told.index("/integrations/slack/link/") :].split()[0])
        assert SlackIdentity.objects.get(person__username="bob").team_id == GRID
        assert slack.told("gina", "approve", ts=ts) == "" and Review.objects.count() == 1
        slack.post("user_change", user="U0GINA", deleted=True)
        eventually(
            lambda: SlackIdentity.objects.get(user_id="U0GINA").standing == "deactivated", "heard"
        )

    def test_strangers_of_both(self, installer: Installer) -> None:
        slack = installer.slack
        promotion = slack.ask()
        before = snapshot()
        ts = slack.messages()[0]["ts"]
        assert "other organisations" in slack.told("lena", "approve", ts=ts), "not installed there"
        installer.install()
        before = snapshot()
        assert "other organisations" in slack.told("eve", "approve", ts=ts)
        # A person of the one workspace is nobody in the other, though their ids look alike.
        link("bob", "U0BOB", LAB)
        told = slack.told("bob", "approve", ts=ts)
        assert told.startswith("Countersign does not know who you are.")
        assert snapshot() == before and not promotion.reviews.exists()


class TestWhoMayInstall:
    def refused(self, installer: Installer, way: str, sentence: str) -> None:
        assert sentence in installer.end(way)
        assert not SlackWorkspace.objects.exists()
        assert not Event.objects.filter(kind="slack.installed").exists()

    def test_administrators_only(self, installer: Installer) -> None:
        way = installer.allow(installer.begin())
        installer.browser.force_login(installer.slack.world.person("bob"))
        for path in (PAGE, way):
            assert installer.browser.get(path).status_code == 403
        page = installer.browser.get("/integrations/slack/install", follow=True).content.decode()
        assert "only administrators may" in page
        assert (
            installer.browser.post("/integrations/slack/workspaces/T0LAB/forget/").status_code
            == 302
        )
        assert Client().get(way)["Location"].startswith("/accounts/login/")
        assert not SlackWorkspace.objects.exists()
        assert installer.slack.calls("oauth.v2.access") == 0

    def test_a_state_is_one_sessions_and_good_once(
        self, installer: Installer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        way, sentence = installer.allow(installer.begin()), "not the end of an installation"
        other = Client()
        other.force_login(installer.slack.world.person("dave"))
        self.refused(Installer(installer.slack, other), way, sentence)
        self.refused(installer, way.replace("state=", "state=x"), sentence)
        self.refused(installer, way, sentence)  # the wrong one used it up
        old = installer.allow(installer.begin())
        with monkeypatch.context() as patch:
            patch.setattr("integrations.slack.views.STATE_SECONDS", -1)
            self.refused(installer, old, sentence)
        assert installer.slack.calls("oauth.v2.access") == 0
        good = installer.allow(installer.begin())
        assert "is installed" in installer.end(good)
        assert sentence in installer.end(good)
        assert Event.objects.filter(kind="slack.installed").count() == 1

    def test_two_callbacks_at_once(self, installer: Installer) -> None:
        """Both found the state in the session; the code is used once."""
        way = installer.allow(installer.begin())
        state = parse_qs(urlsplit(way).query)["state"][0]
        cookies, barrier = installer.browser.cookies, threading.Barrier(2)

        def back() -> None:
            browser = Client()
            browser.cookies = cookies
            barrier.wait(10)
            browser.get(way)
            connection.close()

        threads = [threading.Thread(target=back) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert state and installer.slack.calls("oauth.v2.access") == 1
        assert Event.objects.filter(kind="slack.installed").count() == 1
        assert InboundDelivery.objects.filter(source="slack-install").count() == 1

    def test_slack_says_no(self, installer: Installer, settings: Settings) -> None:
        cancelled = installer.allow(installer.begin(), team="")
        self.refused(installer, cancelled, "the app was not allowed")
        way = installer.allow(installer.begin())
        settings.SLACK_CLIENT_SECRET = "another"
        self.refused(installer, way, "bad_client_secret")
        settings.SLACK_CLIENT_SECRET = CLIENT_SECRET
        way = installer.allow(installer.begin())
        installer.slack.fault("server_error", "oauth.v2.access")
        self.refused(installer, way, "Start again")
        settings.SLACK_CLIENT_ID = ""
        self.refused(installer, "/integrations/slack/install", "SLACK_CLIENT_ID")


class TestSecrets:
    def test_are_nowhere(self, installer: Installer, caplog: pytest.LogCaptureFixture) -> None:
        """Not in the database, pages, events, logs at DEBUG, or what Python shows of an object."""
        configure_logging(json=True, level="DEBUG")
        logging.getLogger().addHandler(caplog.handler)
        try:
            row = installer.install()
            soon_over(row, hours=-1)
            installations.look(LAB)
            row.refresh_from_db()
        finally:
            configure_logging(json=False, level="ERROR")
        token, refresh = workspaces.token_of(LAB), decrypt(row.refresh_token)
        assert token.startswith("xoxe.xoxb-1-") and refresh.startswith("xoxe-1-")
        said = "".join(record.getMessage() for record in caplog.records)
        assert "oauth.v2.access" not in said or "xoxe" not in said
        assert token not in str(raw(row)) and refresh not in str(raw(row))
        found = [repr(row), str(row), said, caplog.text]
        found += [json.dumps(event.data) for event in Event.objects.all()]
        admin = f"/admin/integrations/slackworkspace/{row.pk}/change/"
        pages = (PAGE, "/admin/integrations/slackworkspace/", admin, "/timeline/", "/profile/")
        for path in pages:
            answer = installer.browser.get(path)
            assert answer.status_code == 200, path
            found.append(answer.content.decode())
        assert "Acme Lab" in found[-3]
        for text in found:
            for secret in (token, refresh, CLIENT_SECRET, "xoxe", *raw(row)):
                assert secret not in text

    def test_keys_change(self, installer: Installer, settings: Settings) -> None:
        row = installer.install()
        token, first = workspaces.token_of(LAB), raw(row)
        # A key of its own is introduced, then changed; each time the old one reads until it is written anew.
        settings.SLACK_TOKEN_KEY = ["a" * 64]
        assert workspaces.token_of(LAB) == token
        installations.look(LAB)
        second = raw(row)
        assert second != first and workspaces.token_of(LAB) == token
        settings.SECRET_KEY = "another-secret-key-" + "y" * 50
        settings.SLACK_TOKEN_KEY = ["b" * 64, "a" * 64]
        call_command("encrypt_slack_tokens")
        settings.SLACK_TOKEN_KEY = ["b" * 64]
        assert raw(row) != second and workspaces.token_of(LAB) == token
        # A lost key is a clear problem, and no crash.
        settings.SLACK_TOKEN_KEY = ["c" * 64]
        with pytest.raises(Unavailable, match="cannot be decrypted"):
            workspaces.token_of(LAB)
        with pytest.raises(CommandError, match="Acme Lab: Its token cannot be decrypted"):
            call_command("encrypt_slack_tokens")
        assert any("cannot be decrypted" in each for each in status.notices())
        # The sessions ended with the former SECRET_KEY.
        installer.browser.force_login(installer.slack.world.person("dave"))
        assert "cannot be decrypted" in installer.browser.get(PAGE).content.decode()
        settings.SLACK_TOKEN_KEY = ["c" * 64, "b" * 64]
        installations.look(LAB)
        row.refresh_from_db()
        assert row.problem == "" and workspaces.token_of(LAB) == token

    def test_secret_keys_fallbacks(self, installer: Installer, settings: Settings) -> None:
        installer.install()
        token, former = workspaces.token_of(LAB), settings.SECRET_KEY
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "z" * 60, [former]
        assert workspaces.token_of(LAB) == token
        call_command("encrypt_slack_tokens")
        settings.SECRET_KEY_FALLBACKS = []
        assert workspaces.token_of(LAB) == token


class TestRenewing:
    def test_well_before_its_end(self, installer: Installer) -> None:
        row = installer.install()
        old = workspaces.token_of(LAB)
        installations.look(LAB)
        assert installer.slack.calls("oauth.v2.access") == 1, "not before it is due"
        soon_over(row, hours=-1.9)
        ensure(timezone.now())
        polls.look(Poll.objects.get(kind="slack", key=LAB))
        row.refresh_from_db()
        assert workspaces.token_of(LAB) != old and row.problem == ""
        assert row.expires_at and row.expires_at > timezone.now() + timedelta(hours=11)
        with client_of(team=LAB) as client:
            assert client.auth_test()["ok"]

    def test_by_one_at_a_time(self, installer: Installer) -> None:
        """A refresh token is good once: of many workers one uses it."""
        row = installer.install()
        soon_over(row, hours=-1)
        barrier = threading.Barrier(4)

        def renew() -> None:
            barrier.wait(10)
            installations.renew(LAB, now=timezone.now())
            connection.close()

        threads = [threading.Thread(target=renew) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        row.refresh_from_db()
        assert installer.slack.calls("oauth.v2.access") == 2 and row.problem == ""

    def test_slack_is_down_and_comes_back(self, installer: Installer) -> None:
        row = installer.install()
        soon_over(row, hours=-1)
        old = workspaces.token_of(LAB)
        installer.slack.fault("server_error", "oauth.v2.access")
        with pytest.raises(Unavailable):
            installations.look(LAB)
        assert workspaces.token_of(LAB) == old, "good still"
        installations.look(LAB)
        assert workspaces.token_of(LAB) != old

    def test_a_lost_answer(self, installer: Installer) -> None:
        """Then only installing again helps, which is said while the old token works still."""
        row = installer.install()
        soon_over(row, hours=-1)
        old = workspaces.token_of(LAB)
        installer.slack.fault("post_then_error", "oauth.v2.access")
        with pytest.raises(Unavailable):
            installations.look(LAB)
        for _ in range(2):
            installations.look(LAB)
        row.refresh_from_db()
        assert installer.slack.calls("oauth.v2.access") == 3, "what is dead is not tried for ever"
        assert "invalid_refresh_token" in row.problem and "Install the app again" in row.problem
        assert any("Install the app again" in each for each in status.notices())
        assert workspaces.token_of(LAB) == old
        soon_over(row, seconds=1)
        with pytest.raises(Unavailable, match="is over and was not renewed"):
            workspaces.token_of(LAB)
        row = installer.install()
        assert row.problem == "" and workspaces.token_of(LAB) not in ("", old)


class TestRemoving:
    def linked(self, installer: Installer) -> str:
        """A message in the second workspace, whose lena is bob; its ts."""
        promotion = installer.slack.ask()
        installer.install()
        link("bob", "U0LENA", LAB)
        return show(promotion, "C0LAB", LAB)

    def gone(self) -> bool:
        return not SlackWorkspace.objects.get(team_id=LAB).is_active

    def test_uninstalled(self, installer: Installer) -> None:
        slack, ts = installer.slack, self.linked(installer)
        slack.post("uninstall", team=LAB)
        eventually(self.gone, "the events are heard")
        eventually(lambda: Event.objects.filter(kind="slack.uninstalled").exists(), "recorded")
        before = snapshot()
        for action in ("approve", "reject"):
            assert "other organisations" in slack.told("lena", action, ts=ts)
        assert snapshot() == before and not Review.objects.exists()
        with pytest.raises(Unavailable, match="was uninstalled from Acme Lab"):
            workspaces.token_of(LAB)
        assert any("workspace Acme Lab" in each for each in status.notices())
        assert installations.look(LAB) == installations.CALM
        row = SlackWorkspace.objects.get(team_id=LAB)
        assert raw(row) == ("", "") and not row.is_active, "what Slack refuses is forgotten"
        assert LAB not in slack_teams()
        assert Event.objects.filter(kind="slack.uninstalled").count() == 1
        # Either it is installed again, and everybody decides as before …
        installer.install()
        assert slack.told("lena", "approve", ts=ts) == "" and Review.objects.count() == 1

    def test_taken_off_the_list(self, installer: Installer) -> None:
        self.linked(installer)
        forget = "/integrations/slack/workspaces/T0LAB/forget/"
        answer = installer.browser.post(forget, follow=True)
        assert "Uninstall the app in Slack first" in answer.content.decode()
        installer.slack.post("uninstall", team=LAB)
        eventually(self.gone, "the events are heard")
        assert forget in installer.browser.get(PAGE).content.decode()
        installer.browser.post(forget)
        assert not SlackWorkspace.objects.filter(team_id=LAB).exists()
        assert not SlackIdentity.objects.filter(team_id=LAB).exists()
        assert Event.objects.filter(kind="slack.forgotten").count() == 1

    def test_late_news_of_a_former_installation(self, installer: Installer) -> None:
        """It counts at once, to be safe; a minute later the token turns out to work."""
        ts = self.linked(installer)
        ensure(timezone.now())
        installer.slack.post("tell", team=LAB, event={"type": "app_uninstalled"})
        eventually(self.gone, "the event is heard")
        poll = Poll.objects.get(kind="slack", key=LAB)
        assert poll.due_at <= timezone.now()
        polls.look(poll)
        assert not self.gone() and SlackWorkspace.objects.get(team_id=LAB).problem == ""
        assert installer.slack.told("lena", "approve", ts=ts) == ""

    def test_peoples_tokens_and_other_workspaces(self, installer: Installer) -> None:
        self.linked(installer)
        event = {"type": "tokens_revoked", "tokens": {"oauth": ["U0LENA"], "bot": []}}
        installer.slack.post("tell", team=LAB, event=event)
        installer.slack.post("tell", team="T0OTHER", event={"type": "app_uninstalled"})
        sent = ("event tokens_revoked", "event app_uninstalled")
        eventually(
            lambda: sum(e["what"] in sent for e in installer.slack.get("deliveries")) == 2, "sent"
        )
        assert not self.gone() and not Event.objects.filter(kind="slack.uninstalled").exists()

    def test_the_workspace_of_the_settings(self, slack: Slack) -> None:
        slack.ask()
        slack.post("uninstall", team=ACME)
        eventually(lambda: not workspaces.is_ours(ACME), "the event is heard")
        before = snapshot()
        SlackWorkspace.objects.get(team_id=ACME)
        with pytest.raises(Refused, match="other organisations"):
            identities.person_of(identities.SlackUser(ACME, "U0BOB"))
        with pytest.raises(Unavailable, match="refused the token"):
            installations.look(ACME)
        assert snapshot() == before
        slack.post("installed", team=ACME)
        installations.look(ACME)
        assert workspaces.is_ours(ACME) and slack.told("bob", "approve") == ""

    def test_a_fault_of_one_workspace(self, installer: Installer) -> None:
        installer.install()
        installer.slack.fault("token_revoked", team=LAB)
        with client_of() as client:
            assert client.auth_test()["ok"]
        with pytest.raises(Unavailable, match="token_revoked"), client_of(team=LAB) as client:
            client.auth_test()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"SLACK_CLIENT_ID": "1"}, "SLACK_CLIENT_SECRET not set"),
        ({"SLACK_CLIENT_SECRET": "1"}, "SLACK_CLIENT_ID not set"),
        (
            {"SLACK_CLIENT_ID": "1", "SLACK_CLIENT_SECRET": "1", "SLACK_SIGNING_SECRET": ""},
            "Neither SLACK_SIGNING_SECRET nor SLACK_APP_TOKEN is set",
        ),
        ({"SLACK_CLIENT_ID": "1", "SLACK_CLIENT_SECRET": "1", "SLACK_BOT_TOKEN": ""}, ""),
        ({}, "SLACK_BOT_TOKEN and SLACK_TEAM_ID not set"),
    ],
)
def test_settings(given: dict[str, str], sentence: str, settings: Settings) -> None:
    settings.SLACK_BOT_TOKEN, settings.SLACK_TEAM_ID = "", []
    for name, value in given.items():
        setattr(settings, name, value)
    said = " ".join(str(each.msg) for each in services_are_configured(None))
    assert sentence in said if sentence else "SLACK" not in said


BODY: dict[str, Any] = {"team": {"id": "T1"}, "enterprise": None, "is_enterprise_install": False}


@pytest.mark.parametrize(
    ("belongs", "body", "home", "installation"),
    [
        ("T1", BODY, "T1", "T1"),
        ("T9", BODY, "T9", "T1"),
        # A workspace of an organisation, by itself: its people come with either id.
        ("E2", {**BODY, "team": {"id": "T2"}, "enterprise": {"id": "E2"}}, "T2", "T2"),
        ("E2", {**BODY, "team": {"id": "T3"}, "enterprise": {"id": "E2"}}, "T3", "T3"),
        # A dialog is submitted with the visitor's own team.
        ("T9", {"team": {"id": "T9"}, "view": {"app_installed_team_id": "T1"}}, "T9", "T1"),
        ("T1", {"team_id": "T1", "is_enterprise_install": "false"}, "T1", "T1"),
        # Installed for all of an organisation.
        (
            "T5",
            {"team": None, "enterprise": {"id": "E4"}, "is_enterprise_install": True},
            "E4",
            "E4",
        ),
        (
            "T5",
            {"team_id": "T5", "enterprise_id": "E4", "is_enterprise_install": "true"},
            "E4",
            "E4",
        ),
        # Uninstalled, or never installed.
        ("T6", {**BODY, "team": {"id": "T6"}}, "T6", ""),
        ("T9", {**BODY, "team": {"id": "T9"}}, "T9", ""),
        ("", {}, "", ""),
    ],
)
def test_whose_and_which(
    belongs: str,
    body: dict[str, Any],
    home: str,
    installation: str,
    world: World,
    settings: Settings,
) -> None:
    settings.SLACK_TEAM_ID = []
    rows = (
        ("T1", "", True),
        ("T2", "E2", True),
        ("T3", "E2", True),
        ("E4", "E4", True),
        ("T6", "", False),
    )
    for team, enterprise, active in rows:
        SlackWorkspace.objects.create(
            team_id=team, enterprise_id=enterprise, is_active=active, token="x"
        )
    assert workspaces.home_of(belongs, body) == home
    assert workspaces.answering(body) == installation
    assert workspaces.is_ours(home) is (home in {"T1", "T2", "T3", "E4"})


def test_bolt_is_given_the_token_of_the_requests_workspace(installer: Installer) -> None:
    installer.install()
    seen: list[str | None] = []
    app = bolt_app()

    @app.action("anything")
    def listener(ack: Ack, context: BoltContext) -> None:
        seen.append(context.bot_token)
        ack()

    for team in (LAB, ACME, "T0OTHER"):
        payload = {
            "type": "block_actions",
            "team": {"id": team},
            "user": {"id": "U1", "team_id": team},
            "actions": [{"type": "button", "action_id": "anything", "block_id": "b"}],
        }
        assert installer.slack.send(payload).status_code == 200
    assert seen[:2] == [workspaces.token_of(LAB), workspaces.token_of(ACME)] and not seen[2]
