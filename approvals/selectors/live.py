"""What was live at any moment, since when, by which promotion, and who approved it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import OuterRef, Prefetch, Subquery

from approvals.models import Deployment, RegisteredModel, Review, Target
from approvals.states import DeploymentStatus, Verdict
from approvals.wording import listed


@dataclass(frozen=True)
class Presence:
    """What was live at one target at that moment; ``deployment`` is None where nothing was."""

    target: Target
    deployment: Deployment | None

    @property
    def since(self) -> datetime | None:
        """When it went live."""
        return self.deployment.finished_at if self.deployment else None

    @property
    def how(self) -> str:
        """Which way it went live: promotion, rollback, glass (broken), adopted, or automatic (its policy asked
        for nobody); empty where nothing is live."""
        if self.deployment is None:
            return ""
        promotion = self.deployment.promotion
        if promotion.overridden_by_id is not None:
            return "glass"
        if promotion.retroactive:
            return "adopted"
        if promotion.is_rollback:
            return "rollback"
        return "promotion" if promotion.reviews.all() else "automatic"

    @property
    def approved(self) -> str:
        """Who let it go live: ``approved by Bob Brandt and Carol Chen``."""
        if self.deployment is None:
            return ""
        promotion = self.deployment.promotion
        if promotion.rolls_back_id is not None:
            return "rolled back by Countersign itself, because of monitoring"
        by = [each.by for each in promotion.reviews.all()]
        said = [f"approved by {listed(by)}"] if by else []
        if promotion.overridden_by is not None:
            said.append(f"the glass broken by {promotion.overridden_by}")
        return listed(said) or "approved by nobody: its policy asked for nobody"


_WITH = (
    "promotion__requester",
    "promotion__overridden_by",
)


def _approving(of: str = "") -> Prefetch[str, Any, Any]:
    """The approvals that counted. They are neither given nor taken back once it is decided."""
    rows = Review.objects.filter(verdict=Verdict.APPROVE, voided_at=None)
    return Prefetch(f"{of}promotion__reviews", rows.select_related("person", "on_behalf_of"))


def live_now(models: Sequence[RegisteredModel]) -> list[Presence]:
    """What the rows say is live at the active targets of these models, by model and in the order of the chain.

    Two queries. :func:`live_at` of this moment says the same.
    """
    targets = (
        Target.objects.filter(model__in=models, is_active=True, environment__is_active=True)
        .select_related("model", "environment", *(f"live_deployment__{each}" for each in _WITH))
        .prefetch_related(_approving("live_deployment__"))
    )
    return [Presence(each, each.live_deployment) for each in targets]


def live_at(moment: datetime, models: Sequence[RegisteredModel]) -> list[Presence]:
    """For every environment of these models what was live then, by model and in the order of the chain.

    Three queries, whose time grows with the models alone (index ``deployment_by_end``). An environment that the
    configuration named later, or names no longer, is told as well where something was live there.

    It is read from ``Deployment.finished_at``: written once, in the transaction in which the version went live,
    and never again.
    """
    last = Deployment.objects.filter(
        target=OuterRef("pk"), status=DeploymentStatus.SUCCEEDED, finished_at__lte=moment
    ).order_by("-finished_at", "-id")
    targets = list(
        Target.objects.filter(model__in=models)
        .select_related("model", "environment")
        .annotate(deployed=Subquery(last.values("pk")[:1]))
    )
    found = (
        Deployment.objects.filter(pk__in=[each.deployed for each in targets if each.deployed])
        .select_related(*_WITH, "version__model", "promotion__target")
        .prefetch_related(_approving())
    )
    deployments = {each.pk: each for each in found}
    return [
        Presence(each, deployments.get(each.deployed or 0))
        for each in targets
        if each.deployed or (each.is_active and each.environment.is_active)
    ]
