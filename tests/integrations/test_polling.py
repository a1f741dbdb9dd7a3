"""Webhooks wake, polling is the truth: whatever becomes of webhooks, workers and the rate limit."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django.fixtures import Settings
from pytest_django.live_server_helper import LiveServer

from approvals.models import Deployment, Effect, Event, Repository, WorkflowRun
from approvals.states import DeploymentStatus
from integrations import effects, pace, polled, polls
from integrations.effects import HANDLERS
from integrations.github.client import credential
from integrations.models import Poll, RateLimit
from integrations.outbox import deliver_due
from integrations.status import notices
from tests.integrations.github_fixtures import REPOSITORY, GitHub, eventually
from tests.world import World

D = DeploymentStatus
DOOR = "/integrations/github/webhook"
HISTORY = [
    "promotion.requested",
    "promotion.sealed",
    "review.approved",
    "review.approved",
    "promotion.approved",
    "deployment.dispatching",
    "deployment.started",
    "deployment.succeeded",
]


@pytest.fixture(scope="session")
def static_folder() -> None:
    """The server starts before any test's own settings, and whitenoise wants a folder."""
    Path(django_settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)


@pytest.fixture(scope="session")
def live_server(static_folder: None, live_server: LiveServer) -> LiveServer:
    """The product's own doors, for webhooks over real HTTP."""
    return live_server


