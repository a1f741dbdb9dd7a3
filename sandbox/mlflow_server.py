"""The demo's MLflow: the real server, small. `python -m sandbox.mlflow_server --port P --data D`.

One worker and no job runner: ready in about six seconds and 0.5 GB instead of 20 s and 3 GB. (More
workers would also add about 43 ms to every request on a kept-alive connection, uvicorn#3149.)
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path

HEALTH = "/health"


def command(port: int) -> list[str]:
    """The server's command line. Its data is the folder in which it runs."""
    return [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        # Relative to the folder it runs in: no path has to be quoted in an address.
        *("--backend-store-uri", "sqlite:///mlflow.db"),
        *("--artifacts-destination", "./artifacts"),
        *("--uvicorn-opts", "--log-level warning"),
    ]


def environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """What the server needs besides the environment that it inherits."""
    return {
        **inherited,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_TRACKING_URI": "",  # the server must not be a client of itself
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="The demo's MLflow server.")
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument("--data", type=Path, default=Path("var/mlflow"))
    arguments = parser.parse_args()
    arguments.data.mkdir(parents=True, exist_ok=True)
    os.chdir(arguments.data)
    os.execve(sys.executable, command(arguments.port), environment(os.environ))  # noqa: S606 - replaces this process: one id to stop


if __name__ == "__main__":
    main()
