"""REST: workflows, dispatches, runs and jobs."""

import operator
import time
from collections.abc import Callable
from typing import Any

from sandbox.github import logs
from sandbox.github.http import MAX_LISTED, ApiError, Call, Reply
from sandbox.github.protection import DECISIONS, MAX_COMMENT
from sandbox.github.records import Job, Run, Workflow
from sandbox.github.workflows import WorkflowFile


def _workflow(call: Call) -> tuple[Workflow, WorkflowFile]:
    found = call.hub.engine.find_workflow(call.param("workflow_id"))
    if found is None:
        raise ApiError(404, "Not Found")
    return found


def list_workflows(call: Call) -> Reply:
    """GET …/actions/workflows."""
    found = call.hub.engine.workflows()
    return call.page(found, lambda pair: call.shapes.workflow(*pair), "workflows")


def get_workflow(call: Call) -> Reply:
    """GET …/actions/workflows/{id or file name}."""
    return Reply(body=call.shapes.workflow(*_workflow(call)))


def dispatch(call: Call) -> Reply:
    """POST …/dispatches: start the workflow; its run's id in the answer if asked for."""
    body = call.only("ref", "inputs", "return_run_details")
    workflow, _ = _workflow(call)
    if not isinstance(body.get("ref"), str):
        raise ApiError(422, 'Invalid request.\n\n"ref" wasn\'t supplied.')
    inputs = body.get("inputs") or {}
    if not isinstance(inputs, dict):
        raise ApiError(
            422, f"Invalid request.\n\nFor 'properties/inputs', {inputs!r} is no object."
        )
    if wrong := [name for name, value in inputs.items() if isinstance(value, dict | list)]:
        raise ApiError(422, f"Invalid request.\n\nThe value of input '{wrong[0]}' is no string.")
    run = call.hub.engine.dispatch(workflow.path, body["ref"], inputs, call.login)
    old = call.hub.faults.strike("no_run_details") is not None
    if old or not body.get("return_run_details"):
        return Reply(204)
    shown = call.shapes.run(run)
    return Reply(
        body={
            "workflow_run_id": run.id,
            "run_url": shown["url"],
            "html_url": shown["html_url"],
        }
    )


# A query parameter, and whether a run matches its value.
_FILTERS: dict[str, Callable[[Run, str], bool]] = {
    "actor": lambda run, value: run.actor == value,
    "branch": lambda run, value: run.head_branch == value,
    "event": lambda run, value: run.event == value,
    "status": lambda run, value: value in (run.status, run.conclusion),
    "head_sha": lambda run, value: run.head_sha == value,
    "created": lambda run, value: _in_range(run.created_at, value),
}


def _in_range(at: str, wanted: str) -> bool:
    """GitHub's search syntax for dates: ``>=D``, ``<D``, ``D..D``, ``*..D``, ``D``."""
    first, dots, last = wanted.partition("..")
    if dots:
        return (first == "*" or at >= first) and (last == "*" or at[: len(last)] <= last)
    for mark, holds in _ORDERS.items():
        if wanted.startswith(mark):
            bound = wanted.removeprefix(mark).replace("+00:00", "Z")
            return holds(at[: len(bound)], bound)
    return at.startswith(wanted)


