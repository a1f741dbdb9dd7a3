"""``make chaos``, or ``python -m tests.chaos --promotions 500 --seed 7``: see docs/chaos.md."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.chaos.plan import errands
from tests.chaos.stage import Stage, standing

# Ends a run that makes no progress; a usual one is several times quicker.
SECONDS_EACH, SECONDS_AT_LEAST = 10.0, 120.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--promotions", type=int, default=500, help="how many are asked for")
    parser.add_argument("--seed", type=int, default=None, help="replay this one (default: any)")
    parser.add_argument("--data", type=Path, default=None, help="keep logs and databases here")
    given = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if given.seed is None else given.seed
    data = (given.data or Path(tempfile.mkdtemp(prefix="countersign-chaos-"))).resolve()
    say(f"Chaos: {given.promotions} promotions with seed {seed}; logs in {data}")
    began = time.monotonic()
    with standing(data) as stage:
        say(f"Everything is running ({time.monotonic() - began:.0f} s).")
        problems = run(stage, given.promotions, seed)
    if problems:
        say(f"\n{len(problems)} PROBLEMS. The same plan again:")
        say(f"  python -m tests.chaos --promotions {given.promotions} --seed {seed}")
        say(f"Logs and databases are kept in {data}")
        return 1
    say(f"\nAll is true ({time.monotonic() - began:.0f} s in all, seed {seed}).")
    if given.data is None:
        shutil.rmtree(data, ignore_errors=True)
    return 0


def run(stage: Stage, promotions: int, seed: int) -> list[str]:
    """Walk the plan, judge what it left, report. Returns the problems."""
    from tests.chaos.checker import problems_with
    from tests.chaos.driver import Driver
    from tests.chaos.evidence import gather
    from tests.chaos.outside import Outside
    from tests.chaos.troubles import Troubles

    outside = Outside(
        github=stage.env["GITHUB_API_URL"],
        mlflow=stage.env["MLFLOW_TRACKING_URI"],
        slack=stage.env["SLACK_API_URL"].removesuffix("/api/"),
        token=stage.env["GITHUB_TOKEN"],
    )
    troubles = Troubles(stage, outside, random.Random(seed + 1))
    driver = Driver(stage, outside, troubles)
    driver.furnish()
    began = time.monotonic()
    driver.walk(
        errands(promotions, seed),
        seconds=SECONDS_AT_LEAST + SECONDS_EACH * promotions,
        progress=lambda ended: say(f"  {ended} have ended ({time.monotonic() - began:.0f} s)"),
    )
    struck = troubles.struck()
    driver.drain()
    took = time.monotonic() - began
    evidence = gather(outside, stage.out, expected=promotions)
    problems = [*driver.problems, *problems_with(evidence)]

    ends = Counter(each.delivery or each.status for each in evidence.promotions)
    tokens = Counter(each.token for each in evidence.runs)
    steps = [step for each in evidence.promotions for step in each.steps]
    say(f"\n{promotions} promotions in {took:.0f} s, seed {seed}")
    table(ends)
    say(f"\n{len(steps)} steps, {len(evidence.runs)} runs on GitHub")
    table(
        {
            "most runs of one step": max(tokens.values(), default=0),
            "steps dispatched once more by a person": sum(each.dispatches > 1 for each in steps),
            "runs lost": sum(
                each.id not in {step.run_id for step in steps} for each in evidence.runs
            ),
            "workers started again after they were killed": stage.killed,
            "workers started again that ended by themselves": stage.ended,
        }
    )
    say("\nWhat struck, and how often")
    table(struck)
    say("\nWhat people did")
    table(driver.did)
    if driver.refused:
        say("\nWhat people were refused, because something was quicker")
        table(driver.refused)
    for problem in problems:
        say(f"PROBLEM: {problem}")
    return problems


def table(rows: Counter[str] | dict[str, int]) -> None:
    """Names and numbers, by name."""
    for name, count in sorted(rows.items()):
        say(f"  {count:6d}  {name}")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
