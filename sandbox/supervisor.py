"""Runs several programs under one roof: labelled logs, health, restarts, and an orderly end.

Each program leads a process group of its own, so Ctrl-C in the terminal reaches only the
supervisor, which then stops every program and whatever those programs started.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TextIO

RESTARTS = 3  # in a row; a program that ran for STEADY_SECONDS starts with a clean slate
STEADY_SECONDS = 60.0
STOP_SECONDS = 4.5  # for each of the two waves
COLOURS = (36, 33, 32, 35, 34, 31, 96, 93)


@dataclass(frozen=True)
class Program:
    """A command to keep running. `ready` is an address that answers 200 when it is of use.

    What uses others is stopped before them, so that it does not complain about their absence.
    """

    name: str
    command: list[str]
    ready: str | None = None
    title: str = ""
    uses_others: bool = False


class SupervisorError(RuntimeError):
    """A program does not run; the message is a sentence for the user."""


@dataclass
class _Running:
    program: Program
    process: subprocess.Popen[str]
    started: float
    reader: threading.Thread
    restarts: int = 0
    restart_at: float | None = None


@dataclass
class Supervisor:
    """Starts programs, watches them, stops them. One thread uses it; logs have their own."""

    logs: Path
    env: Mapping[str, str]
    cwd: Path
    out: TextIO = field(default_factory=lambda: sys.stdout)
    stopping: bool = False  # an Event could lock up: its set() in a signal handler may wait for us
    _running: dict[str, _Running] = field(default_factory=dict)
    _print: threading.Lock = field(default_factory=threading.Lock)

    def catch_signals(self) -> None:
        """SIGINT and SIGTERM set `stopping`, which ends every wait; a second one kills."""

        def ask(number: int, frame: FrameType | None) -> None:
            if self.stopping:
                self._signal_all(signal.SIGKILL)
            self.stopping = True

        signal.signal(signal.SIGINT, ask)
        signal.signal(signal.SIGTERM, ask)

    def say(self, line: str) -> None:
        """One line on the terminal, never mixed with another thread's."""
        # A terminal that is gone is no reason to stop: the log files stay.
        with self._print, suppress(OSError):
            print(line, file=self.out, flush=True)

    def start(self, program: Program) -> None:
        """Start `program`. Its output goes to the terminal and to `logs/<name>.log`."""
        self.logs.mkdir(parents=True, exist_ok=True)
        process = self._spawn(program.command)
        former = self._running.get(program.name)
        place = list(self._running).index(program.name) if former else len(self._running)
        reader = threading.Thread(target=self._relay, args=(program, process, place), daemon=True)
        reader.start()
        self._running[program.name] = _Running(
            program, process, time.monotonic(), reader, former.restarts if former else 0
        )

    def run(self, title: str, command: list[str], *, show: bool = False) -> None:
        """Run `command` to its end; `show` passes its lines on. A signal ends it early.

        Raises SupervisorError, with what the command said, when it fails.
        """
        if self.stopping:
            return
        began = time.monotonic()
        process = self._spawn(command)
        said: list[str] = []

        def listen() -> None:
            assert process.stdout is not None
            with process.stdout:
                for line in process.stdout:
                    said.append(line)
                    if show:
                        self.say(f"  {line.strip()}")

        reader = threading.Thread(target=listen, daemon=True)
        reader.start()
        while process.poll() is None:
            if self.stopping:
                break
            self.tend()
            time.sleep(0.1)
        self._end_group(process.pid)
        process.wait()
        reader.join(1)
        if self.stopping:
            return
        if process.returncode != 0:
            raise SupervisorError(f"{title} failed:\n{''.join(said[-25:]).rstrip()}")
        self.say(f"  {title}: ready ({time.monotonic() - began:.1f} s)")

    def process_ids(self) -> dict[str, int]:
        """Each program's process id, which is also its process group."""
        return {name: running.process.pid for name, running in self._running.items()}

    def wait_ready(self, program: Program, seconds: float) -> None:
        """Wait until the program answers. Raises SupervisorError when it does not in time."""
        began = time.monotonic()
        pause = 0.1
        while not self.stopping:
            if program.ready is None or answers(program.ready):
                took = time.monotonic() - self._running[program.name].started
                self.say(f"  {program.title or program.name}: ready ({took:.1f} s)")
                return
            self.tend()
            if time.monotonic() - began > seconds:
                raise SupervisorError(
                    f"{program.title or program.name} did not answer at {program.ready} within "
                    f"{seconds:.0f} s. {self._last_words(program.name)}"
                )
            time.sleep(pause)
            pause = min(1.0, pause * 1.5)

    def tend(self) -> bool:
        """Restart what has died, each time later. Whether a program has a new process now.

        Raises SupervisorError when one ended RESTARTS times in a row and once more.
        """
        now = time.monotonic()
        restarted = False
        for running in list(self._running.values()):
            name = running.program.name
            code = running.process.poll()
            if code is None:
                continue
            if running.restart_at is not None:
                if now >= running.restart_at and not self.stopping:
                    self.start(running.program)
                    restarted = True
                continue
            self._end_group(running.process.pid)
            if now - running.started > STEADY_SECONDS:
                running.restarts = 0
            if running.restarts >= RESTARTS:
                raise SupervisorError(
                    f"{name} ended {RESTARTS + 1} times in a row (last exit code {code}). "
                    f"{self._last_words(name)}"
                )
            delay = 2**running.restarts
            running.restarts += 1
            running.restart_at = now + delay
            self.say(
                f"{name} ended with exit code {code}; starting it again in {delay} s "
                f"({running.restarts} of {RESTARTS})."
            )
        return restarted

    def stop(self) -> None:
        """Ask every program to end, wait, then insist; their own children end with them."""
        self.stopping = True
        everything = list(self._running.values())
        for wave in (True, False):
            self._stop([one for one in everything if one.program.uses_others is wave])

    def _stop(self, wave: list[_Running]) -> None:
        for running in wave:
            if running.process.poll() is None:
                running.process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for running in wave:
            try:
                running.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self.say(f"{running.program.name} did not end by itself; ending it.")
        for running in wave:
            self._end_group(running.process.pid)
            running.process.wait(5)
            running.reader.join(1)

    def _spawn(self, command: list[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            cwd=self.cwd,
            env=dict(self.env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )

    def _signal_all(self, number: signal.Signals) -> None:
        for running in self._running.values():
            _signal_group(running.process.pid, number)

    def _end_group(self, group: int) -> None:
        """End what a program has left behind in its group, politely first."""
        if not _signal_group(group, signal.SIGTERM):
            return
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline and _signal_group(group, 0):
            time.sleep(0.05)
        _signal_group(group, signal.SIGKILL)

    def _last_words(self, name: str) -> str:
        path = self.logs / f"{name}.log"
        self._running[name].reader.join(1)
        words = path.read_text(errors="replace").splitlines()[-12:] if path.exists() else []
        return f"Its log is {path} and ends with:\n" + "\n".join(f"    {line}" for line in words)

    def _relay(self, program: Program, process: subprocess.Popen[str], place: int) -> None:
        label = f"{program.name:<7}|"
        if self.out.isatty() and not os.environ.get("NO_COLOR"):
            label = f"\033[{COLOURS[place % len(COLOURS)]}m{label}\033[0m"
        assert process.stdout is not None
        with process.stdout, (self.logs / f"{program.name}.log").open("a") as log:
            for line in process.stdout:
                log.write(line)
                log.flush()
                self.say(f"{label} {line.rstrip()}")


def answers(address: str) -> bool:
    """Whether a GET of `address` is answered with 200 right now."""
    try:
        with urllib.request.urlopen(address, timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _signal_group(group: int, number: int) -> bool:
    """Whether there was anybody in the process group to receive the signal."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True
