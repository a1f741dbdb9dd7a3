"""GitHub with our deployment protection rule on its environments, and what tests of it do and look at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings
from pytest_django.live_server_helper import LiveServer

from approvals import services
from approvals.models import (
    Deployment,
    Effect,
    Event,
)
from approvals.models.outbox import EffectKind
from approvals.narrative import sentence_of
from approvals.states import DeploymentStatus, EffectStatus
from integrations import outbox, polls
from integrations.effects import HANDLERS
from integrations.github import dispatch
from integrations.github.client import requester
from integrations.github.views import signature
from integrations.models import Poll
from tests.integrations.github_fixtures import DEPLOY, REPOSITORY, GitHub, eventually
from tests.sandbox.conftest_github import Receiver
from tests.world import World

D = DeploymentStatus
RULE = "/deployment_protection_rule"
WORKFLOW = ".github/workflows/deploy-model.yml"
GATED = DEPLOY.replace(
    "    runs-on: ubuntu-latest\n",
    '    runs-on: ubuntu-latest\n    environment: "${{ inputs.environment }}"\n',
)


@pytest.fixture
def gate(
    committed_world: World, github: GitHub, live_server: LiveServer, settings: Settings
) -> GitHub:
    """GitHub with our rule on staging and production, its webhooks going to the product."""
    settings.SLACK_BOT_TOKEN = ""
    github.server.settings.webhook_url = f"{live_server.url}/integrations/github/webhook"
    commit(github, GATED)
    for environment in ("staging", "production"):
        protect(github, environment)
    return github


@pytest.fixture
def foreign() -> Iterator[Receiver]:
    """A server that is not GitHub."""
    receiver = Receiver()
    yield receiver
    receiver.close()


def commit(github: GitHub, text: str, path: str = WORKFLOW) -> None:
    body = {"message": "Workflows", "files": {path: text}}
    github.control("POST", f"repos/{REPOSITORY}/commits", body)


def protect(github: GitHub, environment: str) -> None:
    github.control("POST", f"repos/{REPOSITORY}/environments/{environment}", {"rule": True})


def granted(world: World, model: str = "fraud-detector", number: int = 2) -> Deployment:
    return world.approve(world.request(world.version(number, model)))


def start(deployment: Deployment, world: World, *, acknowledged: bool = True) -> int:
    """Dispatch the grant on GitHub; the run's id. Without the acknowledgement we are not told it."""
    order = services.begin_dispatch(
        deployment_id=deployment.pk, observed=world.observed(deployment.version)
    )
    assert order is not None
    run = dispatch.post(order, requester())
    if acknowledged:
        services.record_dispatched(deployment_id=deployment.pk, run_id=run.run_id, url=run.url)
    return run.run_id


def by_hand(github: GitHub, token: str = "", environment: str = "production", **more: Any) -> int:
    """Mallory starts the workflow herself."""
    inputs = {
        "model": "fraud-detector",
        "version": "9",
        "environment": environment,
        "artifact_digest": "sha256:0",
        "countersign": token or "none",
    }
    body = {"workflow": "deploy-model.yml", "actor": "mallory", "inputs": inputs, **more}
    return int(github.control("POST", f"repos/{REPOSITORY}/runs", body)["id"])


def requested(count: int = 1) -> list[Effect]:
    """The answers that GitHub's questions asked for, once there are so many."""
    effects = Effect.objects.filter(kind=EffectKind.ANSWER_GATE).order_by("pk")
    eventually(lambda: effects.count() >= count)
    return list(effects)


def deliver() -> None:
    """Deliver the answers that are open; what else is due is not what these tests are about."""
    handlers: dict[str, outbox.Handler] = dict.fromkeys(EffectKind.values, lambda effect: None)
    handlers[EffectKind.ANSWER_GATE] = HANDLERS[EffectKind.ANSWER_GATE]
    Effect.objects.filter(status=EffectStatus.WAITING).update(due_at=timezone.now())
    outbox.deliver_due(handlers, seconds=20)


def ask(count: int = 1) -> Effect:
    """Wait for GitHub's question and answer it; the newest answer's effect."""
    newest = requested(count)[-1]
    deliver()
    newest.refresh_from_db()
    return newest


def ended(github: GitHub, run_id: int) -> str:
    run = eventually(lambda: (r := github.run(run_id))["status"] == "completed" and r)
    return str(run["conclusion"])


def answers(github: GitHub) -> int:
    """How many answers the product sent."""
    return sum(method == "POST" and RULE in path for method, path, _ in github.sent)


def follow() -> None:
    """Look at the runs that are followed."""
    polls.ensure(timezone.now())
    for poll in Poll.objects.filter(kind="run"):
        polls.look(poll)
        poll.refresh_from_db()
        assert poll.last_error == ""


def as_app(settings: Settings) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    settings.GITHUB_APP_ID = "1"
    settings.GITHUB_APP_INSTALLATION_ID = "4000001"
    settings.GITHUB_APP_PRIVATE_KEY = pem.decode()


def gates(github: GitHub, run_id: int) -> list[tuple[str, str]]:
    """State and comment of each gate that the run's newest attempt met, past the product."""
    met = github.control("GET", f"repos/{REPOSITORY}/runs/{run_id}/gates")
    return [(each["state"], each["comment"]) for each in met]


def assert_held(github: GitHub, run_id: int, why: str) -> Event:
    """It waits, was told why and where to ask, and that is in the history; nothing was deployed."""
    state, comment = gates(github, run_id)[-1]
    assert (state, github.run(run_id)["status"]) == ("pending", "waiting")
    assert why in comment, comment
    assert "Ask for the promotion at http://127.0.0.1:8000/" in comment
    event = Event.objects.get(kind="gate.held")
    assert (event.data["run_id"], why in sentence_of(event)) == (run_id, True)
    assert not Event.objects.filter(kind="gate.passed").exists()
    assert github.deployed() == []
    return event


def send(payload: dict[str, Any], *, delivery: str, sign: str = "") -> tuple[int, str]:
    """One webhook past the stand-in."""
    body = json.dumps(payload).encode()
    answer = Client().post(
        "/integrations/github/webhook",
        data=body,
        content_type="application/json",
        headers={
            "X-GitHub-Event": "deployment_protection_rule",
            "X-GitHub-Delivery": delivery,
            "X-Hub-Signature-256": sign or signature("test-webhook-secret", body),
        },
    )
    return answer.status_code, answer.content.decode().strip()


def question(run_id: int, **changes: Any) -> dict[str, Any]:
    path = f"/repos/{REPOSITORY}/actions/runs/{run_id}{RULE}"
    return {
        "action": "requested",
        "environment": "production",
        "deployment_callback_url": f"https://api.github.com{path}",
        "deployment": {"id": 1},
        "repository": {"full_name": REPOSITORY},
        **changes,
    }
