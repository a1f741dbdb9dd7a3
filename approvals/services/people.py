"""Letting people in and out."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from approvals.models import Person
from approvals.services.history import record, refresh_pending
from approvals.services.refusal import Refused
from approvals.states import SYSTEM_ACCOUNT


@transaction.atomic
def set_active(
    *, actor: Person, via: str, person_id: int, active: bool, now: datetime | None = None
) -> Person:
    """Activate or deactivate a person; takes effect at once, in every door. Raises Refused.

    Their earlier reviews stay in the history, but those of the inactive do not count.
    """
    if not (actor.is_active and actor.is_superuser):
        raise Refused("may_not_administer", "You may not, because only administrators may.")
    person = Person.objects.select_for_update().filter(pk=person_id).first()
    if person is None:
        raise Refused("unknown_person", "There is no such person.")
    if active and person.username == SYSTEM_ACCOUNT:
        raise Refused(
            "system_account",
            "This is Countersign's own account, in whose name monitoring rolls back; nobody signs in with it.",
        )
    if person.pk == actor.pk and not active:
        raise Refused("own_account", "You cannot deactivate yourself; ask another administrator.")
    if person.is_active == active:
        return person
    person.is_active = active
    person.save(update_fields=["is_active"])
    record(
        "person.activated" if active else "person.deactivated",
        via=via,
        actor=actor,
        now=now or timezone.now(),
        person=person.username,
    )
    refresh_pending(f"person-{person.pk}", now or timezone.now())
    return person
