"""Every way in which a workflow run can wait or end has its own sentence: on the page, in the message, in the
timeline."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from approvals import services
from approvals.models import Deployment, Event
from approvals.narrative import sentence_of
from approvals.states import DeploymentStatus
from tests.world import World

D = DeploymentStatus
pytestmark = pytest.mark.django_db


@pytest.fixture
def started(world: World) -> Deployment:
    deployment = world.approve(world.request(world.version(1)))
    services.begin_dispatch(
        deployment_id=deployment.pk, observed=world.observed(deployment.version)
    )
    return Deployment.objects.select_related("promotion", "step").get(pk=deployment.pk)


def read(world: World, deployment: Deployment, status: str, conclusion: str = "") -> Deployment:
    services.record_run(facts=world.run_facts(deployment, 77, status=status, conclusion=conclusion))
    return Deployment.objects.select_related("promotion", "step").get(pk=deployment.pk)


def newest(deployment: Deployment) -> str:
    event = Event.objects.filter(promotion=deployment.promotion).first()
    assert event is not None
    return sentence_of(event)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("waiting", "waits at GitHub for the reviewers or the rules of its environment"),
        ("pending", "waits at GitHub for another run of its concurrency group"),
    ],
)
def test_what_it_waits_for(world: World, started: Deployment, status: str, words: str) -> None:
    waiting = read(world, started, status)
    assert waiting.status == D.RUNNING
    assert words in waiting.detail
    assert words in newest(waiting)
    events = Event.objects.count()
    read(world, started, status)
    assert Event.objects.count() == events, "said once"
    assert read(world, started, "in_progress").detail == ""


def test_no_runner_takes_it(world: World, started: Deployment) -> None:
    read(world, started, "queued")
    now = timezone.now()
    assert services.watch_runs(now=now + timedelta(minutes=4)) == 0
    assert services.watch_runs(now=now + timedelta(minutes=6)) == 1
    assert services.watch_runs(now=now + timedelta(minutes=7)) == 0
    started.refresh_from_db()
    assert "no runner has taken it" in started.detail
    assert started.status == D.RUNNING
    assert read(world, started, "completed", "success").status == D.SUCCEEDED


@pytest.mark.parametrize(
    ("before", "conclusion", "status", "words"),
    [
        ("in_progress", "failure", D.FAILED, "ended with failure"),
        ("in_progress", "cancelled", D.CANCELLED, "was cancelled on GitHub."),
        ("pending", "cancelled", D.CANCELLED, "a newer run of its concurrency group"),
        ("in_progress", "timed_out", D.FAILED, "took longer than GitHub allows"),
        ("waiting", "action_required", D.FAILED, "GitHub asks for an action"),
        ("queued", "startup_failure", D.FAILED, "its file has an error"),
        ("queued", "stale", D.FAILED, "gave the workflow run up"),
        ("queued", "skipped", D.FAILED, "nothing was deployed"),
        ("in_progress", "neutral", D.FAILED, "does not count as success"),
        ("in_progress", "", D.FAILED, "ended with no conclusion"),
        ("in_progress", "splendid", D.FAILED, "ended with splendid"),
    ],
)
def test_how_it_ended(
    world: World, started: Deployment, before: str, conclusion: str, status: str, words: str
) -> None:
    read(world, started, before)
    ended = read(world, started, "completed", conclusion)
    assert ended.status == status
    assert words in ended.detail
    assert words in newest(ended)
    assert world.target().live_version is None
