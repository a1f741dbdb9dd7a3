"""The matrix of models and environments, now or at a moment in the past.

The queries are constant: of the models on the page everything is fetched together, and what does not end on the
page (versions, deployments, promotions, events) is only ever looked up by an index, never read through.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from approvals.calendar import Span
from approvals.charts import Sparkline, sparkline, spot
from approvals.compare import MetricRow, compare_metrics, number, shown
from approvals.models import (
    Deployment,
    Environment,
    ModelVersion,
    OutOfBandChange,
    Person,
    Promotion,
    RegisteredModel,
    Restriction,
    Target,
)
from approvals.selectors.live import Presence
from approvals.selectors.needed import needed_of
from approvals.selectors.states_now import Delivery, Now
from approvals.states import DeploymentStatus, MarkKind, RestrictionKind


@dataclass(frozen=True)
class Trend:
    """The headline metric over a model's newest versions, oldest first, and where the live one stands."""

    name: str
    line: Sparkline
    words: str
    spot: tuple[float, float] | None


@dataclass
class Cell:
    """One target: what is live, what is on its way, what waits, what closes it."""

    presence: Presence
    live: ModelVersion | None = None
    deliveries: list[Delivery] = field(default_factory=list)
    failed: Deployment | None = None
    pending: list[Promotion] = field(default_factory=list)
    locks: list[Restriction] = field(default_factory=list)
    hold: Restriction | None = None
    quarantine: Restriction | None = None
    frozen: Span | None = None
    frozen_by_rule: bool = False
    changes: list[OutOfBandChange] = field(default_factory=list)
    ignored: list[OutOfBandChange] = field(default_factory=list)
    headline: MetricRow | None = None
    trend: Trend | None = None
    candidate: ModelVersion | None = None
    candidate_is: str = ""
    change: MetricRow | None = None
    for_me: set[int] = field(default_factory=set)

    @property
    def target(self) -> Target:
        """Where this is."""
        return self.presence.target

    @property
    def since(self) -> datetime | None:
        """Since when this version is live."""
        return self.presence.since

    @property
    def delivery(self) -> Delivery | None:
        """What is under way, or goes next."""
        return self.deliveries[0] if self.deliveries else None

    @property
    def state(self) -> str:
        """One of: deploying, unconfirmed, waiting, failed, live, empty."""
        if self.delivery is not None:
            return "unconfirmed" if self.delivery.phase == "unconfirmed" else "deploying"
        if self.pending:
            return "waiting"
        if self.failed is not None:
            return "failed"
        return "live" if self.live else "empty"

    @property
    def shows_candidate(self) -> bool:
        """The newest version is told beside what is live, unless it is on its way or waits already."""
        if self.candidate is None:
            return False
        told = {each.version_id for each in self.pending}
        return self.candidate.pk not in told | {e.deployment.version_id for e in self.deliveries}

    @property
    def can_roll_back(self) -> bool:
        """Something was live here before what is live now, and nothing is under way."""
        live = self.presence.deployment
        return bool(live and live.previous_id and not self.deliveries)


@dataclass
class Row:
    """One model: its newest version, and a cell (or None) for each environment."""

    model: RegisteredModel
    newest: ModelVersion | None
    newest_is_finished: bool
    cells: list[tuple[Environment, Cell | None]]


@dataclass
class Matrix:
    """The models asked for, in their order."""

    environments: list[Environment]
    rows: list[Row]
    is_past: bool = False

    @property
    def tells_rules(self) -> bool:
        """A recurring freeze is shown of the past: that of today's configuration."""
        cells = (cell for row in self.rows for _, cell in row.cells)
        return self.is_past and any(cell and cell.frozen_by_rule for cell in cells)

    @property
    def groups(self) -> list[tuple[str, list[Row]]]:
        """The rows under their headings."""
        found: list[tuple[str, list[Row]]] = []
        for row in self.rows:
            if not found or found[-1][0] != row.model.group:
                found.append((row.model.group, []))
            found[-1][1].append(row)
        return found


def matrix(reading: Now, models: Sequence[RegisteredModel], person: Person | None = None) -> Matrix:
    """These models in every environment, with what waits for ``person`` marked; a constant number of queries."""
    presences = reading.presences(models)
    targets = [each.target for each in presences]
    ids = [each.pk for each in targets]
    cells = {each.pk: Cell(presence) for each, presence in zip(targets, presences, strict=True)}
    trends = reading.trends(models)
    for each in reading.deliveries(ids):
        cells[each.deployment.target_id].deliveries.append(each)
    for last in reading.last_ended(ids):
        if last.status == DeploymentStatus.FAILED:
            cells[last.target_id].failed = last
    for promotion in reading.pending(ids):
        cells[promotion.target_id].pending.append(promotion)
    versions = reading.versions(_shown_versions(cells.values(), trends))
    for cell in cells.values():
        live = cell.presence.deployment
        cell.live = versions.get(
            live.version_id if live else 0 if reading.is_past else cell.target.live_version_id or 0
        )
        _name_versions(cell, versions)
        if cell.failed is not None and cell.failed.pk < _newest_open(cell):
            cell.failed = None  # it is being tried again
    newest = {pk: versions[found[0]] for pk, found in trends.items() if found}
    _restrict(reading, cells, [*newest.values()])
    for pk, (span, by_rule) in reading.frozen(targets).items():
        cells[pk].frozen, cells[pk].frozen_by_rule = span, by_rule
    for change in reading.changes(ids):
        _place_change(cells[change.target_id], change, reading.moment)
    _compare(reading, cells, trends, versions)
    if person is not None and not reading.is_past:
        for promotion_id, target_id in needed_of(person, ids).items():
            cells[target_id].for_me.add(promotion_id)
    return _as_rows(reading, models, cells, newest)


