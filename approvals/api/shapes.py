"""Rows to what the API gives."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from django.conf import settings
from django.utils import timezone

from approvals.api import schemas
from approvals.explain import explain
from approvals.models import Evidence, Person, Promotion, Target
from approvals.rollouts import Strategy
from approvals.selectors.catalogue import policy_words
from approvals.selectors.conversation import comments_of
from approvals.selectors.decisions import deployment_of
from approvals.services.freezes import frozen_at
from approvals.states import RestrictionKind


def evidence_out(evidence: Evidence) -> schemas.EvidenceOut:
    """One result."""
    return schemas.EvidenceOut(
        id=evidence.pk,
        model=evidence.version.model.name,
        version=evidence.version.number,
        environment=evidence.environment.name if evidence.environment else None,
        name=evidence.name,
        verdict=evidence.verdict,
        numbers=evidence.numbers,
        link=evidence.link,
        source=evidence.source,
        key=evidence.key,
        produced_at=evidence.produced_at.astimezone(UTC),
        recorded_at=evidence.recorded_at.astimezone(UTC),
        recorded_by=evidence.recorded_by.username if evidence.recorded_by else None,
    )


def _fields(promotion: Promotion) -> dict[str, Any]:
    deployment = deployment_of(promotion)
    return {
        "id": promotion.pk,
        "kind": promotion.kind,
        "status": promotion.status,
        "model": promotion.target.model.name,
        "version": promotion.version.number,
        "environment": promotion.target.environment.name,
        "replaces": promotion.replaces.number if promotion.replaces else None,
        "requester": promotion.requester.username,
        "reason": promotion.reason,
        "requested_at": promotion.requested_at,
        "expires_at": promotion.expires_at,
        "decided_at": promotion.decided_at,
        "decision_reason": promotion.decision_reason,
        "page": f"{settings.BASE_URL}{promotion.get_absolute_url()}",
        "deployment": deployment
        and schemas.DeploymentOut(
            status=deployment.status,
            detail=deployment.detail,
            run_url=deployment.run_url,
            finished_at=deployment.finished_at,
            strategy=Strategy.from_data(deployment.strategy).words,
            percent=deployment.percent,
            paused=deployment.paused,
            aborting=deployment.aborting,
            asks_to_confirm=deployment.asks_to_confirm,
            asked_seal=deployment.asked_seal if deployment.asks_to_confirm else "",
            steps=[
                schemas.StepOut(
                    percent=each.percent,
                    goes_back=each.goes_back,
                    outcome=each.outcome,
                    run_url=each.run_url,
                    finished_at=each.finished_at,
                )
                for each in sorted(deployment.steps.all(), key=lambda step: step.ordinal)
            ],
        ),
    }


def promotion_line(promotion: Promotion) -> schemas.PromotionSummary:
    """One line of a list."""
    return schemas.PromotionSummary(**_fields(promotion))


def promotion_out(promotion: Promotion, person: Person) -> schemas.PromotionOut:
    """A promotion with the explanation that its page gives to the same person."""
    explained = explain(promotion, person)
    return schemas.PromotionOut(
        **_fields(promotion),
        sentences=explained.sentences,
        checklist=list(explained.terms.checklist),
        run_at=promotion.run_at,
        overridden_by=promotion.overridden_by.username if promotion.overridden_by else None,
        may_act=explained.may_act,
        why_not=explained.why_not,
        seal=promotion.seal,
        problem=promotion.problem,
        facts=promotion.facts,
        comments=[
            schemas.CommentOut(
                by=each.actor.username if each.actor else "", at=each.at, text=each.data["comment"]
            )
            for each in comments_of(promotion, 50)
        ],
    )


def target_out(target: Target) -> schemas.TargetOut:
    """What is live and who decides."""
    live, deployment = target.live_version, target.live_deployment
    lock = (
        target.restrictions.filter(lifted_at=None, kind=RestrictionKind.LOCK)
        .select_related("placed_by")
        .first()
    )
    return schemas.TargetOut(
        model=target.model.name,
        environment=target.environment.name,
        is_active=target.is_active and target.model.is_active and target.environment.is_active,
        live=schemas.LiveOut(
            version=live.number,
            since=target.live_since,
            promotion=deployment.promotion_id if deployment else None,
        )
        if live
        else None,
        policy=schemas.PolicyOut(
            promotion=policy_words(target), rollback=policy_words(target, rollback=True)
        ),
        closed=lock.sentence if lock else frozen_at(target, timezone.now()),
    )
