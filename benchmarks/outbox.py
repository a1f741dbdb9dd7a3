"""What the outbox costs: ``.venv/bin/python -m benchmarks.outbox``.

- Effects a second (claim, deliver to a handler that does nothing, record), beside the least that any outbox in a
  database must do for one: an insert before, one update to claim and one to record, each committed.
- From the click to the dispatch: from the approval's commit until the POST has arrived at the GitHub stand-in, by
  a real Celery worker process and a real Redis; beside a bare task from the same process to the same worker, from
  sending it until the worker has written that it ran.
"""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.servers import database, percentiles

EFFECTS = 300
ROUNDS = 4
CLICKS = 100
ROOT = Path(__file__).resolve().parent.parent


def throughput() -> None:
    """Deliveries beside bare statements, alternating."""
    from django.db import connection
    from django.utils import timezone

    from approvals.models import Effect
    from approvals.models.outbox import EffectKind
    from integrations import outbox

    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE benchmark_effect (id bigserial PRIMARY KEY, status text, claim text)"
        )

    def bare() -> float:
        start = time.perf_counter()
        with connection.cursor() as cursor:
            for _ in range(EFFECTS):
                cursor.execute(
                    "INSERT INTO benchmark_effect (status) VALUES ('waiting') RETURNING id"
                )
                (pk,) = cursor.fetchone()
                for status in ("claimed", "done"):
                    cursor.execute(
                        "UPDATE benchmark_effect SET status = %s, claim = 'x' WHERE id = %s",
                        [status, pk],
                    )
        return time.perf_counter() - start

    def product(round_: int) -> float:
        now = timezone.now()
        start = time.perf_counter()
        for number in range(EFFECTS):
            key = f"{round_}-{number}"
            Effect.objects.create(
                kind=EffectKind.MAIL, dedupe_key=key, lane=key, created_at=now, due_at=now
            )
        count = outbox.deliver_due({EffectKind.MAIL: lambda _effect: None}, seconds=600)
        assert count == EFFECTS
        return time.perf_counter() - start

    product(0)
    pairs = [(product(number), bare()) for number in range(1, ROUNDS + 1)]
    ours, least = (statistics.median(each) for each in zip(*pairs, strict=True))
    print(
        f"effects: {EFFECTS / ours:.0f} a second on one connection ({1000 * ours / EFFECTS:.1f} ms)"
    )
    print(f"the least: {EFFECTS / least:.0f} a second; ratio {ours / least:.1f}")


@contextmanager
def worker(**environment: str) -> Iterator[None]:
    """A Celery worker process on this benchmark's database and broker."""
    from django.db import connection

    name = connection.settings_dict["NAME"]
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "celery", "-A", "benchmarks.worker", "worker", "-c", "2"),
            *("--without-gossip", "--without-mingle", "--loglevel", "ERROR"),
        ],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url, **environment},
        start_new_session=True,
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)  # to the parent alone, which ends its children
        process.wait(timeout=30)


def bare_task() -> float:
    """Milliseconds from sending a task that does nothing else until it has said, in Redis, that it ran."""
    import redis
    from celery import current_app
    from django.conf import settings

    with redis.Redis.from_url(settings.REDIS_URL) as broker:
        start = time.time()
        current_app.send_task("benchmarks.worker.bare")
        until = time.monotonic() + 60
        while (ran_at := broker.lpop("benchmark-bare")) is None:
            assert time.monotonic() < until, "the worker does not run"
            time.sleep(0.001)
    return (float(str(ran_at, "ascii")) - start) * 1000


def click(github: Any, world: Any, number: int) -> float:
    """Milliseconds from the commit of the approval until the POST has arrived."""
    from approvals.models import Deployment, Effect

    promotion = world.request(world.version(number), target=world.target("staging"))
    Effect.objects.filter(status="waiting").exclude(kind="dispatch").update(status="done")
    hub = github.server._server.config.app.app.state.hub
    hub.requests.clear()
    world.approve(promotion)
    start = time.time()
    until = time.monotonic() + 60
    while not (posts := [r for r in list(hub.requests) if r["method"] == "POST"]):
        assert time.monotonic() < until, Deployment.objects.get(promotion=promotion).detail
        time.sleep(0.001)
    deployment = Deployment.objects.get(promotion=promotion)
    # The end, told as a webhook would, so that the target is free for the next one.
    from approvals import services

    while deployment.step is None or deployment.step.run_id is None:
        time.sleep(0.01)
        deployment = Deployment.objects.select_related("step").get(promotion=promotion)
    services.record_run(facts=world.run_facts(deployment, deployment.step.run_id))
    return float((posts[0]["at"] - start) * 1000)


def clicks() -> None:
    """Click to dispatch beside a bare task, alternating."""
    from django.conf import settings

    from sandbox.github.server import Server
    from sandbox.github.settings import Settings
    from tests.integrations.github_fixtures import CI, DEPLOY, GitHub
    from tests.world import World

    folder = Path(tempfile.mkdtemp(prefix="countersign-benchmark-"))
    workflows = folder / "repository" / ".github" / "workflows"
    workflows.mkdir(parents=True)
    (workflows / "deploy-model.yml").write_text(DEPLOY)
    (workflows / "ci.yml").write_text(CI)
    configured = Settings(
        data=folder / "github",
        source=folder / "repository",
        token=settings.GITHUB_TOKEN,
        variables={"OUT": str(folder)},
    )
    bare, ours = [], []
    try:
        with Server(configured) as server:
            settings.GITHUB_API_URL = server.url
            github, world = GitHub(server, folder), World()
            # Runs are not carried out: only the way to them is measured.
            github.fault("never_start", times=None)
            with worker(GITHUB_API_URL=server.url, SLACK_BOT_TOKEN=""):
                for _ in range(3):
                    bare_task()
                for number in range(1, CLICKS + 4):
                    bare.append(bare_task())
                    ours.append(click(github, world, number))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    bare, ours = bare[3:], ours[3:]
    print(f"click to dispatch: {percentiles(ours)}")
    print(f"a bare Celery task: {percentiles(bare)}")
    print(f"ratio of the medians {statistics.median(ours) / statistics.median(bare):.1f}")


def main() -> None:
    """Both, on a database of their own."""
    with database():
        throughput()
        clicks()


if __name__ == "__main__":
    main()
