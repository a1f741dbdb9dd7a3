"""What must be true in the end, judged on what GitHub, MLflow and Slack hold themselves, and on the rows.

Pure: :func:`problems_with` takes evidence and knows nothing of where it comes from (``tests.chaos.evidence``).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.chaos.outside import Run

CONCLUSION = {"success": "succeeded", "failure": "failed", "cancelled": "cancelled"}
# What ends a deployment for good, and what does so unless its rollout goes back afterwards.
LAST = (
    "deployment.succeeded",
    "deployment.gone_back",
    "deployment.lapsed",
    "deployment.called_off",
)
LAST_UNLESS_GONE_BACK = (
    "deployment.failed",
    "deployment.cancelled",
    "deployment.refused",
    "deployment.stopped",
    "deployment.given_up",
)


@dataclass(frozen=True)
class StepRow:
    """One step as the product keeps it; ``way_back``: it takes the version out of service."""

    token: str
    percent: int
    way_back: bool
    outcome: str
    run_id: int | None
    dispatches: int


@dataclass(frozen=True)
class Asked:
    """One promotion as the product keeps it. ``delivery`` is empty where nothing was granted."""

    id: int
    token: str
    target: tuple[str, str]
    version: int
    status: str
    delivery: str
    planned_steps: int
    steps: tuple[StepRow, ...]
    events: tuple[str, ...]


@dataclass
class Evidence:
    """All that a run left behind. ``live`` is, by target, (the alias in MLflow, the live version in the rows)."""

    expected: int
    promotions: list[Asked]
    runs: list[Run]
    deployed: list[str]
    live: dict[tuple[str, str], tuple[int | None, int | None]]
    messages: dict[str, int]
    open_effects: list[str] = field(default_factory=list)
    failed_effects: list[str] = field(default_factory=list)
    unknown_events: list[str] = field(default_factory=list)
    broken_history: str = ""


def problems_with(evidence: Evidence) -> list[str]:
    """Everything that is not as it must be, one sentence each; nothing when all is well."""
    return [
        *_doubled(evidence),
        *_lost(evidence),
        *(each for asked in evidence.promotions for each in _untrue(asked, evidence)),
        *_not_live(evidence),
        *_messages(evidence),
        *(f"An effect is still open: {each}." for each in evidence.open_effects),
        *(f"An effect was given up: {each}." for each in evidence.failed_effects),
        *(
            f"The history has an event that nobody can read: {each}."
            for each in evidence.unknown_events
        ),
        *(
            [f"The history does not verify: {evidence.broken_history}"]
            * bool(evidence.broken_history)
        ),
    ]


def _doubled(evidence: Evidence) -> Iterator[str]:
    for token, count in Counter(run.token for run in evidence.runs).items():
        if count > 1:
            yield f"Doubled: GitHub has {count} runs with the token {token or '(none)'}."
    for token, count in Counter(evidence.deployed).items():
        if count > 1:
            yield f"Doubled: the deployment of {token} was executed {count} times."
    known = {step.token for asked in evidence.promotions for step in asked.steps}
    for run in evidence.runs:
        if run.token not in known:
            yield f"Run {run.id} on GitHub belongs to no grant (token {run.token or '(none)'})."
        if run.status != "completed":
            yield f"Run {run.id} on GitHub is still {run.status}."


def _lost(evidence: Evidence) -> Iterator[str]:
    if len(evidence.promotions) != evidence.expected:
        yield (
            f"Lost: {evidence.expected} promotions were asked for, {len(evidence.promotions)} exist."
        )
    steps = {step.token: step for asked in evidence.promotions for step in asked.steps}
    for run in evidence.runs:
        step = steps.get(run.token)
        if step is not None and step.run_id != run.id:
            yield f"Lost: run {run.id} of {run.token} is not known (the row says {step.run_id})."
    held = {run.id for run in evidence.runs}
    for step in steps.values():
        if step.run_id and step.run_id not in held:
            yield f"{step.token} names run {step.run_id}, which GitHub does not have."


def _untrue(asked: Asked, evidence: Evidence) -> Iterator[str]:
    """Where the product's word on a promotion is not what happened."""
    name = f"Promotion {asked.id}"
    if asked.status == "pending":
        yield f"{name} was never decided."
    if (asked.status == "approved") != bool(asked.delivery):
        yield f"{name} is {asked.status}, and its delivery is {asked.delivery or 'missing'}."
    if asked.delivery and asked.delivery not in {"succeeded", "failed", "cancelled"}:
        yield f"{name} has not ended: {asked.delivery}."
    yield from _events_missing(asked)
    runs = {run.token: run for run in evidence.runs}
    for step in asked.steps:
        run = runs.get(step.token)
        if run is not None and step.outcome != CONCLUSION.get(run.conclusion):
            yield (
                f"{name}: GitHub ended {step.token} with {run.conclusion or 'nothing'}, the row says "
                f"{step.outcome or 'nothing'}."
            )
        if run is None and step.outcome == "succeeded":
            yield f"{name}: {step.token} succeeded without a run on GitHub."
    forward = [step for step in asked.steps if not step.way_back]
    went = [
        step for step in forward if (run := runs.get(step.token)) and run.conclusion == "success"
    ]
    complete = len(went) == asked.planned_steps and bool(went) and went[-1].percent == 100
    if (asked.delivery == "succeeded") != complete:
        yield (
            f"{name} says {asked.delivery}, but {len(went)} of {asked.planned_steps} steps succeeded "
            "on GitHub."
        )
    if went and not complete:
        last = runs.get(asked.steps[-1].token)
        if not asked.steps[-1].way_back or last is None or last.conclusion != "success":
            yield f"{name} ended {asked.delivery} and part of it was left in service."


