"""How quickly a press in Slack is acknowledged: ``.venv/bin/python -m benchmarks.acknowledgement``.

Fifty people of a team press Approve on one promotion at the same moment, each with a signed request over a
connection of its own, at the product served by gunicorn as ``make run`` serves it (one process, eight threads).
Slack shows the person an error after three seconds. Beside it, alternating and on the same server: a bolt listener
that verifies the signature and acknowledges. First with a young history, then with a million events.
"""

from __future__ import annotations

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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

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
def server() -> Iterator[int]:
    """gunicorn on this benchmark's database; yields its port."""
    from django.db import connection

    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    name = connection.settings_dict["NAME"]
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "gunicorn", "benchmarks.web", f"--bind=127.0.0.1:{port}"),
            *("--workers=1", "--threads=8", "--no-control-socket", "--log-level=warning"),
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


def people() -> list[str]:
    """Members of the team that decides, linked to Slack; the Slack ids of fifty. The others are still missing."""
    from django.utils import timezone

    from approvals.models import Person, Team
    from integrations.models import SlackIdentity

    team = Team.objects.get(slug=TEAM)
    found = []
    for number in range(PEOPLE + MORE):
        person = Person.objects.create(username=f"person{number}", is_active=True)
        team.members.add(person)
        found.append(f"U0PERSON{number}")
        SlackIdentity.objects.create(
            team_id="T0ACME", user_id=found[-1], person=person, linked_at=timezone.now()
        )
    return found[:PEOPLE]


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


def measure(port: int, world: Any, users: list[str], first: int) -> tuple[list[float], list[float]]:
    """Acknowledgements of the product and of the empty listener, alternating."""
    from approvals.models import Review

    ours: list[float] = []
    empty: list[float] = []
    for number in range(first, first + ROUNDS + 1):
        promotion = world.request(world.version(number))
        bodies = [body(user, promotion) for user in users]
        least = presses(port, EMPTY, bodies)
        taken = presses(port, PRODUCT, bodies)
        assert Review.objects.filter(promotion=promotion).count() == PEOPLE, "a vote was lost"
        if number > first:  # the first round is to warm up
            empty += least
            ours += taken
    return ours, empty


def main() -> None:
    """Both histories, on a database of their own."""
    with database():
        from approvals.policies import Requirement
        from tests.world import World

        world = World()
        # More than will press, so that nobody comes too late.
        world.rules(promote=(Requirement((TEAM,), PEOPLE + MORE),))
        users = people()
        with server() as port:
            young = measure(port, world, users, 1)
            began = time.perf_counter()
            fill(world.request(world.version(90)))
            print(
                f"{EVENTS} events of {PROMOTIONS} promotions in {time.perf_counter() - began:.0f} s"
            )
            old = measure(port, world, users, 100)
    for name, (ours, empty) in {"a young history": young, "a million events": old}.items():
        print(f"{name}: {percentiles(ours)}; an empty listener: {percentiles(empty)}")
        print(f"  ratio of the medians {statistics.median(ours) / statistics.median(empty):.1f}")
    ratio = statistics.median(old[0]) / statistics.median(young[0])
    print(f"a million events beside a young history: ratio of the medians {ratio:.2f}")


if __name__ == "__main__":
    main()
