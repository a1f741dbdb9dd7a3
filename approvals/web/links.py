"""Addresses in the pages of the services. One place, because each installation's differ."""

from __future__ import annotations

from urllib.parse import quote

from django.conf import settings

from approvals.models import ModelVersion, RegisteredModel


def github() -> str:
    """Where people see GitHub: next to the API's address on github.com and on Enterprise Server."""
    api = str(settings.GITHUB_API_URL)
    if api == "https://api.github.com":
        return "https://github.com"
    return api.removesuffix("/api/v3")


def repository(name: str) -> str:
    """A repository, ``owner/name``."""
    return f"{github()}/{quote(name)}"


def commit(name: str, sha: str) -> str:
    """A commit; empty where it is not known."""
    return f"{repository(name)}/commit/{quote(sha, safe='')}" if sha else ""


def compare(name: str, base: str, head: str) -> str:
    """What lies between two commits; empty where one is not known."""
    if not base or not head:
        return ""
    return f"{repository(name)}/compare/{quote(base, safe='')}...{quote(head, safe='')}"


def mlflow_model(model: RegisteredModel) -> str:
    """A registered model (FACTS: MLflow's deep links)."""
    base = settings.MLFLOW_PUBLIC_URL
    return f"{base}/#/models/{quote(model.registry_name, safe='')}" if base else ""


def mlflow_version(version: ModelVersion) -> str:
    """A model version."""
    base = mlflow_model(version.model)
    return f"{base}/versions/{version.number}" if base else ""


def mlflow_run(version: ModelVersion) -> str:
    """The run that made a version; empty where it is not known."""
    base = settings.MLFLOW_PUBLIC_URL
    if not base or not version.run_id or not version.experiment_id:
        return ""
    experiment, run = quote(version.experiment_id, safe=""), quote(version.run_id, safe="")
    return f"{base}/#/experiments/{experiment}/runs/{run}"
