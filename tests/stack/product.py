"""The whole product as ``make run`` starts it, on free ports and a fresh data folder."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).resolve().parent.parent.parent
PORTS = ("PORT", "MLFLOW_PORT", "GITHUB_PORT", "SLACK_PORT", "MAIL_PORT", "MAIL_SMTP_PORT")
READY = "Countersign is ready"
START_SECONDS = 400
# What tests.plugin set for this process; the product must find its own.
OURS = ("DATABASE_URL", "REDIS_URL", "EFFECT_LEASE_SECONDS", "LOG_LEVEL", "COUNTERSIGN_TEST_READY")


@dataclass(frozen=True)
class Product:
    """Where everything answers."""

    web: str
    mlflow: str
    github: str
    slack: str
    mail: str
    data: Path

    def said(self) -> list[str]:
        """What was on the terminal so far, by lines."""
        return (self.data.parent / "run.log").read_text(errors="replace").splitlines()

    def github_has(self, path: str) -> Any:
        """GitHub's answer about ``acme/ml-models``, asked past the product."""
        secrets = json.loads((self.data / "secrets.json").read_text())
        return _get(
            f"{self.github}/repos/acme/ml-models/{path}",
            {"Authorization": f"Bearer {secrets['GITHUB_TOKEN']}"},
        )

    def mlflow_has(self, path: str) -> Any:
        """MLflow's answer, asked past the product."""
        return _get(f"{self.mlflow}/api/2.0/mlflow/{path}", {})


def _get(url: str, headers: dict[str, str]) -> Any:
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(url, headers=headers, timeout=10)
        answer.raise_for_status()
        return answer.json()


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, all different."""
    with ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [each.getsockname()[1] for each in sockets]


@contextmanager
def running(data: Path) -> Iterator[Product]:
    """Start as the README says, wait for the block that says it is ready, stop with Ctrl-C's signal."""
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    environment = {key: value for key, value in os.environ.items() if key not in OURS}
    environment |= {name: str(port) for name, port in ports.items()}
    environment["COUNTERSIGN_VAR"] = str(data)
    log = data.parent / "run.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "sandbox.run"],
            cwd=ROOT,
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait(process, log)
        web, mlflow, github, slack, mail, _ = (
            f"http://127.0.0.1:{port}" for port in ports.values()
        )
        yield Product(web, mlflow, github, slack, mail, data)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            code = process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    assert code == 0, log.read_text()[-3000:]


def _wait(process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while READY not in log.read_text(errors="replace"):
        assert process.poll() is None, log.read_text(errors="replace")[-3000:]
        assert time.monotonic() < until, log.read_text(errors="replace")[-3000:]
        time.sleep(0.3)
