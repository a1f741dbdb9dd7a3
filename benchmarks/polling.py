"""What idle polling costs: ``.venv/bin/python -m benchmarks.polling``.

1,000 workflows in 100 repositories of ten, and in 1,000 repositories of one, where nothing happens. Prints what an
hour of it asks of GitHub and of its rate limit, which rows it writes, and the time of one idle cycle beside a bare
loop of the same conditional requests over one connection, alternating.
"""

from __future__ import annotations

import statistics
import time
from datetime import timedelta

from benchmarks.servers import ETAG, Counting, database

CYCLES = 3


def cycle() -> tuple[float, int]:
    """One look at everything, all of it due: seconds, and how many were looked at."""
    from django.db.models import F

    from integrations import polls
    from integrations.models import Poll

    Poll.objects.update(due_at=F("due_at") - timedelta(hours=1))
    start = time.perf_counter()
    count = polls.poll_due(seconds=3600)
    return time.perf_counter() - start, count


def bare(url: str, names: list[str]) -> float:
    """The same requests with nothing around them."""
    import requests

    start = time.perf_counter()
    with requests.Session() as session:
        session.trust_env = False
        for name in names:
            answer = session.get(
                f"{url}/repos/{name}/actions/runs?per_page=100", headers={"If-None-Match": ETAG}
            )
            assert answer.status_code == 304
    return time.perf_counter() - start


def written() -> int:
    """Rows inserted, updated and deleted in this database so far, by PostgreSQL's own count."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute("SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables")
        row = cursor.fetchone()
    return int(row[0])


def idle(repositories: int, workflows: int) -> None:
    """So many repositories, each with so many workflows."""
    from django.conf import settings
    from django.utils import timezone

    from approvals.models import Repository
    from integrations import polls
    from integrations.models import Poll

    Poll.objects.all().delete()
    Repository.objects.all().delete()
    names = [f"acme/models-{number}" for number in range(repositories)]
    files = {f"workflow-{number}.yml": "ci" for number in range(workflows)}
    Repository.objects.bulk_create(Repository(name=name, workflows=files) for name in names)
    with Counting() as github:
        settings.GITHUB_API_URL = github.url
        polls.ensure(timezone.now())
        cycle()
        first = github.points
        # What five calm minutes make of every repository.
        Poll.objects.update(busy_until=timezone.now() - timedelta(hours=1))
        ratios, took = [], []
        for _ in range(CYCLES):
            asked, points, rows = github.requests, github.points, written()
            seconds, count = cycle()
            rows = written() - rows - (repositories + 1)  # the benchmark's own update before
            asked, points = github.requests - asked, github.points - points
            took.append(seconds)
            ratios.append(seconds / bare(github.url, names))
        now = timezone.now()
        due = Poll.objects.filter(kind="repository").values_list("due_at", "looked_at")
        wait = statistics.median((at - (seen or now)).total_seconds() for at, seen in due)
        tick = statistics.median(_ticks())
    print(f"{repositories} repositories x {workflows} workflows, nothing happens:")
    print(f"  first reading: {first} points; then every {wait:.0f} s each")
    print(
        f"  an idle cycle: {asked} requests, {points} points, {rows} rows written for {count} looks"
    )
    print(
        f"  an hour: {asked * 3600 / wait:.0f} requests, {points * 3600 / wait:.0f} points of 5000"
    )
    print(
        f"  time: {statistics.median(took) * 1000 / count:.1f} ms a look; ratio to the bare loop "
        f"{statistics.median(ratios):.1f}"
    )
    print(f"  a tick with nothing due: {tick:.1f} ms")


def _ticks() -> list[float]:
    from integrations import polls

    taken = []
    for _ in range(20):
        start = time.perf_counter()
        assert polls.poll_due() == 0
        taken.append((time.perf_counter() - start) * 1000)
    return taken


def main() -> None:
    """Both shapes, on a database of their own."""
    with database():
        from integrations import polls

        polls.LOOK["mlflow"] = lambda _poll: polls.Seen(86_400.0)
        idle(100, 10)
        idle(1000, 1)


if __name__ == "__main__":
    main()
