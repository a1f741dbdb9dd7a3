"""What a promotion's gates say, from our rows as they are now."""

from __future__ import annotations

from datetime import datetime

from approvals.gates import FAIL, Finding, Gate, Observation, Outcome
from approvals.models import Deployment, ModelVersion, Promotion, WorkflowRun
from approvals.policies import Policy
from approvals.services.evidence import newest_evidence
from approvals.services.restrictions import restrictions_of
from approvals.states import DeploymentStatus, EvidenceVerdict


def outcomes_of(promotion: Promotion, now: datetime) -> list[Outcome]:
    """Open locks and quarantines first, then one outcome per gate of the promotion's policy, in the file's
    order.

    An unreadable policy has no gates here; :func:`approvals.services.cases.case_of` blocks it.
    """
    closed = [Outcome(FAIL, each.sentence) for each in restrictions_of(promotion)]
    try:
        gates = Policy.from_data(promotion.policy).gates_for(rollback=promotion.is_rollback)
    except (KeyError, TypeError, ValueError):
        gates = ()
    if not gates:
        return closed
    seen = observe(promotion, gates, now)
    return [*closed, *(gate.check(seen) for gate in gates)]


def blockers_of(promotion: Promotion, now: datetime) -> list[str]:
    """The sentences of the gates that do not pass."""
    return [each.sentence for each in outcomes_of(promotion, now) if not each.passed]


def observe(promotion: Promotion, gates: tuple[Gate, ...], now: datetime) -> Observation:
    """What the gates look at. The candidate's metrics are the sealed ones, as soon as there is a seal."""
    version, live = promotion.version, promotion.target.live_version
    kinds = {gate.kind for gate in gates}
    return Observation(
        metrics=promotion.facts["metrics"] if promotion.seal else version.metrics,
        live_metrics=live.metrics if live else None,
        data=_evaluated_on(version),
        live_data=_evaluated_on(live) if live else frozenset(),
        runs=_runs(version) if "runs" in kinds else {},
        lived=_lived(version, now) if "live_in" in kinds else {},
        evidence=_evidence(promotion, now) if "evidence" in kinds else {},
    )


def _evaluated_on(version: ModelVersion) -> frozenset[str]:
    return frozenset(
        str(each["digest"])
        for each in version.datasets
        if each.get("digest") and each.get("context") in {"evaluation", "test", "validation"}
    )


def _runs(version: ModelVersion) -> dict[str, list[str]]:
    """By the commit alone: anybody can start a workflow with any version in its title."""
    if not version.git_commit:
        return {}
    newest: dict[tuple[str, str], str] = {}
    for run in WorkflowRun.objects.filter(
        repository=version.model.repository, head_sha=version.git_commit
    ).order_by("created_at", "run_id"):
        newest[run.kind, run.workflow] = run.conclusion or "unknown" if run.is_completed else ""
    found: dict[str, list[str]] = {}
    for (kind, _), conclusion in newest.items():
        found.setdefault(kind, []).append(conclusion)
    return found


def _evidence(promotion: Promotion, now: datetime) -> dict[str, Finding]:
    """The newest of each name, for the promotion's environment or for every one."""
    return {
        each.name: Finding(
            passed=each.verdict == EvidenceVerdict.PASS,
            age=max(int((now - each.produced_at).total_seconds()), 0),
            source=each.produced_by,
        )
        for each in newest_evidence(promotion.version, promotion.target.environment_id)
    }


def _lived(version: ModelVersion, now: datetime) -> dict[str, int]:
    """Seconds live by environment: from each deployment's end to the next one's at that target."""
    done = (
        Deployment.objects.filter(
            target__model=version.model,
            status=DeploymentStatus.SUCCEEDED,
            finished_at__isnull=False,
        )
        .select_related("target__environment")
        .order_by("finished_at", "pk")
    )
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