@pytest.fixture(autouse=True)
def github_only(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Nothing here is about Slack or MLflow; waits are the defaults."""
    # Not the test's own folder, where the stand-in's runs come and go while whitenoise looks for files.
    settings.STATIC_ROOT = tmp_path_factory.mktemp("static")
    settings.SLACK_BOT_TOKEN = ""
    settings.TICK_SECONDS = 20.0  # this machine's pace is not what is tested
    monkeypatch.setitem(polls.LOOK, "mlflow", lambda _poll: polls.Seen(3600.0))


def approved(world: World, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """A grant that waits to be dispatched, and nothing else in the outbox."""
    version = world.version()
    monkeypatch.setattr(effects, "observe", lambda _target, _number: world.observed(version))
    deployment = world.approve(world.request(version))
    Effect.objects.exclude(kind="dispatch").update(status="done")
    return deployment


def dispatch(deployment: Deployment) -> Deployment:
    """Deliver what is due in the outbox."""
    deliver_due(HANDLERS, seconds=10)
    Effect.objects.exclude(kind="dispatch").update(status="done")
    return Deployment.objects.select_related("promotion", "step").get(pk=deployment.pk)


def pass_time(**interval: float) -> None:
    """So much later, as far as polls are concerned."""
    gone = timedelta(**interval)
    Poll.objects.update(due_at=F("due_at") - gone, looked_at=F("looked_at") - gone)
    Poll.objects.update(busy_until=F("busy_until") - gone, succeeded_at=F("succeeded_at") - gone)


def wait_of(kind: str = "repository") -> float:
    poll = Poll.objects.get(kind=kind)
    return (poll.due_at - timezone.now()).total_seconds()


def push(github: GitHub) -> None:
    """A commit whose run is over when this returns."""
    before = len(github.runs("ci.yml"))
    body = {"message": "Change", "trigger": True}
    github.control("POST", f"repos/{REPOSITORY}/commits", body)
    eventually(
        lambda: (
            len(github.runs("ci.yml")) > before
            and all(run["status"] == "completed" for run in github.runs("ci.yml"))
        )
    )


def told(github: GitHub) -> list[dict[str, Any]]:
    """The webhooks, once each was sent or lost."""

    def settled() -> Any:
        sent = github.control("GET", "deliveries")
        return sent if sent and all(each["sent"] for each in sent) else None

    found: list[dict[str, Any]] = eventually(settled)
    return found


FATES: dict[str, list[str]] = {
    "in order": [],
    "lost": ["webhooks_lost"],
    "doubled": ["webhooks_doubled"],
    "reordered": ["webhooks_reordered"],
    "doubled and reordered": ["webhooks_doubled", "webhooks_reordered"],
    "forged": ["webhooks_lost"],
    "lost, and lists are late": ["webhooks_lost", "late_lists"],
}


@pytest.mark.parametrize("polling", [True, False], ids=["polled", "webhooks alone"])
@pytest.mark.parametrize("fate", FATES)
def test_one_history_whatever_becomes_of_webhooks(
    committed_world: World,
    github: GitHub,
    live_server: LiveServer,
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
    fate: str,
    polling: bool,
) -> None:
    lost = "webhooks_lost" in FATES[fate]
    if lost and not polling:
        return  # nobody would ever know
    settings.GITHUB_FOLLOW_SECONDS = settings.GITHUB_POLL_SECONDS = 0.05
    github.server.settings.webhook_url = f"{live_server.url}{DOOR}"
    for fault in FATES[fate]:
        options = {"seconds": 1.0} if fault == "late_lists" else {}
        github.fault(fault, times=None, **options)
    deployment = dispatch(approved(committed_world, monkeypatch))
    assert deployment.status == D.RUNNING
    if fate == "forged":
        forge(deployment)

    def ended() -> bool:
        if polling:
            polls.poll_due(seconds=0)
        return not Deployment.objects.get(pk=deployment.pk).is_open

    eventually(ended)
    deliveries = told(github)
    assert {"lost" in each["sent"] for each in deliveries} == {lost}
    # Once more, all of them, to a product that knows better by now.
    github.fault("all", on=False)
    for each in deliveries:
        github.control("POST", f"deliveries/{each['guid']}/redeliver")
    times = {each["guid"]: len(each["sent"]) for each in deliveries}
    eventually(
        lambda: all(
            len(each["sent"]) > times[each["guid"]] and each["sent"][-1] == "200"
            for each in told(github)
        )
    )
    for _ in range(3):
        pass_time(minutes=2)
        polls.poll_due(seconds=1)

    events = Event.objects.filter(promotion=deployment.promotion).order_by("id")
    assert list(events.values_list("kind", flat=True)) == HISTORY
    deployment = Deployment.objects.get(pk=deployment.pk)
    run = WorkflowRun.objects.get(kind="deploy")
    assert deployment.status == D.SUCCEEDED
    assert committed_world.target().live_version == deployment.version
    assert (run.status, run.conclusion, run.attempt) == ("completed", "success", 1)
    if polling:  # webhooks tell nothing of steps
        assert {step["name"] for step in run.steps} >= {"Deploy"}
    assert len(eventually(github.runs)) == github.posts() == 1  # its lists may be late, too


def forge(deployment: Deployment) -> None:
    """Somebody without the secret says that the run failed."""
    now = timezone.now().isoformat()
    run = {"id": deployment.run_id, "path": ".github/workflows/deploy-model.yml"}
    run |= {"status": "completed", "conclusion": "failure", "created_at": now, "updated_at": now}
    body = json.dumps({"workflow_run": run, "repository": {"full_name": REPOSITORY}})
    for given in ("", "sha256=" + "0" * 64):
        answer = Client().post(
            DOOR,
            body,
            "application/json",
            headers={
                "X-Hub-Signature-256": given,
                "X-GitHub-Delivery": "f",
                "X-GitHub-Event": "workflow_run",
            },
        )
        assert answer.status_code == 401
    assert not Poll.objects.filter(busy_until__isnull=False).exists()


def test_without_webhooks_the_next_look_knows(
    committed_world: World, github: GitHub, settings: Settings
) -> None:
    polls.poll_due()
    pass_time(hours=1)
    polls.poll_due()
    assert settings.GITHUB_IDLE_SECONDS - 5 < wait_of() <= settings.GITHUB_IDLE_SECONDS
    push(github)
    polls.poll_due()
    assert not WorkflowRun.objects.exists()  # not due yet
    pass_time(seconds=settings.GITHUB_IDLE_SECONDS)
    polls.poll_due()
    assert WorkflowRun.objects.get().conclusion == "success"


def test_quick_while_something_runs_slow_when_idle(
    committed_world: World, github: GitHub, settings: Settings
) -> None:
    settings.GITHUB_POLL_SECONDS, settings.GITHUB_IDLE_SECONDS = 10, 600

    def next_wait(**later: float) -> int:
        pass_time(**later)
        polls.poll_due()
        return round(wait_of())

    polls.poll_due()
    github.fault("never_start", times=None)
    github.control("POST", f"repos/{REPOSITORY}/commits", {"message": "x", "trigger": True})
    assert next_wait(seconds=10) == 10
    assert [next_wait(hours=1) for _ in range(3)] == [10, 10, 10]  # a run waits for its runner
    github.fault("never_start", on=False)
    eventually(lambda: github.runs("ci.yml")[0]["status"] == "completed")
    assert next_wait(seconds=10) == 10
    assert next_wait(minutes=4) == 10  # something may follow
    assert next_wait(minutes=3) == pytest.approx(120, abs=5)
    assert next_wait(minutes=2.1) == pytest.approx(246, abs=5)
    assert next_wait(minutes=30) == 600
    assert [status for *_, status in github.sent][-3:] == [304] * 3


def test_a_webhook_makes_its_repository_due_at_once(
    committed_world: World, github: GitHub, live_server: LiveServer
) -> None:
    Repository.objects.create(name="acme/other", workflows={"ci.yml": "ci"})
    polls.poll_due()
    pass_time(minutes=1)
    Poll.objects.update(due_at=timezone.now() + timedelta(hours=1))
    github.server.settings.webhook_url = f"{live_server.url}{DOOR}"
    push(github)
    assert {each["sent"][0] for each in told(github)} == {"200"}
    due = dict(Poll.objects.filter(kind="repository").values_list("key", "due_at"))
    assert due[REPOSITORY] <= timezone.now() < due["acme/other"]
    asked = len(github.sent)
    assert polls.poll_due() == 1
    # However many more arrive, it is not read again for some seconds.
    polls.hurry("repository", REPOSITORY)
    assert 3 < wait_of_repository() <= 5
    assert len(github.sent) == asked + 1


def wait_of_repository() -> float:
    poll = Poll.objects.get(kind="repository", key=REPOSITORY)
    return (poll.due_at - timezone.now()).total_seconds()


def test_a_deployment_makes_its_repository_due(
    committed_world: World, github: GitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    polls.poll_due()
    pass_time(minutes=1)
    Poll.objects.update(due_at=timezone.now() + timedelta(hours=1), busy_until=None)
    dispatch(approved(committed_world, monkeypatch))
    poll = Poll.objects.get(kind="repository")
    assert poll.due_at <= timezone.now()
    assert poll.busy_until is not None and poll.busy_until > timezone.now()


def test_what_happens_during_a_look_is_looked_at(
    committed_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(poll: Poll) -> polls.Seen:
        polls.hurry("repository", poll.key)
        return polls.Seen(600.0)

    polls.ensure(timezone.now())
    Poll.objects.update(looked_at=timezone.now() - timedelta(minutes=1))
    monkeypatch.setitem(polls.LOOK, "repository", meanwhile)
    polls.poll_due()
    assert wait_of() <= 0
    monkeypatch.setitem(polls.LOOK, "repository", lambda _poll: polls.Seen(600.0))
    polls.poll_due()
    assert wait_of() > 500


# --- many workers ---------------------------------------------------------------------------------


def together(*acts: Callable[[], object]) -> None:
    def run(act: Callable[[], object]) -> None:
        try:
            act()
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_no_row_is_looked_at_by_two_workers(
    committed_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    Repository.objects.bulk_create(Repository(name=f"acme/{number}") for number in range(30))
    polls.ensure(timezone.now())
    now, lock = Poll.objects.count(), threading.Lock()
    looking: set[int] = set()
    looked: list[int] = []
    twice: list[int] = []

    def slow(poll: Poll) -> polls.Seen:
        with lock:
            twice.extend({poll.pk} & looking)
            looking.add(poll.pk)
        time.sleep(0.01)
        with lock:
            looking.remove(poll.pk)
            looked.append(poll.pk)
        return polls.Seen(600.0)

    monkeypatch.setattr(polls, "LOOK", dict.fromkeys(polls.LOOK, slow))
    barrier = threading.Barrier(4)
    shares: list[int] = []

    def work() -> None:
        barrier.wait()
        shares.append(polls.poll_due(seconds=20))

    together(*[work] * 4)
    assert twice == []
    assert len(looked) == len(set(looked)) == sum(shares) == now
    assert max(shares) < now


def test_a_dead_workers_row_is_taken_over_and_its_late_answer_ignored(
    committed_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = timezone.now()
    polls.ensure(now)
    Poll.objects.exclude(kind="repository").delete()
    dead = polls.claim(now)
    assert dead is not None and polls.claim(now) is None
    later = now + polls.LEASE
    alive = polls.claim(later)
    assert alive is not None and alive.pk == dead.pk
    monkeypatch.setitem(polls.LOOK, "repository", lambda _poll: polls.Seen(600.0))
    dead.etag = "from the dead"
    polls.look(dead)
    kept = Poll.objects.get(pk=dead.pk)
    assert (kept.claimed_until, kept.etag) == (alive.claimed_until, "")
    assert polls.claim(later) is None  # the one who took over still looks
    polls.look(alive)
    assert Poll.objects.get(pk=dead.pk).claimed_until is None


def test_a_followed_run_does_not_wait_behind_repositories(committed_world: World) -> None:
    now = timezone.now()
    ages = {"repository": 20, "run": 1, "jobs": 40}
    for kind, age in ages.items():
        Poll.objects.create(kind=kind, key="a/b#1", due_at=now - timedelta(seconds=age))
    order = [poll.kind for poll in iter(lambda: polls.claim(now), None) if poll]
    assert order == ["jobs", "run", "repository"]


def test_a_tick_leaves_time_for_deliveries(
    committed_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    Repository.objects.bulk_create(Repository(name=f"acme/{number}") for number in range(20))

    def slow(_poll: Poll) -> polls.Seen:
        time.sleep(0.05)
        return polls.Seen(600.0)

    monkeypatch.setattr(polls, "LOOK", dict.fromkeys(polls.LOOK, slow))
    assert polls.poll_due(seconds=0.2) <= 5
    assert polls.poll_due(seconds=20) >= 15  # the next one goes on


def test_a_thousand_repositories_cost_a_tick_no_more_than_ten(world: World) -> None:
    def statements(act: Callable[[], object]) -> tuple[int, int]:
        with CaptureQueriesContext(connection) as captured:
            act()
        writing = [q for q in captured if not q["sql"].lstrip().startswith("SELECT")]
        return len(captured), len(writing)

    def tick() -> None:
        polled.ensure_sometimes(timezone.now())

    Repository.objects.bulk_create(Repository(name=f"acme/{number}") for number in range(10))
    polls.ensure(timezone.now())
    few = statements(lambda: polls.ensure(timezone.now()))
    Repository.objects.bulk_create(Repository(name=f"acme/{n}") for n in range(10, 1000))
    polls.ensure(timezone.now())
    assert Poll.objects.filter(kind="repository").count() == 1001
    assert statements(lambda: polls.ensure(timezone.now())) == few
    assert statements(tick) == (2, 0)
    Repository.objects.filter(name__startswith="acme/9").update(is_active=False)
    polls.ensure(timezone.now())
    assert Poll.objects.filter(kind="repository").count() == 1001 - 111


# --- the rate limit ---------------------------------------------------------------------------------


def test_an_unchanged_list_costs_nothing(committed_world: World, github: GitHub) -> None:
    remaining = []
    for _ in range(4):
        polls.poll_due()
        remaining.append(RateLimit.objects.get().remaining)
        pass_time(minutes=2)
    assert [status for *_, status in github.sent] == [200, 304, 304, 304]
    assert remaining == [4999] * 4
    assert github.control("POST", "rate_limit")["used"] == 1


HOUR = (1800.0, 100, 3)


@pytest.mark.parametrize(
    ("left", "repository", "run"),
    [
        (pace.Pace(), 60, 2),  # nothing is known of a limit: GitHub Enterprise without one
        (pace.Pace(5000, 5000, *HOUR), 60, 2),
        (pace.Pace(5000, 1001, *HOUR), 60, 2),
        (pace.Pace(5000, 950, *HOUR), 257, 2),  # 700 calls for 100 repositories: 7 rounds
        (pace.Pace(5000, 450, *HOUR), 900, 54),
        (pace.Pace(5000, 260, *HOUR), 1800, 60),
        (pace.Pace(5000, 100, *HOUR), 1800, 60),  # the rest is for dispatches
        (pace.Pace(5000, 0, 5.0, 100, 3), 60, 5),
        (pace.Pace(5000, 5000, 1800.0, 1000, 3), 100, 2),  # at most 600 a minute
    ],
)
def test_what_is_left_sets_the_pace(left: pace.Pace, repository: float, run: float) -> None:
    assert round(left.repository(60)) == repository
    assert round(left.run(2)) == run


def test_near_the_limit_idle_slows_first_and_a_dispatch_does_not_wait(
    committed_world: World,
    github: GitHub,
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
) -> None:
    settings.SANDBOX = False
    deployment = approved(committed_world, monkeypatch)
    github.fault("never_start", times=None)

    def at(remaining: int) -> None:
        github.control("POST", "rate_limit", {"remaining": remaining, "reset_in": 1800})
        RateLimit.objects.all().delete()
        pass_time(hours=2)
        polls.poll_due()

    polls.poll_due()
    assert 25 < wait_of() <= 60
    # One repository: 900 - 250 calls would last half an hour at this pace; a thousand would not.
    Repository.objects.bulk_create(Repository(name=f"acme/{n}") for n in range(1000))
    polls.ensure(timezone.now())
    Poll.objects.filter(key__startswith="acme/").exclude(key=REPOSITORY).update(
        due_at=timezone.now() + timedelta(days=1)
    )
    at(900)
    assert 1700 < wait_of_repository() <= 1800
    low = [each for each in notices() if "rate limit" in each]
    assert len(low) == 1 and "of 5000 calls are left until" in low[0]
    assert "Repositories are read less often" in low[0]

    deployment = dispatch(deployment)
    assert deployment.status == D.RUNNING
    assert (github.posts(), len(github.runs())) == (1, 1)
    # Idle is slow: neither the deployment nor a webhook makes the repository due now.
    assert wait_of_repository() > 1600
    polls.poll_due()
    assert 0 < wait_of("run") <= 2

    at(300)
    assert 2 < wait_of("run") <= 60
    assert "the runs of deployments are read less often" in " ".join(notices())
    at(4000)
    assert wait_of("run") <= 2
    assert not [each for each in notices() if "rate limit" in each]


@pytest.mark.parametrize("status", [403, 429])
def test_a_refusal_holds_for_all_polls_of_the_credential_and_for_no_dispatch(
    committed_world: World,
    github: GitHub,
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
    status: int,
) -> None:
    settings.SANDBOX = False
    deployment = approved(committed_world, monkeypatch)
    Repository.objects.create(name="acme/another", workflows={})
    github.fault("rate_limited", match="/actions/runs", status=status, retry_after=40)
    Poll.objects.create(kind="repository", key=REPOSITORY, due_at=timezone.now() - timedelta(1))
    polls.poll_due()
    polls.poll_due()
    assert [code for *_, code in github.sent] == [status]  # and nobody asked for the other one
    row = RateLimit.objects.get(credential=credential())
    assert row.paused_until is not None
    assert 35 < (row.paused_until - timezone.now()).total_seconds() <= 40
    assert set(Poll.objects.values_list("failures", flat=True)) == {0}
    assert Poll.objects.get(kind="mlflow").succeeded_at is not None
    assert any("GitHub asks not to be read until" in each for each in notices())

    deployment = dispatch(deployment)
    assert (deployment.status, github.posts()) == (D.RUNNING, 1)

    RateLimit.objects.update(paused_until=timezone.now())
    pass_time(seconds=60)
    polls.poll_due()
    assert Poll.objects.get(key=REPOSITORY).last_error == ""
    assert WorkflowRun.objects.filter(kind="deploy").exists()


def test_when_nothing_is_left_nothing_is_polled_until_the_reset(
    committed_world: World, github: GitHub
) -> None:
    github.control("POST", "rate_limit", {"remaining": 1, "reset_in": 600})
    polls.poll_due()
    pass_time(hours=1)
    polls.hurry("repository", REPOSITORY)
    polls.poll_due()
    assert [status for *_, status in github.sent] == [200]
    RateLimit.objects.update(resets_at=timezone.now())
    github.control("POST", "rate_limit", {"remaining": 5000, "reset_in": 3600})
    polls.poll_due()
    assert [status for *_, status in github.sent] == [200, 304]


def test_answers_that_overtake_each_other(db: None) -> None:
    now = timezone.now()

    def left(remaining: int, minutes: float) -> int:
        budget = pace.Budget(5000, remaining, now + timedelta(minutes=minutes))
        return pace.left("token", budget).remaining

    assert left(900, 30) == 900
    assert left(950, 30) == 900  # an older answer of the same hour
    assert left(850, 30) == 850
    assert left(4990, 90) == 4990  # the next hour
    assert left(10, 30) == 4990  # the hour before
    assert RateLimit.objects.count() == 1
