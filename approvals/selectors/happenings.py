"""What a calendar shows: deployments with their beginning and end, what is planned, and freezes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet

from approvals.calendar import Window
from approvals.models import Deployment, Freeze, Promotion, Target
from approvals.selectors.filters import Filters
from approvals.services.cases import NOT_A_POLICY
from approvals.services.freezes import windows_of
from approvals.states import OPEN_DEPLOYMENT, DeploymentStatus, PromotionStatus

PAST = timedelta(days=90)
MOST = 1000
# What has no end yet is drawn so long.
OPEN_END = timedelta(days=7)
SHORTEST = timedelta(minutes=5)


@dataclass(frozen=True)
class Happening:
    """One entry of a calendar. ``key`` stays the same for ever; ``window`` where it comes again and again."""

    key: str
    title: str
    about: str
    address: str
    begins: datetime
    ends: datetime
    changed: datetime
    tentative: bool = False
    window: Window | None = None


def happenings(filters: Filters, now: datetime) -> list[Happening]:
    """Those of the last 90 days and all to come, of a model and an environment where the filters name them; a
    constant number of queries."""
    return [
        *_deployments(filters, now),
        *_planned(filters, now),
        *_placed(filters, now),
        *_recurring(filters, now),
    ]


def _of_target(filters: Filters, prefix: str = "target__") -> Q:
    about = Q()
    if filters.model:
        about &= Q(**{f"{prefix}model__name": filters.model})
    if filters.environment:
        about &= Q(**{f"{prefix}environment__name": filters.environment})
    return about


def _deployments(filters: Filters, now: datetime) -> list[Happening]:
    begun = (
        Deployment.objects.filter(_of_target(filters))
        .filter(Q(created_at__gt=now - PAST) | Q(status__in=OPEN_DEPLOYMENT))
        .exclude(status=DeploymentStatus.QUEUED)
        .select_related("version__model", "target__environment", "promotion", "step")
        .order_by("-created_at", "-id")
    )
    found = []
    for each in begun[:MOST]:
        begins = (
            each.step.began_at if each.step and each.step.ordinal == 1 else None
        ) or each.created_at
        word = "Rollback" if each.promotion.is_rollback else "Deployment"
        status = each.get_status_display().lower()
        found.append(
            Happening(
                key=f"deployment-{each.pk}",
                title=f"{word}: {each.version} to {each.target.environment.name} ({status})",
                about=each.detail or each.promotion.reason,
                address=each.promotion.get_absolute_url(),
                begins=begins,
                ends=max(each.finished_at or begins, begins + SHORTEST),
                changed=each.finished_at or begins,
                tentative=each.status in OPEN_DEPLOYMENT,
            )
        )
    return found


def _planned(filters: Filters, now: datetime) -> list[Happening]:
    """What has a time and was not started: asked for, or approved and waiting for its time."""
    asked: QuerySet[Promotion] = (
        Promotion.objects.filter(_of_target(filters), run_at__gt=now - timedelta(days=1))
        .filter(
            Q(status=PromotionStatus.PENDING)
            | Q(status=PromotionStatus.APPROVED, deployment__status=DeploymentStatus.QUEUED)
        )
        .select_related("version__model", "target__environment")
        .order_by("run_at", "id")
    )
    return [
        Happening(
            key=f"promotion-{each.pk}",
            title=f"Planned: {each.version} to {each.target.environment.name}"
            + ("" if not each.is_pending else " (not approved yet)"),
            about=each.reason,
            address=each.get_absolute_url(),
            begins=each.run_at,
            ends=each.run_at + timedelta(minutes=30),
            changed=each.decided_at or each.requested_at,
            tentative=each.is_pending,
        )
        for each in asked[:MOST]
        if each.run_at
    ]


def _placed(filters: Filters, now: datetime) -> list[Happening]:
    freezes = Freeze.objects.filter(Q(ends_at=None) | Q(ends_at__gt=now - PAST))
    freezes = freezes.filter(Q(lifted_at=None) | Q(lifted_at__gt=now - PAST))
    if filters.environment:
        freezes = freezes.filter(environment__name=filters.environment)
    found = []
    for each in freezes.select_related("environment", "placed_by")[:MOST]:
        ends = each.ends_at
        if each.lifted_at:
            ends = min(each.lifted_at, ends) if ends else each.lifted_at
            if ends <= each.begins_at:
                continue  # lifted before it began: it never was
        until = "" if ends else " (until somebody lifts it)"
        found.append(
            Happening(
                key=f"freeze-{each.pk}",
                title=f"Frozen: {each.environment.name}{until}",
                about=f"{each.placed_by}: {each.reason}",
                address="/freezes/",
                begins=each.begins_at,
                # Full days, so that the calendar does not change with every look at it.
                ends=ends or max(each.begins_at, _day(now)) + OPEN_END,
                changed=each.lifted_at or each.placed_at,
            )
        )
    return found


def _recurring(filters: Filters, now: datetime) -> list[Happening]:
    """Each window of the configuration once for each environment, with the models that it closes."""
    targets = Target.objects.filter(_of_target(filters, ""), is_active=True).exclude(freezes=[])
    covered: dict[tuple[str, Window], list[str]] = {}
    for target in targets.select_related("model", "environment").order_by("model__name"):
        try:
            windows = windows_of(target)
        except NOT_A_POLICY:
            continue
        for window in windows:
            covered.setdefault((target.environment.name, window), []).append(target.model.name)
    return [
        Happening(
            key=f"window-{environment}-{window.name}-{window.starts}",
            title=f"Frozen: {environment} ({window.name})",
            about=f"Recurring, by the configuration, on the clocks of {window.zone}. "
            f"For: {', '.join(models[:50])}",
            address="/freezes/",
            begins=now,
            ends=now,
            changed=datetime(2020, 1, 1, tzinfo=now.tzinfo),
            window=window,
        )
        for (environment, window), models in covered.items()
    ]


def _day(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)
