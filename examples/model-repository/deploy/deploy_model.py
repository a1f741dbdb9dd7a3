"""Deploy one model version, exactly as it was approved; on any failure the old one keeps serving.

Reads from the environment: MODEL, VERSION, ENVIRONMENT, ARTIFACT_DIGEST, COUNTERSIGN, STRATEGY, PERCENT
(all from the workflow's inputs), MLFLOW_TRACKING_URI and SERVING_DIR (repository variables).

    fetch -> compare digest -> smoke test -> switch SERVING_DIR/<environment>/<model>/current

A rollout comes here once for each step. Below 100 % the version becomes ``candidate`` beside ``current``, and
``route.json`` says its share; at 100 % it becomes ``current``; ``go-back`` takes the candidate away.
"""

import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

VARIABLES = (
    "MODEL",
    "VERSION",
    "ENVIRONMENT",
    "ARTIFACT_DIGEST",
    "COUNTERSIGN",
    "MLFLOW_TRACKING_URI",
    "SERVING_DIR",
)
# These become folder names, so nothing that could leave the serving folder is let in.
SAFE = {
    "MODEL": r"[\w-]{1,255}",  # MLflow's own rule for names
    "VERSION": r"[1-9][0-9]*",
    "ENVIRONMENT": r"[a-z][a-z0-9-]*",
    "ARTIFACT_DIGEST": r"sha256:[0-9a-f]{64}",
    "STRATEGY": r"all-at-once|canary|blue-green|shadow|a-b|go-back",
    "PERCENT": r"[0-9]{1,2}|100",
}
DEFAULTS = {"STRATEGY": "all-at-once", "PERCENT": "100"}
KEPT_VERSIONS = 5  # folders kept beside the served one, for a look at what was


def stop(sentence: str) -> NoReturn:
    """End the deployment; what served before keeps serving."""
    sys.exit(f"Deployment refused: {sentence}")


def say(sentence: str) -> None:
    """One line of the workflow run's log, at once."""
    print(sentence, flush=True)


def settings() -> dict[str, str]:
    """The variables, each present and of the right form."""
    found = {name: os.environ.get(name, "").strip() for name in VARIABLES}
    found |= {name: os.environ.get(name, "").strip() or value for name, value in DEFAULTS.items()}
    if missing := [name for name, value in found.items() if not value]:
        stop(f"{', '.join(missing)} not given.")
    for name, form in SAFE.items():
        if not re.fullmatch(form, found[name]):
            stop(f"{name} is {found[name]!r}, which does not have the form {form}.")
    return found


def artifact_digest(folder: Path) -> str:
    """The digest over one line ``<sha256>  <path>`` for each file, sorted by path."""
    files = sorted(
        (path.relative_to(folder).as_posix(), path) for path in folder.rglob("*") if path.is_file()
    )
    whole = hashlib.sha256()
    for name, path in files:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        whole.update(f"{digest}  {name}\n".encode())
    return f"sha256:{whole.hexdigest()}"


def fetch(model: str, version: str, folder: Path) -> str:
    """Download the version's files into ``folder``; return where they came from."""
    # The registry's own address of the files: a `models:/` download would add a file of its own
    # (registered_model_meta), and the digest would no longer be the approved one.
    from mlflow import MlflowClient, artifacts
    from mlflow.exceptions import MlflowException

    try:
        client = MlflowClient()
        if client.get_model_version(model, version).status != "READY":
            stop(f"{model} version {version} is not ready in the registry.")
        source = client.get_model_version_download_uri(model, version)
        artifacts.download_artifacts(artifact_uri=source, dst_path=str(folder))
    except (MlflowException, OSError) as error:
        stop(f"{model} version {version} could not be fetched from MLflow: {error}")
    return source


def artifact_root(folder: Path) -> Path:
    """Where the downloaded model is: the folder with the MLmodel file."""
    found = sorted(folder.rglob("MLmodel"), key=lambda path: len(path.parts))
    if not found:
        stop("the version has no MLmodel file, so it is not a model that MLflow can load.")
    return found[0].parent


def smoke_test(folder: Path) -> str:
    """Load the model and, when an input example was logged, predict on it."""
    import mlflow.pyfunc
    from mlflow.models import Model

    try:
        model = mlflow.pyfunc.load_model(str(folder))
        example = Model.load(str(folder)).load_input_example(str(folder))
        if example is None:
            return "loaded; no input example was logged, so nothing was predicted"
        answer: Any = model.predict(example)
    except Exception as error:  # whatever a model raises, it must not go live
        stop(f"the smoke test failed: {type(error).__name__}: {error}")
    if len(answer) != len(example):
        stop(f"the smoke test failed: {len(example)} rows in, {len(answer)} predictions out.")
    return f"loaded; {len(answer)} predictions on the logged input example"


