"""A worker killed with SIGKILL anywhere on the path: exactly one run exists in the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django.fixtures import Settings

from approvals import services
from approvals.models import Deployment, Effect, ModelVersion
from approvals.states import DeploymentStatus, Via
from integrations.effects import HANDLERS
from integrations.outbox import deliver_due
from integrations.tasks import deliver_effects
from tests.integrations.github_fixtures import GitHub, eventually
from tests.integrations.registry import Registry
from tests.integrations.test_dispatch import approved, quick, version
from tests.world import World

__all__ = ["quick", "version"]
D = DeploymentStatus
ROOT = Path(__file__).resolve().parent.parent.parent


@contextmanager
def worker(settings: Settings, log: Path, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """A real Celery worker process on the test's database and broker, ended with its children."""
    name = connection.settings_dict["NAME"]
    environment = {
        **os.environ,
        "DATABASE_URL": urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl(),
        "GITHUB_API_URL": settings.GITHUB_API_URL,
        "MLFLOW_TRACKING_URI": settings.MLFLOW_TRACKING_URI,
        "SLACK_BOT_TOKEN": "",
        "DISPATCH_LOOKUP_SECONDS": "2",
        **more,
    }
    with log.open("wb") as out:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "celery", "-A", "config", "worker", "-c", "1"),
                *("--without-gossip", "--without-mingle"),
            ],
            cwd=ROOT,
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=10)


def again(deployment: Deployment) -> Deployment:
    return Deployment.objects.get(pk=deployment.pk)


@pytest.mark.parametrize("point", ["dispatch.gathered", "dispatch.committed", "dispatch.posted"])
def test_exactly_one_run(
    committed_world: World,
    version: ModelVersion,
    github: GitHub,
    registry: Registry,
    settings: Settings,
    tmp_path: Path,
    point: str,
) -> None:
    deployment = approved(committed_world, version)
    Effect.objects.filter(status="waiting").exclude(kind="dispatch").update(status="done")

    armed = tmp_path / "failpoints" / point
    armed.parent.mkdir()
    armed.touch()

    with worker(
        settings, tmp_path / "doomed.log", COUNTERSIGN_FAILPOINTS=str(armed.parent)
    ) as doomed:

        def dead() -> bool:
            deliver_effects.delay()
            time.sleep(0.3)
            return doomed.poll() == -signal.SIGKILL

        eventually(dead, 60)
    assert not armed.exists()  # it struck once; whoever comes later lives

    def given_up() -> bool:
        # The lease of a worker that is gone runs out, and is not renewed.
        claimed_until = Effect.objects.get(kind="dispatch").claimed_until
        return claimed_until is not None and claimed_until < timezone.now()

    eventually(given_up)
    began = {"dispatch.gathered": D.QUEUED}.get(point, D.DISPATCHING)
    assert again(deployment).status == began
    assert len(github.runs()) == (1 if point == "dispatch.posted" else 0)

    def settled() -> bool:
        # What the next worker does, here in this process.
        Effect.objects.filter(status="waiting").update(due_at=timezone.now())
        deliver_due(HANDLERS, seconds=5)
        return again(deployment).status not in {D.QUEUED, D.DISPATCHING}

    eventually(settled, 30)
    if point == "dispatch.committed":
        # Nobody can know that nothing was started but a person who looks.
        assert again(deployment).status == D.UNCONFIRMED
        services.dispatch_again(
            actor=committed_world.person("bob"),
            via=Via.BROWSER,
            deployment_id=deployment.pk,
            reason="GitHub shows no run with this token.",
        )
        eventually(settled, 30)
    assert again(deployment).status == D.RUNNING
    assert len(github.runs()) == 1
    assert again(deployment).run_id == github.runs()[0]["id"]
