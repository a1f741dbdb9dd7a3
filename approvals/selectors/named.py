"""Finds rows by the names that programs use, which are those of the configuration and of MLflow."""

from __future__ import annotations

from approvals.models import Environment, ModelVersion, RegisteredModel, Target
from approvals.services.refusal import Refused


def _known(name: str) -> bool:
    """PostgreSQL cannot even be asked for a NUL."""
    return "\x00" not in name


def version_named(model: str, number: int) -> ModelVersion:
    """The version of this number: the one that is not deleted, else the newest of them. Raises
    Refused("unknown_model") and Refused("unknown_version")."""
    found = RegisteredModel.objects.filter(name=model).first() if _known(model) else None
    if found is None:
        raise Refused("unknown_model", "There is no such model.")
    version = (
        found.versions.filter(number=number)
        .select_related("model")
        .order_by("-deleted_at", "-id")
        .first()
    )
    if version is None:
        raise Refused("unknown_version", f"{found} has no version {number}.")
    return version


def environment_named(name: str) -> Environment:
    """The environment. Raises Refused("unknown_environment")."""
    found = Environment.objects.filter(name=name).first() if _known(name) else None
    if found is None:
        raise Refused("unknown_environment", "There is no such environment.")
    return found


def target_named(model: str, environment: str) -> Target:
    """Where the model goes, with what is live there. Raises Refused("unknown_target")."""
    found = None
    if _known(model) and _known(environment):
        found = (
            Target.objects.filter(model__name=model, environment__name=environment)
            .select_related(
                "model", "environment", "live_version", "live_deployment__promotion__version"
            )
            .first()
        )
    if found is None:
        raise Refused("unknown_target", "The configuration knows no such model there.")
    return found
