"""`make run`: the whole product with its stand-ins, on this machine, until Ctrl-C.

In order: check, start the servers, prepare the database, start the product, make the demo's models
and their history once, say where everything is. `--reset` forgets the data instead.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from config import embedded
from config.environment import Misconfigured
from sandbox.environment import (
    ROOT,
    StartError,
    build,
    check_free,
    data_folder,
    read_ports,
    read_secrets,
)
from sandbox.programs import inside_world, outside_world
from sandbox.supervisor import Program, Supervisor, SupervisorError

LOOK_SECONDS = 3.0  # how often the embedded servers are looked after
START_SECONDS = 120.0  # generous: a cold disk and two cores
SEEDED = "seeded"  # this file in the data says that the first run is over


def main() -> int:
    parser = argparse.ArgumentParser(prog="make run", description=__doc__)
    parser.add_argument("--reset", action="store_true", help="forget the demo's data and stop")
    data = data_folder()
    try:
        if parser.parse_args().reset:
            return reset(data)
        return run(data)
    except (StartError, SupervisorError, Misconfigured) as problem:
        print(f"\n{problem}", file=sys.stderr)
        return 1


def run(data: Path) -> int:
    ports = read_ports(os.environ)
    with only_one(data) as state:
        check_free(ports)
        env = build(os.environ, data, ports, read_secrets(data / "secrets.json"))
        supervisor = Supervisor(logs=data / "log", env=env, cwd=ROOT)
        supervisor.catch_signals()
        try:
            serve(supervisor, env, data, state)
        finally:
            supervisor.say("\nStopping …")
            supervisor.stop()
            embedded.stop()
            supervisor.say("Everything is stopped. `make run` continues with the same data.")
    return 0


def serve(supervisor: Supervisor, env: dict[str, str], data: Path, state: IO[str]) -> None:
    """Start everything in a sensible order and keep it running until a signal comes."""
    say = supervisor.say
    started = time.monotonic()
    say("Starting Countersign …")
    outside, inside = outside_world(env, data), inside_world(env)
    *product, beat = inside

    def start(programs: Iterable[Program]) -> None:
        for program in programs:
            supervisor.start(program)
        remember(state, supervisor)

    start(outside)  # the slowest first; they need no database
    for name, address in (
        ("DATABASE_URL", embedded.postgres_url),
        ("REDIS_URL", embedded.redis_url),
    ):
        if not env.get(name):
            env[name] = address(data)
    say("  PostgreSQL and Redis: ready")

    supervisor.run(
        "Database, static files, configuration", [sys.executable, "-m", "sandbox.prepare"]
    )
    start(product)
    for program in outside:
        supervisor.wait_ready(program, START_SECONDS)
    start([beat])  # the worker looks outside only when told to, and would complain before now
    for program in inside:
        supervisor.wait_ready(program, START_SECONDS)
    if not (data / SEEDED).exists():
        demo = [sys.executable, "-m", "sandbox.demo.seed"]
        supervisor.run("Demo models and their history", demo, show=True)
    if supervisor.stopping:
        return
    (data / SEEDED).touch()
    say(welcome(env, time.monotonic() - started))
    looked = time.monotonic()
    while not supervisor.stopping:
        if supervisor.tend():
            remember(state, supervisor)
        if time.monotonic() - looked > LOOK_SECONDS:
            looked = time.monotonic()
            for name in embedded.revive():
                say(f"The embedded {name} had ended; it was started again.")
        time.sleep(0.3)


def welcome(env: Mapping[str, str], seconds: float) -> str:
    slack = env["SLACK_API_URL"].removesuffix("api/")
    return f"""
──────────────────────────────────────────────────────────────────────────────────
  Countersign is ready ({seconds:.0f} s)

    Countersign   {env["BASE_URL"]}/
    MLflow        {env["MLFLOW_TRACKING_URI"]}/
    GitHub        {env["GITHUB_API_URL"]}/acme/ml-models/actions  (a stand-in; it really runs them)
    Slack         {slack}  (a stand-in; be anybody in #model-releases)
    Mail          {env["SANDBOX_MAIL_URL"]}  (a stand-in; what Countersign writes to people)

  Who you can be (one click on the sign-in page, no password)
    alice    ML engineer, asks            bob    ML lead, approves
    carol    risk, approves               dave   platform
    mallory  may do nothing               (ci, who asked for some of it, is a machine account)

  What to try
    1. Sign in as alice: models, environments, and what is live where.
    2. Open fraud-detector version 2, compare it with the live one, request production.
    3. In Slack press Approve as bob; then try the same as mallory.
    4. Sign in as carol, open the inbox, approve; watch the deployment run.
    5. Read the timeline: who asked, who approved, what ran, what changed.
    6. Roll back from the browser, and once more from Slack.

  Ctrl-C stops everything. `make run` goes on where you were; `make reset` starts over.
──────────────────────────────────────────────────────────────────────────────────"""


# --- one at a time, and nothing left behind ----------------------------------------------------


@contextmanager
def only_one(data: Path) -> Iterator[IO[str]]:
    """Hold `data` for this process. Ends what a killed predecessor left running there.

    Raises StartError when another process holds it.
    """
    data.mkdir(parents=True, exist_ok=True)
    with (data / "run.json").open("a+") as state:
        try:
            fcntl.flock(state, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StartError(
                f"Countersign already runs with the data in {data}. Stop it first (Ctrl-C there)."
            ) from error
        end_leftovers(state)
        try:
            yield state
        finally:
            write_state(state, [])


def end_leftovers(state: IO[str]) -> None:
    """A process id may have a new owner by now, so its time of birth has to match as well."""
    import psutil

    state.seek(0)
    try:
        known = json.load(state)
    except ValueError:
        return
    left = []
    for process_id, born in known:
        try:
            process = psutil.Process(process_id)
            if process.create_time() == born:
                left += [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
    for process in left:
        process.terminate()
    for process in psutil.wait_procs(left, timeout=8)[1]:
        process.kill()
    if left:
        print(f"Ended {len(left)} processes that a former run had left behind.", flush=True)


def remember(state: IO[str], supervisor: Supervisor) -> None:
    import psutil

    alive = []
    for process_id in supervisor.process_ids().values():
        try:
            alive.append((process_id, psutil.Process(process_id).create_time()))
        except psutil.NoSuchProcess:
            continue
    write_state(state, alive)


def write_state(state: IO[str], processes: list[Any]) -> None:
    state.seek(0)
    state.truncate()
    json.dump(processes, state)
    state.flush()


def reset(data: Path) -> int:
    """Forget the demo's data. Raises StartError while something still uses it."""
    if not data.exists():
        print("There is no data yet.")
        return 0
    with only_one(data):
        busy = embedded.stop_unused(data)
        if busy:
            raise StartError(
                f"{' and '.join(busy)} in {data} still serve another process (tests, a shell?). "
                "End that first."
            )
        shutil.rmtree(data)
    print(f"Removed {data}. `make run` starts over.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
