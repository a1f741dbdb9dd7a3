"""REST: environments, deployments and their statuses."""

from typing import Any

from sandbox.github.git import NotFoundError
from sandbox.github.http import ApiError, Call, Reply
from sandbox.github.records import Deployment, DeploymentStatus, Environment

STATES = ("error", "failure", "inactive", "in_progress", "queued", "pending", "success")


def list_environments(call: Call) -> Reply:
    """GET …/environments."""
    return call.page(call.hub.store.all(Environment), call.shapes.environment, "environments")


def get_environment(call: Call) -> Reply:
    """GET …/environments/{name}."""
    for environment in call.hub.store.all(Environment):
        if environment.name == call.param("environment_name"):
            return Reply(body=call.shapes.environment(environment))
    raise ApiError(404, "Not Found")


def list_deployments(call: Call) -> Reply:
    """GET …/deployments, newest first."""
    asked = {n: call.query(n) for n in ("sha", "ref", "task", "environment") if call.query(n)}
    found = [
        deployment
        for deployment in reversed(call.hub.store.all(Deployment))
        if all(getattr(deployment, name) == value for name, value in asked.items())
    ]
    return call.page(found, call.shapes.deployment)


def create_deployment(call: Call) -> Reply:
    """POST …/deployments."""
    body = call.only(
        "ref",
        "task",
        "auto_merge",
        "required_contexts",
        "payload",
        "environment",
        "description",
        "transient_environment",
        "production_environment",
    )
    try:
        sha = call.hub.repository.resolve(str(body.get("ref") or ""))
    except NotFoundError:
        raise ApiError(422, f"No ref found for: {body.get('ref')}") from None
    environment = call.hub.engine.environment(str(body.get("environment") or "production")).name
    deployment = Deployment(
        call.hub.store.next_id(),
        str(body["ref"]),
        sha,
        environment,
        call.login,
        task=str(body.get("task") or "deploy"),
        payload=body.get("payload") or "",
        description=body.get("description") or None,
        production=bool(body.get("production_environment", environment == "production")),
        transient=bool(body.get("transient_environment", False)),
    )
    return Reply(201, call.shapes.deployment(call.hub.store.save(deployment)))


def _deployment(call: Call) -> Deployment:
    key = call.param("deployment_id")
    found = call.hub.store.get(Deployment, int(key)) if key.isdigit() else None
    if found is None:
        raise ApiError(404, "Not Found")
    return found


def get_deployment(call: Call) -> Reply:
    """GET …/deployments/{id}."""
    return Reply(body=call.shapes.deployment(_deployment(call)))


def list_statuses(call: Call) -> Reply:
    """GET …/deployments/{id}/statuses, newest first."""
    deployment = _deployment(call)
    found = [s for s in call.hub.store.all(DeploymentStatus) if s.deployment_id == deployment.id]
    return call.page(found[::-1], call.shapes.deployment_status)


def create_status(call: Call) -> Reply:
    """POST …/deployments/{id}/statuses; a success makes older deployments inactive."""
    body = call.only(
        "state",
        "target_url",
        "log_url",
        "description",
        "environment",
        "environment_url",
        "auto_inactive",
    )
    deployment = _deployment(call)
    if body.get("state") not in STATES:
        raise ApiError(422, f"Validation Failed: state must be one of {', '.join(STATES)}")
    if len(str(body.get("description") or "")) > 140:
        raise ApiError(422, "Validation Failed: description is longer than 140 characters")
    status = DeploymentStatus(
        call.hub.store.next_id(),
        deployment.id,
        str(body["state"]),
        call.login,
        str(body.get("environment") or deployment.environment),
        description=str(body.get("description") or ""),
        target_url=str(body.get("log_url") or body.get("target_url") or ""),
        environment_url=str(body.get("environment_url") or ""),
    )
    call.hub.engine.deployments.add_status(
        deployment, status, bool(body.get("auto_inactive", True))
    )
    return Reply(201, call.shapes.deployment_status(status))


ROUTES: list[tuple[str, str, Any]] = [
    ("GET", "/environments", list_environments),
    ("GET", "/environments/{environment_name}", get_environment),
    ("GET", "/deployments", list_deployments),
    ("POST", "/deployments", create_deployment),
    ("GET", "/deployments/{deployment_id}", get_deployment),
    ("GET", "/deployments/{deployment_id}/statuses", list_statuses),
    ("POST", "/deployments/{deployment_id}/statuses", create_status),
]