def point(target: Path, name: str, folder: Path) -> None:
    """Make ``name`` (current or candidate) lead to ``folder`` in a single step that cannot be seen half done."""
    fresh = target / f".{name}-{os.getpid()}"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(folder.name)
    fresh.replace(target / name)


def route(target: Path, given: dict[str, str]) -> None:
    """Say which share of the requests the candidate serves; the serving layer reads it."""
    fresh = target / f".route-{os.getpid()}"
    said = {
        "strategy": given["STRATEGY"],
        "percent": int(given["PERCENT"]),
        "version": given["VERSION"],
    }
    fresh.write_text(json.dumps(said) + "\n")
    fresh.replace(target / "route.json")


def take_away(target: Path) -> None:
    """No candidate any more: everybody is served by ``current``."""
    (target / "route.json").unlink(missing_ok=True)
    (target / "candidate").unlink(missing_ok=True)


def switch(target: Path, folder: Path, given: dict[str, str]) -> str:
    """Let the version in ``folder`` serve its share; what is said of it."""
    percent = int(given["PERCENT"])
    if percent == 100:
        point(target, "current", folder)
        take_away(target)
        return "Live"
    point(target, "candidate", folder)
    route(target, given)
    return f"At {percent} %"


def standing_by(target: Path, given: dict[str, str]) -> Path | None:
    """The candidate of an earlier step, where it is this very version with these very files."""
    folder = (target / "candidate").resolve()
    try:
        served = json.loads((folder / "served.json").read_text())
    except (OSError, ValueError):
        return None
    same = str(served.get("version")) == given["VERSION"]
    if same and artifact_digest(folder / "model") == given["ARTIFACT_DIGEST"]:
        return folder
    return None


def tidy(target: Path) -> None:
    """Remove the oldest version folders, never the served one."""
    served = {(target / name).resolve() for name in ("current", "candidate")}
    folders = sorted(
        (path for path in target.glob("v*-*") if path.is_dir() and path.resolve() not in served),
        key=lambda path: path.stat().st_mtime,
    )
    for folder in folders[:-KEPT_VERSIONS]:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Deploy, or stop with a sentence and a non-zero exit code."""
    given = settings()
    model, version = given["MODEL"], given["VERSION"]
    environment, token = given["ENVIRONMENT"], given["COUNTERSIGN"]
    target = Path(given["SERVING_DIR"]) / environment / model
    if given["STRATEGY"] == "go-back":
        take_away(target)
        say(f"Gone back: {model} version {version} is out of service in {environment} for {token}")
        return
    say(f"Deploying {model} version {version} to {environment} for {token}")
    if (folder := standing_by(target, given)) is not None:
        say("The files of an earlier step are still those that were approved")
        say(f"{switch(target, folder, given)}: {model} version {version} in {environment}")
        return
    try:
        target.mkdir(parents=True, exist_ok=True)
        # Beside its destination, so that the last step is a rename on one file system.
        arriving = Path(tempfile.mkdtemp(prefix=".arriving-", dir=target))
    except OSError as error:
        stop(f"the serving folder cannot be written: {error}")
    try:
        source = fetch(model, version, arriving)
        root = artifact_root(arriving)
        say(f"Fetched {source}")
        digest = artifact_digest(root)
        if digest != given["ARTIFACT_DIGEST"]:
            stop(f"the files are {digest}, but {given['ARTIFACT_DIGEST']} was approved.")
        say(f"Digest matches what was approved: {digest}")
        say(f"Smoke test: {smoke_test(root)}")
        # Loading runs code of the model: make sure that what was checked is what will serve.
        shutil.rmtree(root / "__pycache__", ignore_errors=True)
        if artifact_digest(root) != digest:
            stop("the smoke test changed the model's files.")
        moment = datetime.now(UTC)
        folder = target / f"v{version}-{moment:%Y%m%dT%H%M%S%f}"
        folder.mkdir()
        root.rename(folder / "model")
        served = {
            "model": model,
            "version": version,
            "environment": environment,
            "artifact_digest": digest,
            "countersign": token,
            "source": source,
            "run_id": os.environ.get("GITHUB_RUN_ID", ""),
            "commit": os.environ.get("GITHUB_SHA", ""),
            "deployed_at": moment.isoformat(timespec="seconds"),
        }
        (folder / "served.json").write_text(json.dumps(served, indent=2) + "\n")
        done = switch(target, folder, given)
        tidy(target)
    except OSError as error:
        stop(f"the serving folder cannot be written: {error}")
    finally:
        shutil.rmtree(arriving, ignore_errors=True)
    say(f"{done}: {model} version {version} in {environment}")


if __name__ == "__main__":
    main()
