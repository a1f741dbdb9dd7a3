"""What was live at some targets during a period, as lanes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import (
    Count,
    Exists,
    F,
    FloatField,
    Func,
    IntegerField,
    Min,
    OuterRef,
    Prefetch,
    Q,
    QuerySet,
    Subquery,
    Value,
    Window,
)
from django.db.models.functions import Cast, Extract, RowNumber
from django.utils.timezone import localtime

from approvals import lanes
from approvals.lanes import Arrival, Bar, Period, Stretch, Tick
from approvals.models import Deployment, Freeze, OutOfBandChange, Restriction, Review, Target
from approvals.selectors.live import Presence
from approvals.states import DeploymentStatus, Verdict

# Changes in one drawing that are drawn each for itself: each costs some hundred bytes of the page. Where there
# are more, those that are close to one another are drawn as one.
MOST_BARS = 300
FINEST = 400
MOST_STRETCHES = 300


@dataclass
class Lane:
    """One target over the period; ``then`` is what was live at the moment asked for."""

    target: Target
    bars: list[Bar] = field(default_factory=list)
    stretches: list[Stretch] = field(default_factory=list)
    then: Arrival | None = None

    @property
    def newest_first(self) -> list[Bar]:
        """As a table lists them."""
        return self.bars[::-1]

    @property
    def changes(self) -> list[Stretch]:
        """When something else was live than what went live through us."""
        return [each for each in self.stretches if each.kind == "change"]

    @property
    def closed(self) -> list[Stretch]:
        """Locks, holds and freezes."""
        return [each for each in self.stretches if each.kind != "change"]


@dataclass(frozen=True)
class Drawing:
    """All lanes with their axis, and the moment that was asked for."""

    period: Period
    lanes: list[Lane]
    ticks: list[Tick]
    at: datetime | None = None

    @property
    def mark(self) -> str:
        """Where the moment asked for lies; empty where it lies outside or none is."""
        return self._place(self.at)

    @property
    def now(self) -> str:
        """Where now lies; empty where it lies outside or at the very end."""
        return self._place(self.period.now) if self.period.now < self.period.until else ""

    @property
    def kinds(self) -> set[str]:
        """What the legend has to explain."""
        found = {each.arrival.kind for lane in self.lanes for each in lane.bars}
        return found | {each.kind for lane in self.lanes for each in lane.stretches}

    def _place(self, moment: datetime | None) -> str:
        if moment is None or not self.period.since <= moment <= self.period.until:
            return ""
        return f"{self.period.across(moment.timestamp()):g}%"


def succeeded() -> QuerySet[Deployment]:
    """What went live, anywhere and ever: the truth that the index ``deployment_by_target_end`` is over."""
    return Deployment.objects.filter(
        status=DeploymentStatus.SUCCEEDED, finished_at__isnull=False
    ).order_by("-finished_at", "-id")


def lane_targets(
    *, model: str = "", environment: str = "", group: str = "", after: int | None = None
) -> QuerySet[Target]:
    """The targets that have a lane, by model and in the order of the chain, after the target with this id: all
    that are in use, and those where something was live once."""
    found = Target.objects.select_related("model", "environment").order_by(
        "model__name", "environment__position", "id"
    )
    in_use = Q(is_active=True, environment__is_active=True)
    found = found.filter(in_use | Exists(succeeded().filter(target=OuterRef("pk"))))
    if model:
        found = found.filter(model__name=model)
    if environment:
        found = found.filter(environment__name=environment)
    if group:
        found = found.filter(model__group=group)
    last = (
        Target.objects.filter(pk=after).select_related("model", "environment").first()
        if after
        else None
    )
    if last is not None:
        here = Q(model__name=last.model.name)
        found = found.filter(
            Q(model__name__gt=last.model.name)
            | (here & Q(environment__position__gt=last.environment.position))
        )
    return found


def first_moment(targets: Iterable[Target]) -> datetime | None:
    """When something went live at one of these for the first time."""
    found = succeeded().filter(target__in=targets).aggregate(first=Min("finished_at"))
    first: datetime | None = found["first"]
    return first


def drawing(targets: Sequence[Target], period: Period, at: datetime | None = None) -> Drawing:
    """The lanes of these targets, in eight queries whatever there is."""
    found = {each.pk: Lane(each) for each in targets}
    picked, then = _picked(list(found), period, at)
    arrivals = _arrivals(
        targets,
        {pk: (count, first) for pk, count, first in picked},
        [pk for pk in then.values() if pk],
    )
    by_target: dict[int, list[Arrival]] = {}
    for pk, _, _ in picked:
        target, arrival = arrivals[pk]
        by_target.setdefault(target, []).append(arrival)
    for pk, lane in found.items():
        ordered = sorted(by_target.get(pk, []), key=lambda each: each.at)
        lane.bars = lanes.bars(ordered, period, str(lane.target))
        lane.then = arrivals[deployed][1] if (deployed := then.get(pk)) else None
    for pk, stretch in _stretches(targets, period):
        shown = lanes.laid(stretch, period)
        if shown is not None:
            found[pk].stretches.append(shown)
    return Drawing(period, list(found.values()), lanes.axis(period), at)


def _picked(
    targets: list[int], period: Period, at: datetime | None
) -> tuple[list[tuple[int, int, datetime | None]], dict[int, int | None]]:
    """(deployment, how many it stands for, when the first of them went live) of what is drawn; and for each
    target the deployment live at ``at``.

    What lies closer together than can be seen is one: so much is read and written, whatever happened.
    """
    before = succeeded().filter(target=OuterRef("pk"))
    rows = Target.objects.filter(pk__in=targets).annotate(
        before=Subquery(before.filter(finished_at__lt=period.since).values("pk")[:1]),
        then=Subquery(before.filter(finished_at__lte=at or period.since).values("pk")[:1]),
    )
    found: list[tuple[int, int, datetime | None]] = []
    then: dict[int, int | None] = {}
    for pk, last, was in rows.values_list("pk", "before", "then"):
        then[pk] = was if at else None
        if last is not None:
            found.append((last, 1, None))
    happened = Deployment.objects.filter(
        status=DeploymentStatus.SUCCEEDED,
        target__in=targets,
        finished_at__gte=period.since,
        finished_at__lt=period.until,
    )
    few = happened[: MOST_BARS + 1].count() <= MOST_BARS
    slots = FINEST if few else max(MOST_BARS // 2 // max(len(targets), 1), 10)
    slot = Func(
        Cast(Extract("finished_at", "epoch"), FloatField()),
        Value(period.since.timestamp(), FloatField()),
        Value(period.until.timestamp(), FloatField()),
        Value(slots),
        function="width_bucket",
        output_field=IntegerField(),
    )
    together = [F("target_id"), F("slot")]
    inside = (
        happened.annotate(slot=slot)
        .annotate(
            nth=Window(RowNumber(), partition_by=together, order_by=["-finished_at", "-id"]),
            count=Window(Count("pk"), partition_by=together),
            first=Window(Min("finished_at"), partition_by=together),
        )
        .filter(nth=1)
        .order_by("finished_at", "id")
        .values_list("pk", "count", "first")
    )
    return [*found, *inside], then


def _arrivals(
    targets: Sequence[Target], drawn: dict[int, tuple[int, datetime | None]], also: list[int]
) -> dict[int, tuple[int, Arrival]]:
    """Deployment → (its target, what went live), without the versions' metrics and parameters."""
    approving = Review.objects.filter(verdict=Verdict.APPROVE, voided_at=None)
    rows = (
        Deployment.objects.filter(pk__in=[*drawn, *also])
        .select_related("version", "promotion__overridden_by")
        .prefetch_related(
            Prefetch("promotion__reviews", approving.select_related("person", "on_behalf_of"))
        )
        .defer("strategy", "promotion__facts", "promotion__policy")
        .defer(*(f"version__{each}" for each in ("metrics", "parameters", "datasets", "tags")))
        .defer("version__signature", "version__description")
    )
    known = {each.pk: each for each in targets}
    found = {}
    for each in rows:
        each.target = known[each.target_id]
        count, first = drawn.get(each.pk, (1, None))
        found[each.pk] = (each.target_id, _arrival(each, count, first))
    return found


