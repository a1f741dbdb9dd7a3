"""Freezing an environment for a time, and lifting it; what is frozen when."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from approvals.calendar import Span, Window, closed_until, in_zone, next_open, next_span
from approvals.models import Environment, Freeze, Person, Promotion, Target
from approvals.models.outbox import EffectKind
from approvals.services.at_hand import FREEZES, at_hand
from approvals.services.cases import NOT_A_POLICY
from approvals.services.history import enqueue, record
from approvals.services.locks import lock_environment
from approvals.services.refusal import Refused, clean_reason
from approvals.services.restrictions import refuse_who_may_not_restrict
from approvals.states import PromotionStatus

LONGEST = timedelta(days=366)
UNREADABLE = "The freezes of this target cannot be read, so it counts as frozen."


def windows_of(target: Target) -> list[Window]:
    """The recurring freezes of the configuration. Raises KeyError, TypeError or ValueError."""
    return [Window.from_data(each) for each in target.freezes]


def spans_of(environment: Environment, since: datetime) -> list[Span]:
    """The freezes placed by people that are not over at ``since``."""
    found: Iterable[Freeze] | None = at_hand(environment, FREEZES)
    if found is None:
        open_then = Q(ends_at=None) | Q(ends_at__gt=since)
        found = environment.freezes.filter(open_then, lifted_at=None).prefetch_related("placed_by")
    return [
        Span(f"{each.placed_by}: {each.reason}", each.begins_at, each.ends_at)
        for each in found
        if each.ends_at is None or each.ends_at > since
    ]


def frozen_at(target: Target, moment: datetime) -> str:
    """A sentence when the target is frozen then, saying why and until when; else an empty text."""
    name = target.environment.name
    try:
        windows = windows_of(target)
        closed = closed_until(windows, spans_of(target.environment, moment), moment)
    except NOT_A_POLICY:
        return UNREADABLE
    if closed is None:
        return ""
    zone = next((each.zone for each in windows if each.name == closed.name), "UTC")
    until = f"until {in_zone(closed.ends, zone)}" if closed.ends else "until somebody lifts it"
    return f"{name} is frozen ({closed.name}) {until}."


def opens_at(target: Target, moment: datetime) -> datetime | None:
    """The first moment from ``moment`` on at which the target is not frozen; None when there is none."""
    try:
        return next_open(windows_of(target), spans_of(target.environment, moment), moment)
    except NOT_A_POLICY:
        return None


def freeze_ahead(target: Target, moment: datetime, before: datetime) -> Span | None:
    """The first freeze that begins after ``moment`` and before ``before``; None where there is none, or where the
    freezes cannot be read: then :func:`frozen_at` says so."""
    try:
        recurring = [next_span(each, moment) for each in windows_of(target)]
    except NOT_A_POLICY:
        return None
    placed = [each for each in spans_of(target.environment, moment) if each.begins > moment]
    coming = [each for each in (*recurring, *placed) if each and each.begins < before]
    return min(coming, key=lambda each: each.begins, default=None)


@transaction.atomic
def freeze(
    *,
    actor: Person,
    via: str,
    environment_id: int,
    reason: str,
    begins_at: datetime | None = None,
    ends_at: datetime | None = None,
    now: datetime | None = None,
) -> Freeze:
    """Close an environment for promotions: from ``begins_at`` (now) until ``ends_at`` (until it is lifted).

    Grants that are not used yet wait; what runs already goes on; rollbacks stay possible. Raises Refused
    (``unknown_environment``, ``inactive``, ``machine``, ``may_not_restrict``, ``reason_missing``,
    ``bad_time``).
    """
    environment, targets = lock_environment(environment_id)
    now = now or timezone.now()
    reason = refuse_who_may_not_restrict(actor, reason, targets)
    begins = begins_at or now
    if ends_at is not None and (ends_at <= max(begins, now) or ends_at - begins > LONGEST):
        raise Refused("bad_time", "A freeze ends after it begins, in the future, within a year.")
    if begins > now + LONGEST:
        raise Refused("bad_time", "A freeze begins within a year.")
    placed = Freeze.objects.create(
        environment=environment,
        begins_at=begins,
        ends_at=ends_at,
        reason=reason,
        placed_by=actor,
        placed_at=now,
    )
    record(
        "environment.frozen",
        via=via,
        actor=actor,
        now=now,
        environment=environment.name,
        freeze=placed.pk,
        begins=begins.isoformat(timespec="seconds"),
        until=in_zone(ends_at, "UTC") if ends_at else "it is lifted",
        reason=reason,
    )
    _tell(environment, f"freeze-{placed.pk}-placed", now)
    return placed


@transaction.atomic
def unfreeze(
    *, actor: Person, via: str, freeze_id: int, reason: str, now: datetime | None = None
) -> Freeze:
    """Lift a freeze that somebody placed. Those of the configuration end by their rule, or by changing the file.
    Raises Refused like :func:`freeze`, and ``not_frozen``."""
    environment_id = (
        Freeze.objects.filter(pk=freeze_id).values_list("environment_id", flat=True).first()
    )
    if environment_id is None:
        raise Refused("not_frozen", "There is no such freeze.")
    environment, targets = lock_environment(environment_id)
    now = now or timezone.now()
    reason = clean_reason(reason)
    reason = refuse_who_may_not_restrict(actor, reason, targets)
    found = Freeze.objects.get(pk=freeze_id)
    if found.lifted_at is not None or (found.ends_at is not None and found.ends_at <= now):
        raise Refused("not_frozen", "This freeze is over already; there is nothing to lift.")
    found.lifted_by, found.lifted_at, found.lifted_reason = actor, now, reason
    found.save(update_fields=["lifted_by", "lifted_at", "lifted_reason"])
    record(
        "environment.unfrozen",
        via=via,
        actor=actor,
        now=now,
        environment=environment.name,
        freeze=found.pk,
        reason=reason,
    )
    _tell(environment, f"freeze-{found.pk}-lifted", now)
    return found


def _tell(environment: Environment, key: str, now: datetime) -> None:
    for promotion in Promotion.objects.filter(
        status=PromotionStatus.PENDING, target__environment=environment
    ):
        enqueue(EffectKind.ANNOUNCE, promotion, key=key, now=now)
