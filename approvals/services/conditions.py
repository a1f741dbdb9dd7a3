"""What stands in a promotion's way whoever approves it, from our rows as they are now."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from django.db.models import QuerySet

from approvals.calendar import in_zone
from approvals.gates import FAIL, PASS, Column, Finding, Gate, Observation, Outcome, Signature
from approvals.models import Deployment, ModelVersion, Person, Promotion, Target, WorkflowRun
from approvals.rules import Policy
from approvals.services.at_hand import CHANGES, LIVED, RUNS, at_hand
from approvals.services.cases import NOT_A_POLICY, terms_of
from approvals.services.evidence import newest_evidence
from approvals.services.freezes import frozen_at
from approvals.services.queueing import open_deployments_of, under_way
from approvals.services.restrictions import restrictions_of
from approvals.states import (
    ACTIVE_DEPLOYMENT,
    DeploymentStatus,
    EvidenceVerdict,
    RestrictionKind,
)


def outcomes_of(promotion: Promotion, now: datetime) -> list[Outcome]:
    """What is closed first (lock, quarantine, hold, freeze, a running deployment), then one outcome per gate of
    the promotion's policy, in the file's order.

    An unreadable policy has no gates here; :func:`approvals.services.cases.case_of` blocks it.
    """
    found = [*closures_of(promotion), *_timing(promotion, now)]
    try:
        policy = Policy.from_data(promotion.policy)
        automatic = terms_of(promotion, policy).automatic
    except NOT_A_POLICY:
        return found
    if automatic and promotion.rolls_back_id is None:
        found += _holds(promotion)
    if promotion.rolls_back_id is not None:
        found += _moved_on(promotion, now)
    return [*found, *gate_outcomes(promotion, policy, now)]


def gate_outcomes(promotion: Promotion, policy: Policy, now: datetime) -> list[Outcome]:
    """One outcome per gate of the policy."""
    gates = policy.gates_for(rollback=promotion.is_rollback)
    if not gates:
        return []
    seen = observe(promotion, gates, now)
    return [gate.check(seen) for gate in gates]


def closures_of(promotion: Promotion) -> list[Outcome]:
    """Open locks and quarantines, and what cannot be adopted. Nobody breaks the glass over these: they are lifted,
    with a reason."""
    closed = [
        Outcome(FAIL, each.sentence)
        for each in restrictions_of(promotion)
        if each.kind != RestrictionKind.HOLD
    ]
    return [*closed, *_not_adoptable(promotion)]


def _not_adoptable(promotion: Promotion) -> list[Outcome]:
    """Only what was seen to be live, and still is as far as known, is adopted."""
    if not promotion.retroactive or not promotion.is_pending:
        return []
    found = []
    changes = at_hand(promotion.target, CHANGES)
    if changes is None:
        adopts = promotion.answers.filter(target=promotion.target_id, ended_at=None).exists()
    else:
        adopts = any(each.promotion_id == promotion.pk for each in changes)
    if not adopts:
        gone = "The out-of-band change that it would adopt is no longer there. Cancel this request."
        found.append(Outcome(FAIL, gone))
    if any(e.status in ACTIVE_DEPLOYMENT for e in open_deployments_of(promotion.target)):
        busy = "A deployment is under way here; what is live is known once it has ended."
        found.append(Outcome(FAIL, busy))
    return found


def _holds(promotion: Promotion) -> list[Outcome]:
    return [
        Outcome(FAIL, f"{each.sentence} Nothing is approved automatically until it is released.")
        for each in restrictions_of(promotion)
        if each.kind == RestrictionKind.HOLD
    ]


def _moved_on(promotion: Promotion, now: datetime) -> list[Outcome]:
    """A rollback by itself is about one deployment, settled and live: never about what came after it."""
    target = promotion.target
    live = target.live_deployment
    if live is None or live.pk != promotion.rolls_back_id:
        return [Outcome(FAIL, "What it would roll back is not live any more.")]
    if other := under_way(target, now):
        return [Outcome(FAIL, f"{other} Nothing is rolled back by itself meanwhile.")]
    return []


def _timing(promotion: Promotion, now: datetime) -> list[Outcome]:
    """A freeze at the time at which it would run. A rollback does not wait for it to end."""
    if promotion.is_rollback:
        return []
    found = []
    later = promotion.run_at if promotion.run_at and promotion.run_at > now else None
    if sentence := frozen_at(promotion.target, later or now):
        then = f" It would run {in_zone(later, promotion.run_zone)}." if later else ""
        found.append(Outcome(FAIL, sentence + then))
    elif later:
        text = f"{promotion.target.environment} is not frozen {in_zone(later, promotion.run_zone)}."
        found.append(Outcome(PASS, text))
    return found


def stops_dispatch(promotion: Promotion, now: datetime) -> list[str]:
    """Why a grant may not be used: what is closed, and gates that do not pass any more (those were overruled
    where somebody broke the glass). A freeze only makes it wait; an unreadable policy stops it."""
    found = closures_of(promotion)
    if promotion.overridden_by_id is None:
        found += gate_outcomes(promotion, Policy.from_data(promotion.policy), now)
    return [each.sentence for each in found if not each.passed]


def waits_for_time(promotion: Promotion, now: datetime) -> str:
    """Why a grant is not used yet: its time has not come, or a freeze is on; empty when neither."""
    if promotion.run_at and promotion.run_at > now:
        return f"Waiting for its time: {in_zone(promotion.run_at, promotion.run_zone)}."
    if promotion.is_rollback or promotion.overridden_by_id is not None:
        return ""
    sentence = frozen_at(promotion.target, now)
    return f"Waiting: {sentence}" if sentence else ""


def observe(promotion: Promotion, gates: tuple[Gate, ...], now: datetime) -> Observation:
    """What the gates look at. The candidate's metrics are the sealed ones, as soon as there is a seal."""
    sealed = promotion.facts["metrics"] if promotion.seal else None
    return observe_version(
        promotion.version,
        promotion.target,
        gates,
        now,
        metrics=sealed,
        asked_by=promotion.requester,
        live=promotion.replaces,
    )


