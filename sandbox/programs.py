"""What `make run` keeps running: the outside world's servers and the product's own processes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from sandbox import mlflow_server
from sandbox.environment import ROOT
from sandbox.supervisor import Program

MODELS = ROOT / "examples" / "model-repository"


def outside_world(env: Mapping[str, str], data: Path) -> list[Program]:
    """MLflow and the stand-ins, the slowest first. None of them needs the database."""
    base, mlflow, github = env["BASE_URL"], env["MLFLOW_TRACKING_URI"], env["GITHUB_API_URL"]
    slack = env["SLACK_API_URL"].removesuffix("api/")
    return [
        _python(
            ("mlflow", "MLflow", mlflow + mlflow_server.HEALTH),
            "sandbox.mlflow_server",
            f"--port={env['MLFLOW_PORT']}",
            f"--data={data / 'mlflow'}",
        ),
        _python(
            ("github", "GitHub stand-in", f"{github}/"),
            "sandbox.github",
            f"--port={env['GITHUB_PORT']}",
            f"--data={data / 'github'}",
            f"--repository=acme/ml-models={MODELS}",
            f"--webhook-url={base}/integrations/github/webhook",
            f"--var=MLFLOW_TRACKING_URI={mlflow}",
            f"--var=SERVING_DIR={data / 'serving'}",
        ),
        _python(
            ("slack", "Slack stand-in", slack),
            "sandbox.slack",
            f"--port={env['SLACK_PORT']}",
            f"--data={data / 'slack'}",
            f"--events-url={base}/integrations/slack/events",
        ),
        _python(
            ("mail", "Mail stand-in", env["SANDBOX_MAIL_URL"]),
            "sandbox.mail",
            f"--port={env['MAIL_PORT']}",
            f"--smtp-port={env['MAIL_SMTP_PORT']}",
        ),
    ]


def inside_world(env: Mapping[str, str]) -> list[Program]:
    """The product: worker, web and, last, beat. The worker is ready when its first heartbeat is seen."""
    base = env["BASE_URL"]
    return [
        _python(
            ("worker", "Worker", f"{base}/readyz"),
            "celery",
            "--quiet",
            "--app=config",
            "worker",
            "--concurrency=2",
            "--without-gossip",
            "--without-mingle",
            "--loglevel=WARNING",
            uses_others=True,
        ),
        _python(
            ("web", "Web", f"{base}/healthz"),
            "config.serve",
            f"--port={env['PORT']}",
            "--threads=8",
            uses_others=True,
        ),
        _python(
            ("beat", "Beat", None),
            "celery",
            "--quiet",
            "--app=config",
            "beat",
            "--loglevel=WARNING",
            "--pidfile=",
            uses_others=True,
        ),
    ]


def _python(
    names: tuple[str, str, str | None], module: str, *arguments: str, uses_others: bool = False
) -> Program:
    name, title, ready = names
    return Program(name, [sys.executable, "-m", module, *arguments], ready, title, uses_others)
