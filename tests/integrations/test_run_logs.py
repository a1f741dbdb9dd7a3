"""The last lines of a deployment's log: of the job that failed, bounded, without our secrets, once an attempt."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import requests
from django.db.models import F
from django.template.loader import render_to_string
from django.utils import timezone
from pytest_django.fixtures import Settings

from approvals import services
from approvals.models import Deployment, WorkflowRun
from integrations import polled, polls
from integrations.github import logs
from integrations.models import Poll
from integrations.redaction import redacted
from tests.integrations.github_fixtures import GitHub, eventually
from tests.world import World

DEPLOY_LOG = "actions/jobs/"


@pytest.fixture(autouse=True)
def quiet(settings: Settings) -> None:
    settings.SLACK_BOT_TOKEN = ""


def ended_run(world: World, github: GitHub, *, fails: bool = False) -> WorkflowRun:
    """A deployment's run that really ran on the stand-in, as the product knows it, its log unread."""
    if fails:
        (github.out / "fail").touch()
    deployment = world.approve(world.request())
    services.begin_dispatch(
        deployment_id=deployment.pk, observed=world.observed(deployment.version)
    )
    token = Deployment.objects.get(pk=deployment.pk).step.token  # type: ignore[union-attr]
    body = {
        "ref": "main",
        "inputs": {
            "model": "fraud-detector",
            "version": "2",
            "environment": "production",
            "artifact_digest": "x",
            "countersign": token,
        },
    }
    requests.post(
        f"{github.url}/repos/acme/ml-models/actions/workflows/deploy-model.yml/dispatches",
        json=body,
        headers={"Authorization": f"Bearer {github.server.settings.token}"},
        timeout=10,
    ).raise_for_status()
    eventually(lambda: github.runs() and github.runs()[0]["status"] == "completed")
    told = github.runs()[0]
    return services.record_run(
        facts=world.run_facts(
            deployment, told["id"], conclusion=told["conclusion"], url=told["html_url"]
        )
    )


def look() -> Poll:
    polled.ensure(timezone.now())
    poll = Poll.objects.get(kind="log")
    polls.look(poll)
    poll.refresh_from_db()
    return poll


def again(run: WorkflowRun) -> WorkflowRun:
    return WorkflowRun.objects.get(pk=run.pk)


def page(run: WorkflowRun) -> str:
    return render_to_string("web/parts/log.html", {"run": run})


def seen(github: GitHub) -> list[dict[str, Any]]:
    return [each for each in github.control("GET", "requests") if DEPLOY_LOG in each["path"]]


