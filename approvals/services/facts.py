"""Facts come in, are composed with what we know ourselves, and are sealed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from approvals.gates import as_data
from approvals.models import ModelVersion, Promotion, Review, Target
from approvals.rules import Policy, Terms
from approvals.seals import differences
from approvals.seals import seal as seal_of
from approvals.services.automatic import approve_automatically
from approvals.services.cases import situation_of
from approvals.services.comparisons import compare_code
from approvals.services.history import record
from approvals.services.locks import lock_promotion
from approvals.services.queueing import replaced_by
from approvals.services.rollbacks import alert_if_stuck
from approvals.services.telling import tell_of_request, tell_of_second_look
from approvals.states import DeploymentStatus, Via
from approvals.wording import listed


@dataclass(frozen=True)
class ObservedFacts:
    """What was read outside, just now. Numbers are decimal text.

    ``version``: name, number, registered_at, source, run_id, status, run_status, artifact_digest;
    ``workflow_digest``: git blob id of the workflow file at the target's ref. ``signature``: as
    ``ModelVersion.signature`` has it, empty when the version has none, None when nobody looked. It is not
    sealed itself: it is part of the artifacts, whose digest is.
    """

    version: Mapping[str, str]
    metrics: Mapping[str, str]
    workflow_digest: str
    artifact_bytes: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    signature: Mapping[str, Any] | None = None


def compose(
    promotion: Promotion,
    target: Target,
    observed: ObservedFacts,
    replaces: ModelVersion | None,
) -> dict[str, Any]:
    """The facts that people approve: those observed outside and those of our own rows. ``replaces`` is what will
    be live when its turn comes (``services.queueing``)."""
    policy = Policy.from_data(promotion.policy)
    rollback = promotion.is_rollback
    gates = [as_data(gate) for gate in policy.gates_for(rollback=rollback)]
    if promotion.rolls_back_id is not None:
        terms = Terms.of_itself(promotion.reason)
    else:
        seen = situation_of(promotion.version, target, observed.metrics, live=replaces)
        terms = policy.terms(seen, rollback=rollback, retroactive=promotion.retroactive)
    # Going back must be quick, and where nothing is live there is nothing to go back to.
    at_once = rollback or promotion.retroactive or replaces is None
    strategy = {} if at_once else target.strategy
    return {
        "kind": promotion.kind,
        "version": dict(observed.version),
        "metrics": dict(observed.metrics),
        "target": {
            "model": target.model.name,
            "environment": target.environment.name,
            "alias": target.alias,
            "replaces": str(replaces.number) if replaces else "",
        },
        "workflow": {
            "repository": target.model.repository,
            "file": target.workflow,
            "ref": target.ref,
            "file_digest": observed.workflow_digest,
            "inputs": dict(target.inputs),
        },
        "policy": {
            **terms.as_data(),
            "requester_may_approve": rollback and policy.rollback_requester_may_approve,
            # Left out where they say nothing, so that seals of older releases stay good.
            **({"gates": gates} if gates else {}),
            **({} if policy.trainer_may_approve else {"trainer_may_approve": False}),
        },
        **({"strategy": dict(strategy)} if strategy else {}),
        **({"retroactive": True} if promotion.retroactive else {}),
    }


def problem_with(promotion: Promotion, observed: ObservedFacts) -> str:
    """Why these facts cannot be approved, or an empty text.

    For a rollback this is the preflight: the artifacts must hash as they did when the version was live.
    """
    version = observed.version
    if version.get("status") != "READY":
        return f"MLflow says that the version is {version.get('status') or 'in no known state'}."
    if version.get("run_status") not in {"", "FINISHED"}:
        return f"The source run is {version.get('run_status')}, not FINISHED."
    if promotion.is_rollback:
        former = (
            promotion.target.deployments.filter(
                version=promotion.version, status=DeploymentStatus.SUCCEEDED
            )
            .select_related("promotion")
            .first()
        )
        expected = former.promotion.facts["version"]["artifact_digest"] if former else None
        if expected != version.get("artifact_digest"):
            return (
                "The artifacts are not those that were live before: their digest was "
                f"{str(expected)[:17]}… and is {version.get('artifact_digest', '')[:17]}… now."
            )
    return ""


@transaction.atomic
def record_facts(
    *,
    promotion_id: int,
    observed: ObservedFacts,
    via: str = Via.SYSTEM,
    now: datetime | None = None,
) -> Promotion:
    """Seal a pending promotion's facts. If the seal moves, earlier reviews no longer count, and the
    event says what changed. A promotion that is decided already is left alone."""
    promotion = lock_promotion(promotion_id)
    now = now or timezone.now()
    if not promotion.is_pending:
        return promotion
    # Before the comparison of seals: a version that was sealed by an older release has no signature yet.
    if observed.signature is not None and promotion.version.signature != observed.signature:
        promotion.version.signature = dict(observed.signature)
        promotion.version.save(update_fields=["signature"])
    target = promotion.target
    replaces = replaced_by(promotion)
    facts = compose(promotion, target, observed, replaces)
    new_seal = seal_of(facts)
    problem = problem_with(promotion, observed)
    if new_seal == promotion.seal and problem == promotion.problem:
        return promotion
    before, old_seal, old_problem = promotion.facts, promotion.seal, promotion.problem
    if replaces != promotion.replaces:
        compare_code(base=replaces, head=promotion.version, now=now)
    promotion.facts, promotion.seal, promotion.problem = facts, new_seal, problem
    promotion.replaces = replaces
    promotion.sealed_at = now
    promotion.save(update_fields=["facts", "seal", "problem", "replaces", "sealed_at"])
    version = promotion.version
    version.artifact_digest = observed.version.get("artifact_digest", "")
    version.artifact_bytes = observed.artifact_bytes
    version.save(update_fields=["artifact_digest", "artifact_bytes"])
    voided: list[Review] = []
    if not old_seal:
        record("promotion.sealed", via=via, promotion=promotion, now=now, seal=new_seal)
    elif old_seal != new_seal:
        voided = list(promotion.reviews.filter(voided_at=None).select_related("person"))
        promotion.reviews.filter(voided_at=None).update(voided_at=now)
        record(
            "promotion.resealed",
            via=via,
            promotion=promotion,
            now=now,
            seal=new_seal,
            previous_seal=old_seal,
            differences=differences(before, facts),
            voided=[str(each.person) for each in voided],
        )
    if problem and problem != old_problem:
        record("promotion.blocked", via=via, promotion=promotion, now=now, problem=problem)
    if old_problem and not problem and old_seal == new_seal:
        record("promotion.unblocked", via=via, promotion=promotion, now=now)
    if approve_automatically(promotion_id=promotion.pk, now=now):
        promotion.refresh_from_db()
    if promotion.is_pending and not old_seal:
        tell_of_request(promotion, now)
    elif promotion.is_pending and voided:
        changed = listed(differences(before, facts))
        tell_of_second_look(promotion, [each.person_id for each in voided], changed, now)
    return promotion


@transaction.atomic
def record_facts_problem(
    *, promotion_id: int, problem: str, via: str = Via.SYSTEM, now: datetime | None = None
) -> None:
    """The facts could not be gathered: nobody can approve until they can. Says why, once."""
    promotion = lock_promotion(promotion_id)
    if not promotion.is_pending or promotion.problem == problem:
        return
    promotion.problem = problem
    promotion.save(update_fields=["problem"])
    record(
        "promotion.blocked",
        via=via,
        promotion=promotion,
        now=now or timezone.now(),
        problem=problem,
    )
    alert_if_stuck(promotion, [problem], now or timezone.now())


def difference_in_words(promotion: Promotion, facts: Mapping[str, Any]) -> str:
    """The clauses between the sealed facts and these, joined; never empty."""
    return listed(differences(promotion.facts, facts)) or "the facts differ"
