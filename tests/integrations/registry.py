"""A real MLflow server for the tests, and what people do to it behind the product's back."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from pytest_django.fixtures import Settings

from sandbox.mlflow_server import command, environment

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
START_SECONDS = 90


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The tracking URI of a real server, started once per test process."""
    data = tmp_path_factory.mktemp("mlflow")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with (data / "log").open("wb") as log:
        server = subprocess.Popen(
            command(port),
            cwd=data,
            env=environment(os.environ),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, server, data / "log")
        yield url
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=20)


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        assert server.poll() is None, f"MLflow ended:\n{log.read_text()[-2000:]}"
        try:
            if requests.get(f"{url}/health", timeout=2).ok:
                return
        except requests.RequestException:
            pass
        assert time.monotonic() < until, f"MLflow did not start:\n{log.read_text()[-2000:]}"
        time.sleep(0.2)


class Registry:
    """Registers small versions, and changes them as their owner could."""

    def __init__(self, url: str) -> None:
        from mlflow import MlflowClient

        self.client = MlflowClient(tracking_uri=url, registry_uri=url)

    def register(
        self, name: str, *, metrics: dict[str, float], mlmodel: str = "flavors: {}\n"
    ) -> int:
        """A new version with a finished run and three small files; its number."""
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model(name)
        except MlflowException as error:
            assert error.error_code == "RESOURCE_ALREADY_EXISTS", error
        run = self.client.create_run("0")
        for metric, value in metrics.items():
            self.client.log_metric(run.info.run_id, metric, value)
        self.client.log_text(run.info.run_id, mlmodel, "model/MLmodel")
        self.client.log_text(run.info.run_id, "weights 1", "model/weights.txt")
        self.client.log_text(run.info.run_id, "more", "model/data/more.txt")
        self.client.set_terminated(run.info.run_id)
        version = self.client.create_model_version(
            name, f"{run.info.artifact_uri}/model", run_id=run.info.run_id
        )
        return int(version.version)

    def _run(self, name: str, number: int) -> str:
        return str(self.client.get_model_version(name, str(number)).run_id)

    def overwrite_metric(self, name: str, number: int, metric: str, value: float) -> None:
        self.client.log_metric(self._run(name, number), metric, value)

    def overwrite_artifact(self, name: str, number: int) -> None:
        self.client.log_text(self._run(name, number), "weights 2", "model/weights.txt")

    def alias(self, name: str, alias: str) -> int | None:
        found = self.client.get_registered_model(name).aliases.get(alias)
        return int(found) if found is not None else None

    def delete(self, name: str) -> None:
        self.client.delete_registered_model(name)

    def clear(self) -> None:
        for model in self.client.search_registered_models():
            self.client.delete_registered_model(model.name)


@pytest.fixture
def registry(mlflow_server: str, settings: Settings) -> Iterator[Registry]:
    """An empty registry, and the product pointed at it."""
    settings.MLFLOW_TRACKING_URI = mlflow_server
    registry = Registry(mlflow_server)
    yield registry
    registry.clear()
