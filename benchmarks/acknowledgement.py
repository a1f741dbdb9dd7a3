"""How quickly a press in Slack is acknowledged: ``.venv/bin/python -m benchmarks.acknowledgement``.

Fifty people of a team press Approve at the same moment, each with a signed request over a connection of its
own, at the product served as ``make run`` serves it (one process, eight threads; a container's are
``--workers=2 --threads=4``). Slack shows the person an error after three seconds. They press on one promotion,
where each waits for the lock of those before; on a promotion each; and one after the other. Beside it, alternating
and on the same server: a bolt listener that verifies the signature and acknowledges. First with a young history,
then with a million events. The CPU time and the statements of a press hardly depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from urllib.request import urlopen

from benchmarks.servers import database, percentiles

PEOPLE = 50
MORE = 10
ROUNDS = 4
EVENTS = 1_000_000
PROMOTIONS = 10_000
TEAM = "ml-leads"
ROOT = Path(__file__).resolve().parent.parent
PRODUCT, EMPTY = "/integrations/slack/events", "/benchmark/empty"


@contextmanager
def server(workers: int, threads: int) -> Iterator[int]:
    """The web process on this benchmark's database; yields its port."""
    from django.db import connection

    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    name = connection.settings_dict["NAME"]
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "config.serve", "--app=benchmarks.web:application"),
            *(f"--port={port}", f"--workers={workers}", f"--threads={threads}"),
        ],
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
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


def people() -> None:
    """Members of the team that decides, linked to Slack; more than will press, the others are still missing."""
    from django.utils import timezone

    from approvals.models import Person, Team
    from integrations.models import SlackIdentity

    team = Team.objects.get(slug=TEAM)
    for number in range(PEOPLE + MORE):
        person = Person.objects.create(username=f"person{number}", is_active=True)
        team.members.add(person)
        SlackIdentity.objects.create(
            team_id="T0ACME", user_id=_user(number), person=person, linked_at=timezone.now()
        )


def _user(number: int) -> str:
    return f"U0PERSON{number}"


def models(target: Any) -> None:
    """As many more models as there are people, each with a target and a policy like this one's."""
    model = target.model
    for number in range(PEOPLE):
        model.pk, model.name = None, f"model-{number}"
        model.registry_name = model.name
        model.save(force_insert=True)
        target.pk, target.model = None, model
        target.save(force_insert=True)


def fill(promotion: Any) -> None:
    """A million events of 10,000 cancelled promotions; the chain of hashes is filler."""
    from django.db import connection

    from approvals.models import Promotion

    other = {
        "id": "1000000 + n",
        "token": "'cs-' || n",
        "status": "'cancelled'",
        "decided_at": "requested_at",
    }
    columns = [field.column for field in Promotion._meta.concrete_fields]
    values = ", ".join(other.get(str(name), f'"{name}"') for name in columns)
    names = ", ".join(f'"{name}"' for name in columns)
    with connection.cursor() as cursor:
        # Only so that it takes seconds: the references are right, and need not be looked up a million times.
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(
            f"INSERT INTO approvals_promotion ({names}) SELECT {values} FROM approvals_promotion, "  # noqa: S608
            f"generate_series(1, {PROMOTIONS}) AS n WHERE id = %s",
            [promotion.pk],
        )
        cursor.execute(
            f"""INSERT INTO approvals_event
                (at, kind, actor_id, via, target_id, promotion_id, data, previous_hash, hash)
            SELECT now() - (%s - n) * interval '30 seconds',
                (ARRAY['promotion.requested', 'promotion.sealed', 'promotion.reviewed'])[n %% 3 + 1],
                %s, 'browser', %s, 1000000 + n %% {PROMOTIONS} + 1, '{{"reason": "filler"}}',
                '', md5(n::text) || md5('x' || n)
            FROM generate_series(1, %s) AS n""",  # noqa: S608
            [EVENTS, promotion.requester_id, promotion.target_id, EVENTS],
        )
        cursor.execute("SET session_replication_role = DEFAULT")
        cursor.execute("ANALYZE")


def body(user: str, promotion: Any) -> bytes:
    """The press of one person on the promotion's Approve."""
    value = json.dumps({"p": promotion.pk, "s": promotion.seal})
    payload = {
        "type": "block_actions",
        "user": {"id": user, "team_id": "T0ACME"},
        "team": {"id": "T0ACME", "domain": "acme"},
        "channel": {"id": "C0RELEASES", "name": "model-releases"},
        "container": {"type": "message", "channel_id": "C0RELEASES", "message_ts": "1.000001"},
        "trigger_id": f"1.{user}",
        "response_url": "http://127.0.0.1:9/response",
        "actions": [{"type": "button", "action_id": "approve", "block_id": "b", "value": value}],
    }
    return urlencode({"payload": json.dumps(payload)}).encode()


