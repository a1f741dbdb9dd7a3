"""Every process of a run: real PostgreSQL, Redis, MLflow, Celery and the web process, and the stand-ins."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.supervisor import answers
from tests.stack.product import free_ports

ROOT = Path(__file__).resolve().parent.parent.parent
START_SECONDS = 90.0
LEASE_SECONDS = 2.0
# What tests.plugin or somebody's shell set for another world.
THEIRS = ("DATABASE_URL", "REDIS_URL", "COUNTERSIGN_TEST_READY", "GITHUB_APP_ID", "DEBUG")
WORKERS = ("worker-1", "worker-2")
SECRET = "only-for-the-chaos-suite-" + "x" * 40
CONFIGURATION = Path(__file__).with_name("countersign.yaml")
REPOSITORY = Path(__file__).with_name("repository")


def environment(data: Path, inherited: Mapping[str, str]) -> dict[str, str]:
    """What all processes share but the database's and the broker's address. The times are short, so that what
    takes a minute in production takes seconds here."""
    web, mlflow, github, slack = (f"http://127.0.0.1:{port}" for port in free_ports(4))
    return {
        **{name: value for name, value in inherited.items() if name not in THEIRS},
        "SANDBOX": "1",
        "SECRET_KEY": SECRET,
        "BASE_URL": web,
        "ALLOWED_HOSTS": "127.0.0.1,localhost",
        "MLFLOW_TRACKING_URI": mlflow,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "GITHUB_API_URL": github,
        "GITHUB_TOKEN": SECRET,
        "GITHUB_WEBHOOK_SECRET": SECRET,
        "SLACK_API_URL": f"{slack}/api/",
        "SLACK_BOT_TOKEN": f"xoxb-{SECRET}",
        "SLACK_SIGNING_SECRET": SECRET,
        "SLACK_TEAM_ID": "T0ACME",
        "COUNTERSIGN_CONFIG": str(CONFIGURATION),
        "COUNTERSIGN_VAR": str(data),
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "LOG_LEVEL": "WARNING",
        "TICK_SECONDS": "1",
        "MLFLOW_POLL_SECONDS": "5",
        "GITHUB_POLL_SECONDS": "15",
        "GITHUB_FOLLOW_SECONDS": "0.5",
        "DISPATCH_LOOKUP_SECONDS": "4",
        # 500 promotions in one channel: at Slack's own pace that would take half an hour.
        "SLACK_POST_SECONDS": "0.01",
        "EFFECT_LEASE_SECONDS": str(LEASE_SECONDS),
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "ignore",
    }


@dataclass
class Stage:
    """The processes by name; a process leads a group of its own."""

    data: Path
    env: dict[str, str]
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    killed: int = 0
    ended: int = 0  # by themselves, which kombu brings about now and then when Redis goes away

    @property
    def out(self) -> Path:
        """Where workflow runs write, and look up how they are to end."""
        return self.data / "out"

    @property
    def failpoints(self) -> Path:
        """Where points are armed."""
        return self.data / "failpoints"

    def start(self, name: str) -> None:
        """Start a process; what it says goes to its log."""
        env = dict(self.env)
        if name in WORKERS:
            env["COUNTERSIGN_FAILPOINTS"] = str(self.failpoints)
        with (self.data / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                [sys.executable, "-m", *self._commands()[name]],
                cwd=ROOT,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _commands(self) -> dict[str, list[str]]:
        """How each process is started: the product's as in docker-compose.yml, the others as in the sandbox."""
        env = self.env
        port = {
            name: env[name].removesuffix("/api/").rsplit(":", 1)[1]
            for name in ("BASE_URL", "MLFLOW_TRACKING_URI", "GITHUB_API_URL", "SLACK_API_URL")
        }
        celery = ["celery", "--quiet", "--app=config"]
        worker = [*celery, "worker", "--concurrency=2", "--without-gossip", "--without-mingle"]
        # Read before the worker forks: importing MLflow's client once, not in each child, halves a restart.
        worker.append("--include=integrations.mlflow.sync,integrations.mlflow.artifacts")
        web = f"{env['BASE_URL']}/integrations"
        return {
            "mlflow": [
                "sandbox.mlflow_server",
                f"--port={port['MLFLOW_TRACKING_URI']}",
                f"--data={self.data / 'mlflow'}",
            ],
            "github": [
                "sandbox.github",
                f"--port={port['GITHUB_API_URL']}",
                f"--data={self.data / 'github'}",
                f"--repository=acme/ml-models={REPOSITORY}",
                f"--webhook-url={web}/github/webhook",
                f"--var=OUT={self.out}",
                "--rate-limit=10000000",
            ],
            "slack": [
                "sandbox.slack",
                f"--port={port['SLACK_API_URL']}",
                f"--data={self.data / 'slack'}",
                f"--events-url={web}/slack/events",
            ],
            "web": [
                "config.serve",
                f"--port={port['BASE_URL']}",
                "--threads=4",
            ],
            **{
                name: [*worker, "--loglevel=WARNING", f"--hostname={name}@chaos"]
                for name in WORKERS
            },
            **{
                name: [
                    *celery,
                    "beat",
                    "--loglevel=WARNING",
                    "--pidfile=",
                    f"--schedule={self.data / name}",
                ]
                for name in ("beat-1", "beat-2")
            },
        }

    def wait(self, *addresses: str) -> None:
        """Wait until they answer. Raises RuntimeError when one does not, or a process has ended."""
        until = time.monotonic() + START_SECONDS
        for address in addresses:
            while not answers(address):
                for name, process in self.running.items():
                    if process.poll() is not None:
                        raise RuntimeError(f"{name} ended; see {self.data / name}.log")
                if time.monotonic() > until:
                    raise RuntimeError(f"{address} does not answer; see the logs in {self.data}")
                time.sleep(0.1)

    def tend(self) -> None:
        """Start again what has died: the workers, which die on purpose. Raises RuntimeError for anything else."""
        for name, process in list(self.running.items()):
            if process.poll() is None:
                continue
            if name not in WORKERS:
                raise RuntimeError(f"{name} ended by itself; see {self.data / name}.log")
            self._signal(process, signal.SIGKILL)
            if process.returncode == -signal.SIGKILL:
                self.killed += 1
            else:
                self.ended += 1
            self.start(name)

    def freeze(self, name: str) -> None:
        """Stop a worker in its tracks, with its children."""
        self._signal(self.running[name], signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """Let it go on, late."""
        self._signal(self.running[name], signal.SIGCONT)

    def stop(self) -> None:
        """End everything: what uses others first."""
        for name, process in reversed(self.running.items()):
            self.thaw(name)
            process.terminate()
        until = time.monotonic() + 6
        for process in self.running.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, until - time.monotonic()))
            self._signal(process, signal.SIGKILL)
            process.wait(5)

    @staticmethod
    def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)