def _shown_versions(cells: Iterable[Cell], trends: dict[int, list[int]]) -> set[int]:
    wanted = {each for found in trends.values() for each in found}
    for cell in cells:
        live = cell.presence.deployment
        wanted |= {each.version_id for each in cell.pending}
        wanted |= {each.deployment.version_id for each in cell.deliveries}
        wanted.add(live.version_id if live else cell.target.live_version_id or 0)
        wanted.add(cell.failed.version_id if cell.failed else 0)
    return wanted


def _name_versions(cell: Cell, versions: dict[int, ModelVersion]) -> None:
    """Versions are fetched once for all that names them, and know their model without a query."""
    model = cell.target.model
    rows: list[Promotion | Deployment | None] = [
        cell.presence.deployment,
        cell.failed,
        *cell.pending,
        *(each.deployment for each in cell.deliveries),
    ]
    for row in rows:
        if row is not None:
            row.version = versions[row.version_id]
            row.version.model = model
    if cell.live is not None:
        cell.live.model = model


def _newest_open(cell: Cell) -> int:
    return max((each.deployment.pk for each in cell.deliveries), default=0)


def _restrict(reading: Now, cells: dict[int, Cell], candidates: Sequence[ModelVersion]) -> None:
    """Locks, holds and quarantines, of what is live and of what could follow."""
    live = {cell.live.pk for cell in cells.values() if cell.live}
    found = reading.restrictions(list(cells), {*live, *(each.pk for each in candidates)})
    barred = {each.version_id: each for each in found if each.version_id}
    for each in found:
        if each.target_id is None:
            continue
        each.target = cells[each.target_id].target
        if each.kind == RestrictionKind.HOLD:
            cells[each.target_id].hold = each
        else:
            cells[each.target_id].locks.append(each)
    for cell in cells.values():
        cell.quarantine = barred.get(cell.live.pk) if cell.live else None
        if cell.quarantine is not None:
            cell.quarantine.version = cell.live
    for candidate in candidates:
        if candidate.pk in barred:
            candidate.is_barred = True  # type: ignore[attr-defined]


def _place_change(cell: Cell, change: OutOfBandChange, moment: datetime) -> None:
    if change.ended_at is None or change.ended_at > moment:
        cell.changes.append(change)
        return
    # What was ignored told of what was live then; something that went live through us since has settled it.
    if cell.since is None or cell.since <= change.ended_at:
        cell.ignored.append(change)


def _compare(
    reading: Now,
    cells: dict[int, Cell],
    trends: dict[int, list[int]],
    versions: dict[int, ModelVersion],
) -> None:
    """Metrics, their line, and the newest version beside the live one."""
    newest = {pk: found[0] for pk, found in trends.items() if found}
    marks = reading.marks(list(cells), newest.values())
    for pk, cell in cells.items():
        model = cell.target.model
        line = [versions[each] for each in reversed(trends.get(model.pk, []))]
        cell.headline = headline_of(model, cell.live, None)
        cell.trend = _trend(model, line, cell.live)
        candidate = line[-1] if line else None
        if candidate is None or (cell.live and candidate.number <= cell.live.number):
            continue
        cell.candidate = candidate
        candidate.model = model
        mark = marks.get((pk, candidate.pk))
        if getattr(candidate, "is_barred", False):
            cell.candidate_is = "quarantined"
        elif mark is not None and mark.kind == MarkKind.BAD:
            cell.candidate_is = "bad"
        elif not reading.is_finished(candidate):
            cell.candidate_is = "training"
        else:
            cell.change = headline_of(model, candidate, cell.live)


def _trend(
    model: RegisteredModel, line: Sequence[ModelVersion], live: ModelVersion | None
) -> Trend | None:
    """``accuracy over the last 12 versions, from 0.9 to 0.93``; None with fewer than two values."""
    if not model.metrics:
        return None
    name = model.metrics[0][0]
    found = [number(each.metrics.get(name)) for each in line]
    values = [None if each is None else float(each) for each in found]
    drawn = sparkline(values, width=56, height=16)
    if drawn is None:
        return None
    known = [each for each in found if each is not None]
    words = (
        f"{name} over the last {len(line)} versions, from {shown(known[0])} to {shown(known[-1])}"
    )
    index = next((index for index, each in enumerate(line) if live and each.pk == live.pk), -1)
    return Trend(name, drawn, words, spot(values, index, width=56, height=16))


def headline_of(
    model: RegisteredModel, version: ModelVersion | None, live: ModelVersion | None
) -> MetricRow | None:
    """The headline metric of a version beside that of the live one."""
    if version is None or not model.metrics:
        return None
    return compare_metrics(version.metrics, live.metrics if live else {}, model.metrics)[0]


def _as_rows(
    reading: Now,
    models: Sequence[RegisteredModel],
    cells: dict[int, Cell],
    newest: dict[int, ModelVersion],
) -> Matrix:
    environments = {each.pk: each for each in Environment.objects.filter(is_active=True)}
    for cell in cells.values():
        environments.setdefault(cell.target.environment_id, cell.target.environment)
    chain = sorted(environments.values(), key=lambda each: (each.position, each.pk))
    at = {(cell.target.model_id, cell.target.environment_id): cell for cell in cells.values()}
    rows = []
    for model in models:
        version = newest.get(model.pk)
        if version is not None:
            version.model = model
        rows.append(
            Row(
                model,
                version,
                version is None or reading.is_finished(version),
                [(each, at.get((model.pk, each.pk))) for each in chain],
            )
        )
    return Matrix(chain, rows, reading.is_past)
