"""Makes things break, one trouble after another, and counts how often each one struck."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import redis
from django.db import connection

from config import embedded
from config.celery import app
from integrations.failpoints import STRUCK
from tests.chaos.outside import Outside
from tests.chaos.plan import ALL, DIE, GITHUB, REDIS, Trouble
from tests.chaos.stage import LEASE_SECONDS, WORKERS, Stage

GONE_SECONDS = 4.0
FROZEN_SECONDS = 2.5 * LEASE_SECONDS
HELD_SECONDS = 4.0
TASKS = ("deliver_effects", "poll", "look_after")
DOUBLED = "tasks: delivered again, at once or late"


@dataclass
class Troubles:
    """What is broken now, and the counts for the report."""

    stage: Stage
    outside: Outside
    dice: random.Random
    counts: Counter[str] = field(default_factory=Counter)
    _later: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    _redis_away: bool = False

    def begin(self, trouble: Trouble) -> None:
        """Arm a failpoint, switch a fault, or break something at once."""
        if trouble.group == DIE:
            (self.stage.failpoints / trouble.name).touch()
        elif trouble.group == GITHUB:
            self.outside.fault(trouble.name, times=trouble.times, **dict(trouble.options))
            if trouble.name == "never_start":
                self._in(HELD_SECONDS, lambda: self.outside.fault("never_start", on=False))
        elif trouble.group == REDIS:
            self._redis(trouble)
        elif trouble.name.startswith("a worker frozen"):
            self._freeze(trouble)
        else:
            self._cut_connections(trouble)

    def tend(self) -> None:
        """Let pass what lasts only for seconds, and deliver some task again."""
        now = time.monotonic()
        due = [each for each in self._later if each[0] <= now]
        self._later = [each for each in self._later if each[0] > now]
        for _, action in due:
            action()
        if not self._redis_away and self.dice.random() < 0.25:
            self._send_again()

    def end(self) -> None:
        """Nothing breaks any more: disarm, switch off, start again."""
        for point in self.stage.failpoints.iterdir():
            if STRUCK not in point.name:
                point.unlink(missing_ok=True)
        for name in self.outside.faults():
            self.outside.fault(name, on=False)
        for _, action in self._later:
            action()
        self._later = []

    def struck(self) -> Counter[str]:
        """How often each trouble struck so far; 0 for one that did not."""
        points = [each.name.split(STRUCK)[0] for each in self.stage.failpoints.iterdir()]
        armed = {each.name for each in self.stage.failpoints.iterdir() if STRUCK not in each.name}
        died = Counter(f"{DIE}: {point}" for point in points)
        died.subtract(f"{DIE}: {point}" for point in armed)
        github = Counter({f"{GITHUB}: {name}": n for name, n in self.outside.faults().items()})
        every = Counter(dict.fromkeys((each.label for each in ALL), 0))
        every.update(self.counts + died + github)
        return every

    def _in(self, seconds: float, action: Callable[[], None]) -> None:
        self._later.append((time.monotonic() + seconds, action))

    def _redis(self, trouble: Trouble) -> None:
        if self._redis_away:
            return
        self.counts[trouble.label] += 1
        with redis.Redis.from_url(self.stage.env["REDIS_URL"], socket_timeout=5) as client:
            if trouble.name == "flushed":
                client.flushall()
                return
            process_id = int(client.info("server")["process_id"])
        os.kill(process_id, signal.SIGKILL)
        self._redis_away = True
        self._in(GONE_SECONDS if trouble.name.startswith("gone") else 0.0, self._redis_back)

    def _redis_back(self) -> None:
        embedded.revive()
        self._redis_away = False

    def _freeze(self, trouble: Trouble) -> None:
        name = self.dice.choice(WORKERS)
        process = self.stage.running[name]
        self.counts[trouble.label] += 1
        self.stage.freeze(name)

        def thaw() -> None:
            if self.stage.running[name] is process:
                self.stage.thaw(name)

        # Not by the driver: it may be waiting for a row that the frozen worker holds.
        threading.Timer(FROZEN_SECONDS, thaw).start()

    def _cut_connections(self, trouble: Trouble) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        self.counts[trouble.label] += 1

    def _send_again(self) -> None:
        """A message that comes twice, or seconds late."""
        late = self.dice.choice((0, 0, 1, 3))
        name = f"integrations.tasks.{self.dice.choice(TASKS)}"
        try:
            for _ in range(self.dice.choice((1, 2, 2))):
                app.send_task(name, countdown=late or None, expires=late + 10)
                self.counts[DOUBLED] += 1
        except app.connection_for_write().connection_errors:
            pass  # the broker is away, which is a trouble of its own
