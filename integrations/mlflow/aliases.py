"""Moves an alias: an atomic upsert without compare-and-swap, so it is read before and after."""

from __future__ import annotations

from collections.abc import Callable

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from integrations.errors import Unavailable
from integrations.mlflow.client import mlflow


def read_alias(registry_name: str, alias: str) -> int | None:
    """The version number that an alias points to; a missing alias is 400 in MLflow, None here."""
    with mlflow() as client:
        return points_to(client, registry_name, alias)


def points_to(client: MlflowClient, registry_name: str, alias: str) -> int | None:
    """:func:`read_alias` for a caller that has the client; raises MlflowException."""
    try:
        return int(client.get_model_version_by_alias(registry_name, alias).version)
    except MlflowException as error:
        if "alias" in str(error).lower() and error.error_code in {
            "INVALID_PARAMETER_VALUE",
            "RESOURCE_DOES_NOT_EXIST",
        }:
            return None
        raise


def point(
    client: MlflowClient, registry_name: str, alias: str, number: int, guard: Callable[[], None]
) -> None:
    """Point ``alias`` to version ``number`` unless it does already; ``guard`` is called right before the write and
    may raise. Raises MlflowException, Unavailable."""
    if points_to(client, registry_name, alias) == number:
        return
    guard()
    client.set_registered_model_alias(registry_name, alias, str(number))
    after = points_to(client, registry_name, alias)
    if after != number:
        raise Unavailable(f"MLflow's alias {alias} was set to {number} but reads {after}.")
