"""The artifact digest: MLflow keeps no checksum and lets artifacts be overwritten in place.

Definition (``examples/model-repository`` computes the same): for every file below the artifact root, sorted
by path, one line ``<sha256 hex>  <path>\\n``; the digest is ``sha256:`` and the SHA-256 of those lines.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import mlflow.artifacts
from mlflow.exceptions import MlflowException

from approvals.wording import listed
from integrations.errors import Rejected
from integrations.mlflow.signatures import signature_in

# Written into the download folder by some of MLflow's own download paths; not part of the artifact.
NOT_ARTIFACTS = {"registered_model_meta"}

FAILED_FILE = re.compile(r"##### File (.+?) #####")
NOT_THERE = re.compile(r"\b404\b|RESOURCE_DOES_NOT_EXIST|NoSuchKey|No such file")


@dataclass(frozen=True)
class Hashed:
    """The digest and the size of all files in bytes; the signature as :func:`signature_in` has it."""

    digest: str
    size: int
    signature: dict[str, Any] = field(default_factory=dict)


def hash_folder(root: Path) -> Hashed:
    """Hash every file below ``root``. Raises Rejected when there is none."""
    lines, size = [], 0
    files = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
    for name in sorted(files.keys() - NOT_ARTIFACTS):
        with files[name].open("rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}\n")
        size += files[name].stat().st_size
    if not lines:
        raise Rejected(
            "The version has no artifacts: its folder in MLflow's artifact store is empty."
        )
    return Hashed(f"sha256:{hashlib.sha256(''.join(lines).encode()).hexdigest()}", size)


# Where the flavors of MLflow 3 name a file or folder of the model (python_function, sklearn, onnx,
# pytorch, tensorflow, shap ...). Their "code" and "env" name source code and environments.
FILE_KEYS = {
    "data",
    "model_data",
    "model_path",
    "pickled_model",
    "python_model",
    "saved_model_dir",
    "serialized_explainer",
}


def missing_files(root: Path) -> list[str]:
    """What the MLmodel file says belongs to the model and is missing, one clause each."""
    import yaml

    mlmodel = root / "MLmodel"
    if not mlmodel.is_file():
        return ["MLmodel is missing"]
    try:
        flavors = yaml.safe_load(mlmodel.read_text(encoding="utf-8"))["flavors"].values()
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError, KeyError, TypeError):
        return ["MLmodel cannot be read"]
    described = [flavor for flavor in flavors if isinstance(flavor, dict)]
    # A python_function's own files: {name: {path, uri}}.
    extra = [each for flavor in described for each in _items(flavor.get("artifacts"))]
    named = [flavor.get(key) for flavor in described for key in FILE_KEYS]
    named += [each.get("path") for each in extra if isinstance(each, dict)]
    return [
        f"{name} is missing"
        for name in sorted({name for name in named if isinstance(name, str)})
        if not (root / name).exists()
    ]


def _items(value: object) -> list[object]:
    return list(value.values()) if isinstance(value, dict) else []


def _download(uri: str, tracking_uri: str, folder: str) -> Path:
    """Raises Rejected when all that fails is not there; other failures are left to the caller."""
    try:
        return Path(
            mlflow.artifacts.download_artifacts(
                artifact_uri=uri, dst_path=folder, tracking_uri=tracking_uri
            )
        )
    except FileNotFoundError as error:
        raise Rejected(
            f"The artifacts are broken: {error.filename or uri} is not there."
        ) from error
    except MlflowException as error:
        # MLflow puts several failures into one text: "##### File <name> #####", then what happened.
        _, *parts = FAILED_FILE.split(str(error))
        names, reasons = parts[::2], parts[1::2]
        if names and all(NOT_THERE.search(reason) for reason in reasons):
            raise Rejected(
                f"The artifacts are broken: MLflow does not find {listed(sorted(names))}."
            ) from error
        raise


def hash_artifacts(uri: str, tracking_uri: str) -> Hashed:
    """Download the artifacts of ``uri`` into a temporary folder and hash them.

    Raises Rejected when files are missing, so that nobody relies on a version that cannot be loaded.
    """
    with tempfile.TemporaryDirectory(prefix="countersign-") as folder:
        root = _download(uri, tracking_uri, folder)
        missing = missing_files(root)
        if missing:
            raise Rejected(f"The artifacts are broken: {listed(missing)}.")
        return replace(hash_folder(root), signature=signature_in(root))


def download_signature(uri: str, tracking_uri: str) -> dict[str, Any]:
    """Download nothing but the MLmodel file of ``uri``. Raises as :func:`hash_artifacts` does."""
    with tempfile.TemporaryDirectory(prefix="countersign-") as folder:
        return signature_in(_download(f"{uri.rstrip('/')}/MLmodel", tracking_uri, folder).parent)