def test_of_a_deployment_that_failed(committed_world: World, github: GitHub) -> None:
    run = ended_run(committed_world, github, fails=True)
    sent: list[requests.PreparedRequest] = []
    real = requests.Session.send

    def watched(self: requests.Session, request: requests.PreparedRequest, **kwargs: Any) -> Any:
        sent.append(request)
        return real(self, request, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(requests.Session, "send", watched)
        look()
    tail = again(run).log_tail
    assert tail.endswith("Error: Process completed with exit code 1.")
    assert "Complete job" not in tail
    assert "##[" not in tail
    assert "T0" not in tail  # no times
    [download] = [each for each in sent if "/_sandbox/logs/" in str(each.url)]
    assert "Authorization" not in download.headers
    shown = page(again(run))
    assert "<details" in shown
    assert " open>" in shown
    # Once an attempt: nothing is left to look for.
    polled.ensure(timezone.now())
    assert not Poll.objects.filter(kind="log").exists()


def test_of_one_that_succeeded_and_is_folded(committed_world: World, github: GitHub) -> None:
    run = ended_run(committed_world, github)
    look()
    assert "Checked out acme/ml-models" in again(run).log_tail
    assert " open>" not in page(again(run))


def test_a_new_attempt_is_read_anew(committed_world: World, github: GitHub) -> None:
    run = ended_run(committed_world, github)
    look()
    assert again(run).log_attempt == 1
    deployment = Deployment.objects.get()
    services.record_run(
        facts=committed_world.run_facts(
            deployment, run.run_id, attempt=2, conclusion="failure", updated_at=timezone.now()
        )
    )
    assert again(run).log_tail == ""
    polled.ensure(timezone.now())
    assert Poll.objects.filter(kind="log").exists()


def test_a_missing_log_is_waited_for_and_then_nothing_special(
    committed_world: World, github: GitHub
) -> None:
    run = ended_run(committed_world, github)
    github.control("POST", "faults", {"fault": "logs_gone", "times": 2})
    poll = look()
    assert (poll.failures, poll.last_error) == (0, "")
    assert again(run).log_attempt == 0
    WorkflowRun.objects.update(updated_at=timezone.now() - timedelta(minutes=10))
    look()
    assert (again(run).log_tail, again(run).log_attempt) == ("", 1)
    assert page(again(run)).strip() == ""


@pytest.mark.parametrize(
    ("fault", "options"),
    [
        ("error_before", {}),
        ("rate_limited", {"retry_after": 5}),
        ("rate_limited", {"status": 429, "reset": 60}),
    ],
)
def test_what_fails_for_now_is_read_later(
    committed_world: World, github: GitHub, fault: str, options: dict[str, Any]
) -> None:
    run = ended_run(committed_world, github)
    github.fault(fault, match="/logs", **options)
    poll = look()
    assert poll.last_error
    assert again(run).log_attempt == 0
    polls.look(poll)
    assert again(run).log_attempt == 1
    assert again(run).log_tail


def test_runs_that_deploy_nothing_are_left_alone(world: World) -> None:
    now = timezone.now()
    deployment = world.approve(world.request())
    services.record_run(facts=world.run_facts(deployment, 5, kind="ci", workflow="ci.yml"))
    services.record_run(facts=world.run_facts(deployment, 6, status="in_progress", conclusion=""))
    services.record_run(facts=world.run_facts(deployment, 7, updated_at=now - timedelta(days=3)))
    polled.ensure(now)
    assert not Poll.objects.filter(kind="log").exists()
    assert WorkflowRun.objects.filter(log_attempt=F("attempt")).count() == 0


def lines(*texts: str) -> bytes:
    return (
        "\ufeff".encode()
        + "".join(f"2026-11-21T14:05:00.1234567Z {text}\n" for text in texts).encode()
    )


def test_the_lines_up_to_the_error_and_nothing_of_the_tidying_up() -> None:
    log = lines(
        "##[group]Run ./deploy.sh",
        "shell: bash",
        "##[endgroup]",
        "\x1b[36;1mcopying\x1b[0m \x1b]0;title\x07files",
        "  10 %\r 100 %",
        "##[warning]old Python",
        "##[error]Process completed with exit code 3.",
        "Post job cleanup.",
        "[command]/usr/bin/git version",
    )
    told = [
        "Run ./deploy.sh",
        "shell: bash",
        "copying files",
        " 100 %",
        "Warning: old Python",
        "Error: Process completed with exit code 3.",
    ]
    assert logs.last_lines(log, failed=True).split("\n") == told
    good = logs.last_lines(lines("a", "Post job cleanup.", "b"), failed=False)
    assert good == "a"


def test_at_most_sixty_lines_and_eight_kilobytes() -> None:
    many = logs.last_lines(lines(*(f"line {n}" for n in range(500))), failed=False).split("\n")
    assert (len(many), many[-1]) == (60, "line 499")
    wide = logs.last_lines(lines(*("é" * 5000 for _ in range(60))), failed=False)
    assert len(wide.encode()) <= logs.MOST_BYTES
    assert all(len(line) <= 500 for line in wide.split("\n"))
    assert "\x00" not in logs.last_lines(lines("a\x00b\x07\u202ec"), failed=True)


def test_our_secrets_never_get_in(settings: Settings) -> None:
    settings.GITHUB_APP_PRIVATE_KEY = (
        "-----BEGIN RSA PRIVATE KEY-----\n" + "k" * 64 + "\n-----END RSA PRIVATE KEY-----"
    )
    settings.EMAIL_HOST_PASSWORD = "correct-horse"
    settings.REDIS_URL = "redis://:p%40ssw0rd-of-redis@redis.example/0"
    log = lines(
        f"token {settings.GITHUB_TOKEN}!",
        f"{settings.SECRET_KEY} and {settings.SLACK_SIGNING_SECRET}",
        "k" * 64,
        "mail correct-horse battery",
        "ghs_" + "A1" * 18,
        "xoxb-123456789012-abcdef",
        "postgresql://me:hunter2@db.example/x",
        "p@ssw0rd-of-redis",
    )
    text = logs.last_lines(log, failed=True)
    for secret in (
        settings.GITHUB_TOKEN,
        settings.SECRET_KEY,
        settings.SLACK_SIGNING_SECRET,
        "k" * 64,
        "correct-horse",
        "ghs_A1",
        "xoxb-1234",
        "hunter2",
        "p@ssw0rd-of-redis",
    ):
        assert secret not in text
    assert text.count("[hidden]") == 9
    assert redacted("nothing to hide at https://github.example/a") == (
        "nothing to hide at https://github.example/a"
    )


@pytest.mark.parametrize(
    ("jobs", "wanted"),
    [
        ([], None),
        ([("a", "success"), ("b", "skipped")], "a"),
        ([("a", "success"), ("b", "cancelled"), ("c", "failure"), ("d", "skipped")], "c"),
        ([("a", "success"), ("b", "success")], "b"),
    ],
)
def test_which_job_tells(jobs: list[tuple[str, str]], wanted: str | None) -> None:
    found = logs.telling([{"name": name, "conclusion": end} for name, end in jobs])
    assert (found and found["name"]) == wanted


def test_the_log_is_never_fetched_inside_a_transaction(db: None) -> None:
    with pytest.raises(RuntimeError, match="inside a database transaction"):
        logs._download("http://127.0.0.1:9/x")
