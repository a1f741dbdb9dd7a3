"""What the first ``make run`` leaves: models trained for real, on a real MLflow server, and their past."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Any

import pytest
from mlflow import MlflowClient

from sandbox.demo.models import MODELS
from tests.stack.product import ROOT, Product

EXPECTED = {(m.name, n): v for m in MODELS for n, v in enumerate(m.versions, start=1)}
Versions = dict[tuple[str, int], tuple[Any, Any]]
pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def versions(product: Product) -> Versions:
    """Each registered version with its run, by (name, number)."""
    client = MlflowClient(product.mlflow)
    return {
        (version.name, int(version.version)): (version, client.get_run(version.run_id or ""))
        for version in client.search_model_versions()
    }


def runs_of(product: Product, workflow: str) -> list[dict[str, Any]]:
    found = product.github_has(f"actions/workflows/{workflow}/runs?per_page=100")
    return list(found["workflow_runs"])


def script(product: Product, *arguments: str) -> tuple[str, str]:
    """What a Python process that knows the product's MLflow and GitHub says, and what on stderr."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={
            **os.environ,
            "MLFLOW_TRACKING_URI": product.mlflow,
            "GITHUB_API_URL": product.github,
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_every_version_of_the_table_is_registered_with_progress_and_without_noise(
    product: Product, versions: Versions
) -> None:
    assert set(versions) == set(EXPECTED)
    said = product.said()
    start = next(n for n, line in enumerate(said) if "Beat: ready" in line)
    end = next(n for n, line in enumerate(said) if "Demo models and their history: ready" in line)
    progress = [line.strip() for line in said[start + 1 : end]]
    trained = [line for line in progress if line.startswith("training ")]
    assert sorted(trained) == sorted(
        f"training {name} version {number} ({version.author})"
        for (name, number), version in EXPECTED.items()
    )
    others = [line for line in progress if line not in trained]
    summary = re.compile(rf"trained {len(EXPECTED)} model versions in \d+ s")
    live = re.compile(r"[a-z-]+ v\d to (staging|production): live")
    assert sum(bool(summary.fullmatch(line)) for line in others) == 1
    assert [line for line in others if not (summary.fullmatch(line) or live.fullmatch(line))] == []


def test_each_run_tells_who_what_and_from_where(product: Product, versions: Versions) -> None:
    for model in MODELS:
        for number, expected in enumerate(model.versions, start=1):
            version, run = versions[model.name, number]
            tags = run.data.tags
            assert version.description == expected.description
            assert tags["mlflow.user"] == expected.author
            assert tags["mlflow.source.git.branch"] == "main"
            assert tags["mlflow.source.git.repoURL"] == f"{product.github}/acme/ml-models"
            assert tags["mlflow.source.name"] == "pipeline/train.py"
            assert "features" in run.data.params
            assert {"latency_ms", "auc"} <= set(run.data.metrics) or {
                "latency_ms",
                "mae",
            } <= set(run.data.metrics)
            contexts = {d.tags[0].value: d.dataset for d in run.inputs.dataset_inputs}
            assert set(contexts) == {"training", "evaluation"}
            assert {d.name for d in contexts.values()} == {model.dataset.name}


def test_versions_of_one_model_are_measured_on_the_same_evaluation_rows(versions: Versions) -> None:
    for model in MODELS:
        digests = {
            d.dataset.digest
            for number in range(1, len(model.versions) + 1)
            for d in versions[model.name, number][1].inputs.dataset_inputs
            if d.tags[0].value == "evaluation"
        }
        assert len(digests) == 1


def test_version_2_of_the_fraud_detector_is_better_than_1_and_3_is_worse(
    versions: Versions,
) -> None:
    first, second, third = (versions["fraud-detector", n][1].data.metrics for n in (1, 2, 3))
    for name in ("accuracy", "auc", "precision", "recall"):
        assert second[name] > first[name] + 0.02, name
    assert second["log_loss"] < first["log_loss"]
    for name in ("accuracy", "auc", "precision"):
        assert third[name] < first[name] - 0.02, name


def test_one_run_still_goes_on_and_all_others_are_finished(versions: Versions) -> None:
    unfinished = {key for key, (_, run) in versions.items() if run.info.status != "FINISHED"}
    assert unfinished == {("demand-forecast", 2)}
    assert versions["demand-forecast", 2][1].info.status == "RUNNING"


def test_a_good_artifact_predicts_and_the_broken_one_is_gone(
    product: Product, versions: Versions
) -> None:
    said, _ = script(
        product,
        "-c",
        """
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
""",
    )
    predicted, broken = said.splitlines()
    count, signature = predicted.split()
    assert 0 < int(count) < 50
    assert signature == "True"
    assert broken.startswith("broken: Could not find an")


def test_github_shows_a_commit_and_the_pipelines_of_each_version(
    product: Product, versions: Versions
) -> None:
    commits = {}
    for key, (_, run) in versions.items():
        sha = run.data.tags["mlflow.source.git.commit"]
        commits[sha] = product.github_has(f"commits/{sha}")["commit"]
        author = {"alice": "Alice"}.get(EXPECTED[key].author, EXPECTED[key].author)
        assert commits[sha]["author"]["name"].lower().startswith(author.lower())
        assert commits[sha]["message"] == f"{key[0]}: {EXPECTED[key].description}"
    assert len(commits) == len(EXPECTED)
    assert sorted(run["head_sha"] for run in runs_of(product, "ci.yml")) == sorted(commits)
    assert sorted(run["display_title"] for run in runs_of(product, "validate.yml")) == sorted(
        f"Validate {name} v{number}"
        for (name, number), version in EXPECTED.items()
        if version.validated
    )


def test_a_second_training_adds_nothing(product: Product, versions: Versions) -> None:
    def github() -> list[int]:
        return [len(runs_of(product, workflow)) for workflow in ("ci.yml", "validate.yml")]

    before = github()
    assert script(product, "-m", "sandbox.demo.train") == ("", "")
    assert github() == before
    assert len(MlflowClient(product.mlflow).search_model_versions()) == len(versions)