_ORDERS: dict[str, Callable[[str, str], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}


def _list(call: Call, runs: list[Run]) -> Reply:
    asked = {name: call.query(name) for name in _FILTERS if call.query(name)}
    found = [
        run
        for run in sorted(runs, key=lambda run: -run.id)
        if run.listed_after <= time.time()
        and all(_FILTERS[name](run, value) for name, value in asked.items())
    ]
    shown = found[:MAX_LISTED] if asked else found
    return call.page(shown, call.shapes.run, "workflow_runs", len(found))


def list_runs(call: Call) -> Reply:
    """GET …/actions/runs."""
    return _list(call, call.hub.store.all(Run))


def list_workflow_runs(call: Call) -> Reply:
    """GET …/actions/workflows/{id}/runs."""
    workflow, _ = _workflow(call)
    return _list(call, [r for r in call.hub.store.all(Run) if r.workflow_id == workflow.id])


def get_run(call: Call) -> Reply:
    """GET …/actions/runs/{id}."""
    return Reply(body=call.shapes.run(call.run()))


def get_attempt(call: Call) -> Reply:
    """GET …/actions/runs/{id}/attempts/{n}."""
    number = call.param("attempt_number")
    attempt = call.hub.engine.attempt(call.run(), int(number) if number.isdigit() else 0)
    if attempt is None:
        raise ApiError(404, "Not Found")
    return Reply(body=call.shapes.run(attempt))


def list_jobs(call: Call) -> Reply:
    """GET …/actions/runs/{id}/jobs: of the newest attempt, or ``filter=all``."""
    run = call.run()
    jobs = call.hub.engine.jobs(run, every=call.query("filter") == "all")
    return call.page(jobs, lambda job: call.shapes.job(job, run), "jobs")


def get_log(call: Call) -> Reply:
    """GET …/actions/jobs/{id}/logs: where the log of a job that ended can be had for a minute."""
    key = call.param("job_id")
    job = call.hub.store.get(Job, int(key)) if key.isdigit() else None
    if job is None or job.status != "completed":
        raise ApiError(404, "Not Found")
    if call.hub.faults.strike("logs_gone") is not None:
        raise ApiError(410, "Server Error")
    return Reply(302, headers={"Location": f"{call.shapes.html}{logs.address(job.id)}"})


def rerun(call: Call) -> Reply:
    """POST …/actions/runs/{id}/rerun."""
    call.only("enable_debug_logging")
    run = call.run()
    if not run.done:
        raise ApiError(403, "This workflow is already running")
    call.hub.engine.rerun(run, call.login)
    return Reply(201, {})


def cancel(call: Call) -> Reply:
    """POST …/actions/runs/{id}/cancel."""
    call.hub.engine.cancel(call.run())
    return Reply(202, {})


def list_pending_deployments(call: Call) -> Reply:
    """GET …/actions/runs/{id}/pending_deployments: the environments that it waits for."""
    engine = call.hub.engine
    names = engine.protection.waits_for(call.run())
    return Reply(body=[call.shapes.pending_deployment(engine.environment(n)) for n in names])


def answer_protection_rule(call: Call) -> Reply:
    """POST …/actions/runs/{id}/deployment_protection_rule: an App's decision, or its report only."""
    body = call.only("environment_name", "state", "comment")
    run = call.run()
    if not call.login.endswith("[bot]"):
        raise ApiError(403, "Resource not accessible by personal access token")
    name, comment = body.get("environment_name"), body.get("comment", "")
    if not isinstance(name, str) or not isinstance(comment, str):
        raise ApiError(422, "Invalid request.\n\nenvironment_name and comment are strings.")
    if "state" in body and body["state"] not in DECISIONS:
        wanted = " or ".join(DECISIONS)
        raise ApiError(422, f"Invalid request.\n\nstate must be {wanted}.")
    if "state" not in body and "comment" not in body:
        raise ApiError(422, 'Invalid request.\n\n"comment" wasn\'t supplied.')
    if len(comment) > MAX_COMMENT:
        raise ApiError(422, f"Validation Failed: comment is longer than {MAX_COMMENT} characters")
    state = str(body.get("state", ""))
    call.hub.engine.protection.answer(run, name, state, call.login, comment)
    return Reply(204)


ROUTES: list[tuple[str, str, Any]] = [
    ("GET", "/actions/workflows", list_workflows),
    ("GET", "/actions/workflows/{workflow_id}", get_workflow),
    ("GET", "/actions/workflows/{workflow_id}/runs", list_workflow_runs),
    ("POST", "/actions/workflows/{workflow_id}/dispatches", dispatch),
    ("GET", "/actions/runs", list_runs),
    ("GET", "/actions/runs/{run_id}", get_run),
    ("GET", "/actions/runs/{run_id}/attempts/{attempt_number}", get_attempt),
    ("GET", "/actions/runs/{run_id}/jobs", list_jobs),
    ("GET", "/actions/jobs/{job_id}/logs", get_log),
    ("POST", "/actions/runs/{run_id}/rerun", rerun),
    ("POST", "/actions/runs/{run_id}/cancel", cancel),
    ("GET", "/actions/runs/{run_id}/pending_deployments", list_pending_deployments),
    ("POST", "/actions/runs/{run_id}/deployment_protection_rule", answer_protection_rule),
]
