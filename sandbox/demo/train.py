"""Trains the demo's models and logs them to the MLflow server: `python -m sandbox.demo.train`.

A version is registered when all its facts are logged, so a training that was interrupted continues where
it stopped, and one that is complete adds nothing.
"""

from __future__ import annotations

import json
import logging
import os
import time
import urllib.request
from collections.abc import Callable
from typing import Any

# Small data beside busy servers: threads would spend their time waiting for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow
import mlflow.sklearn
import numpy as np
import pandas as pd
import sklearn
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from sklearn import metrics

from sandbox.demo.models import MODELS, Model, Version

REPOSITORY = "acme/ml-models"
LATENCY_SAMPLES = 30
# skops reads a file without running code from it; trees are the one thing that it takes on trust.
TRUSTED_TYPES = [
    "sklearn.tree._tree.Tree",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
]


def train(tracking_uri: str, github_url: str, progress: Callable[[str], None]) -> int:
    """Train and register every version that the registry lacks; answers how many that were.

    `github_url` is the GitHub stand-in: each version gets a commit there and the workflow runs
    that a team would have seen. Raises MlflowException or URLError when a server does not answer.
    """
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    mlflow.set_tracking_uri(tracking_uri)
    client = mlflow.MlflowClient(tracking_uri)
    there = {model.name: _registered_versions(client, model) for model in MODELS}
    wanted = [
        (number, model, version)
        for model in MODELS
        for number, version in enumerate(model.versions, start=1)
        if number > there[model.name]
    ]
    # Every model's first version first: their history begins while later ones are trained.
    wanted.sort(key=lambda one: one[0])
    for number, model, version in wanted:
        progress(f"training {model.name} version {number} ({version.author})")
        _train_version(client, github_url, model, number, version)
    return len(wanted)


def _registered_versions(client: mlflow.MlflowClient, model: Model) -> int:
    """How many versions exist; creates the registered model if it does not."""
    try:
        client.create_registered_model(model.name, description=model.description)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    return len(client.search_model_versions(f"name='{model.name}'"))


def _train_version(
    client: mlflow.MlflowClient, github_url: str, model: Model, number: int, version: Version
) -> None:
    title = f"{model.name}: {version.description}"
    commit = _stand_in(github_url, "commits", {"message": title, "author": version.author})["sha"]
    training, evaluation = model.dataset.split()
    training = training.tail(version.latest_rows or len(training))
    target = model.dataset.target
    estimator = version.estimator()

    mlflow.set_experiment(model.name)
    run = mlflow.start_run(
        run_name=f"{model.name}-{number}",
        description=version.description,
        tags={
            "mlflow.user": version.author,
            "mlflow.source.type": "PROJECT",
            "mlflow.source.name": "pipeline/train.py",
            "mlflow.source.git.commit": commit,
            "mlflow.source.git.branch": "main",
            "mlflow.source.git.repoURL": f"{github_url.rstrip('/')}/{REPOSITORY}",
        },
    )
    status = "FAILED"
    try:
        for context, rows in (("training", training), ("evaluation", evaluation)):
            mlflow.log_input(
                mlflow.data.from_pandas(  # type: ignore[attr-defined]
                    rows, source=model.dataset.source, targets=target, name=model.dataset.name
                ),
                context=context,
            )
        estimator.fit(training[version.features], training[target])
        mlflow.log_params(_parameters(estimator, version, len(training)))
        mlflow.log_metrics(_measure(estimator, evaluation[version.features], evaluation[target]))
        example = evaluation[version.features].head(3)
        logged = mlflow.sklearn.log_model(
            estimator,
            name="model",
            signature=mlflow.models.infer_signature(example, estimator.predict(example)),
            input_example=example,
            serialization_format="skops",
            skops_trusted_types=TRUSTED_TYPES,
            # Said here, because finding them out by MLflow takes half a minute per model.
            pip_requirements=[f"scikit-learn=={sklearn.__version__}"],
        )
        status = "FINISHED" if version.finished else "RUNNING"
    finally:
        mlflow.end_run(status)

    if version.artifact_lost:
        location = client.get_logged_model(logged.model_id).artifact_location
        get_artifact_repository(location).delete_artifacts("")  # type: ignore[no-untyped-call]
    client.create_model_version(
        model.name,
        source=logged.model_uri,
        run_id=run.info.run_id,
        model_id=logged.model_id,
        description=version.description,
        tags={"trained_by": version.author, "dataset": model.dataset.name},
    )
    _run_pipelines(github_url, model, number, version, commit)


def _parameters(estimator: Any, version: Version, rows: int) -> dict[str, str]:
    final = estimator[-1] if hasattr(estimator, "steps") else estimator
    return {
        "estimator": type(final).__name__,
        "features": ", ".join(version.features),
        "training_rows": str(rows),
        **{name: str(value) for name, value in final.get_params().items() if value is not None},
    }


def _measure(estimator: Any, inputs: pd.DataFrame, truth: pd.Series[Any]) -> dict[str, float]:
    """Metrics on the evaluation rows, and the median time (ms) to answer for one row."""
    answers = estimator.predict(inputs)
    measured: dict[str, float]
    if truth.dtype == bool:
        chances = estimator.predict_proba(inputs)[:, 1]
        measured = {
            "accuracy": metrics.accuracy_score(truth, answers),
            "auc": metrics.roc_auc_score(truth, chances),
            "precision": metrics.precision_score(truth, answers),
            "recall": metrics.recall_score(truth, answers),
            "log_loss": metrics.log_loss(truth, chances),
        }
    else:
        measured = {
            "mae": metrics.mean_absolute_error(truth, answers),
            "rmse": metrics.root_mean_squared_error(truth, answers),
            "r2": metrics.r2_score(truth, answers),
        }
    one = inputs.head(1)
    times = []
    for _ in range(LATENCY_SAMPLES):
        start = time.perf_counter()
        estimator.predict(one)
        times.append(time.perf_counter() - start)
    measured["latency_ms"] = float(np.median(times)) * 1000
    return {name: round(float(value), 4) for name, value in measured.items()}


def _run_pipelines(
    github_url: str, model: Model, number: int, version: Version, commit: str
) -> None:
    """Start the workflow runs that a team would have; the stand-in really executes them.

    `train.yml` is not among them: it would train and register one more version.
    """
    runs: list[tuple[str, str, dict[str, str]]] = [("ci.yml", "push", {})]
    if version.validated:
        identity = {"model": model.name, "version": str(number)}
        runs.append(("validate.yml", "workflow_dispatch", identity))
    for workflow, event, inputs in runs:
        _stand_in(
            github_url,
            "runs",
            {
                "workflow": workflow,
                "head_sha": commit,
                "event": event,
                "actor": version.author,
                "inputs": inputs,
            },
        )


def _stand_in(github_url: str, what: str, body: dict[str, Any]) -> dict[str, Any]:
    """Ask the GitHub stand-in to make something up; GitHub itself has no such address."""
    request = urllib.request.Request(
        f"{github_url.rstrip('/')}/_sandbox/repos/{REPOSITORY}/{what}",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


def main() -> None:
    start = time.monotonic()
    trained = train(
        os.environ.get("MLFLOW_TRACKING_URI", "http://127.0.0.1:8001"),
        os.environ.get("GITHUB_API_URL", "http://127.0.0.1:8002"),
        lambda line: print(line, flush=True),
    )
    if trained:
        print(f"trained {trained} model versions in {time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
