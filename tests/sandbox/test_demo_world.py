"""The demo's models, trained for real and logged to a real MLflow server."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from sandbox.demo.models import MODELS
from sandbox.environment import ROOT
from sandbox.supervisor import answers

START_SECONDS = 60


class Github(ThreadingHTTPServer):
    """Remembers what the training asks of the GitHub stand-in."""

    asked: list[tuple[str, dict[str, Any]]]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answer(BaseHTTPRequestHandler):
    server: Github

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, body))
        answer = json.dumps({"sha": f"{len(self.server.asked):040x}"}).encode()
        self.send_response(201)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def github() -> Iterator[Github]:
    with Github(("127.0.0.1", 0), Answer) as server:
        server.asked = []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def mlflow_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    data = tmp_path_factory.mktemp("a folder with spaces")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with (data / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "sandbox.mlflow_server", f"--port={port}", f"--data={data}"],
            cwd=ROOT,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not answers(f"{url}/health"):
            assert time.monotonic() < deadline, (data / "log").read_text()
            time.sleep(0.2)
        yield url
    finally:
        os.killpg(server.pid, 15)
        server.wait(20)


@pytest.fixture(scope="module")
def trained(github: Github, mlflow_url: str) -> str:
    """The output of the first training, in a process of its own as `make run` starts it."""
    return _train(github.url, mlflow_url)


def _train(github_url: str, mlflow_url: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "sandbox.demo.train"],
        cwd=ROOT,
        env={**os.environ, "MLFLOW_TRACKING_URI": mlflow_url, "GITHUB_API_URL": github_url},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def versions(trained: str, mlflow_url: str) -> dict[tuple[str, int], tuple[Any, Any]]:
    """Each version with its run, by (name, number)."""
    from mlflow import MlflowClient

    client = MlflowClient(mlflow_url)
    return {
        (version.name, int(version.version)): (version, client.get_run(version.run_id or ""))
        for version in client.search_model_versions()
    }


def test_every_version_of_the_table_is_registered_with_progress_and_without_noise(
    trained: str, versions: dict[tuple[str, int], tuple[Any, Any]]
) -> None:
    expected = {(m.name, n) for m in MODELS for n in range(1, len(m.versions) + 1)}
    assert set(versions) == expected
    *progress, summary = trained.splitlines()
    assert len(progress) == len(expected)
    assert all(line.startswith("training ") for line in progress)
    assert summary.startswith(f"trained {len(expected)} model versions in ")


def test_each_run_tells_who_what_and_from_where(
    versions: dict[tuple[str, int], tuple[Any, Any]], github: Github
) -> None:
    commits = {f"{n:040x}" for n in range(1, len(github.asked) + 1)}
    for model in MODELS:
        for number, expected in enumerate(model.versions, start=1):
            version, run = versions[model.name, number]
            tags = run.data.tags
            assert version.description == expected.description
            assert tags["mlflow.user"] == expected.author
            assert tags["mlflow.source.git.commit"] in commits
            assert tags["mlflow.source.git.branch"] == "main"
            assert tags["mlflow.source.git.repoURL"] == f"{github.url}/acme/ml-models"
            assert tags["mlflow.source.name"] == "pipeline/train.py"
            assert "features" in run.data.params
            assert {"latency_ms", "auc"} <= set(run.data.metrics) or {
                "latency_ms",
                "mae",
            } <= set(run.data.metrics)
            contexts = {d.tags[0].value: d.dataset for d in run.inputs.dataset_inputs}
            assert set(contexts) == {"training", "evaluation"}
            assert {d.name for d in contexts.values()} == {model.dataset.name}


def test_versions_of_one_model_are_measured_on_the_same_evaluation_rows(
    versions: dict[tuple[str, int], tuple[Any, Any]],
) -> None:
    for model in MODELS:
        digests = {
            d.dataset.digest
            for number in range(1, len(model.versions) + 1)
            for d in versions[model.name, number][1].inputs.dataset_inputs
            if d.tags[0].value == "evaluation"
        }
        assert len(digests) == 1


def test_version_2_of_the_fraud_detector_is_better_than_1_and_3_is_worse(
    versions: dict[tuple[str, int], tuple[Any, Any]],
) -> None:
    first, second, third = (versions["fraud-detector", n][1].data.metrics for n in (1, 2, 3))
    for name in ("accuracy", "auc", "precision", "recall"):
        assert second[name] > first[name] + 0.02, name
    assert second["log_loss"] < first["log_loss"]
    for name in ("accuracy", "auc", "precision"):
        assert third[name] < first[name] - 0.02, name


def test_one_run_still_goes_on_and_all_others_are_finished(
    versions: dict[tuple[str, int], tuple[Any, Any]],
) -> None:
    unfinished = {key for key, (_, run) in versions.items() if run.info.status != "FINISHED"}
    assert unfinished == {("demand-forecast", 2)}
    assert versions["demand-forecast", 2][1].info.status == "RUNNING"


def test_a_good_artifact_predicts_and_the_broken_one_is_gone(
    versions: dict[tuple[str, int], tuple[Any, Any]], mlflow_url: str
) -> None:
    script = """
import mlflow, sys
from sandbox.demo.models import MODELS
model = MODELS[0]
loaded = mlflow.pyfunc.load_model("models:/fraud-detector/2")
rows = model.dataset.split()[1][model.versions[1].features].head(50)
print(loaded.predict(rows).sum(), loaded.metadata.signature is not None)
try:
    mlflow.pyfunc.load_model("models:/credit-limit/2")
except mlflow.MlflowException as error:
    print("broken:", error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "MLFLOW_TRACKING_URI": mlflow_url},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    predicted, broken = done.stdout.splitlines()
    count, signature = predicted.split()
    assert 0 < int(count) < 50
    assert signature == "True"
    assert broken.startswith("broken: Could not find an")


def test_github_shows_a_commit_and_the_pipelines_of_each_version(
    versions: dict[tuple[str, int], tuple[Any, Any]], github: Github
) -> None:
    paths = [path.removeprefix("/_sandbox/repos/acme/ml-models/") for path, _ in github.asked]
    assert paths.count("commits") == len(versions)
    runs = [body for path, body in github.asked if path.endswith("/runs")]
    assert sum(body["workflow"] == "ci.yml" for body in runs) == len(versions)
    validated = [body["inputs"] for body in runs if body["workflow"] == "validate.yml"]
    assert validated == [
        {"model": model.name, "version": str(number)}
        for model in MODELS
        for number, version in enumerate(model.versions, start=1)
        if version.validated
    ]


def test_a_second_training_adds_nothing(
    versions: dict[tuple[str, int], tuple[Any, Any]], github: Github, mlflow_url: str
) -> None:
    from mlflow import MlflowClient

    asked = len(github.asked)
    assert _train(github.url, mlflow_url) == ""
    assert len(github.asked) == asked
    assert len(MlflowClient(mlflow_url).search_model_versions()) == len(versions)
