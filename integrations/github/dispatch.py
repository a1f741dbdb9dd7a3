"""Firing the workflow: one POST, and looking the run up by its token when the answer was lost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from github.Requester import Requester

from approvals.services.delivery import DispatchOrder
from integrations.errors import Rejected, Unavailable
from integrations.github.client import NoAnswer, call, read

# A run cannot be older than the dispatch that started it; clocks differ by this much at the most.
CLOCK_SKEW = timedelta(minutes=2)


class Ambiguous(Exception):
    """GitHub may or may not have started a run. Never post again: look."""


@dataclass(frozen=True)
class Started:
    """The run that GitHub named."""

    run_id: int
    url: str


def workflow_digest(repository: str, workflow: str, ref: str) -> str:
    """The git blob id of the workflow file at ``ref``. Raises Unavailable or Rejected."""
    path = f"/repos/{repository}/contents/.github/workflows/{quote(workflow)}?ref={quote(ref, safe='')}"
    return f"git:{read(path).data['sha']}"


def post(order: DispatchOrder, by: Requester) -> Started:
    """The one POST. Raises Rejected when GitHub clearly refused, Unavailable when it clearly refused for
    now (a rate limit; nothing was started), Ambiguous for everything else."""
    path = f"/repos/{order.repository}/actions/workflows/{quote(order.workflow)}/dispatches"
    body: dict[str, Any] = {"ref": order.ref, "inputs": order.inputs, "return_run_details": True}
    try:
        answer = call("POST", path, body=body, by=by)
    except NoAnswer as error:
        raise Ambiguous(f"GitHub's answer did not arrive ({error})") from error
    if answer.status == 200 and isinstance(answer.data, dict) and "workflow_run_id" in answer.data:
        return Started(int(answer.data["workflow_run_id"]), str(answer.data.get("html_url", "")))
    if 300 <= answer.status < 400:
        raise Rejected(
            f"{order.repository} was renamed or moved ({answer.message}), and nothing was started. "
            "Configure its new name and ask again."
        )
    if answer.is_limited:
        raise Unavailable(
            f"GitHub's rate limit: {answer.message}. Nothing was started; it is tried again later.",
            after=answer.wait,
        )
    if 400 <= answer.status < 500:
        raise Rejected(f"GitHub refused: {answer.message}. Nothing was started.")
    # 204 (older servers name no run), 5xx (may have started one), anything unheard of.
    raise Ambiguous(f"GitHub answered {answer.message} without naming a run")


def find(*, repository: str, workflow: str, token: str, began_at: datetime) -> Started | None:
    """Look the run up by the token in its title. Raises Unavailable or Rejected.

    Lists can be late, so None means "not seen yet". The list is filtered by event only; filtering by
    time is ours, because GitHub's filtered lists may be incomplete.
    """
    path = (
        f"/repos/{repository}/actions/workflows/{quote(workflow)}/runs"
        "?event=workflow_dispatch&per_page=100"
    )
    runs = read(path).data.get("workflow_runs", [])
    oldest = began_at - CLOCK_SKEW
    for run in sorted(runs, key=lambda each: int(each["id"])):
        created = datetime.fromisoformat(run["created_at"].replace("Z", "+00:00"))
        if f"[{token}]" in (run.get("display_title") or "") and created >= oldest:
            return Started(int(run["id"]), run.get("html_url") or "")
    return None
