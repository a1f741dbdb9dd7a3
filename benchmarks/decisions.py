"""What a decision costs: ``.venv/bin/python -m benchmarks.decisions`` (needs ``make test`` to have set up once).

Prints ratios, because machines differ and are noisy:

- one approval by the product's verb, beside the least that any correct implementation must do on the same
  PostgreSQL: lock a row, insert the review, insert the event, update, commit (never waiting for the disk,
  like the tests);
- the pure decision over 10,000 promotions, beside reading their policies from JSON.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable

import tests.plugin  # noqa: F401 - starts the servers and sets the environment

ROUNDS = 120
CASES = 10_000


def milliseconds(act: Callable[[], object]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    act()
    return (time.perf_counter() - start) * 1000


def approvals() -> None:
    """The verb beside the bare statements, alternating, so that noise meets both alike."""
    from django.db import connection, transaction

    from approvals.models import Promotion
    from tests.world import World

    world = World()

    def bare(promotion: Promotion) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT id FROM approvals_target WHERE id = %s FOR UPDATE", [promotion.target_id]
            )
            cursor.execute(
                "INSERT INTO benchmark_review (promotion, person, seal) VALUES (%s, 1, %s)",
                [promotion.pk, promotion.seal],
            )
            cursor.execute(
                "INSERT INTO benchmark_event (kind, promotion) VALUES ('approved', %s)",
                [promotion.pk],
            )
            cursor.execute(
                "UPDATE approvals_promotion SET decision_reason = '' WHERE id = %s", [promotion.pk]
            )

    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE benchmark_review (promotion bigint, person int, seal text)")
        cursor.execute("CREATE TABLE benchmark_event (kind text, promotion bigint)")
    verbs, least = [], []
    for number in range(1, ROUNDS + 1):
        promotion = world.request(world.version(number))
        least.append(milliseconds(lambda promotion=promotion: bare(promotion)))  # type: ignore[misc]
        verbs.append(
            milliseconds(lambda promotion=promotion: world.review(promotion, "bob"))  # type: ignore[misc]
        )
    verb, bottom = statistics.median(verbs[10:]), statistics.median(least[10:])
    print(f"one approval: {verb:.1f} ms, {1000 / verb:.0f} a second on one connection")
    print(f"the least for it: {bottom:.1f} ms; ratio {verb / bottom:.1f}")


def policy() -> None:
    """The pure function beside reading what it needs."""
    from approvals.policies import Case, Requirement, Vote, Voter, decide
    from approvals.rules import Policy

    rules = Policy(
        promote=(Requirement(("leads",), 2), Requirement(("risk",))),
        rollback=(Requirement(("leads",)),),
        rollback_requester_may_approve=False,
        requesters=("engineers",),
        expires_after=1,
        grant_lapses_after=1,
    )
    text = json.dumps(rules.as_data())
    voters = [Voter(i, frozenset({"leads"} if i % 3 else {"risk", "leads"})) for i in range(5)]
    cases = [
        Case(rules.promote, 99, "s", tuple(Vote(each, "approve", "s") for each in voters[: n % 6]))
        for n in range(CASES)
    ]
    reading = milliseconds(lambda: [Policy.from_data(json.loads(text)) for _ in cases])
    deciding = milliseconds(lambda: [decide(case) for case in cases])
    print(f"{CASES} decisions: {deciding:.0f} ms; reading their policies: {reading:.0f} ms")
    print(f"ratio {deciding / reading:.1f}")


def main() -> None:
    """Both, on a database of their own."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    from django.test.utils import setup_databases, teardown_databases

    databases = setup_databases(verbosity=0, interactive=False)
    try:
        approvals()
    finally:
        teardown_databases(databases, verbosity=0)
    policy()


if __name__ == "__main__":
    main()