def observe_version(
    version: ModelVersion,
    target: Target,
    gates: tuple[Gate, ...],
    now: datetime,
    *,
    live: ModelVersion | None,
    metrics: Mapping[str, str] | None = None,
    asked_by: Person | None = None,
) -> Observation:
    """What the gates look at when this version is, or would be, asked for; ``asked_by`` whom, where that is
    known, ``metrics`` where they are sealed, and ``live`` what it would replace."""
    kinds = {gate.kind for gate in gates}
    return Observation(
        metrics=version.metrics if metrics is None else metrics,
        live_metrics=live.metrics if live else None,
        data=evaluated_on(version),
        live_data=evaluated_on(live) if live else frozenset(),
        runs=_runs(version) if "runs" in kinds else {},
        lived=_lived(version, now) if "live_in" in kinds else {},
        evidence=_evidence(version, target, asked_by, now) if "evidence" in kinds else {},
        signature=signature_of(version) if "signature" in kinds else None,
        live_signature=signature_of(live) if live and "signature" in kinds else None,
    )


def evaluated_on(version: ModelVersion) -> frozenset[str]:
    """The digests of the data sets that it was evaluated on."""
    return frozenset(
        str(each["digest"])
        for each in version.datasets
        if each.get("digest") and each.get("context") in {"evaluation", "test", "validation"}
    )


def signature_of(version: ModelVersion) -> Signature | None:
    """None while it is not known, or cannot be read."""
    try:
        inputs, outputs = (
            {row["name"]: Column(row["type"], row["required"]) for row in version.signature[side]}
            for side in ("inputs", "outputs")
        )
    except (KeyError, TypeError):
        return None
    return Signature(inputs, outputs)


def _runs(version: ModelVersion) -> dict[str, list[str]]:
    """By the commit alone: anybody can start a workflow with any version in its title."""
    if not version.git_commit:
        return {}
    newest: dict[tuple[str, str], str] = {}
    runs = at_hand(version, RUNS)
    if runs is None:
        runs = WorkflowRun.objects.filter(
            repository=version.model.repository, head_sha=version.git_commit
        ).order_by("created_at", "run_id")
    for run in runs:
        newest[run.kind, run.workflow] = run.conclusion or "unknown" if run.is_completed else ""
    found: dict[str, list[str]] = {}
    for (kind, _), conclusion in newest.items():
        found.setdefault(kind, []).append(conclusion)
    return found


def _evidence(
    version: ModelVersion, target: Target, asked_by: Person | None, now: datetime
) -> dict[str, Finding]:
    """The newest of each name, for the target's environment or for every one."""
    return {
        each.name: Finding(
            passed=each.verdict == EvidenceVerdict.PASS,
            age=max(int((now - each.produced_at).total_seconds()), 0),
            source=each.produced_by,
        )
        for each in newest_evidence(version, target.environment_id, asked_by=asked_by)
    }


def _lived(version: ModelVersion, now: datetime) -> dict[str, int]:
    """Seconds live by environment: from each deployment's end to the next one's at that target."""
    done = at_hand(version, LIVED)
    if done is None:
        done = _succeeded(version)
    lived: dict[str, int] = {}
    since: dict[str, datetime | None] = {}
    for deployment in done:
        name, moment = deployment.target.environment.name, deployment.finished_at
        start = since.get(name)
        if start and moment:
            lived[name] = lived.get(name, 0) + int((moment - start).total_seconds())
        since[name] = moment if deployment.version_id == version.pk else None
        if since[name]:
            lived.setdefault(name, 0)
    for name, start in since.items():
        if start:
            lived[name] = lived.get(name, 0) + max(int((now - start).total_seconds()), 0)
    return lived


def _succeeded(version: ModelVersion) -> QuerySet[Deployment]:
    """Every deployment of its model that went live, the oldest first."""
    return (
        Deployment.objects.filter(
            target__model=version.model,
            status=DeploymentStatus.SUCCEEDED,
            finished_at__isnull=False,
        )
        .select_related("target__environment")
        .order_by("finished_at", "pk")
    )
