"""What the first ``make run`` leaves: models trained for real, on a real MLflow server, and their past."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient, artifacts
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from tests.stack.product import ROOT, Product

Versions = dict[tuple[str, int], tuple[Any, Any]]
Expected = dict[tuple[str, int], Any]
pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def expected() -> Expected:
    """The demo's table by (name, number); imported late, because it brings all of scikit-learn."""
    from sandbox.demo.models import MODELS

    return {(m.name, n): v for m in MODELS for n, v in enumerate(m.versions, start=1)}


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
    product: Product, versions: Versions, expected: Expected
) -> None:
    assert set(versions) == set(expected)
    said = product.said()
    end = next(n for n, line in enumerate(said) if "Demo models and their history: ready" in line)
    start = max(n for n, line in enumerate(said[:end]) if ": ready (" in line)
    progress = [line.strip() for line in said[start + 1 : end]]
    trained = [line for line in progress if line.startswith("training ")]
    assert sorted(trained) == sorted(
        f"training {name} version {number} ({version.author})"
        for (name, number), version in expected.items()
    )
    others = [line for line in progress if line not in trained]
    summary = re.compile(rf"trained {len(expected)} model versions in \d+ s")
    live = re.compile(r"[a-z-]+ v\d to (staging|production): live")
    assert sum(bool(summary.fullmatch(line)) for line in others) == 1
    assert [line for line in others if not (summary.fullmatch(line) or live.fullmatch(line))] == []


def test_each_run_tells_who_what_and_from_where(
    product: Product, versions: Versions, expected: Expected
) -> None:
    for key, told in expected.items():
        version, run = versions[key]
        tags = run.data.tags
        assert version.description == told.description
        assert tags["mlflow.user"] == told.author
        assert tags["mlflow.source.git.branch"] == "main"
        assert tags["mlflow.source.git.repoURL"] == f"{product.github}/acme/ml-models"
        assert tags["mlflow.source.name"] == "pipeline/train.py"
        assert "features" in run.data.params
        measured = set(run.data.metrics)
        assert {"latency_ms", "auc"} <= measured or {"latency_ms", "mae"} <= measured
        contexts = {d.tags[0].value: d.dataset for d in run.inputs.dataset_inputs}
        assert set(contexts) == {"training", "evaluation"}
        assert {d.name for d in contexts.values()} == {version.tags["dataset"]}


def test_versions_of_one_model_are_measured_on_the_same_evaluation_rows(versions: Versions) -> None:
    digests: dict[str, set[str]] = {}
    for (model, _), (_, run) in versions.items():
        for used in run.inputs.dataset_inputs:
            if used.tags[0].value == "evaluation":
                digests.setdefault(model, set()).add(used.dataset.digest)
    assert len(digests) == 4
    assert all(len(found) == 1 for found in digests.values())


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


def test_a_good_artifact_is_whole_and_the_broken_one_is_gone(
    product: Product, tmp_path: Path
) -> None:
    """That a good one predicts is the deployment's own smoke test: it would not be live."""

    def fetched(name: str, number: str) -> Path:
        source = MlflowClient(product.mlflow).get_model_version_download_uri(name, number)
        return Path(
            artifacts.download_artifacts(
                artifact_uri=source, dst_path=str(tmp_path), tracking_uri=product.mlflow
            )
        )

    model = Model.load(str(fetched("fraud-detector", "2")))
    assert model.signature is not None
    assert model.saved_input_example_info is not None
    with pytest.raises(MlflowException, match=r"MLmodel|artifact"):
        Model.load(str(fetched("credit-limit", "2")))


def test_github_shows_a_commit_and_the_pipelines_of_each_version(
    product: Product, versions: Versions, expected: Expected
) -> None:
    commits = {}
    for key, (_, run) in versions.items():
        sha = run.data.tags["mlflow.source.git.commit"]
        commits[sha] = product.github_has(f"commits/{sha}")["commit"]
        author = {"alice": "Alice"}.get(expected[key].author, expected[key].author)
        assert commits[sha]["author"]["name"].lower().startswith(author.lower())
        assert commits[sha]["message"] == f"{key[0]}: {expected[key].description}"
    assert len(commits) == len(expected)
    assert sorted(run["head_sha"] for run in runs_of(product, "ci.yml")) == sorted(commits)
    assert sorted(run["display_title"] for run in runs_of(product, "validate.yml")) == sorted(
        f"Validate {name} v{number}"
        for (name, number), version in expected.items()
        if version.validated
    )


def test_a_second_training_adds_nothing(product: Product, versions: Versions) -> None:
    def github() -> list[int]:
        return [len(runs_of(product, workflow)) for workflow in ("ci.yml", "validate.yml")]

    before = github()
    assert script(product, "-m", "sandbox.demo.train") == ("", "")
    assert github() == before
    assert len(MlflowClient(product.mlflow).search_model_versions()) == len(versions)
