"""What open pages cost, and how soon they know: ``.venv/bin/python -m benchmarks.live``.

A hundred open pages (the inbox, which every event concerns) at the product as ``make run`` serves it: once with
the stream (pages that are told ask for their parts after up to 0.4 seconds, and every thirty seconds anyway), once
as pages without it that poll every two seconds. Idle, and with a change in five seconds; alternating in one run.
CPU seconds are the web process's alone, per minute; their ratio hardly depends on the machine.
"""

from __future__ import annotations

import argparse
import http.client
import os
import random
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psutil

from benchmarks.servers import database, percentiles

if TYPE_CHECKING:
    from tests.world import World

ROOT = Path(__file__).resolve().parent.parent
POLL, RARELY, CHANGE, EACH, PAGE = 2.0, 30.0, 5.0, 10, "/inbox/"


@contextmanager
def server() -> Iterator[tuple[int, psutil.Process]]:
    """The web process on this benchmark's database."""
    from django.db import connection

    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    name = connection.settings_dict["NAME"]
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.web.live_server", "--patient", str(port)],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url},
    )
    try:
        until = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < until and process.poll() is None, "no server"
                time.sleep(0.1)
        yield port, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(timeout=30)


@dataclass
class Pages:
    """Open pages of people, each in a thread, until ``stop``."""

    port: int
    keys: list[str]
    stop: threading.Event = field(default_factory=threading.Event)
    asked: int = 0
    woken: list[float] = field(default_factory=list)
    committed: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, seconds: float, *, streamed: bool) -> None:
        """Keep all pages open for so long."""
        work = self._streamed if streamed else self._polled
        threads = [threading.Thread(target=work, args=[key]) for key in self.keys]
        for each in threads:
            each.start()
        self.stop.wait(seconds)
        self.stop.set()
        for each in threads:
            each.join()

    def _ask(self, kept: http.client.HTTPConnection, key: str, seen: str) -> str:
        headers = {"Cookie": key, **({"HX-Request": "true"} if seen else {})}
        kept.request("GET", f"{PAGE}?seen={seen}" if seen else PAGE, headers=headers)
        answer = kept.getresponse()
        text = answer.read().decode()
        assert answer.status in (200, 204), answer.status
        with self.lock:
            self.asked += bool(seen)
        found = re.search(r'"seen": "(\w+)"', text)
        return found[1] if found else seen

    def _polled(self, key: str) -> None:
        kept = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        seen = self._ask(kept, key, "")
        self.stop.wait(random.uniform(0, POLL))
        while not self.stop.is_set():
            started = time.monotonic()
            seen = self._ask(kept, key, seen)
            self.stop.wait(max(POLL - (time.monotonic() - started), 0))
        kept.close()

    def _streamed(self, key: str) -> None:
        kept = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        seen = self._ask(kept, key, "")
        stream = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        stream.request("GET", "/live/?since=0", headers={"Cookie": key})
        answer = stream.getresponse()
        assert answer.status == 200, answer.status
        told = threading.Event()

        def listen() -> None:
            try:
                while line := answer.readline():
                    if line.startswith(b"data"):
                        self._told(time.monotonic())
                        told.set()
            except (OSError, ValueError, AttributeError):
                pass  # closed below

        ear = threading.Thread(target=listen, daemon=True)
        ear.start()
        due = time.monotonic() + random.uniform(0, RARELY)
        while not self.stop.is_set():
            if told.wait(0.1):
                told.clear()
                self.stop.wait(random.uniform(0.06, 0.4))
            elif time.monotonic() < due:
                continue
            seen = self._ask(kept, key, seen)
            due = time.monotonic() + RARELY
        if stream.sock is not None:
            stream.sock.shutdown(socket.SHUT_RDWR)
        ear.join()
        answer.close()
        stream.close()
        kept.close()

    def _told(self, now: float) -> None:
        with self.lock:
            if self.committed:
                self.woken.append(1000 * (now - self.committed))


def sessions(count: int) -> list[str]:
    """A cookie for each page, ten pages a person."""
    from django.conf import settings
    from django.test import Client

    from approvals.models import Person, Team

    made = []
    for number in range(-(-count // EACH)):
        person = Person.objects.create(username=f"person{number}", is_active=True)
        Team.objects.get(slug="ml-leads").members.add(person)
        client = Client()
        client.force_login(person)
        key = client.cookies[settings.SESSION_COOKIE_NAME].value
        made += [f"{settings.SESSION_COOKIE_NAME}={key}"] * EACH
    return made[:count]


def change(world: World, pages: Pages, seconds: float) -> None:
    """Somebody asks, then takes it back, and so on, by the product's own verbs."""
    from approvals import services
    from approvals.models import Promotion
    from approvals.states import PromotionStatus, Via

    version, target = world.version(2), world.target()
    until = time.monotonic() + seconds
    while not pages.stop.wait(CHANGE) and time.monotonic() < until:
        with pages.lock:
            pages.committed = 0.0
        pending = Promotion.objects.filter(status=PromotionStatus.PENDING).first()
        alice = world.person("alice")
        if pending:
            services.cancel(actor=alice, via=Via.BROWSER, promotion_id=pending.pk, reason="")
        else:
            services.request_promotion(
                actor=alice,
                via=Via.BROWSER,
                target_id=target.pk,
                version_id=version.pk,
                reason="Better.",
            )
        with pages.lock:
            pages.committed = time.monotonic()


def main() -> None:
    """Run the phases and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=20, help="of each of the eight phases")
    parser.add_argument("--rounds", type=int, default=2)
    wanted = parser.parse_args()
    with database():
        from tests.world import World

        world = World()
        keys = sessions(wanted.pages)
        spent: dict[tuple[bool, bool], list[float]] = {}
        asked: dict[tuple[bool, bool], int] = {}
        woken: list[float] = []
        with server() as (port, process):
            Pages(port, keys[:10]).run(3, streamed=False)  # warm
            for _ in range(wanted.rounds):
                for busy in (False, True):
                    for streamed in (True, False):
                        pages = Pages(port, keys)
                        before = sum(process.cpu_times()[:2])
                        started = time.monotonic()
                        changing = threading.Thread(
                            target=_closing, args=[world, pages, wanted.seconds]
                        )
                        if busy:
                            changing.start()
                        pages.run(wanted.seconds, streamed=streamed)
                        if busy:
                            changing.join()
                        minute = 60 / (time.monotonic() - started)
                        cpu = (sum(process.cpu_times()[:2]) - before) * minute
                        spent.setdefault((busy, streamed), []).append(cpu)
                        asked[busy, streamed] = round(pages.asked * minute)
                        woken += pages.woken if streamed else []
    print(
        f"{wanted.pages} open pages, CPU seconds of the web process per minute (requests per minute)"
    )
    for busy, words in ((False, "idle"), (True, f"a change in {CHANGE:.0f} s")):
        stream, poll = (sum(spent[busy, way]) / wanted.rounds for way in (True, False))
        print(
            f"{words:>18}: stream {stream:.2f} ({asked[busy, True]}), polling every "
            f"{POLL:.0f} s {poll:.2f} ({asked[busy, False]}): {poll / stream:.1f} times as much"
        )
    print(f"commit to wake-up: {percentiles(woken)}")


def _closing(world: World, pages: Pages, seconds: float) -> None:
    from django.db import connection

    try:
        change(world, pages, seconds)
    finally:
        connection.close()


if __name__ == "__main__":
    main()
