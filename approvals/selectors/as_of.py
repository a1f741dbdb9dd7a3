"""What the overview reads, as it was at a moment in the past.

Where each fact comes from, and why it can be trusted:

- *what was live, what failed*: ``Deployment.finished_at`` and its final status, written once when it ended;
- *what waited*: ``Promotion.requested_at`` and ``decided_at``, each written once (a constraint of the database
  holds that what is decided has its time);
- *what was under way*: ``Deployment.created_at`` and ``finished_at``; how far it had come: the steps that had
  succeeded by then (``Step.finished_at``, written once), and the events of its promotion, which a trigger
  keeps from being changed: begun, unconfirmed, paused, advanced, going back;
- *locks, holds, quarantines*: ``placed_at`` and ``lifted_at`` of their rows; *freezes* the same, with the time for
  which they were placed;
- *marks*: ``placed_at``; the rows are never changed;
- *out-of-band changes*: ``declared_at`` and ``ended_at``; of an ignored one ``gone_at``, when it went away;
- *candidates*: the registry's own times of creation, and ours of deletion.

Two things no row or event keeps. The recurring freezes are those of today's configuration, and the page says
so. That a dispatch was put off because GitHub asked to wait, or that a queued deployment asked to be confirmed,
is told for the present alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.contrib.postgres.fields import DateTimeRangeField
from django.db.models import Exists, OuterRef, Q, QuerySet

from approvals.models import Deployment, Event, ModelVersion, Promotion, RegisteredModel, Step
from approvals.models.periods import Period
from approvals.selectors.live import Presence, live_at
from approvals.selectors.states_now import Delivery, Now
from approvals.states import ChangeAnswer, DeploymentStatus, StepOutcome

# What these say of a deployment's way is all that is read of it.
_TELLING = (
    "deployment.dispatching",
    "deployment.started",
    "deployment.unconfirmed",
    "deployment.paused",
    "deployment.advanced",
    "deployment.aborting",
    "deployment.failed",
    "deployment.cancelled",
    "deployment.refused",
    "deployment.given_up",
)


class AsOf(Now):
    """A moment in the past. The methods are those of :class:`Now`, and as many queries."""

    is_past = True

    def models(self) -> QuerySet[RegisteredModel]:
        """The models of today's configuration, and those that had something live by then."""
        lived = Deployment.objects.filter(
            target__model=OuterRef("pk"),
            status=DeploymentStatus.SUCCEEDED,
            finished_at__lte=self.moment,
        )
        return RegisteredModel.objects.filter(Q(is_active=True) | Exists(lived))

    def presences(self, models: Sequence[RegisteredModel]) -> list[Presence]:
        """What was live at the targets of these models; some queries."""
        return live_at(self.moment, models)

    def open_deployments(self) -> QuerySet[Deployment]:
        """Those that had been granted and had not ended (index ``deployment_period``)."""
        period = Period("created_at", "finished_at", output_field=DateTimeRangeField())
        return Deployment.objects.alias(period=period).filter(Q(period__contains=self.moment))

    def pending_promotions(self) -> QuerySet[Promotion]:
        """Those that had been asked for and not been decided (index ``promotion_period``)."""
        period = Period("requested_at", "decided_at", output_field=DateTimeRangeField())
        return Promotion.objects.alias(period=period).filter(Q(period__contains=self.moment))

    def while_open(self, opened: str, closed: str) -> Q:
        """Rows that had begun and were not over, by the names of the two times."""
        still = Q(**{closed: None}) | Q(**{f"{closed}__gt": self.moment})
        return Q(**{f"{opened}__lte": self.moment}) & still

    def ignored(self) -> Q:
        """The ignored out-of-band changes that still held."""
        return Q(answer=ChangeAnswer.IGNORED) & self.while_open("ended_at", "gone_at")

    def ended_by(self) -> Q:
        """Deployments that had ended."""
        return Q(finished_at__lte=self.moment)

    def placed_by(self) -> Q:
        """Marks that had been placed."""
        return Q(placed_at__lte=self.moment)

    def known(self) -> Q:
        """Versions that the registry had."""
        return self.while_open("registered_at", "deleted_at")

    def is_finished(self, version: ModelVersion) -> bool:
        """Finished as of today, and its run had ended by then."""
        ended = version.run_ended_at
        return version.is_finished and (ended is None or ended <= self.moment)

    def deliveries(self, target_ids: Sequence[int]) -> list[Delivery]:
        """The open deployments at these targets, those under way first, then those queued in the order in which
        they were granted; three queries."""
        rows = self._open_at(target_ids)
        told = self._told([each.promotion_id for each in rows])
        shares = self._shares([each.pk for each in rows])
        found = [
            self._as_told(each, told.get(each.promotion_id, []), shares.get(each.pk, 0))
            for each in rows
        ]
        found.sort(
            key=lambda each: (
                each.phase == "queued",
                not each.deployment.promotion.is_rollback,
                each.deployment.pk,
            )
        )
        return found

    def _told(self, promotion_ids: Iterable[int]) -> dict[int, list[Event]]:
        events = Event.objects.filter(
            promotion__in=list(promotion_ids), kind__in=_TELLING, at__lte=self.moment
        )
        told: dict[int, list[Event]] = {}
        for each in events.order_by("pk"):
            told.setdefault(each.promotion_id or 0, []).append(each)
        return told

    def _shares(self, deployment_ids: Iterable[int]) -> dict[int, int]:
        steps = Step.objects.filter(
            deployment__in=list(deployment_ids),
            outcome=StepOutcome.SUCCEEDED,
            finished_at__lte=self.moment,
        )
        return dict(steps.order_by("ordinal").values_list("deployment", "percent"))

    def _as_told(self, deployment: Deployment, events: Sequence[Event], share: int) -> Delivery:
        """Walk through what happened to a deployment by then."""
        phase, paused, aborting = "queued", False, False
        for event in events:
            kind = event.kind.removeprefix("deployment.")
            if kind in {"dispatching", "started"}:
                phase = "deploying"
            elif kind == "unconfirmed":
                phase = "unconfirmed"
            elif kind == "paused":
                paused = True
            elif kind == "advanced":
                paused = False
            elif kind == "aborting":
                aborting, paused = True, False
            elif kind == "given_up":
                # It goes back next, which says so itself; on its way back already, it waits for people.
                phase, paused = "deploying", True
            else:
                phase, paused = "deploying", bool(event.data.get("goes_back"))
        return Delivery(deployment, phase, share if deployment.strategy else 0, paused, aborting)
