"""How an approved promotion comes along, as lines: steps, the share of requests, questions that wait, the run."""

from __future__ import annotations

from approvals.models import Deployment, Promotion
from approvals.rollouts import Strategy
from approvals.selectors.decisions import registry_is_written
from approvals.states import DeploymentStatus
from approvals.web.progress import BAD, DONE, NOW, TODO, Step, steps_of
from integrations.slack.outcomes import State
from integrations.slack.text import inline, link, moment, quoted

MARKS = {DONE: "✓", NOW: "▸", TODO: "○", BAD: "✗"}


def rollout_bar(deployment: Deployment) -> str:
    """``▰▰▰▰▰▱▱▱▱▱ 50 % (canary: 10 → 50 → 100 %)``, empty where everything goes at once."""
    if not deployment.strategy:
        return ""
    filled = round(deployment.percent / 10)
    plan = Strategy.from_data(deployment.strategy)
    return (
        f"{'▰' * filled}{'▱' * (10 - filled)} *{deployment.percent} %* of requests ({plan.words})"
    )


def progress_lines(promotion: Promotion, deployment: Deployment, state: State) -> list[str]:
    """From the approval to the outcome; what waits for a person says so."""
    lines = []
    why = deployment.asks_to_confirm or deployment.paused
    why = why or (deployment.aborting if deployment.is_open else "")
    if not why and not state.says_detail and not _is_old(deployment):
        why = deployment.detail
    if why:
        lines.append(quoted(why))
    bar = rollout_bar(deployment)
    if bar and (deployment.is_open or deployment.percent):
        lines.append(bar)
    lines += _steps(promotion, deployment)
    waits = deployment.status == DeploymentStatus.WAITING and not deployment.paused
    if waits and deployment.waits_until and not deployment.aborting:
        lines.append(f"The next step is decided {moment(deployment.waits_until)}.")
    if deployment.run_url:
        lines.append(link(deployment.run_url, "Open the workflow run on GitHub"))
    return lines


def _is_old(deployment: Deployment) -> bool:
    """It says what the rest of the message says afresh: what a queued one waited for when it was last tried, how
    much of the requests it has."""
    if deployment.status == DeploymentStatus.QUEUED:
        return deployment.detail.startswith("Waiting")
    return deployment.is_open and f" serves {deployment.percent} % in " in deployment.detail


def _steps(promotion: Promotion, deployment: Deployment) -> list[str]:
    """``✓ Approved  ▸ Running (under way: Deploy the model, 3 of 5)``, then ``○ To come: Live``; nothing where no
    step was ever begun and none comes any more."""
    succeeded = deployment.status == DeploymentStatus.SUCCEEDED
    if not deployment.is_open and not succeeded and not deployment.has_begun:
        return []
    steps = steps_of(promotion, deployment, registry_is_written(promotion))
    unsure = deployment.status == DeploymentStatus.UNCONFIRMED
    begun = [_step(each, unsure=unsure) for each in steps if each.state != TODO]
    lines = ["  ".join(begun)]
    to_come = [inline(each.name, 60) for each in steps if each.state == TODO]
    # Going back, and once it ended badly, nothing of it comes any more.
    if to_come and not deployment.aborting and (deployment.is_open or succeeded):
        lines.append(f"{MARKS[TODO]} To come: {', '.join(to_come)}")
    return lines


def _step(step: Step, *, unsure: bool) -> str:
    name = inline(step.name, 60)
    if step.state == DONE:
        return f"{MARKS[DONE]} {name}"
    if step.state == BAD and unsure:
        return f"? {name} (nobody knows)"
    return f"{MARKS[step.state]} {name} ({step.words}{_inner(step)})"


def _inner(step: Step) -> str:
    """The workflow's own step in hand."""
    if step.state != NOW:
        return ""
    at = next((i for i, e in enumerate(step.inner) if e["status"] != "completed"), None)
    if at is None:
        return ""
    return f": {inline(str(step.inner[at]['name']), 60)}, {at + 1} of {len(step.inner)}"
