"""The sandbox's own switches, under ``/_sandbox/``: commits, runs, faults, what passed by."""

import json
import time
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox.github import workflows
from sandbox.github.engine import ConflictError
from sandbox.github.git import NotFoundError
from sandbox.github.http import Hub
from sandbox.github.records import Gate, Run
from sandbox.github.workflows import InvalidError


def add_commit(hub: Hub, body: dict[str, Any]) -> dict[str, Any]:
    """Commit to the default branch: {message, author, files?: {path: text}, trigger?: bool}."""
    author = str(body.get("author") or "alice")
    sha = hub.repository.commit(str(body.get("message") or "Change"), author, body.get("files"))
    runs = hub.engine.pushed(sha, author) if body.get("trigger") else []
    return {"sha": sha, "runs": [run.id for run in runs]}


def add_run(hub: Hub, body: dict[str, Any]) -> dict[str, Any]:
    """Start a run by hand: {workflow, head_sha?, event?, actor?, inputs?, title?}.

    Raises InvalidError as a dispatch does. A ``workflow_dispatch`` needs its declared inputs.
    """
    found = hub.engine.find_workflow(str(body.get("workflow")))
    if found is None:
        raise NotFoundError(f"There is no workflow '{body.get('workflow')}'")
    path = found[0].path
    branch = hub.repository.default_branch
    sha = hub.repository.resolve(str(body.get("head_sha") or branch))
    file = workflows.read(path, hub.repository.read(sha, path))
    event = str(body.get("event") or "workflow_dispatch")
    inputs = dict(body.get("inputs") or {})
    if event == "workflow_dispatch":
        inputs = file.accept_inputs(inputs)
    actor, title = str(body.get("actor") or "alice"), str(body.get("title") or "")
    run = hub.engine.begin(file, sha, f"refs/heads/{branch}", event, actor, inputs, title)
    shapes = hub.shapes(hub.settings.public_url, hub.settings.public_url)
    return {"id": run.id, "html_url": shapes.run(run)["html_url"]}


def rerun(hub: Hub, run: Run, body: dict[str, Any]) -> dict[str, Any]:
    """Run it again by hand: {actor?}. Raises ConflictError while it is not over."""
    hub.engine.rerun(run, str(body.get("actor") or hub.settings.people[0]))
    return {"id": run.id, "attempt": run.attempt}


def cancel(hub: Hub, run: Run, body: dict[str, Any]) -> dict[str, Any]:
    """Cancel it by hand. Raises ConflictError when it is over."""
    hub.engine.cancel(run)
    return {"id": run.id, "attempt": run.attempt}


def review(hub: Hub, run: Run, body: dict[str, Any]) -> dict[str, Any]:
    """Decide as a required reviewer: {environment, state: approved|rejected, actor, comment?}.

    Raises InvalidError: nothing waits there, or the actor is no reviewer of the environment.
    """
    given = (str(body.get(name) or "") for name in ("environment", "state", "actor", "comment"))
    return gate_as_json(hub.engine.protection.review(run, *given))


def gate_as_json(gate: Gate) -> dict[str, Any]:
    """What became of one protection rule that a run has met."""
    told = ("environment", "attempt", "kind", "state", "by", "comment", "reports")
    return {name: getattr(gate, name) for name in told}


RUN_VERBS = {"rerun": rerun, "cancel": cancel, "review": review}


def protect(hub: Hub, name: str, body: dict[str, Any]) -> dict[str, Any]:
    """Switch an environment's protections: {reviewers?: [login, …], rule?: bool}.

    ``reviewers`` are required reviewers, ``rule`` the App's custom deployment protection rule; an
    empty list and false switch them off, and what is not named stays.
    """
    reviewers, rule = body.get("reviewers"), body.get("rule")
    if unknown := sorted(body.keys() - {"reviewers", "rule"}):
        raise InvalidError(f"An environment has no {', '.join(unknown)}")
    if reviewers is not None and not isinstance(reviewers, list):
        raise InvalidError("reviewers is a list of logins")
    given = None if reviewers is None else [str(each) for each in reviewers]
    switched = None if rule is None else bool(rule)
    environment = hub.engine.environment(name)
    hub.engine.protection.protect(environment, given, switched)
    return {
        "name": environment.name,
        "reviewers": environment.reviewers,
        "rule": environment.rule,
    }