@contextmanager
def standing(data: Path) -> Iterator[Stage]:
    """Everything running, with a fresh database and the suite's configuration applied; this process is a Django
    process of the product from here on."""
    from config import embedded

    os.environ.update(environment(data, os.environ))
    for name in THEIRS:
        os.environ.pop(name, None)
    stage = Stage(data, dict(os.environ))
    os.environ["LOG_LEVEL"] = "ERROR"  # of this process; the others keep their logs
    for folder in (stage.out, stage.failpoints):
        folder.mkdir(parents=True)
    try:
        for name in ("mlflow", "github", "slack"):
            stage.start(name)
        for name, address in (
            ("DATABASE_URL", embedded.postgres_url),
            ("REDIS_URL", embedded.redis_url),
        ):
            os.environ[name] = stage.env[name] = address(data)
        _prepare_database()
        for name in ("web", *WORKERS):
            stage.start(name)
        github, slack = stage.env["GITHUB_API_URL"], stage.env["SLACK_API_URL"]
        stage.wait(f"{github}/", slack.removesuffix("api/"), f"{stage.env['BASE_URL']}/healthz")
        stage.wait(f"{stage.env['MLFLOW_TRACKING_URI']}/health")
        yield stage
    finally:
        stage.stop()
        from django.db import connection

        with suppress(Exception):
            connection.close()
        embedded.stop()


def _prepare_database() -> None:
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", "--no-input", "-v0")
    call_command("apply_configuration", stdout=io.StringIO())
