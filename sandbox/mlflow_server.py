"""The demo's MLflow: the real server, small. `python -m sandbox.mlflow_server --port P --data D`.

The same application as `mlflow server` starts, in one process instead of a starter and its worker, which
both import all of MLflow: ready in five seconds and 0.3 GB instead of ten and 0.5 GB; without the
job runner, which would take 20 s and 3 GB. (More workers would also add about 43 ms to every request
on a kept-alive connection, uvicorn#3149.)
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path

HEALTH = "/health"
# Relative to the folder it runs in: no path has to be quoted in an address.
DATABASE, ARTIFACTS, ARTIFACT_ROOT = "sqlite:///mlflow.db", "./artifacts", "mlflow-artifacts:/"


def command(port: int) -> list[str]:
    """The server's command line. Its data is the folder in which it runs."""
    # -P: this file's neighbours must not pass for packages of the same name.
    return [sys.executable, "-P", str(Path(__file__).resolve()), f"--port={port}", "--data=."]


def environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """What the server needs besides the environment that it inherits."""
    return {
        **inherited,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_TRACKING_URI": "",  # the server must not be a client of itself
    }


def serve(port: int) -> None:
    """Serve until a signal comes, with the data in the folder in which it runs."""
    os.environ.update(environment(os.environ))
    import uvicorn
    from mlflow.server import constants, handlers

    # What `mlflow server` hands to its worker for these options; requirements/sandbox.txt pins MLflow.
    os.environ[constants.BACKEND_STORE_URI_ENV_VAR] = DATABASE
    os.environ[constants.ARTIFACTS_DESTINATION_ENV_VAR] = ARTIFACTS
    os.environ[constants.ARTIFACT_ROOT_ENV_VAR] = ARTIFACT_ROOT
    os.environ[constants.SERVE_ARTIFACTS_ENV_VAR] = "true"
    handlers.initialize_backend_stores(DATABASE, default_artifact_root=ARTIFACT_ROOT)
    uvicorn.run("mlflow.server.fastapi_app:app", host="127.0.0.1", port=port, log_level="warning")


def main() -> None:
    parser = argparse.ArgumentParser(description="The demo's MLflow server.")
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument("--data", type=Path, default=Path("var/mlflow"))
    arguments = parser.parse_args()
    arguments.data.mkdir(parents=True, exist_ok=True)
    os.chdir(arguments.data)
    serve(arguments.port)


if __name__ == "__main__":
    main()
