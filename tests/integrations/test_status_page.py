"""The status page: what it says of each failure, its tests over real HTTP, and retrying; never a secret."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django.fixtures import Settings

from approvals.models import Effect, Event
from approvals.models.outbox import EffectKind
from approvals.states import EffectStatus
from integrations import tasks
from integrations.errors import why
from integrations.hints import hint_for
from integrations.models import Heartbeat, Poll, RateLimit, SlackWorkspace
from integrations.probes import probe
from tests.integrations.github_fixtures import GitHub
from tests.world import World


@pytest.fixture(autouse=True)
def settled(settings: Settings, db: None) -> Iterator[None]:
    settings.SANDBOX = False
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def page_of(world: World) -> Callable[[str], str]:
    def show(name: str = "alice") -> str:
        return signed_in(world, name).get("/status/").content.decode()

    return show


def signed_in(world: World, name: str) -> Client:
    client = Client()
    client.force_login(world.person(name))
    return client


def alive() -> None:
    for name in ("worker", "beat", "slack"):
        Heartbeat.objects.update_or_create(name=name, defaults={"at": timezone.now()})


def all_well() -> None:
    now = timezone.now()
    alive()
    for kind, key in (("mlflow", ""), ("repository", "acme/ml-models"), ("slack", "T0ACME")):
        Poll.objects.update_or_create(
            kind=kind,
            key=key,
            defaults={
                "due_at": now + timedelta(seconds=15),
                "succeeded_at": now,
                "failures": 0,
                "last_error": "",
            },
        )
    SlackWorkspace.objects.update_or_create(team_id="T0ACME", defaults={"succeeded_at": now})


def test_all_is_well(world: World, page_of: Callable[[str], str]) -> None:
    all_well()
    page = page_of("alice")
    assert "All is well." in page
    assert 'data-state="bad"' not in page
    assert "Nothing waits to go out." in page


def test_signing_in_is_asked_for(world: World) -> None:
    assert Client().get("/status/").status_code == 302
    for address in ("/status/test/mlflow/", "/status/retry/1/"):
        assert Client().post(address).status_code == 302
        assert signed_in(world, "alice").get(address).status_code == 405


def test_everything_broken_is_said_with_what_to_do(
    world: World, page_of: Callable[[str], str], settings: Settings
) -> None:
    settings.SLACK_APP_TOKEN = "xapp-1-secret-of-socket-mode"
    settings.GITHUB_API_URL = "https://me:a-password@github.example/api/v3"
    now = timezone.now()
    Heartbeat.objects.create(name="worker", at=now - timedelta(minutes=5))
    Heartbeat.objects.create(name="beat", at=now - timedelta(minutes=5))
    secret = settings.GITHUB_TOKEN
    for kind, key, error in (
        ("mlflow", "", "MLflow refused us (401 or 403). Check the credentials."),
        ("repository", "acme/ml-models", f"GitHub said no to /x: {secret} Not Found (HTTP 404)."),
    ):
        Poll.objects.create(kind=kind, key=key, due_at=now, failures=4, last_error=error)
    SlackWorkspace.objects.create(
        team_id="T0ACME", problem="Slack refuses the token (token_revoked).", problem_at=now
    )
    page = page_of("mallory")
    for words in (
        "Needs somebody:",
        "--allowed-hosts names the host",
        "The name is wrong, or the token may not see the repository",
        "Install the app in the workspace again",
        "Start manage.py runslack",
        "Start beat.",
        "4 failures in a row",
    ):
        assert words in page, words
    assert secret not in page
    assert "a-password" not in page
    assert "xapp-1" not in page


def test_a_dead_worker_and_a_dead_scheduler_are_told_apart(
    world: World, page_of: Callable[[str], str]
) -> None:
    all_well()
    old = timezone.now() - timedelta(minutes=5)
    Heartbeat.objects.filter(name="worker").update(at=old)
    page = page_of("alice")
    assert "Start a worker." in page
    assert "Start beat." not in page
    tasks._beat_said = -tasks.BEAT_SAYS_EVERY
    Heartbeat.objects.filter(name="beat").update(at=old)
    assert "Start beat." in page_of("alice")
    tasks._beat_is_alive()
    assert "Start beat." not in page_of("alice")


def test_the_rate_limit_and_a_pause(world: World, page_of: Callable[[str], str]) -> None:
    from integrations.github.client import credential

    all_well()
    RateLimit.objects.create(
        credential=credential(),
        limit=5000,
        remaining=4812,
        resets_at=timezone.now() + timedelta(minutes=30),
        paused_until=timezone.now() + timedelta(minutes=5),
        reason="You have exceeded a secondary rate limit.",
    )
    page = page_of("alice")
    assert "4,812 of 5,000" in page
    assert "Paused" in page
    assert "secondary rate limit" in page


def stuck(world: World, **values: Any) -> Effect:
    promotion = world.request()
    effect = Effect.objects.filter(promotion=promotion).latest("pk")
    values = {"status": "waiting", "attempts": 4, "last_error": "Slack failed.", **values}
    values.setdefault("due_at", timezone.now() + timedelta(minutes=1))
    Effect.objects.filter(pk=effect.pk).update(**values)
    return Effect.objects.get(pk=effect.pk)


def test_what_is_stuck_and_who_may_retry(world: World) -> None:
    all_well()
    effect = stuck(world)
    address = f"/status/retry/{effect.pk}/"
    for name, may in (("bob", True), ("mallory", False)):
        page = signed_in(world, name).get("/status/").content.decode()
        assert "Bring the message and its thread up to date" in page
        assert (f'action="{address}"' in page) is may
    refused = signed_in(world, "mallory").post(address, follow=True).content.decode()
    assert "You may not, because only those who may decide about" in refused
    assert not Event.objects.filter(kind="effect.retried").exists()
    done = signed_in(world, "bob").post(address, follow=True).content.decode()
    assert "it is tried again now" in done
    assert Effect.objects.get(pk=effect.pk).due_at <= timezone.now()
    assert Event.objects.get(kind="effect.retried").actor == world.person("bob")


def test_a_dispatch_is_never_fired_again_from_here(world: World) -> None:
    deployment = world.approve(world.request())
    effect = Effect.objects.get(kind=EffectKind.DISPATCH)
    Effect.objects.filter(pk=effect.pk).update(
        status="failed", attempts=3, last_error="GitHub refused.", finished_at=timezone.now()
    )
    client = signed_in(world, "bob")
    page = client.get("/status/").content.decode()
    assert "A workflow is started once for an approval" in page
    assert f"/status/retry/{effect.pk}/" not in page
    said = client.post(f"/status/retry/{effect.pk}/", follow=True).content.decode()
    assert "never repeated from here" in said
    assert Effect.objects.get(pk=effect.pk).status == EffectStatus.FAILED
    deployment.refresh_from_db()
    assert deployment.dispatches == 0


def test_the_newest_history_is_verified_at_each_look(committed_world: World) -> None:
    all_well()
    committed_world.request()
    client = signed_in(committed_world, "alice")
    assert "the newest" in client.get("/status/").content.decode()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE approvals_event DISABLE TRIGGER USER")
        cursor.execute(
            "UPDATE approvals_event SET data = '{}' WHERE id = (SELECT max(id) - 1 FROM approvals_event)"
        )
        cursor.execute("ALTER TABLE approvals_event ENABLE TRIGGER USER")
    assert "Does not verify" in client.get("/status/").content.decode()


def test_the_number_of_queries_is_constant(world: World) -> None:
    all_well()
    client = signed_in(world, "bob")
    client.get("/status/")

    def count() -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert client.get("/status/").status_code == 200
        return len(queries)

    stuck(world)
    few = count()
    now = timezone.now()
    template = Effect.objects.filter(status="waiting").latest("pk")
    Effect.objects.bulk_create(
        Effect(
            kind=kind,
            dedupe_key=f"x:{kind}:{number}",
            lane=f"x:{number}",
            promotion=template.promotion,
            target=template.target,
            status=status,
            attempts=3,
            last_error="No.",
            created_at=now,
            due_at=now,
            finished_at=now if status == "failed" else None,
        )
        for number in range(40)
        for kind, status in (("mail", "waiting"), ("tell", "failed"), ("announce", "done"))
    )
    Poll.objects.bulk_create(
        Poll(kind="repository", key=f"acme/r{n}", due_at=now, failures=n % 3) for n in range(60)
    )
    many = count()
    assert many == few
    page = client.get("/status/").content.decode()
    assert "and 49 more" in page
    assert page.count("Retry now") == 50


class TestProbes:
    """The buttons, over real HTTP."""

    def press(self, world: World, name: str, service: str, key: str = "") -> str:
        answer = signed_in(world, name).post(f"/status/test/{service}/", {"key": key}, follow=True)
        return answer.content.decode()

    def test_github(self, committed_world: World, github: GitHub, settings: Settings) -> None:
        page = self.press(committed_world, "alice", "github", "acme/ml-models")
        assert "acme/ml-models can be read (its default branch is main)" in page
        assert "calls are left" in page
        assert settings.GITHUB_TOKEN not in page
        assert [path for _, path, _ in github.sent] == ["/rate_limit", "/repos/acme/ml-models"]

    @pytest.mark.parametrize(
        ("fault", "options", "said", "hint"),
        [
            ("rate_limited", {"retry_after": 9}, "rate limit", "read again by itself"),
            ("error_before", {}, "GitHub failed", "githubstatus.com"),
            ("drop_after_accept", {}, "could not be reached", "Nothing listens there"),
        ],
    )
    def test_github_in_trouble(
        self,
        committed_world: World,
        github: GitHub,
        fault: str,
        options: dict[str, Any],
        said: str,
        hint: str,
    ) -> None:
        github.fault(fault, match="/rate_limit", **options)
        page = self.press(committed_world, "alice", "github")
        assert said in page
        assert hint in page

    def test_github_refuses_the_token(
        self, committed_world: World, github: GitHub, settings: Settings
    ) -> None:
        settings.GITHUB_TOKEN = "ghp_wrong-token-of-somebody"
        page = self.press(committed_world, "alice", "github")
        assert "GitHub refused the credentials (401)" in page
        assert "Put a new one into GITHUB_TOKEN" in page
        assert "ghp_wrong" not in page

    def test_what_nobody_answers(self, committed_world: World) -> None:
        outcome = probe("mlflow", "")
        assert (outcome.ok, bool(outcome.hint)) == (False, True)
        outcome = probe("slack", "T0ACME")
        assert not outcome.ok
        assert "Slack could not be reached" in outcome.said

    def test_only_members_of_a_team(self, committed_world: World, github: GitHub) -> None:
        committed_world.person("mallory").teams.clear()
        page = self.press(committed_world, "mallory", "github")
        assert "only members of a team may test" in page
        assert not github.sent

    def test_not_again_and_again(self, committed_world: World, github: GitHub) -> None:
        self.press(committed_world, "alice", "github")
        assert "tested just now" in self.press(committed_world, "alice", "github")
        assert len(github.sent) == 1

    @pytest.mark.parametrize(
        ("service", "key"),
        [
            ("nothing", ""),
            ("github", "evil/repository"),
            ("github", "acme/ml-models/../../x"),
            ("slack", "T0OTHER"),
            ("serving", "1"),
            ("serving", "../x"),
            ("socket", ""),
            ("mail", ""),
        ],
    )
    def test_what_is_not_ours_is_not_asked(
        self, committed_world: World, github: GitHub, service: str, key: str
    ) -> None:
        client = signed_in(committed_world, "alice")
        assert client.post(f"/status/test/{service}/", {"key": key}).status_code == 404
        assert not github.sent

    def test_never_inside_a_transaction(self, world: World) -> None:
        with pytest.raises(RuntimeError, match="inside a database transaction"):
            probe("github", "")


@pytest.mark.parametrize(
    "problem",
    [
        "MLflow could not be reached, or failed.",
        "GitHub could not be reached (the host's name was not found).",
        "GitHub could not be reached (no trusted certificate).",
        "GitHub could not be reached (no answer in time).",
        "The repository was renamed or moved (Moved Permanently (HTTP 301)); configure its new name.",
        "Slack will not let us write there (is_archived). Check the channel.",
        "Slack said no: missing_scope.",
        "No secure connection to the mail server (CERTIFICATE_VERIFY_FAILED).",
        "The mail server refused the credentials (535).",
        "An internal error (KeyError).",
    ],
)
def test_every_known_failure_has_a_hint(problem: str) -> None:
    assert hint_for(problem)


def test_what_broke_is_named() -> None:
    import socket
    import ssl

    import requests
    from urllib3.exceptions import MaxRetryError, NameResolutionError

    inner = NameResolutionError("h", None, socket.gaierror())  # type: ignore[arg-type]
    wrapped = requests.ConnectionError(MaxRetryError(None, "/", inner))  # type: ignore[arg-type]
    assert why(wrapped) == "the host's name was not found"
    assert why(requests.exceptions.SSLError()) == "no trusted certificate"
    assert why(ssl.SSLError()) == "no trusted certificate"
    assert why(requests.ReadTimeout()) == "no answer in time"
    assert why(ConnectionResetError("10.0.0.1")) == "ConnectionResetError"