def _arrival(deployment: Deployment, count: int, first: datetime | None) -> Arrival:
    promotion = deployment.promotion
    kind = lanes.PROMOTED
    if promotion.overridden_by_id is not None:
        kind = lanes.GLASS
    elif promotion.is_rollback:
        kind = lanes.ROLLED_BACK
    elif promotion.retroactive:
        kind = lanes.ADOPTED
    return Arrival(
        at=localtime(deployment.finished_at),
        version=deployment.version.number,
        promotion=promotion.pk,
        kind=kind,
        approved=Presence(deployment.target, deployment).approved,
        reason=promotion.reason,
        first=localtime(first) if first else None,
        count=count,
    )


def _stretches(targets: Sequence[Target], period: Period) -> list[tuple[int, Stretch]]:
    """(target, what lay over it) during the period: out-of-band changes, locks, holds, placed freezes."""
    ids = [each.pk for each in targets]
    found: list[tuple[int, Stretch]] = []
    changes = OutOfBandChange.objects.filter(
        Q(ended_at=None) | Q(ended_at__gt=period.since),
        target__in=ids,
        declared_at__isnull=False,
        first_seen_at__lt=period.until,
    ).order_by("-first_seen_at")[:MOST_STRETCHES]
    for change in changes:
        found.append(
            (
                change.target_id,
                Stretch(
                    "change",
                    localtime(change.first_seen_at),
                    localtime(change.ended_at) if change.ended_at else None,
                    f"Out-of-band: {change.sentence}",
                    link=change.get_absolute_url(),
                ),
            )
        )
    closed = Restriction.objects.filter(
        Q(lifted_at=None) | Q(lifted_at__gt=period.since),
        target__in=ids,
        placed_at__lt=period.until,
    ).select_related("placed_by")
    for each in closed.order_by("-placed_at")[:MOST_STRETCHES]:
        done = "Locked" if each.kind == "lock" else "On hold"
        found.append(
            (
                each.target_id or 0,
                Stretch(
                    each.kind,
                    localtime(each.placed_at),
                    localtime(each.lifted_at) if each.lifted_at else None,
                    f"{done} by {each.placed_by}: {each.reason}",
                ),
            )
        )
    return found + _freezes(targets, period)


def _freezes(targets: Sequence[Target], period: Period) -> list[tuple[int, Stretch]]:
    """The freezes that people placed; those of the configuration were not always the ones of today."""
    rows = Freeze.objects.filter(
        Q(lifted_at=None) | Q(lifted_at__gt=period.since),
        Q(ends_at=None) | Q(ends_at__gt=period.since),
        environment__in={each.environment_id for each in targets},
        begins_at__lt=period.horizon,
    ).select_related("placed_by")
    found = []
    for each in rows.order_by("-begins_at")[:MOST_STRETCHES]:
        ends = [moment for moment in (each.ends_at, each.lifted_at) if moment is not None]
        end = min(ends) if ends else None
        stretch = Stretch(
            "freeze",
            localtime(each.begins_at),
            localtime(end) if end and end <= period.now else None,
            f"Frozen by {each.placed_by}: {each.reason}",
        )
        found += [
            (target.pk, stretch)
            for target in targets
            if target.environment_id == each.environment_id
        ]
    return found
