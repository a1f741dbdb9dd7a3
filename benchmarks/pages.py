"""How the pages bear a large history: ``.venv/bin/python -m benchmarks.pages``.

Two databases made by ``manage.py make_history`` on one PostgreSQL: a small one, and one of 500 models × 4
environments, 100,000 versions, 200,000 promotions and more than a million events. Every page is asked of
both, turn by turn, in a process each that renders it as the web process does (Django's handler with all
middleware, without the socket). Told of each page: the median time on both and their ratio; how many
statements it takes on both (it must be the same); the time of those statements alone, sent once more; its
HTML before it is compressed; and what goes over the wire for a first visit, compressed: the page with its styles,
scripts and icon.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlsplit

import tests.plugin  # noqa: F401 - starts the servers and sets the environment

ROOT = Path(__file__).resolve().parent.parent
# Small, but every page is full: a ratio of a full page to one with three rows would say nothing.
SMALL = {"models": 30, "versions": 3_000, "promotions": 15_000, "days": 365}
BIG = {"models": 500, "versions": 100_000, "promotions": 200_000, "days": 730}
ROUNDS = 15
# What a browser loads with a page.
LINKS = re.compile(r'<(?:script|link|img)[^>]*(?:src|href)="(/[^"]+)"')


def database(name: str, size: dict[str, int]) -> str:
    """The address of a database with a history of this size, made where it is not there yet."""
    import psycopg

    base = urlsplit(os.environ["DATABASE_URL"])
    url = base._replace(path=f"/{name}").geturl()
    with psycopg.connect(base.geturl(), autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            return url
        connection.execute(f'CREATE DATABASE "{name}"')
    arguments = [f"--{key}={value}" for key, value in size.items()]
    try:
        for command in (["migrate", "--verbosity=0"], ["make_history", *arguments]):
            subprocess.run(
                [sys.executable, "manage.py", *command],
                cwd=ROOT,
                env={**os.environ, "DATABASE_URL": url},
                check=True,
                stdout=subprocess.DEVNULL,
            )
    except BaseException:  # half a history would be taken for a whole one
        with psycopg.connect(base.geturl(), autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        raise
    return url


class Side:
    """One database and the process that renders its pages."""

    def __init__(self, url: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.pages", "--serve"],
            cwd=ROOT,
            env={**os.environ, "DATABASE_URL": url},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, page: str, *, whole: bool = False) -> dict[str, Any]:
        """One rendering of a page; ``whole`` with its statements and what it loads."""
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None and stdout is not None
        stdin.write(f"{page}{'+' if whole else ''}\n")
        stdin.flush()
        line = stdout.readline()
        if not line:
            raise RuntimeError(f"the page {page} ended its process")
        told: dict[str, Any] = json.loads(line)
        return told

    def close(self) -> None:
        """The process ends with its input."""
        if self.process.stdin:
            self.process.stdin.close()
        self.process.wait(timeout=30)


def pages() -> dict[str, str]:
    """What is asked: each page's name and its address in this process's database."""
    from django.db.models import Count

    from approvals.models import Deployment, Event, Promotion, RegisteredModel
    from approvals.states import DeploymentStatus, PromotionStatus

    busiest = RegisteredModel.objects.annotate(n=Count("versions")).order_by("-n").first()
    first = Event.objects.order_by("id").first()
    last = Event.objects.order_by("-id").first()
    live = Deployment.objects.filter(status=DeploymentStatus.SUCCEEDED).order_by("-id").first()
    rejected = Promotion.objects.filter(status=PromotionStatus.REJECTED).order_by("-id").first()
    assert busiest and first and last and live and rejected
    pending = Promotion.objects.filter(status=PromotionStatus.PENDING).first() or rejected
    model = f"/models/{quote(busiest.name)}/"
    newest = busiest.versions.order_by("-number").first()
    assert newest
    middle = first.at + (last.at - first.at) / 2
    then = quote(middle.isoformat(timespec="minutes"))
    day = f"since={middle.date()}&until={middle.date()}"
    person = rejected.requester.username
    return {
        "overview": "/",
        "overview, needs me": "/?show=mine",
        "overview, moving": "/?show=moving",
        "overview, searched": "/?q=a",
        "time travel": f"/?at={then}",
        "inbox": "/inbox/",
        "promotion, live": live.promotion.get_absolute_url(),
        "promotion, pending": pending.get_absolute_url(),
        "model": model,
        "version": newest.get_absolute_url(),
        "comparison": f"{model}compare/?v={newest.number}&v={newest.number - 1}",
        "timeline": "/timeline/",
        "timeline, model": f"/timeline/?model={quote(busiest.name)}",
        "timeline, production": "/timeline/?environment=production",
        "timeline, person": f"/timeline/?person={person}",
        "timeline, broken glass": "/timeline/?kind=overrides",
        "timeline, one day": f"/timeline/?{day}",
        "timeline, common word": "/timeline/?q=better",
        "timeline, rare word": "/timeline/?q=cannot",
        "timeline, combined": f"/timeline/?model={quote(busiest.name)}&environment=production"
        "&kind=deployments",
        "lanes": "/timeline/lanes/",
        "insights": "/insights/",
        "insights, 30 days": "/insights/?days=30",
        "insights, year": "/insights/?days=365",
        "insights, all environments": "/insights/?environment=*",
        "insights, model": f"/insights/?model={quote(busiest.name)}&environment=*",
        "insights, by team": "/insights/?by=team",
        "insights, counted": "/insights/promotions/?figure=change_failure&part=all",
        "insights, counted restores": "/insights/promotions/?figure=restore",
        "insights, counted by team": "/insights/promotions/?figure=team&approvers=leads",
        "pipelines": "/pipelines/",
        "pipelines, year": "/pipelines/?days=365",
        "pipelines, kind": "/pipelines/?kind=deploy",
        "pipelines, branch": "/pipelines/?branch=main",
        "pipelines, failed": "/pipelines/?conclusion=failure",
        "pipelines, searched": "/pipelines/?q=42",
        "policy": "/policy/",
        "freezes": "/freezes/",
        "people": "/people/",
        "search": "/search/?q=risk",
        "status": "/status/",
        "profile": "/profile/",
    }


def serve(stdin: IO[str], stdout: IO[str]) -> None:
    """Answer each line (a page's name) with how its rendering went."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    from django.conf import settings
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from approvals.models import Person

    settings.ALLOWED_HOSTS = ["*"]
    client = Client(headers={"accept-encoding": "gzip"})
    lead = Person.objects.filter(teams__slug="leads").order_by("pk").first()
    assert lead
    client.force_login(lead)
    known = pages()
    for line in stdin:
        name = line.rstrip("\n")
        address = known[name.removesuffix("+")]
        began = time.perf_counter()
        answer = client.get(address)
        content = answer.content
        told: dict[str, Any] = {
            "status": answer.status_code,
            "ms": (time.perf_counter() - began) * 1000,
        }
        if name.endswith("+"):
            with CaptureQueriesContext(connection) as queries:
                client.get(address)
            statements = [query["sql"] for query in queries.captured_queries]
            packed = answer.headers.get("Content-Encoding") == "gzip"
            html = (gzip.decompress(content) if packed else content).decode()
            told |= {
                "statements": len(statements),
                "bare_ms": statistics.median(bare_ms(statements) for _ in range(3)),
                "html": len(html.encode()),
                "weight": len(content)
                + sum(weigh(client, each) for each in set(LINKS.findall(html))),
            }
        stdout.write(json.dumps(told) + "\n")
        stdout.flush()


def bare_ms(statements: list[str]) -> float:
    """How long the reading statements of a page take by themselves, in milliseconds."""
    from django.db import connection

    began = time.perf_counter()
    with connection.cursor() as cursor:
        for sql in statements:
            if sql.lstrip().upper().startswith(("SELECT", "WITH", "(SELECT")):
                cursor.execute(sql)
                cursor.fetchall()
    return (time.perf_counter() - began) * 1000


def weigh(client: Any, address: str) -> int:
    """What something that a page loads weighs on the wire, in bytes."""
    answer = client.get(address)
    assert answer.status_code == 200, address
    return sum(len(each) for each in answer)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", default="", help="pages whose name contains this")
    for key, value in BIG.items():
        parser.add_argument(f"--{key}", type=int, default=value)
    options = parser.parse_args()
    if options.serve:
        serve(sys.stdin, sys.stdout)
        return
    big = {key: getattr(options, key) for key in BIG}
    print(f"making the histories: {SMALL} and {big}", file=sys.stderr)
    subprocess.run(
        [sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity=0"],
        cwd=ROOT,
        check=True,
    )
    sides = [Side(database("pages_little", SMALL)), Side(database("pages_big", big))]
    print(
        "page                        small ms   big ms  ratio  statements  SQL alone   HTML  first visit"
    )
    print(
        "                                                    small/big    ms (big)     KB     KB (big)"
    )
    try:
        for name in [each for each in PAGES if options.only in each]:
            small, large = [], []
            for _ in range(options.rounds + 2):
                small.append(sides[0].ask(name))
                large.append(sides[1].ask(name))
            less, more = (side.ask(name, whole=True) for side in sides)
            assert {each["status"] for each in [*small, *large]} == {200}, (name, large[0])
            # The first two warm up.
            times = [statistics.median(each["ms"] for each in side[2:]) for side in (small, large)]
            print(
                f"{name:26} {times[0]:9.1f} {times[1]:8.1f} {times[1] / times[0]:6.2f} "
                f"{less['statements']:>6}/{more['statements']:<4} {more['bare_ms']:10.1f} "
                f"{more['html'] / 1000:6.0f} {more['weight'] / 1000:12.1f}",
                flush=True,
            )
    finally:
        for side in sides:
            side.close()


PAGES = (
    *("overview", "overview, needs me", "overview, moving", "overview, searched", "time travel"),
    *("inbox", "promotion, live", "promotion, pending", "model", "version", "comparison"),
    *("timeline", "timeline, model", "timeline, production", "timeline, person"),
    *("timeline, broken glass", "timeline, one day", "timeline, common word"),
    *("timeline, rare word", "timeline, combined", "lanes"),
    *("insights", "insights, 30 days", "insights, year", "insights, all environments"),
    *("insights, model", "insights, by team", "insights, counted", "insights, counted restores"),
    *("insights, counted by team", "pipelines", "pipelines, year", "pipelines, kind"),
    *("pipelines, branch", "pipelines, failed", "pipelines, searched"),
    *("policy", "freezes", "people", "search", "status", "profile"),
)

if __name__ == "__main__":
    main()