def presses(port: int, address: str, bodies: list[bytes]) -> list[float]:
    """Milliseconds until each acknowledgement; all sent at the same moment."""
    from django.conf import settings

    from sandbox.slack.delivery import FORM, sign

    start = threading.Barrier(len(bodies))
    taken: list[float] = []

    def press(content: bytes) -> None:
        stamp = str(int(time.time()))
        headers = {
            "Content-Type": FORM,
            "X-Slack-Request-Timestamp": stamp,
            "X-Slack-Signature": sign(settings.SLACK_SIGNING_SECRET, stamp, content),
        }
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        start.wait()
        began = time.perf_counter()
        connection.request("POST", address, content, headers)
        answer = connection.getresponse()
        answer.read()
        taken.append((time.perf_counter() - began) * 1000)
        connection.close()
        assert answer.status == 200, answer.status

    threads = [threading.Thread(target=press, args=(each,)) for each in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(bodies), "a press was not acknowledged"
    return taken


@dataclass
class Measured:
    """What one way of pressing took: milliseconds of each acknowledgement, of ours and of an empty listener; and
    what the server spent on a press of ours, where it is one process that can tell."""

    name: str
    ours: list[float] = field(default_factory=list)
    empty: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    statements: list[float] = field(default_factory=list)

    def show(self) -> None:
        """Two lines."""
        print(f"{self.name}: {percentiles(self.ours)}")
        ratio = statistics.median(self.ours) / statistics.median(self.empty)
        cost = ""
        if self.cpu:
            cost = (
                f"; a press costs {statistics.median(self.cpu):.1f} ms CPU and "
                f"{statistics.median(self.statements):.1f} statements"
            )
        print(
            f"  an empty listener: {percentiles(self.empty)}; ratio of the medians {ratio:.1f}{cost}"
        )


def spent(port: int) -> tuple[float, float]:
    """Milliseconds of CPU and statements of the server so far."""
    with urlopen(f"http://127.0.0.1:{port}/benchmark/spent", timeout=30) as answer:
        said = json.load(answer)
    return said["cpu"] * 1000, said["statements"]


def measure(
    port: int,
    name: str,
    pressed: Callable[[int], list[tuple[str, Any]]],
    *,
    at_once: bool,
    one: bool,
) -> Measured:
    """Rounds of presses of ``pressed``, alternating with the empty listener. ``one``: it is one process."""
    from approvals.models import Review

    found = Measured(name)
    for number in range(ROUNDS + 1):
        pairs = pressed(number)
        bodies = [body(user, promotion) for user, promotion in pairs]
        groups = [bodies] if at_once else [[each] for each in bodies]
        least = [each for group in groups for each in presses(port, EMPTY, group)]
        before = spent(port)
        taken = [each for group in groups for each in presses(port, PRODUCT, group)]
        after = spent(port)
        promotions = {promotion.pk for _, promotion in pairs}
        assert Review.objects.filter(promotion__in=promotions).count() == PEOPLE, "a vote was lost"
        if number:  # the first round is to warm up
            found.empty += least
            found.ours += taken
            if one:
                found.cpu.append((after[0] - before[0]) / PEOPLE)
                found.statements.append((after[1] - before[1]) / PEOPLE)
    return found


def every_way(port: int, first: int, history: str, *, one: bool) -> list[Measured]:
    """At once on one promotion, at once on one each, and one after the other; with versions from ``first`` on."""
    from approvals.models import RegisteredModel
    from tests.world import World

    world = World.__new__(World)  # of the rows that are there
    users = [_user(number) for number in range(PEOPLE)]
    names = RegisteredModel.objects.filter(name__startswith="model-").values_list("name", flat=True)

    def same(number: int) -> list[tuple[str, Any]]:
        promotion = world.request(world.version(first + number))
        return [(user, promotion) for user in users]

    def different(number: int) -> list[tuple[str, Any]]:
        made = [world.request(world.version(first + number, name)) for name in names]
        return list(zip(users, made, strict=True))

    def alone(number: int) -> list[tuple[str, Any]]:
        return same(number + ROUNDS + 1)

    ways = (
        (f"{history}, all on one promotion", same, True),
        (f"{history}, on one each", different, True),
        (f"{history}, one after the other", alone, False),
    )
    return [
        measure(port, name, pressed, at_once=at_once, one=one) for name, pressed, at_once in ways
    ]


def main() -> None:
    """Both histories, on a database of their own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=8)
    chosen = parser.parse_args()
    one = chosen.workers == 1
    with database():
        from approvals.policies import Requirement
        from tests.world import World

        world = World()
        # More than will press, so that nobody comes too late.
        world.rules(promote=(Requirement((TEAM,), PEOPLE + MORE),))
        people()
        models(world.target())
        with server(chosen.workers, chosen.threads) as port:
            young = every_way(port, 1, "a young history", one=one)
            began = time.perf_counter()
            fill(world.request(world.version(90)))
            print(
                f"{EVENTS} events of {PROMOTIONS} promotions in {time.perf_counter() - began:.0f} s"
            )
            old = every_way(port, 100, "a million events", one=one)
    for each in (*young, *old):
        each.show()
    ratio = statistics.median(old[0].ours) / statistics.median(young[0].ours)
    print(f"a million events beside a young history: ratio of the medians {ratio:.2f}")
    print(f"load of the machine at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
