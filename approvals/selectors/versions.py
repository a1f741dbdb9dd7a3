"""A model's versions, page by page: where each is or was live and when, what is known of it, its metrics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import OuterRef, Q, QuerySet, Subquery

from approvals.compare import SAME, MetricRow, compare_metrics, number
from approvals.models import Deployment, Mark, ModelVersion, Promotion, RegisteredModel, Target
from approvals.selectors.catalogue import open_restrictions
from approvals.selectors.lanes import succeeded
from approvals.services.marks import newest_marks
from approvals.states import PromotionKind, PromotionStatus

PAGE = 25
HEADLINES = 4
# What a list of versions does not show; it can be long.
UNSHOWN = ("parameters", "datasets", "tags", "signature", "description", "source")


@dataclass(frozen=True)
class Spell:
    """A version's newest time at a target; ``until`` is None while it is live there."""

    version_id: int
    environment: str
    target_id: int
    promotion_id: int
    since: datetime
    until: datetime | None
    kind: str

    @property
    def is_rollback(self) -> bool:
        """It came back by a rollback."""
        return self.kind == PromotionKind.ROLLBACK


def newest_spells(version_ids: Iterable[int]) -> dict[int, list[Spell]]:
    """Version → its newest time at each target, in the order of the chain. Two queries: what came after is looked
    up for the newest ones alone."""
    newest = (
        succeeded()
        .filter(version__in=list(version_ids))
        .order_by("target_id", "version_id", "-finished_at", "-id")
        .distinct("target_id", "version_id")
    )
    rows = _spelled(pk__in=list(newest.values_list("pk", flat=True)))
    found: dict[int, list[Spell]] = {}
    for each in sorted(rows, key=lambda row: row[-1]):
        found.setdefault(each[0], []).append(Spell(*each[:-1]))
    return found


def spells_of(version: ModelVersion, limit: int = 25) -> list[Spell]:
    """The newest times during which a version was live anywhere. One query."""
    return [Spell(*each[:-1]) for each in _spelled(version=version)[:limit]]


def _spelled(**about: Any) -> QuerySet[Deployment, Any]:
    """A query of the fields of :class:`Spell` and the position in the chain."""
    following = (
        succeeded()
        # The first condition alone is one that the index can answer.
        .filter(target=OuterRef("target"), finished_at__gte=OuterRef("finished_at"))
        .filter(Q(finished_at__gt=OuterRef("finished_at")) | Q(pk__gt=OuterRef("pk")))
        .order_by("finished_at", "id")
    )
    return (
        succeeded()
        .filter(**about)
        .annotate(until=Subquery(following.values("finished_at")[:1]))
        .values_list(
            "version_id",
            "target__environment__name",
            "target_id",
            "promotion_id",
            "finished_at",
            "until",
            "promotion__kind",
            "target__environment__position",
        )
    )


@dataclass(frozen=True)
class Value:
    """One metric of one line: the value, whether it is the best one of the page, and the change against the
    live one (an empty text where there is nothing to compare with)."""

    row: MetricRow
    is_best: bool

    @property
    def text(self) -> str:
        """The value as it is shown."""
        return self.row.candidate

    @property
    def change(self) -> str:
        """``+0.03``, empty where nothing changed or nothing is known."""
        return "" if self.row.verdict == SAME else self.row.change


@dataclass(frozen=True)
class VersionRow:
    """One line of a model's table of versions."""

    version: ModelVersion
    values: list[Value]
    spells: list[Spell]
    pending: list[Promotion]
    marks: list[Mark]

    @property
    def live_in(self) -> list[Spell]:
        """Where it is live."""
        return [each for each in self.spells if each.until is None]

    @property
    def was_in(self) -> list[Spell]:
        """Where it was live and is not any more."""
        return [each for each in self.spells if each.until is not None]


@dataclass(frozen=True)
class VersionPage:
    """Some of a model's versions, newest first. ``older`` is the id to go on from, 0 at the end."""

    names: list[str]
    rows: list[VersionRow]
    older: int
    live: ModelVersion | None


def version_page(
    model: RegisteredModel, targets: Sequence[Target], before: int | None = None
) -> VersionPage:
    """The newest versions, or those older than the version with the id ``before``, compared with what is live
    at the end of the chain."""
    versions = model.versions.select_related("model").prefetch_related(open_restrictions())
    versions = versions.defer(*UNSHOWN).order_by("-number", "-id")
    last = model.versions.filter(pk=before).only("number").first() if before else None
    if last is not None:
        versions = versions.filter(
            Q(number__lt=last.number) | Q(number=last.number, pk__lt=last.pk)
        )
    found = list(versions[: PAGE + 1])
    shown = found[:PAGE]
    ids = [each.pk for each in shown]
    live = next((each.live_version for each in reversed(targets) if each.live_version), None)
    rows = _rows(model, shown, live)
    spells = newest_spells(ids)
    pending: dict[int, list[Promotion]] = {}
    for promotion in Promotion.objects.filter(
        version__in=ids, status=PromotionStatus.PENDING
    ).select_related("target__environment"):
        pending.setdefault(promotion.version_id, []).append(promotion)
    marks: dict[int, list[Mark]] = {}
    for mark in newest_marks([each.pk for each in targets], ids).values():
        marks.setdefault(mark.version_id, []).append(mark)
    return VersionPage(
        [each[0] for each in model.metrics[:HEADLINES]],
        [
            VersionRow(
                each,
                rows[each.pk],
                spells.get(each.pk, []),
                pending.get(each.pk, []),
                marks.get(each.pk, []),
            )
            for each in shown
        ],
        shown[-1].pk if len(found) > PAGE else 0,
        live,
    )


def _rows(
    model: RegisteredModel, versions: Sequence[ModelVersion], live: ModelVersion | None
) -> dict[int, list[Value]]:
    """Version → its headline metrics, the best of these versions marked (a tie marks nobody)."""
    shown = model.metrics[:HEADLINES]
    best = {name: best_of(versions, name, better) for name, better in shown}
    found = {}
    for each in versions:
        rows = compare_metrics(each.metrics, live.metrics if live else {}, shown)[: len(shown)]
        found[each.pk] = [Value(row, best[row.name] == each.pk) for row in rows]
    return found


def best_of(versions: Sequence[ModelVersion], name: str, better: str) -> int | None:
    """The id of the version with the best value; None where fewer than two have one, or where it is shared."""
    known = [
        (value if better == "higher" else -value, each.pk)
        for each in versions
        if each.deleted_at is None and (value := number(each.metrics.get(name))) is not None
    ]
    if len(known) < 2:
        return None
    ordered = sorted(known, reverse=True)
    return None if ordered[0][0] == ordered[1][0] else ordered[0][1]


def neighbours(version: ModelVersion) -> tuple[int | None, int | None]:
    """(the number before, the number after) of what MLflow still has."""
    others = version.model.versions.filter(deleted_at=None)
    before = others.filter(number__lt=version.number).order_by("-number")
    after = others.filter(number__gt=version.number).order_by("number")
    return (
        before.values_list("number", flat=True).first(),
        after.values_list("number", flat=True).first(),
    )
