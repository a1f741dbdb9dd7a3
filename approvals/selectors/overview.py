"""The matrix of models and environments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.utils import timezone

from approvals.calendar import Span
from approvals.compare import MetricRow, compare_metrics
from approvals.models import (
    Deployment,
    Environment,
    ModelVersion,
    OutOfBandChange,
    Promotion,
    RegisteredModel,
    Target,
)
from approvals.selectors.catalogue import open_restrictions
from approvals.selectors.freezes import frozen_environments
from approvals.services.marks import newest_marks
from approvals.states import OPEN_DEPLOYMENT, DeploymentStatus, MarkKind, PromotionStatus


@dataclass
class Cell:
    """One target: what is live, what is on its way, what waits."""

    target: Target
    deployment: Deployment | None = None
    pending: list[Promotion] = field(default_factory=list)
    headline: MetricRow | None = None
    candidate: ModelVersion | None = None
    change: MetricRow | None = None
    frozen: Span | None = None
    changes: list[OutOfBandChange] = field(default_factory=list)
    candidate_is_bad: bool = False

    @property
    def state(self) -> str:
        """One of: deploying, unconfirmed, waiting, failed, live, empty."""
        if self.deployment and self.deployment.status == DeploymentStatus.UNCONFIRMED:
            return "unconfirmed"
        if self.deployment and self.deployment.status in OPEN_DEPLOYMENT:
            return "deploying"
        if self.pending:
            return "waiting"
        if self.deployment and self.deployment.status == DeploymentStatus.FAILED:
            return "failed"
        return "live" if self.target.live_version else "empty"

    @property
    def can_roll_back(self) -> bool:
        """Something was live here before what is live now, and nothing is under way."""
        live = self.target.live_deployment
        return bool(live and live.previous_id and self.state not in {"deploying", "unconfirmed"})


@dataclass
class Row:
    """One model: its newest version, and a cell (or None) for each environment."""

    model: RegisteredModel
    newest: ModelVersion | None
    headline: MetricRow | None
    cells: list[tuple[Environment, Cell | None]]

    @property
    def is_busy(self) -> bool:
        """Something is under way at one of its targets."""
        return any(cell and cell.state in {"deploying", "waiting"} for _, cell in self.cells)


@dataclass
class Matrix:
    """The whole overview."""

    environments: list[Environment]
    rows: list[Row]


def headline_of(
    model: RegisteredModel, version: ModelVersion | None, live: ModelVersion | None
) -> MetricRow | None:
    """The headline metric of a version beside that of the live one."""
    if version is None or not model.metrics:
        return None
    return compare_metrics(version.metrics, live.metrics if live else {}, model.metrics)[0]


def matrix(now: datetime | None = None, models: Sequence[RegisteredModel] | None = None) -> Matrix:
    """Every active model (or these) and environment; the queries grow with the environments, not with the
    models."""
    environments = list(Environment.objects.filter(is_active=True))
    if models is None:
        models = list(RegisteredModel.objects.filter(is_active=True))
    targets = Target.objects.filter(is_active=True, model__in=models).select_related(
        "model", "environment", "live_version__model", "live_deployment__promotion__requester"
    )
    targets = targets.prefetch_related(open_restrictions(), open_restrictions("live_version__"))
    cells = {(each.model_id, each.environment_id): Cell(each) for each in targets}
    frozen = frozen_environments([cell.target for cell in cells.values()], now or timezone.now())
    for each in cells.values():
        each.frozen = frozen.get(each.target.pk)
    by_target = {cell.target.pk: cell for cell in cells.values()}
    latest = (
        Deployment.objects.filter(target__in=by_target)
        .order_by("target_id", "-id")
        .distinct("target_id")
        .select_related("promotion", "version")
    )
    for deployment in latest:
        if deployment.target_id in by_target:
            by_target[deployment.target_id].deployment = deployment
    pending = Promotion.objects.filter(status=PromotionStatus.PENDING).select_related("version")
    for promotion in pending.order_by("expires_at"):
        if promotion.target_id in by_target:
            by_target[promotion.target_id].pending.append(promotion)
    changes = OutOfBandChange.objects.filter(ended_at=None, declared_at__isnull=False)
    for change in changes.select_related("version").order_by("first_seen_at"):
        if change.target_id in by_target:
            by_target[change.target_id].changes.append(change)
    newest = {
        each.model_id: each
        for each in ModelVersion.objects.filter(deleted_at=None, model__in=models)
        .order_by("model_id", "-number")
        .distinct("model_id")
        .select_related("model")
        .prefetch_related(open_restrictions())
    }
    marks = newest_marks(by_target, [each.pk for each in newest.values()])
    rows = []
    for model in models:
        candidate = newest.get(model.pk)
        row_cells: list[tuple[Environment, Cell | None]] = []
        for environment in environments:
            cell = cells.get((model.pk, environment.pk))
            if cell is not None:
                live = cell.target.live_version
                cell.headline = headline_of(model, live, None)
                if candidate and (live is None or candidate.number > live.number):
                    cell.candidate = candidate
                    mark = marks.get((cell.target.pk, candidate.pk))
                    cell.candidate_is_bad = mark is not None and mark.kind == MarkKind.BAD
                    cell.change = headline_of(model, candidate, live)
            row_cells.append((environment, cell))
        rows.append(Row(model, candidate, headline_of(model, candidate, None), row_cells))
    return Matrix(environments, rows)
