"""Reads one version afresh: registry entry, run, metrics, artifacts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.conf import settings

from integrations.errors import Rejected
from integrations.mlflow.artifacts import download_signature, hash_artifacts
from integrations.mlflow.client import mlflow


@dataclass(frozen=True)
class Candidate:
    """The version part of the sealed facts; ``metrics`` are decimal text."""

    version: Mapping[str, str]
    metrics: Mapping[str, str]
    artifact_bytes: int
    signature: Mapping[str, Any] = field(default_factory=dict)


def moment(milliseconds: int) -> datetime:
    """MLflow's epoch milliseconds as an aware time."""
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC)


def decimal(value: float) -> str:
    """The shortest text that reads back as the same double."""
    return repr(float(value))


def read_candidate(registry_name: str, number: int) -> Candidate:
    """Raises Unavailable (try later) or Rejected (deleted, broken artifacts)."""
    with mlflow() as client:
        version = client.get_model_version(registry_name, str(number))
        run = client.get_run(version.run_id) if version.run_id else None
        uri = client.get_model_version_download_uri(registry_name, str(number))
        if version.status != "READY":
            raise Rejected(f"MLflow says that the version is {version.status}, not READY.")
        hashed = hash_artifacts(uri, settings.MLFLOW_TRACKING_URI)
    return Candidate(
        version={
            "name": registry_name,
            "number": str(number),
            "registered_at": moment(version.creation_timestamp).isoformat(),
            "source": version.source or "",
            "run_id": version.run_id or "",
            "status": version.status,
            "run_status": run.info.status if run else "",
            "artifact_digest": hashed.digest,
        },
        metrics={name: decimal(value) for name, value in run.data.metrics.items()} if run else {},
        artifact_bytes=hashed.size,
        signature=hashed.signature,
    )


def read_signature(registry_name: str, number: int, registered_at: datetime) -> Mapping[str, Any]:
    """The signature alone, without the other artifacts; empty when the version has none, or when the number
    belongs to another version by now. Raises Unavailable, Rejected."""
    with mlflow() as client:
        version = client.get_model_version(registry_name, str(number))
        if moment(version.creation_timestamp) != registered_at:
            return {}
        uri = client.get_model_version_download_uri(registry_name, str(number))
        return download_signature(uri, settings.MLFLOW_TRACKING_URI)
