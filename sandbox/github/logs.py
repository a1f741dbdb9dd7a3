"""The logs of jobs, at addresses that are good for a minute and take no credentials, as GitHub's storage does."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from sandbox.github.http import Hub
from sandbox.github.records import Job, Step

PATH = "/_sandbox/logs/{job_id:int}/{until:int}/{signature}"
GOOD_FOR = 60  # seconds
_KEY = secrets.token_bytes(32)


def _signature(job_id: int, until: int) -> str:
    return hmac.new(_KEY, f"{job_id} {until}".encode(), hashlib.sha256).hexdigest()


def address(job_id: int) -> str:
    """The path of a job's log from now on for a minute."""
    until = int(time.time()) + GOOD_FOR
    return f"/_sandbox/logs/{job_id}/{until}/{_signature(job_id, until)}"


def endpoint(hub: Hub) -> Callable[[Request], Response]:
    """What answers there."""

    def serve(request: Request) -> Response:
        job_id, until = request.path_params["job_id"], request.path_params["until"]
        if "authorization" in request.headers:
            # The address is the permission; real storage refuses foreign credentials too.
            return PlainTextResponse("Authentication information is not in the correct format", 400)
        right = _signature(job_id, until)
        if until < time.time() or not hmac.compare_digest(right, request.path_params["signature"]):
            return PlainTextResponse("Signature did not match", 403)
        job = hub.store.get(Job, job_id)
        return PlainTextResponse(text_of(hub, job)) if job else PlainTextResponse("Gone", 404)

    return serve


def text_of(hub: Hub, job: Job) -> str:
    """All steps' lines one after the other, each with its time, marked as GitHub marks them."""
    return "\ufeff" + "".join(line for step in job.steps for line in _lines(hub, step))


def _lines(hub: Hub, step: Step) -> list[str]:
    path = hub.engine.runner.log_path(step)
    text = path.read_text(errors="replace") if path.exists() else ""
    said = text.split("\n")
    if said[-1] == "":
        said.pop()
    if step.name.startswith("Run ") or said:
        said = [f"##[group]{step.name}", "##[endgroup]", *said]
    at = (step.started_at or "2026-01-01T00:00:00Z").replace("Z", ".0000000Z")
    marked = [
        f"##[error]{line.removeprefix('Error: ')}"
        if step.conclusion == "failure" and line.startswith("Error: ")
        else line
        for line in said
    ]
    return [f"{at} {line}\n" for line in marked]
