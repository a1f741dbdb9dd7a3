"""The moments at which the overview changed: the one before and the one after a moment."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.models import F, Max, Min, OuterRef, Q, QuerySet, Subquery

from approvals.models import Event, Freeze, RegisteredModel, Restriction, Target

# What changes nothing that the overview shows.
_QUIET = (
    "promotion.sealed",
    "promotion.resealed",
    "promotion.blocked",
    "promotion.unblocked",
    "promotion.commented",
    "promotion.reminded",
    "promotion.escalated",
    "promotion.scheduled",
    "promotion.unscheduled",
    "review.approved",
    "review.rejected",
    "review.withdrawn",
    "registry.written",
    "registry.alias_set",
    "deployment.waits",
    "deployment.started",
    "gate.passed",
    "gate.held",
    "evidence.recorded",
    "signal.noted",
    "signal.alerted",
)


def history_began() -> datetime | None:
    """When the first thing happened that an event tells of; None before."""
    return Event.objects.order_by("at").values_list("at", flat=True).first()


def change_before(moment: datetime, models: Sequence[RegisteredModel]) -> datetime | None:
    """The last moment before this one at which something changed at these models; three queries."""
    events = _events(at__lt=moment).order_by("-at")
    rows = _targets(models, events).aggregate(found=Max("turned"))
    return max(filter(None, [rows["found"], *_of_rows(models, "lt", moment)]), default=None)


def change_after(
    moment: datetime, models: Sequence[RegisteredModel], now: datetime
) -> datetime | None:
    """The first moment after this one, up to now, at which something changed at these models; three queries."""
    events = _events(at__gt=moment, at__lte=now).order_by("at")
    rows = _targets(models, events).aggregate(found=Min("turned"))
    found = filter(None, [rows["found"], *_of_rows(models, "gt", moment)])
    return min((each for each in found if each <= now), default=None)


def _events(**when: Any) -> QuerySet[Event]:
    return Event.objects.filter(target=OuterRef("pk"), **when).exclude(kind__in=_QUIET)


def _targets(models: Sequence[RegisteredModel], events: QuerySet[Event]) -> QuerySet[Target]:
    """Of each target the nearest event (index ``event_by_target``)."""
    rows = Target.objects.filter(model__in=models)
    return rows.annotate(turned=Subquery(events.values("at")[:1]))


def _of_rows(
    models: Sequence[RegisteredModel], than: str, moment: datetime
) -> list[datetime | None]:
    """Freezes begin and end without an event, and a quarantine's event is at no target."""
    nearest = Max if than == "lt" else Min

    def of(rows: QuerySet[Any], *columns: str) -> list[datetime | None]:
        wanted = {
            column: nearest(column, filter=Q(**{f"{column}__{than}": moment})) for column in columns
        }
        return list(rows.aggregate(**wanted).values())

    freezes = Freeze.objects.filter(Q(lifted_at=None) | Q(lifted_at__gt=F("begins_at")))
    barred = Restriction.objects.filter(version__model__in=models)
    return [
        *of(freezes, "begins_at", "ends_at", "lifted_at"),
        *of(barred, "placed_at", "lifted_at"),
    ]