def _events_missing(asked: Asked) -> Iterator[str]:
    """The line of events must be whole: each once, in its order."""
    name, events = f"Promotion {asked.id}", asked.events
    counts = Counter(events)
    if events[:1] != ("promotion.requested",):
        yield f"{name}: its history begins with {events[:1]}."
    if not asked.delivery:
        if counts[f"promotion.{asked.status}"] != 1:
            yield f"{name} is {asked.status}, and {counts[f'promotion.{asked.status}']} events say so."
        return
    walk = [each for each in events if each in {"promotion.sealed", "promotion.approved"}]
    if walk != ["promotion.sealed", "promotion.approved"]:
        yield f"{name}: sealed and approved are told as {walk}."
    begun = [step for step in asked.steps if step.dispatches]
    if counts["deployment.dispatching"] < len(begun):
        yield f"{name}: {len(begun)} steps were dispatched, {counts['deployment.dispatching']} are told."
    started = sum(step.run_id is not None for step in asked.steps)
    if counts["deployment.started"] != started:
        yield f"{name}: {started} steps have a run, {counts['deployment.started']} are told."
    ends = sum(counts[kind] for kind in LAST)
    if not counts["deployment.gone_back"]:
        ends += sum(counts[kind] for kind in LAST_UNLESS_GONE_BACK)
    if ends != 1:
        told = [each for each in events if each in {*LAST, *LAST_UNLESS_GONE_BACK}]
        yield f"{name} has {ends} outcomes in its history: {told}."


def _not_live(evidence: Evidence) -> Iterator[str]:
    """The alias and the rows must both name what was last brought to everybody on GitHub."""
    brought: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in evidence.runs:
        if run.went_live:
            brought[run.model, run.environment].append(run)
    for target, (alias, row) in evidence.live.items():
        runs = sorted(brought[target], key=lambda run: run.id)
        last = runs[-1].version if runs else None
        if not alias == row == last:
            yield (
                f"{'/'.join(target)}: GitHub last brought version {last} to everybody, the rows say {row}, "
                f"MLflow's alias {alias}."
            )


def _messages(evidence: Evidence) -> Iterator[str]:
    for asked in evidence.promotions:
        if (count := evidence.messages.get(asked.token, 0)) != 1:
            yield f"Promotion {asked.id} has {count} messages in Slack."
