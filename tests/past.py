"""A past made by the verbs, each at a moment of its own: what the figures of the insights are tested on."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from approvals import services
from approvals.models import Deployment, ModelVersion, Promotion
from approvals.states import MarkKind, PromotionStatus, Verdict, Via
from tests.world import World

MINUTE = timedelta(minutes=1)


class Past:
    """Verbs with explicit times. Lengths are in minutes."""

    def __init__(self, world: World) -> None:
        self.world = world

    def ask(
        self,
        version: ModelVersion,
        at: datetime,
        *,
        environment: str = "production",
        rollback: bool = False,
        actor: str = "alice",
    ) -> Promotion:
        """A request whose facts are sealed at once."""
        verb = services.request_rollback if rollback else services.request_promotion
        promotion = verb(
            actor=self.world.person(actor),
            via=Via.BROWSER,
            target_id=self.world.target(environment, version.model.name).pk,
            version_id=version.pk,
            reason="It is better.",
            now=at,
        )
        return services.record_facts(
            promotion_id=promotion.pk, observed=self.world.observed(version), now=at
        )

    def approve(self, promotion: Promotion, at: datetime) -> Deployment:
        """Bob approves a minute before ``at``, carol, where she is needed, at ``at``."""
        for name, moment in (("bob", at - MINUTE), ("carol", at)):
            if Promotion.objects.get(pk=promotion.pk).status == PromotionStatus.PENDING:
                self.world.review(promotion, name, now=moment)
        return Deployment.objects.get(promotion=promotion)

    def reject(self, promotion: Promotion, at: datetime) -> None:
        """Bob rejects."""
        self.world.review(promotion, "bob", Verdict.REJECT, now=at)

    def run(
        self, deployment: Deployment, at: datetime, minutes: float, conclusion: str = "success"
    ) -> Deployment:
        """Its workflow run starts at ``at`` and ends after ``minutes``."""
        deployment.refresh_from_db()
        assert deployment.step is not None
        back = deployment.step.goes_back
        order = services.begin_dispatch(
            deployment_id=deployment.pk,
            observed=None if back else self.world.observed(deployment.version),
            step=deployment.step.ordinal,
            now=at,
        )
        assert order is not None
        run_id, end = 9000 + deployment.step.pk, at + minutes * MINUTE
        services.record_dispatched(deployment_id=deployment.pk, run_id=run_id, url="", now=at)
        times: dict[str, Any] = {"created_at": at, "started_at": at, "updated_at": end}
        services.record_run(
            facts=self.world.run_facts(deployment, run_id, conclusion=conclusion, **times), now=end
        )
        return Deployment.objects.select_related("step", "promotion", "version__model").get(
            pk=deployment.pk
        )

    def promote(
        self,
        version: ModelVersion,
        at: datetime,
        *,
        waits: float = 60,
        queued: float = 5,
        runs: float = 2,
        conclusion: str = "success",
        **ask: Any,
    ) -> Deployment:
        """Asked for at ``at``, approved, started and ended: all at once."""
        approved = at + waits * MINUTE
        deployment = self.approve(self.ask(version, at, **ask), approved)
        return self.run(deployment, approved + queued * MINUTE, runs, conclusion)

    def mark(self, deployment: Deployment, kind: MarkKind, at: datetime) -> None:
        """Dave says what is known of the version."""
        services.mark(
            actor=self.world.person("dave"),
            via=Via.BROWSER,
            target_id=deployment.target_id,
            version_id=deployment.version_id,
            kind=kind,
            reason="The numbers say so.",
            now=at,
        )
