"""What a person can do about an effect that was given up."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from approvals.models import Effect, Person
from approvals.services.history import wake_on_commit
from approvals.services.refusal import Refused
from approvals.states import EffectStatus


@transaction.atomic
def retry_effect(*, actor: Person, via: str, effect_id: int, now: datetime | None = None) -> Effect:
    """Have an effect that was given up delivered again. Raises Refused.

    Safe for every kind: handlers tolerate repetition, and a dispatch is guarded by its deployment.
    """
    if not (actor.is_active and actor.is_superuser):
        raise Refused("may_not_administer", "You may not, because only administrators may.")
    effect = Effect.objects.select_for_update().filter(pk=effect_id).first()
    if effect is None or effect.status != EffectStatus.FAILED:
        raise Refused("not_failed", "There is nothing to try again: it was not given up.")
    effect.status = EffectStatus.WAITING
    effect.due_at = now or timezone.now()
    effect.finished_at = None
    effect.save(update_fields=["status", "due_at", "finished_at"])
    wake_on_commit()
    return effect
