"""GitHub's own gate: a custom deployment protection rule asks us before a job may use an environment.

Needs our App, installed with the rule switched on (docs/install.md); without it nobody ever asks. The question
comes by webhook, the answer leaves through the outbox, and what it rests on is read from GitHub in between.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from approvals import services
from approvals.models import Repository
from approvals.services.protection import AskingRun, GateAnswer
from integrations.errors import Rejected, Unavailable
from integrations.github.client import Answer, NoAnswer, call, read
from integrations.github.runs import workflow_file

# Only the numbers in the callback's address are used: what is called is always the configured GitHub.
CALLBACK = re.compile(
    r"(?:/api/v3)?/repos/(?P<repository>[^/]+/[^/]+)/actions/runs/(?P<run>[0-9]{1,18})/deployment_protection_rule"
)
MAX_NAME = 255  # GitHub's limit for the name of an environment
MAX_COMMENT = 1024  # and for a status report


def asked(repository: Repository, payload: dict[str, object]) -> str:
    """Have a ``deployment_protection_rule`` webhook answered. Returns what came of it, in words."""
    if payload.get("action") != "requested":
        return "ignored: not a request"
    environment = payload.get("environment")
    if not isinstance(environment, str) or not 0 < len(environment) <= MAX_NAME:
        return "ignored: unreadable environment"
    run_id = _run_id(payload.get("deployment_callback_url"), repository.name)
    if run_id is None:
        return "ignored: the callback is for no run of this repository"
    deployment = payload.get("deployment")
    request_id = deployment.get("id") if isinstance(deployment, dict) else None
    configured = services.record_gate_request(
        repository=repository.name,
        run_id=run_id,
        environment=environment,
        request_id=request_id if isinstance(request_id, int) else 0,
    )
    return "will be answered" if configured else f"left alone: {environment} is not configured"


def _run_id(address: object, repository: str) -> int | None:
    """The run that a callback's address is about; None unless it is one of this repository's."""
    try:
        path = urlsplit(address).path if isinstance(address, str) else ""
    except ValueError:
        return None
    found = CALLBACK.fullmatch(path)
    if found is None or found["repository"].casefold() != repository.casefold():
        return None
    return int(found["run"])


def look_for_lost_question(repository: str, run_id: int) -> None:
    """A run that we follow waits at GitHub and nobody asked us: the question may have been lost, for GitHub asks
    once. Have it answered as if it had come. Raises Unavailable or Rejected."""
    if not settings.GITHUB_APP_ID or not services.waits_unasked(
        repository=repository, run_id=run_id
    ):
        return
    for environment in _pending(repository, run_id):
        services.record_gate_request(
            repository=repository,
            run_id=run_id,
            environment=environment,
            request_id=0,
            asked=False,
        )


def answer(*, repository: str, run_id: int, environment: str, asked: bool) -> None:
    """Read the run, have it judged, and tell GitHub. Raises Unavailable (asked again) or Rejected.

    Safe to repeat: the judgement is made afresh each time, and a run that waits no more needs no answer. Where
    nobody ``asked`` the environment may have no rule of ours: GitHub's refusal is no trouble then.
    """
    if not Repository.objects.filter(name=repository, is_active=True).exists():
        return
    run = _read(repository, run_id)
    if run.get("status") == "completed":
        return
    asking = _asking(repository, run)
    judged = services.answer_gate(run=asking, environment=environment)
    if judged is None:
        return
    told = _tell(repository, run_id, environment, judged)
    if asked or told.status == 204:
        services.record_gate_answer(run=asking, answer=judged)
    if told.status == 204 or not asked:
        return
    # An earlier answer may have arrived although its acknowledgement was lost.
    if environment.casefold() not in map(str.casefold, _pending(repository, run_id)):
        return
    raise Rejected(
        f"GitHub did not take the answer for {environment}: {told.message}. The run waits there. Check that the "
        "App may read and write Deployments (docs/install.md)."
    )


def _read(repository: str, run_id: int) -> dict[str, Any]:
    data = read(f"/repos/{repository}/actions/runs/{run_id}").data
    if not isinstance(data, dict) or data.get("id") != run_id:
        raise Unavailable("GitHub's answer about the run could not be read.")
    return data


def _pending(repository: str, run_id: int) -> list[str]:
    """The environments for which the run waits, by GitHub's names."""
    pending = read(f"/repos/{repository}/actions/runs/{run_id}/pending_deployments").data
    return [str((each.get("environment") or {}).get("name")) for each in pending or []]


def _asking(repository: str, run: dict[str, Any]) -> AskingRun:
    return AskingRun(
        repository=repository,
        run_id=int(run["id"]),
        # Missing is not the first: what cannot be told does not pass.
        attempt=int(run.get("run_attempt") or 0),
        workflow=workflow_file(run.get("path") or ""),
        title=(run.get("display_title") or "")[:500],
        event=run.get("event") or "",
        branch=run.get("head_branch") or "",
        actor=((run.get("triggering_actor") or run.get("actor") or {}).get("login") or "")[:255],
        url=run.get("html_url") or "",
    )


def _tell(repository: str, run_id: int, environment: str, judged: GateAnswer) -> Answer:
    """One POST. Raises Unavailable for whatever may be asked again."""
    body = {"environment_name": environment, "comment": judged.comment[:MAX_COMMENT]}
    if judged.passes:
        body["state"] = "approved"
    path = f"/repos/{repository}/actions/runs/{run_id}/deployment_protection_rule"
    try:
        told = call("POST", path, body=body)
    except NoAnswer as error:
        raise Unavailable(f"GitHub could not be reached ({error}).") from error
    if told.is_limited:
        raise Unavailable(f"GitHub's rate limit: {told.message}.", after=told.wait)
    if told.status >= 500 or told.status == 401:
        raise Unavailable(f"GitHub did not take the answer: {told.message}.")
    return told
