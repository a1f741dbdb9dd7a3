"""What the overview reads, as the rows say it is now; ``selectors.as_of`` reads the same of the past."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from approvals.calendar import Span, closed_until
from approvals.models import (
    Deployment,
    Freeze,
    Mark,
    ModelVersion,
    OutOfBandChange,
    Promotion,
    RegisteredModel,
    Restriction,
    Target,
)
from approvals.selectors.live import Presence, live_now
from approvals.services.cases import NOT_A_POLICY
from approvals.services.freezes import windows_of
from approvals.states import (
    OPEN_DEPLOYMENT,
    ChangeAnswer,
    DeploymentStatus,
    PromotionStatus,
    RestrictionKind,
)

# So many versions of a model are drawn as a line.
TREND = 12
# A failure counts as something that moves for so long.
LATELY = timedelta(days=7)


@dataclass(frozen=True)
class Delivery:
    """A deployment that has not ended. ``phase``: queued, deploying or unconfirmed; ``percent``: the share that it
    serves, of a rollout; ``asks``: a person has to confirm it."""

    deployment: Deployment
    phase: str
    percent: int = 0
    paused: bool = False
    aborting: bool = False
    asks: bool = False


class Now:
    """The present. Each method is one query unless it says otherwise, whatever the number of rows."""

    is_past = False

    def __init__(self, moment: datetime | None = None) -> None:
        self.moment = moment or timezone.now()

    # What differs between the present and the past.

    def models(self) -> QuerySet[RegisteredModel]:
        """The models that there are."""
        return RegisteredModel.objects.filter(is_active=True)

    def presences(self, models: Sequence[RegisteredModel]) -> list[Presence]:
        """What is live at the targets of these models; some queries."""
        return live_now(models)

    def open_deployments(self) -> QuerySet[Deployment]:
        """Those that have not ended."""
        return Deployment.objects.filter(status__in=OPEN_DEPLOYMENT)

    def pending_promotions(self) -> QuerySet[Promotion]:
        """Those that nobody has decided."""
        return Promotion.objects.filter(status=PromotionStatus.PENDING)

    def while_open(self, opened: str, closed: str) -> Q:
        """Rows that have begun and are not over, by the names of the two times."""
        return Q(**{closed: None})

    def ignored(self) -> Q:
        """The ignored out-of-band changes that still hold, as far as the newest readings say."""
        return Q(answer=ChangeAnswer.IGNORED, gone_at=None)

    def ended_by(self) -> Q:
        """Deployments that have ended."""
        return Q(finished_at__isnull=False)

    def placed_by(self) -> Q:
        """Marks that have been placed."""
        return Q()

    def known(self) -> Q:
        """Versions that the registry has."""
        return Q(deleted_at=None)

    def is_finished(self, version: ModelVersion) -> bool:
        """Registered whole, and its run (if it has one) came to a good end."""
        return version.is_finished

    def deliveries(self, target_ids: Sequence[int]) -> list[Delivery]:
        """The open deployments at these targets: first the one under way, then those queued in their order."""
        rows = self._open_at(target_ids)
        rows.sort(
            key=lambda each: (
                each.status == DeploymentStatus.QUEUED,
                not each.promotion.is_rollback,
                each.place,
                each.pk,
            )
        )
        return [
            Delivery(
                each,
                _phase(each),
                each.percent if each.strategy else 0,
                bool(each.paused),
                bool(each.aborting),
                bool(each.asks_to_confirm),
            )
            for each in rows
        ]

    # What is the same for both.

    def _open_at(self, target_ids: Sequence[int]) -> list[Deployment]:
        rows = self.open_deployments().filter(target__in=target_ids)
        return list(rows.select_related("promotion__requester", "promotion__overridden_by", "step"))

    def trends(self, models: Sequence[RegisteredModel]) -> dict[int, list[int]]:
        """Model id → the ids of its newest versions, the newest first, as many as are drawn. One query that looks
        at those alone (index ``version_identity``)."""
        newest = ModelVersion.objects.filter(self.known(), model=OuterRef("pk"))
        newest = newest.order_by("-number", "-registered_at")
        rows = RegisteredModel.objects.filter(pk__in=[each.pk for each in models])
        return dict(
            rows.annotate(newest=ArraySubquery(newest.values("pk")[:TREND])).values_list(
                "pk", "newest"
            )
        )

    def versions(self, ids: Iterable[int]) -> dict[int, ModelVersion]:
        """What the overview shows of these versions. Metrics are those of today: they belong to a finished run."""
        wanted = {each for each in ids if each}
        rows = ModelVersion.objects.filter(pk__in=wanted).only(
            "number", "model", "registered_at", "status", "run_status", "run_ended_at", "metrics"
        )
        return {each.pk: each for each in rows}

    def last_ended(self, target_ids: Sequence[int]) -> list[Deployment]:
        """The deployment that ended last at each of these targets (index ``deployment_by_end``)."""
        last = Deployment.objects.filter(self.ended_by(), target=OuterRef("pk"))
        last = last.order_by("-finished_at", "-pk")
        targets = Target.objects.filter(pk__in=target_ids)
        ids = targets.annotate(last=Subquery(last.values("pk")[:1])).values("last")
        return list(Deployment.objects.filter(pk__in=ids).select_related("promotion"))

    def pending(self, target_ids: Sequence[int]) -> list[Promotion]:
        """What waits for approval at these targets, what expires first at the top."""
        rows = self.pending_promotions().filter(target__in=target_ids)
        return list(rows.select_related("requester").order_by("expires_at", "pk"))

    def restrictions(
        self, target_ids: Sequence[int], version_ids: Iterable[int]
    ) -> list[Restriction]:
        """Locks and holds of these targets, quarantines of these versions."""
        rows = Restriction.objects.filter(
            self.while_open("placed_at", "lifted_at"),
            Q(target__in=target_ids) | Q(version__in=list(version_ids)),
        )
        return list(rows.select_related("placed_by"))

    def freezes(self) -> QuerySet[Freeze]:
        """The freezes placed by people that close their environment at this moment."""
        begun = Freeze.objects.filter(begins_at__lte=self.moment)
        begun = begun.filter(Q(ends_at=None) | Q(ends_at__gt=self.moment))
        return begun.filter(self.while_open("placed_at", "lifted_at"))

    def frozen(self, targets: Sequence[Target]) -> dict[int, tuple[Span, bool]]:
        """Target id → what keeps it closed, and whether the configuration does."""
        spans: dict[int, list[Span]] = {}
        rows = Freeze.objects.filter(self.while_open("placed_at", "lifted_at"))
        rows = rows.filter(Q(ends_at=None) | Q(ends_at__gt=self.moment))
        for each in rows.filter(
            environment__in={target.environment_id for target in targets}
        ).select_related("placed_by"):
            span = Span(f"{each.placed_by}: {each.reason}", each.begins_at, each.ends_at)
            spans.setdefault(each.environment_id, []).append(span)
        found: dict[int, tuple[Span, bool]] = {}
        for target in targets:
            placed = spans.get(target.environment_id, [])
            try:
                windows = windows_of(target)
                closed = closed_until(windows, placed, self.moment)
            except NOT_A_POLICY:
                windows = []
                closed = Span("its freezes cannot be read", self.moment, None)
            if closed is not None:
                by_rule = any(each.name == closed.name for each in windows)
                found[target.pk] = closed, by_rule
        return found

    def changes(self, target_ids: Sequence[int]) -> list[OutOfBandChange]:
        """The out-of-band changes at these targets that are open, and those ignored that still hold."""
        told = OutOfBandChange.objects.filter(
            declared_at__lte=self.moment, target__in=target_ids
        ).filter(self.while_open("declared_at", "ended_at") | self.ignored())
        return list(told.select_related("version").order_by("first_seen_at", "pk"))

    def marks(
        self, target_ids: Sequence[int], version_ids: Iterable[int]
    ) -> dict[tuple[int, int], Mark]:
        """(target, version) → the newest mark."""
        rows = Mark.objects.filter(
            self.placed_by(), target__in=target_ids, version__in=list(version_ids)
        )
        newest = rows.order_by("target_id", "version_id", "-placed_at", "-pk")
        newest = newest.distinct("target_id", "version_id")
        return {(each.target_id, each.version_id): each for each in newest}

    def moving(self) -> QuerySet[RegisteredModel]:
        """The models where something waits, is on its way, is closed by hand, or failed lately."""

        def at_targets(rows: QuerySet[Any]) -> Q:
            return Q(pk__in=rows.values("target"))

        closed = Restriction.objects.filter(
            self.while_open("placed_at", "lifted_at"),
            kind__in=[RestrictionKind.LOCK, RestrictionKind.HOLD],
        )
        changed = OutOfBandChange.objects.filter(
            self.while_open("declared_at", "ended_at"), declared_at__lte=self.moment
        )
        failed = Deployment.objects.filter(
            status=DeploymentStatus.FAILED,
            finished_at__gt=self.moment - LATELY,
            finished_at__lte=self.moment,
        )
        since = Deployment.objects.filter(
            self.ended_by(),
            target=OuterRef("target"),
            finished_at__gt=OuterRef("finished_at"),
        )
        busy = Target.objects.filter(
            at_targets(self.pending_promotions())
            | at_targets(self.open_deployments())
            | at_targets(closed)
            | at_targets(changed)
            | at_targets(failed.filter(~Exists(since)))
            | Q(environment__in=self.freezes().values("environment")),
            is_active=True,
            environment__is_active=True,
        )
        return self.models().filter(pk__in=busy.values("model"))


def _phase(deployment: Deployment) -> str:
    if deployment.status == DeploymentStatus.UNCONFIRMED:
        return "unconfirmed"
    begun = deployment.step is not None and deployment.step.began_at is not None
    # Where GitHub asks to wait it is queued again, although its dispatch was begun: no event tells of that.
    return "deploying" if begun or deployment.status != DeploymentStatus.QUEUED else "queued"
