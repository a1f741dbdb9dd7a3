"""Writes the two things that every verb writes beside its state: events and effects."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from approvals.models import Effect, Event, Person, Promotion, Target
from approvals.models.outbox import EffectKind
from approvals.seals import digest
from approvals.services.origin import origin
from approvals.signals import effects_written
from approvals.states import PromotionStatus

# One number for "somebody is appending to the history"; any constant would do.
_CHAIN_LOCK = 0x436F756E
_NEWEST = f"SELECT hash FROM {Event._meta.db_table} ORDER BY id DESC LIMIT 1"  # noqa: S608

LANES = {
    EffectKind.GATHER_FACTS: "facts:{promotion}",
    # Who goes first at a target is the queue's business (services.queueing), not the outbox's.
    EffectKind.DISPATCH: "dispatch:{promotion}",
    # Not behind the grants that wait for this very deployment to be settled.
    EffectKind.LOOK_UP: "look-up:{promotion}",
    EffectKind.SET_ALIAS: "alias:{target}",
    EffectKind.ANNOUNCE: "announce:{promotion}",
    EffectKind.ALERT: "alert:{target}",
    # Each by itself: a full mailbox must not hold up what others are to be told.
    EffectKind.MAIL: "mail:{target}:{promotion}:{key}",
    # Each by itself, like mail.
    EffectKind.TELL: "tell:{about}:{key}",
    EffectKind.HOME: "home:{about}",
    EffectKind.UNFOLD: "unfold:{key}",
    # Each by itself: what one repository refuses holds up no other.
    EffectKind.COMPARE: "compare:{about}:{key}",
    EffectKind.ANSWER_GATE: "gate:{key}",
}


def hashed_content(event: Event) -> dict[str, Any]:
    """What an event's hash is over: its own content and the hash of the line before."""
    return {
        "at": event.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "kind": event.kind,
        "actor": event.actor_id,
        "via": event.via,
        "target": event.target_id,
        "promotion": event.promotion_id,
        "data": event.data,
        "previous": event.previous_hash,
    }


def event_hash(event: Event) -> str:
    """The hash of one line."""
    return digest(hashed_content(event))


def record(
    kind: str,
    /,
    *,
    via: str,
    actor: Person | None = None,
    promotion: Promotion | None = None,
    target: Target | None = None,
    now: datetime | None = None,
    **data: Any,
) -> Event:
    """Append one event, which also names where it came from; about a promotion, its message is brought up to
    date too.

    Must run inside the verb's transaction and after its row locks: the lock on the chain is always the
    last one taken, so verbs cannot deadlock over it.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("An event belongs to the transaction of the change it tells of.")
    last = _last_hash()
    if place := origin():
        data["origin"] = place
    event = Event(
        at=now or timezone.now(),
        kind=kind,
        actor=actor,
        via=via,
        promotion=promotion,
        target=promotion.target if promotion else target,
        data=data,
        previous_hash=last,
    )
    event.hash = event_hash(event)
    event.save(force_insert=True)
    if promotion is not None:
        enqueue(EffectKind.ANNOUNCE, promotion, key=str(event.pk), now=event.at)
    return event


def _last_hash() -> str:
    """The hash of the newest event, once nobody else appends; empty before the first."""
    with connection.cursor() as cursor:
        # Two statements in one round trip: one alone would look before it has waited.
        cursor.execute(f"SELECT pg_advisory_xact_lock({_CHAIN_LOCK}); {_NEWEST}")
        cursor.nextset()
        row = cursor.fetchone()
    return row[0] if row else ""


def enqueue(
    kind: EffectKind,
    promotion: Promotion | None,
    *,
    key: str,
    now: datetime,
    payload: dict[str, Any] | None = None,
    target: Target | None = None,
    about: str = "",
) -> None:
    """Put an effect into the outbox, once per ``kind``, promotion (else target, else what ``about`` names) and
    ``key``; wake a worker on commit."""
    target_id = promotion.target_id if promotion else target.pk if target else None
    if promotion is not None:
        about = str(promotion.pk)
    elif target_id:
        about = f"target-{target_id}"
    about = about or "all"
    effect = Effect(
        dedupe_key=f"{kind}:{about}:{key}",
        kind=kind,
        lane=LANES[kind].format(
            promotion=promotion.pk if promotion else "", target=target_id, about=about, key=key
        )[:100],
        promotion=promotion,
        target_id=target_id,
        payload=payload or {},
        created_at=now,
        due_at=now,
    )
    # One statement, ON CONFLICT DO NOTHING: looking first would take three.
    Effect.objects.bulk_create([effect], ignore_conflicts=True)
    wake_on_commit()


def refresh_pending(key: str, now: datetime) -> None:
    """Bring the messages of all pending promotions up to date: who could approve may have changed."""
    for promotion in Promotion.objects.filter(status=PromotionStatus.PENDING):
        enqueue(EffectKind.ANNOUNCE, promotion, key=f"{key}:{now.timestamp():.0f}", now=now)


def wake_on_commit() -> None:
    """Wake a worker once this transaction is committed, however many effects it wrote."""
    if not any(_wake in entry for entry in connection.run_on_commit):
        transaction.on_commit(_wake, robust=True)


def _wake() -> None:
    effects_written.send_robust(sender=Effect)
