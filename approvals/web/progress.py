"""A delivery as steps to look at: approved → starting → running → live → registry written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.utils import timezone

from approvals.models import Deployment, Promotion
from approvals.models import Step as DeploymentStep
from approvals.rollouts import PlanStep
from approvals.services.rollouts import plan_of
from approvals.states import DeploymentStatus, StepOutcome
from approvals.wording import listed, time_words
from approvals.write_back import WriteBack

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


def steps_of(promotion: Promotion, deployment: Deployment | None, written: str) -> list[Step]:
    """The steps of an approved promotion; none before. ``written`` is ``decisions.registry_is_written``."""
    if deployment is None:
        return []
    if deployment.strategy:
        return [*_rollout_steps(deployment), *_registry_step(promotion, written)]
    status = DeploymentStatus(deployment.status)
    started = deployment.run_id is not None
    starting, running, live = WALK.get(
        status, (DONE if started else BAD, BAD if started else TODO, TODO)
    )
    run = deployment.workflow_run
    if promotion.retroactive:
        adopted = f"{promotion.target.environment.name}, adopted: nothing was fired"
        steps = [Step("Approved", DONE), Step("Live", live, adopted)]
        return [*steps, *_registry_step(promotion, written)]
    steps = [
        Step("Approved", DONE, "the dispatch is next" if status == D.QUEUED else ""),
        Step("Starting the workflow", starting, promotion.target.workflow),
        Step("Running", running, inner=list(run.steps) if run else []),
        Step("Live", live, promotion.target.environment.name),
    ]
    return [*steps, *_registry_step(promotion, written)]


def _registry_step(promotion: Promotion, written: str) -> list[Step]:
    wanted = WriteBack.of(promotion.target.alias, promotion.target.write_back)
    if not wanted.is_wanted:
        return []
    state = {"done": DONE, "failed": BAD, "waiting": NOW}.get(written, TODO)
    return [Step("Registry written", state, wanted.words)]


def rollout_of(deployment: Deployment | None) -> dict[str, Any] | None:
    """What the bar shows: the strategy in words, where its steps are, and what the former version serves."""
    if deployment is None or not deployment.strategy:
        return None
    plan = plan_of(deployment)
    return {
        "words": plan.words,
        "marks": [each.percent for each in plan.steps if 0 < each.percent < 100],
        "rest": 100 - deployment.percent,
        "wait": time_words(max(int((deployment.waits_until - timezone.now()).total_seconds()), 0))
        if deployment.waits_until
        else "",
    }


OUTCOMES = {
    StepOutcome.SUCCEEDED: DONE,
    StepOutcome.FAILED: BAD,
    StepOutcome.CANCELLED: BAD,
}


def _rollout_steps(deployment: Deployment) -> list[Step]:
    """Approved, each step of the strategy, the way back where it was taken, live."""
    plan = plan_of(deployment).steps
    fired = list(deployment.steps.select_related("workflow_run"))
    by_index = {each.index: each for each in fired if not each.goes_back}
    back = [each for each in fired if each.goes_back]
    steps = [Step("Approved", DONE)]
    for index, planned in enumerate(plan):
        row = by_index.get(index)
        steps.append(
            Step(
                f"{planned.percent} %",
                _state(deployment, row),
                _then(planned),
                _inner(deployment, row),
            )
        )
    steps += [
        Step("Back to the former version", _state(deployment, e), inner=_inner(deployment, e))
        for e in back
    ]
    if not back:
        live = DONE if deployment.status == D.SUCCEEDED else TODO
        steps.append(Step("Live", live, deployment.target.environment.name))
    return steps


def _state(deployment: Deployment, row: DeploymentStep | None) -> str:
    if row is None:
        return TODO
    if row.outcome:
        return OUTCOMES[StepOutcome(row.outcome)]
    return BAD if deployment.status == D.UNCONFIRMED else NOW if deployment.is_open else BAD


def _inner(deployment: Deployment, row: DeploymentStep | None) -> list[dict[str, Any]]:
    """The workflow's own steps, of the newest run alone: those before it are told by their outcome."""
    if row is None or row.pk != deployment.step_id or row.workflow_run is None:
        return []
    steps = row.workflow_run.steps
    behind = row.outcome and any(each["status"] != "completed" for each in steps)
    return [] if behind else list(steps)


def _then(planned: PlanStep) -> str:
    """What has to happen before the next step."""
    clauses = [f"wait {time_words(planned.wait)}"] if planned.wait else []
    clauses += [each.words for each in planned.analysis]
    clauses += ["a person lets it go on"] if planned.advance else []
    return f"then {listed(clauses)}" if clauses else ""
