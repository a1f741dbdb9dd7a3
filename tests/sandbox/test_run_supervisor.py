"""The supervisor, with programs of a few lines instead of the whole product."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from config import embedded
from sandbox import run, supervisor
from sandbox.environment import ROOT, StartError
from sandbox.supervisor import Program, Supervisor, SupervisorError

PYTHON = [sys.executable, "-c"]

# A supervised program with a child of its own; says both ids; the child ignores SIGTERM.
STUBBORN_FAMILY = """
import os, subprocess, sys, time
child = "from signal import *; import time;signal(SIGTERM, SIG_IGN); print(1, flush=1); time.sleep(30)"
process = subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.PIPE)
process.stdout.readline()
print("family", os.getpid(), process.pid, flush=True)
time.sleep(30)
"""

SUPERVISE = """
import sys
from pathlib import Path
from sandbox.supervisor import Program, Supervisor
family = Program("family", [sys.executable, "-c", sys.argv[2]])
s = Supervisor(logs=Path(sys.argv[1]), env={}, cwd=Path.cwd())
s.catch_signals()
s.start(family)
import time
while not s.stopping:
    s.tend()
    time.sleep(0.05)
s.stop()
"""


def make(tmp_path: Path) -> tuple[Supervisor, io.StringIO]:
    out = io.StringIO()
    return Supervisor(logs=tmp_path / "log", env=dict(os.environ), cwd=tmp_path, out=out), out


def wait_for(condition: object, seconds: float = 15) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def alive(process_id: int) -> bool:
    """A zombie is dead: nobody has asked for its exit code yet."""
    try:
        return bool(psutil.Process(process_id).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_every_program_and_what_it_started(
    number: signal.Signals, tmp_path: Path
) -> None:
    main = subprocess.Popen(
        [*PYTHON, SUPERVISE, str(tmp_path), STUBBORN_FAMILY],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert main.stdout is not None
    line = main.stdout.readline()
    assert line.startswith("family |")
    family = [int(word) for word in line.split()[-2:]]
    assert all(alive(one) for one in family)

    main.send_signal(number)
    main.communicate(timeout=10)

    assert main.returncode == 0
    assert not any(alive(one) for one in family)
    assert line.split("| ")[1] in (tmp_path / "family.log").read_text()


def test_a_program_that_keeps_dying_is_restarted_and_then_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "RESTARTS", 1)
    subject, out = make(tmp_path)
    subject.start(Program("worker", [*PYTHON, "print('out of luck'); raise SystemExit(3)"]))
    with pytest.raises(SupervisorError, match=r"worker ended 2 times.*exit code 3") as problem:
        wait_for(lambda: subject.tend() and False)
    assert "out of luck" in str(problem.value)
    assert "worker ended with exit code 3; starting it again in 1 s (1 of 1)." in out.getvalue()
    subject.stop()


def test_a_program_that_never_answers_is_named_with_its_last_words(tmp_path: Path) -> None:
    subject, _ = make(tmp_path)
    program = Program(
        "mlflow",
        [*PYTHON, "import time; print('still loading', flush=True); time.sleep(30)"],
        "http://127.0.0.1:9/health",
        "MLflow",
    )
    subject.start(program)
    log = tmp_path / "log" / "mlflow.log"
    wait_for(lambda: log.exists() and log.read_text())
    try:
        with pytest.raises(SupervisorError, match="MLflow did not answer at") as problem:
            subject.wait_ready(program, 0.5)
        assert "still loading" in str(problem.value)
    finally:
        process_id = subject.process_ids()["mlflow"]
        subject.stop()
    assert not alive(process_id)


def test_a_step_that_fails_says_why(tmp_path: Path) -> None:
    subject, out = make(tmp_path)
    subject.run("Database", [*PYTHON, "print('fine')"], show=True)
    assert "fine" in out.getvalue()
    assert "Database: ready" in out.getvalue()
    with pytest.raises(SupervisorError, match=r"Database failed:\nno space left"):
        subject.run("Database", [*PYTHON, "raise SystemExit('no space left')"])


def test_only_one_demo_uses_the_data_at_a_time(tmp_path: Path) -> None:
    with run.only_one(tmp_path):
        with pytest.raises(StartError, match="already runs"), run.only_one(tmp_path):
            pass
        with pytest.raises(StartError, match="already runs"):
            run.reset(tmp_path)
    assert run.reset(tmp_path) == 0
    assert not tmp_path.exists()


def test_what_a_killed_run_left_behind_is_ended_and_nothing_else(tmp_path: Path) -> None:
    with (
        subprocess.Popen([*PYTHON, "import time; time.sleep(30)"]) as left,
        subprocess.Popen([*PYTHON, "import time; time.sleep(30)"]) as stranger,
    ):
        born = psutil.Process(left.pid).create_time()
        # The stranger has an id that a former program once had, but was born later.
        known = [[left.pid, born], [stranger.pid, born - 1000]]
        (tmp_path / "run.json").write_text(json.dumps(known))
        with run.only_one(tmp_path):
            assert not alive(left.pid)
            assert alive(stranger.pid)
        stranger.kill()


def test_reset_refuses_while_a_server_is_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "stop_unused", lambda data: ["PostgreSQL"])
    (tmp_path / "precious").touch()
    with pytest.raises(StartError, match=r"PostgreSQL in .* still serve"):
        run.reset(tmp_path)
    assert (tmp_path / "precious").exists()
