"""A delivery as steps to look at: approved → starting → running → live → alias written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from approvals.models import Deployment, Promotion
from approvals.states import DeploymentStatus

DONE, NOW, TODO, BAD = "done", "now", "todo", "bad"
ICONS = {DONE: "circle-check", NOW: "loader", TODO: "circle-dashed", BAD: "circle-x"}
WORDS = {DONE: "done", NOW: "under way", TODO: "to do", BAD: "failed"}


@dataclass(frozen=True)
class Step:
    """One step with its state: done, now, todo or bad; ``inner`` are the workflow run's own steps."""

    name: str
    state: str
    note: str = ""
    inner: list[dict[str, Any]] = field(default_factory=list)

    @property
    def icon(self) -> str:
        """The state's shape."""
        return ICONS[self.state]

    @property
    def words(self) -> str:
        """The state in words."""
        return WORDS[self.state]


D = DeploymentStatus
# How far each status has come: (starting, running, live).
WALK = {
    D.QUEUED: (TODO, TODO, TODO),
    D.DISPATCHING: (NOW, TODO, TODO),
    D.RUNNING: (DONE, NOW, TODO),
    D.SUCCEEDED: (DONE, DONE, DONE),
    D.UNCONFIRMED: (BAD, TODO, TODO),
}


def steps_of(promotion: Promotion, deployment: Deployment | None, alias: str) -> list[Step]:
    """The steps of an approved promotion; none before."""
    if deployment is None:
        return []
    status = DeploymentStatus(deployment.status)
    started = deployment.run_id is not None
    starting, running, live = WALK.get(
        status, (DONE if started else BAD, BAD if started else TODO, TODO)
    )
    run = deployment.workflow_run
    steps = (
        [
            Step("Approved", DONE),
            Step("Live", live, f"{promotion.target.environment.name}, adopted: nothing was fired"),
        ]
        if promotion.retroactive
        else [
            Step("Approved", DONE, "the dispatch is next" if status == D.QUEUED else ""),
            Step("Starting the workflow", starting, promotion.target.workflow),
            Step("Running", running, inner=list(run.steps) if run else []),
            Step("Live", live, promotion.target.environment.name),
        ]
    )
    if promotion.target.alias:
        state = {"done": DONE, "failed": BAD, "waiting": NOW}.get(alias, TODO)
        steps.append(Step("Registry alias written", state, promotion.target.alias))
    return steps