def set_fault(hub: Hub, body: dict[str, Any]) -> dict[str, Any]:
    """Switch a fault: {fault, on?: bool, times?: int, …its options}; {fault: "all", on: false}."""
    options = dict(body)
    name = str(options.pop("fault", ""))
    on, times = bool(options.pop("on", True)), options.pop("times", None)
    if name == "all" and not on:
        hub.faults.clear()
        hub.engine.release()
        return hub.faults.as_json()
    try:
        hub.faults.set(name, on=on, times=None if times is None else int(times), options=options)
    except ValueError as error:
        raise InvalidError(str(error)) from None
    if name == "never_start" and not on:
        hub.engine.release()
    answer: dict[str, Any] = hub.faults.as_json()[name]
    return answer


def set_rate_limit(hub: Hub, body: dict[str, Any]) -> dict[str, Any]:
    """Set the hourly budget: {limit?, remaining?, reset_in?: seconds}; answers what it is now."""
    limiter = hub.limiter
    limiter.refresh()
    try:
        limiter.limit = int(body.get("limit", limiter.limit))
        if "remaining" in body:
            limiter.used = limiter.limit - int(body["remaining"])
        if "reset_in" in body:
            limiter.reset = int(time.time() + float(body["reset_in"]))
    except (TypeError, ValueError) as error:
        raise InvalidError(str(error)) from None
    return {"limit": limiter.limit, "used": limiter.used, "reset": limiter.reset}


async def _body(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.body() or b"{}")
    except ValueError:
        raise InvalidError("The body is not JSON") from None
    if not isinstance(body, dict):
        raise InvalidError("The body is not a JSON object")
    return body


class Control:
    """The switches as web endpoints."""

    def __init__(self, hub: Hub) -> None:
        """Act on this stand-in."""
        self.hub = hub

    async def _do(self, request: Request, action: Any, status: int = 200) -> Response:
        try:
            body = await _body(request)
            return JSONResponse(await run_in_threadpool(action, self.hub, body), status)
        except (InvalidError, ConflictError) as error:
            return JSONResponse({"message": str(error)}, 422)
        except NotFoundError as error:
            return JSONResponse({"message": f"Not found: {error}"}, 404)

    async def commits(self, request: Request) -> Response:
        """POST /_sandbox/repos/{owner}/{repo}/commits."""
        return await self._do(request, add_commit, 201)

    async def runs(self, request: Request) -> Response:
        """POST /_sandbox/repos/{owner}/{repo}/runs."""
        return await self._do(request, add_run, 201)

    async def run(self, request: Request) -> Response:
        """POST /_sandbox/repos/{owner}/{repo}/runs/{id}/rerun, …/cancel or …/review."""
        run = self.hub.store.get(Run, request.path_params["run_id"])
        verb = RUN_VERBS.get(request.path_params["verb"])
        if run is None or verb is None:
            return JSONResponse({"message": "Not found"}, 404)
        return await self._do(request, lambda hub, body: verb(hub, run, body))

    async def gates(self, request: Request) -> Response:
        """GET /_sandbox/repos/{owner}/{repo}/runs/{id}/gates: what its newest attempt has met."""
        run = self.hub.store.get(Run, request.path_params["run_id"])
        if run is None:
            return JSONResponse({"message": "Not found"}, 404)
        return JSONResponse([gate_as_json(g) for g in self.hub.engine.protection.gates(run)])

    async def environment(self, request: Request) -> Response:
        """POST /_sandbox/repos/{owner}/{repo}/environments/{name}."""
        name = request.path_params["name"]
        return await self._do(request, lambda hub, body: protect(hub, name, body))

    async def faults(self, request: Request) -> Response:
        """GET or POST /_sandbox/faults."""
        if request.method == "GET":
            return JSONResponse(self.hub.faults.as_json())
        return await self._do(request, set_fault)

    async def rate_limit(self, request: Request) -> Response:
        """POST /_sandbox/rate_limit."""
        return await self._do(request, set_rate_limit)

    async def requests(self, request: Request) -> Response:
        """GET /_sandbox/requests (newest last; a cut connection has no status), or DELETE."""
        if request.method == "DELETE":
            self.hub.requests.clear()
        return JSONResponse(list(self.hub.requests))

    async def deliveries(self, request: Request) -> Response:
        """GET /_sandbox/deliveries: the webhooks, newest last, with the answers they got."""
        return JSONResponse([one.as_json() for one in self.hub.webhooks.deliveries])

    async def redeliver(self, request: Request) -> Response:
        """POST /_sandbox/deliveries/{guid}/redeliver: again, under the same delivery id."""
        found = self.hub.webhooks.redeliver(request.path_params["guid"])
        return JSONResponse({} if found else {"message": "Not found"}, 202 if found else 404)
