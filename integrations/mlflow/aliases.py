"""Writes the live version to the registry: an atomic upsert without compare-and-swap, so read before and after."""

from __future__ import annotations

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from integrations.errors import Unavailable
from integrations.mlflow.client import mlflow


def read_alias(registry_name: str, alias: str) -> int | None:
    """The version number that an alias points to; a missing alias is 400 in MLflow, None here."""
    with mlflow() as client:
        return _read(client, registry_name, alias)


def _read(client: MlflowClient, registry_name: str, alias: str) -> int | None:
    try:
        return int(client.get_model_version_by_alias(registry_name, alias).version)
    except MlflowException as error:
        if "alias" in str(error).lower() and error.error_code in {
            "INVALID_PARAMETER_VALUE",
            "RESOURCE_DOES_NOT_EXIST",
        }:
            return None
        raise


def set_alias(registry_name: str, alias: str, number: int) -> int | None:
    """Point ``alias`` to version ``number``; returns where it pointed before. Raises Unavailable, Rejected."""
    with mlflow() as client:
        before = _read(client, registry_name, alias)
        if before != number:
            client.set_registered_model_alias(registry_name, alias, str(number))
            after = _read(client, registry_name, alias)
            if after != number:
                raise Unavailable(f"MLflow's alias {alias} was set to {number} but reads {after}.")
        return before
