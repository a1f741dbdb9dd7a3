"""Workflow runs from polls and webhooks: state moves only forward, forged or repeated news changes nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from approvals import services
from approvals.models import Deployment, Event, InboundDelivery, WorkflowRun
from approvals.states import DeploymentStatus
from integrations import polls
from integrations.github.views import signature
from integrations.models import Poll
from tests.integrations.github_fixtures import GitHub, eventually
from tests.world import World

D = DeploymentStatus


def dispatching(world: World) -> Deployment:
    """A deployment whose dispatch was begun and whose answer is still out."""
    deployment = world.approve(world.request())
    services.begin_dispatch(
        deployment_id=deployment.pk, observed=world.observed(deployment.version)
    )
    return again(deployment)


def again(deployment: Deployment) -> Deployment:
    return Deployment.objects.select_related("promotion", "step__workflow_run").get(
        pk=deployment.pk
    )


def test_a_run_with_the_token_settles_a_lost_answer(world: World) -> None:
    deployment = dispatching(world)
    services.record_run(facts=world.run_facts(deployment, 5, status="in_progress", conclusion=""))
    assert (again(deployment).status, again(deployment).run_id) == (D.RUNNING, 5)


@pytest.mark.parametrize(
    "changes",
    [
        {"title": "Deploy [cs-000000000000]"},
        {"title": "Deploy without a token"},
        {"workflow": "ci.yml", "kind": "ci"},
        {"repository": "acme/other"},
    ],
)
def test_a_run_that_is_not_ours_changes_nothing(world: World, changes: dict[str, Any]) -> None:
    deployment = dispatching(world)
    services.record_run(facts=world.run_facts(deployment, 5, **changes))
    assert (again(deployment).status, again(deployment).run_id) == (D.DISPATCHING, None)


def test_a_second_run_with_the_same_token_is_not_followed(world: World) -> None:
    deployment = dispatching(world)
    services.record_dispatched(deployment_id=deployment.pk, run_id=5, url="")
    services.record_run(facts=world.run_facts(deployment, 6))
    assert (again(deployment).status, again(deployment).run_id) == (D.RUNNING, 5)
    assert world.target().live_version is None


def test_stale_news_never_regresses(world: World) -> None:
    deployment = world.deploy(world.approve(world.request()))
    assert deployment.status == D.SUCCEEDED
    finished = world.run_facts(deployment)
    earlier = replace(
        finished,
        status="in_progress",
        conclusion="",
        updated_at=finished.updated_at + timedelta(minutes=1),
    )
    services.record_run(facts=earlier)
    run = WorkflowRun.objects.get(run_id=finished.run_id)
    assert (run.status, run.conclusion) == ("completed", "success")
    events = Event.objects.count()
    services.record_run(facts=finished)
    services.record_run(facts=replace(finished, conclusion="failure"))
    assert Event.objects.count() == events
    assert again(deployment).status == D.SUCCEEDED
    assert world.target().live_version == deployment.version


@pytest.mark.parametrize(
    ("conclusion", "status"),
    [
        ("failure", D.FAILED),
        ("timed_out", D.FAILED),
        ("cancelled", D.CANCELLED),
        ("skipped", D.FAILED),
        ("action_required", D.FAILED),
        ("neutral", D.FAILED),
        ("stale", D.FAILED),
        ("startup_failure", D.FAILED),
        ("", D.FAILED),
        ("something_new", D.FAILED),
    ],
)
def test_only_success_is_success(world: World, conclusion: str, status: str) -> None:
    deployment = dispatching(world)
    services.record_run(facts=world.run_facts(deployment, 5, conclusion=conclusion))
    assert again(deployment).status == status
    assert world.target().live_version is None


class TestWebhook:
    """The door itself, over the test client: raw bodies, headers, answers."""

    secret = "test-webhook-secret"

    def send(self, body: bytes, **headers: str) -> tuple[int, str]:
        sent = {
            "X-GitHub-Event": "workflow_run",
            "X-GitHub-Delivery": "d-1",
            "X-Hub-Signature-256": signature(self.secret, body),
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        answer = Client().post(
            "/integrations/github/webhook",
            data=body,
            content_type="application/json",
            headers={name: value for name, value in sent.items() if value},
        )
        return answer.status_code, answer.content.decode().strip()

    def payload(self, deployment: Deployment, **changes: Any) -> bytes:
        now = timezone.now().isoformat()
        run = {
            "id": 5,
            "run_attempt": 1,
            "run_number": 1,
            "path": ".github/workflows/deploy-model.yml",
            "display_title": f"Deploy [{deployment.promotion.token}]",
            "status": "completed",
            "conclusion": "success",
            "event": "workflow_dispatch",
            "created_at": now,
            "updated_at": now,
            **changes,
        }
        return json.dumps(
            {
                "action": "completed",
                "workflow_run": run,
                "repository": {"full_name": "acme/ml-models"},
            }
        ).encode()

    def test_documented_signature_vector(self) -> None:
        given = signature("It's a Secret to Everybody", b"Hello, World!")
        assert given == "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

    def test_recorded_once(self, world: World) -> None:
        deployment = dispatching(world)
        body = self.payload(deployment)
        assert self.send(body) == (200, "recorded")
        assert again(deployment).status == D.SUCCEEDED
        events = Event.objects.count()
        assert self.send(body) == (200, "processed already")
        assert Event.objects.count() == events

    @pytest.mark.parametrize(
        "given", ["", "sha256=" + "0" * 64, "sha1=abc", "gärtner", "sha256=", "x" * 5000]
    )
    def test_bad_signatures(self, world: World, given: str) -> None:
        deployment = dispatching(world)
        status, _ = self.send(self.payload(deployment), X_Hub_Signature_256=given)
        assert status == 401
        assert again(deployment).status == D.DISPATCHING
        assert not InboundDelivery.objects.exists()

    @pytest.mark.parametrize(
        ("changes", "outcome"),
        [
            ({"path": ".github/workflows/other.yml"}, "ignored: workflow not configured"),
            ({"id": "five"}, "ignored: unreadable run"),
            ({"created_at": "yesterday"}, "ignored: unreadable run"),
        ],
    )
    def test_unreadable_runs(self, world: World, changes: dict[str, Any], outcome: str) -> None:
        deployment = dispatching(world)
        assert self.send(self.payload(deployment, **changes)) == (200, outcome)
        assert again(deployment).status == D.DISPATCHING

    def test_unknown_repository_event_and_body(self, world: World) -> None:
        body = json.dumps({"workflow_run": {}, "repository": {"full_name": "evil/repo"}}).encode()
        assert self.send(body) == (200, "ignored: unknown repository")
        assert self.send(b"{}", X_GitHub_Event="ping", X_GitHub_Delivery="d-2") == (
            200,
            "ignored: ping",
        )
        assert self.send(b"[]", X_GitHub_Delivery="d-3")[0] == 400
        assert self.send(b"{", X_GitHub_Delivery="d-4")[0] == 400
        assert self.send(b"{}", X_GitHub_Delivery="")[0] == 400
        assert not WorkflowRun.objects.exists()

    def test_a_large_body_is_read_past_the_default_limit(self, world: World) -> None:
        deployment = dispatching(world)
        body = self.payload(deployment, padding="x" * 3_000_000)
        assert self.send(body) == (200, "recorded")


def test_polling_is_conditional_and_finds_what_webhooks_lost(
    committed_world: World, github: GitHub, settings: Settings
) -> None:
    settings.SLACK_BOT_TOKEN = ""
    github.control("POST", "repos/acme/ml-models/commits", {"message": "x", "trigger": True})
    eventually(lambda: github.runs("ci.yml") and github.runs("ci.yml")[0]["status"] == "completed")
    polls.ensure(timezone.now())
    poll = Poll.objects.get(kind="repository")
    for _ in range(3):
        polls.look(poll)
        poll.refresh_from_db()
    assert [status for *_, status in github.sent] == [200, 304, 304]
    run = WorkflowRun.objects.get()
    assert (run.kind, run.status, run.conclusion) == ("ci", "completed", "success")
    assert poll.remaining is not None


def test_a_failing_poll_backs_off_and_says_why(committed_world: World, settings: Settings) -> None:
    settings.GITHUB_API_URL = "http://127.0.0.1:9"
    polls.ensure(timezone.now())
    poll = Poll.objects.get(kind="repository")
    waits = []
    for _ in range(3):
        polls.look(poll)
        poll.refresh_from_db()
        waits.append(round((poll.due_at - timezone.now()).total_seconds()))
    assert waits == sorted(set(waits))
    assert poll.last_error.startswith("GitHub could not be reached")


def test_two_pollers_share_the_due_rows(committed_world: World) -> None:
    now = timezone.now()
    polls.ensure(now)
    polls.ensure(now)
    claimed = [polls.claim(now) for _ in range(4)]
    # MLflow, the repository, and what linked people are in Slack.
    assert len({poll.pk for poll in claimed if poll}) == Poll.objects.count() == 3
    assert claimed[3:] == [None]
