"""Handing one's approvals to a colleague for a time."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from approvals.models import Delegation, Person
from approvals.services.history import record
from approvals.services.refusal import Refused, clean_reason
from approvals.wording import day_and_time

LONGEST = timedelta(days=92)


@transaction.atomic
def delegate(
    *,
    actor: Person,
    via: str,
    delegate_id: int,
    until: datetime,
    reason: str = "",
    begins_at: datetime | None = None,
    now: datetime | None = None,
) -> Delegation:
    """My approvals go to a colleague until then: where they are not asked themselves, they may decide for me,
    and both names are recorded. It never helps whoever asks: neither as the delegate nor by delegating.

    A delegation that is open is replaced. Raises Refused (``inactive``, ``machine``, ``unknown_person``,
    ``own_account``, ``bad_time``, ``nothing_to_delegate``).
    """
    now = now or timezone.now()
    begins = begins_at or now
    if not actor.is_active:
        raise Refused("inactive", "You may not, because your account is not active.")
    if actor.is_machine:
        raise Refused("machine", "You may not, because this is a machine account.")
    # One's own row is the lock: two delegations at once, and one of them is replaced.
    me = Person.objects.select_for_update().get(pk=actor.pk)
    chosen = Person.objects.filter(pk=delegate_id).first()
    if chosen is None or not chosen.is_active or chosen.is_machine:
        raise Refused("unknown_person", "Choose an active colleague; a machine cannot decide.")
    if chosen.pk == me.pk:
        raise Refused("own_account", "You decide for yourself already; choose a colleague.")
    if not me.teams.exists():
        raise Refused("nothing_to_delegate", "You are in no team, so there is nothing to hand on.")
    if until <= max(begins, now) or until - begins > LONGEST or begins > now + LONGEST:
        raise Refused("bad_time", "A delegation ends in the future, after at most 92 days.")
    reason = clean_reason(reason)
    _end(me, now)
    made = Delegation.objects.create(
        person=me, delegate=chosen, reason=reason, begins_at=begins, until=until
    )
    record(
        "delegation.given",
        via=via,
        actor=actor,
        now=now,
        delegate=str(chosen),
        begins=day_and_time(begins),
        until=day_and_time(until),
        reason=reason,
    )
    return made


@transaction.atomic
def end_delegation(*, actor: Person, via: str, now: datetime | None = None) -> None:
    """Take my approvals back at once; what was decided meanwhile stands. Raises Refused."""
    now = now or timezone.now()
    me = Person.objects.select_for_update().get(pk=actor.pk)
    ended = _end(me, now)
    if ended is None or ended.until <= now:
        raise Refused("nothing_delegated", "You have not delegated anything.")
    record("delegation.ended", via=via, actor=actor, now=now, delegate=str(ended.delegate))


def open_delegation(person: Person, now: datetime) -> Delegation | None:
    """What this person has handed on and not taken back, also where it begins later."""
    found = person.delegations_given.filter(ended_at=None, until__gt=now)
    return found.select_related("delegate").first()


def _end(person: Person, now: datetime) -> Delegation | None:
    found = person.delegations_given.filter(ended_at=None).select_related("delegate").first()
    if found is not None:
        found.ended_at = now
        found.save(update_fields=["ended_at"])
    return found
