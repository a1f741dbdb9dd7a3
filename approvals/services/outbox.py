"""What a person can do about an effect that waits after a failure, or was given up."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from approvals.models import Effect, Person
from approvals.models.outbox import EffectKind
from approvals.services.history import record, wake_on_commit
from approvals.services.locks import lock_target
from approvals.services.refusal import Refused
from approvals.services.restrictions import may_restrict
from approvals.states import EffectStatus

# What starts a workflow is fired once, by its grant. Whatever became of it is settled on the deployment, by people
# who look first; nothing repeats it from here.
FIRES = frozenset({EffectKind.DISPATCH, EffectKind.LOOK_UP})
OPEN_TO_RETRY = frozenset({EffectStatus.WAITING, EffectStatus.FAILED})


@transaction.atomic
def retry_effect(*, actor: Person, via: str, effect_id: int, now: datetime | None = None) -> Effect:
    """Have an effect that was given up, or waits for its next try, delivered now. Raises Refused (``not_open``,
    ``never_repeated``, ``may_not_retry``), and then nothing was written.

    All handlers but those of :data:`FIRES` tolerate repetition (docs/architecture.md, The outbox).
    """
    # Read before any lock, for what never changes alone: which target to lock.
    target_id = Effect.objects.filter(pk=effect_id).values_list("target", flat=True).first()
    if target_id is not None:
        lock_target(target_id)
    effect = (
        Effect.objects.select_for_update(of=("self",))
        .select_related("target__model", "target__environment", "promotion__target")
        .filter(pk=effect_id)
        .first()
    )
    if effect is None:
        raise Refused("not_open", "There is nothing to try again: no such thing waits.")
    if refusal := why_not_retry(effect, actor):
        raise Refused(*refusal)
    was = effect.get_status_display()
    effect.status = EffectStatus.WAITING
    effect.due_at = now or timezone.now()
    effect.finished_at = None
    effect.save(update_fields=["status", "due_at", "finished_at"])
    record(
        "effect.retried",
        via=via,
        actor=actor,
        promotion=effect.promotion,
        target=effect.target,
        now=now,
        effect=effect.pk,
        what=what_it_does(effect),
        was=was,
        error=effect.last_error,
    )
    wake_on_commit()
    return effect


def what_it_does(effect: Effect) -> str:
    """The effect in words that follow a verb: ``write the live version to the registry``."""
    text = str(effect.get_kind_display())
    return text if text.split(" ", 1)[0].isupper() else text[:1].lower() + text[1:]


def why_not_retry(effect: Effect, actor: Person) -> tuple[str, str] | None:
    """(code, sentence) why this person may not have this tried again; None when they may.

    Pages ask it too, to say beforehand what the verb would say.
    """
    if effect.kind in FIRES:
        return (
            "never_repeated",
            "A workflow is started once for an approval, so its start is never repeated from here. What can be "
            "done about it stands on the page of its promotion.",
        )
    if effect.status == EffectStatus.CLAIMED:
        return "not_open", "It is being tried right now."
    if effect.status not in OPEN_TO_RETRY:
        return "not_open", "There is nothing to try again: it was delivered."
    if actor.is_active and not actor.is_machine:
        if actor.is_staff or actor.is_superuser:
            return None
        if effect.target is not None and may_restrict(actor, [effect.target]):
            return None
    who = (
        f"those who may decide about {effect.target}, and administrators,"
        if effect.target is not None
        else "administrators"
    )
    return "may_not_retry", f"You may not, because only {who} may."
