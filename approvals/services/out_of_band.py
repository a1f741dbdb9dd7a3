"""The ledger of out-of-band changes: what two readings in a row have shown is declared, what two no longer show
has ended. ``services.readings`` compares, ``services.answers`` is what people do about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet

from approvals.models import Deployment, Event, OutOfBandChange, Person, Target, WorkflowRun
from approvals.services.history import record
from approvals.services.locks import lock_target
from approvals.services.refusal import Refused
from approvals.services.telling import alert
from approvals.states import ChangeAnswer, ChangeKind, DeploymentStatus, PromotionStatus, Via

# Readings in a row: one alone may be of a moment between two states.
DECLARED_AFTER = 2
GONE_AFTER = 2


@dataclass(frozen=True)
class Finding:
    """One difference. ``key`` tells it from another one; ``sentence`` says what should be and what is.

    Not ``loud``: told in the timeline and on the pages, without an alert. ``harmless``: noted once, nothing has to
    be answered.
    """

    key: str
    sentence: str
    version_id: int | None = None
    loud: bool = True
    harmless: bool = False


def declared_changes() -> QuerySet[OutOfBandChange]:
    """Those that people were told of, with all that is shown of them."""
    return OutOfBandChange.objects.filter(declared_at__isnull=False).select_related(
        "target__model",
        "target__environment",
        "target__live_version__model",
        "target__live_deployment__promotion",
        "version__model",
        "run",
        "answered_by",
        "promotion__requester",
        "promotion__deployment",
    )


def open_changes() -> QuerySet[OutOfBandChange]:
    """Those declared and neither answered for good nor gone."""
    return declared_changes().filter(ended_at=None)


def still_watched(target_ids: list[int] | None = None) -> QuerySet[OutOfBandChange]:
    """What the next reading says something about: what has not ended, and what is ignored and still there."""
    rows = OutOfBandChange.objects.filter(
        Q(ended_at=None) | Q(answer=ChangeAnswer.IGNORED, missed__lt=GONE_AFTER)
    )
    return rows if target_ids is None else rows.filter(target_id__in=target_ids)


def lock_change(change_id: int) -> OutOfBandChange:
    """The change, read after its target was locked. Raises Refused("unknown_change"), also for what only one
    reading has shown."""
    found = OutOfBandChange.objects.filter(pk=change_id, declared_at__isnull=False)
    target_id = found.values_list("target_id", flat=True).first()
    if target_id is None:
        raise Refused("unknown_change", f"There is no out-of-band change {change_id}.")
    target = lock_target(target_id)
    change = OutOfBandChange.objects.select_related(
        "version__model", "run", "answered_by", "promotion__deployment"
    ).get(pk=change_id)
    change.target = target
    return change


def note_reading(
    target: Target,
    kind: ChangeKind,
    found: Finding | None,
    *,
    read_at: datetime,
    now: datetime,
    run: WorkflowRun | None = None,
) -> bool:
    """Take in what one reading, begun at ``read_at``, shows at a target, which must be locked; None: all is as it
    should be. Readings of runs are about one ``run`` each. Returns whether one more reading would declare it."""
    rows = still_watched([target.pk]).filter(kind=kind)
    known = None
    for change in rows.filter(run=run, ended_at=None) if run else rows:
        change.target = target
        if found is not None and change.key == found.key:
            known = change
        else:
            _not_shown(change, read_at, now)
    if found is None:
        return False
    if known is not None:
        _shown(known, found, read_at, now)
    else:
        if run and target.changes.filter(kind=kind, key=found.key).exists():
            return False
        known = OutOfBandChange.objects.create(
            target=target,
            kind=kind,
            key=found.key,
            sentence=found.sentence,
            version_id=found.version_id,
            run=run,
            seen_at=read_at,
            first_seen_at=read_at,
        )
    return known.declared_at is None


def _shown(change: OutOfBandChange, found: Finding, read_at: datetime, now: datetime) -> None:
    if read_at <= change.seen_at:
        return
    change.seen += 1
    change.seen_at, change.missed = read_at, 0
    change.sentence, change.version_id = found.sentence, found.version_id
    change.save(update_fields=["seen", "seen_at", "missed", "sentence", "version"])
    if change.ended_at is not None:
        return
    if change.declared_at is None and change.seen >= DECLARED_AFTER:
        _declare(change, found, now)
    elif change.answer and change.promotion_id is None:
        # Nothing is compared while it is being written back: so it was written, or given up, and is still there.
        change.answer, change.answered_by, change.reason = "", None, ""
        change.save(update_fields=["answer", "answered_by", "reason"])
        told(change, "out_of_band.persists", now)
    if found.harmless and change.declared_at is not None:
        end_change(change, ChangeAnswer.GONE, now)


def _not_shown(change: OutOfBandChange, read_at: datetime, now: datetime) -> None:
    if read_at <= change.seen_at:
        return
    if change.declared_at is None:
        change.delete()  # one reading of a moment: nobody was told
        return
    change.missed += 1
    if change.ended_at is not None and change.missed >= GONE_AFTER:
        change.gone_at = now
    change.save(update_fields=["missed", "gone_at"])
    if change.ended_at is None and change.missed >= GONE_AFTER:
        end_change(change, ChangeAnswer(change.answer or ChangeAnswer.GONE), now)


def _declare(change: OutOfBandChange, found: Finding, now: datetime) -> None:
    change.declared_at = now
    change.save(update_fields=["declared_at"])
    loud = found.loud and not found.harmless
    told(change, "out_of_band.declared" if loud else "out_of_band.noted", now)
    if loud:
        alert(
            change.target,
            f"{change.sentence} {settings.BASE_URL}{change.get_absolute_url()}",
            subject=f"Out-of-band change of {change.target}",
            key=f"out-of-band:{change.pk}",
            now=now,
        )


def told(
    change: OutOfBandChange,
    event: str,
    now: datetime,
    *,
    actor: Person | None = None,
    via: str = Via.SYSTEM,
    **data: Any,
) -> Event:
    """Record an event of a change: in the history of the promotion that is live, whose message is brought up to
    date by that, where something is live."""
    live = change.target.live_deployment
    about: dict[str, Any] = {"promotion": live.promotion} if live else {"target": change.target}
    if live:
        live.promotion.target = change.target
    return record(
        event,
        via=via,
        actor=actor,
        now=now,
        change=change.pk,
        change_kind=change.kind,
        version=change.version.number if change.version else None,
        sentence=change.sentence,
        **about,
        **data,
    )


def end_change(
    change: OutOfBandChange,
    answer: ChangeAnswer,
    now: datetime,
    *,
    actor: Person | None = None,
    via: str = Via.SYSTEM,
) -> None:
    """It is over, and how. The target must be locked."""
    change.ended_at, change.answer = now, answer
    change.save(update_fields=["ended_at", "answer"])
    told(change, ENDINGS[answer], now, actor=actor, via=via, reason=change.reason)


ENDINGS = {
    ChangeAnswer.ADOPTED: "out_of_band.adopted",
    ChangeAnswer.PUT_BACK: "out_of_band.put_back",
    ChangeAnswer.IGNORED: "out_of_band.ignored",
    ChangeAnswer.GONE: "out_of_band.ended",
}


def end_by_deployment(deployment: Deployment, now: datetime) -> None:
    """A version went live through us: what this answers has ended, and so have runs of before. The target must be
    locked."""
    target, promotion = deployment.target, deployment.promotion
    answer = ChangeAnswer.ADOPTED if promotion.retroactive else ChangeAnswer.PUT_BACK
    target.changes.filter(ended_at=None, declared_at=None).delete()
    here = Q(target=target) & (Q(promotion=promotion) | Q(kind=ChangeKind.RUN))
    for change in OutOfBandChange.objects.filter(here, ended_at=None):
        change.target = target
        mine = change.promotion_id == promotion.pk
        end_change(change, answer if mine else ChangeAnswer.GONE, now)
    # The same run at other targets, whose locks are not ours: whoever works on one of them now settles it there.
    others = OutOfBandChange.objects.select_for_update(skip_locked=True, of=("self",))
    for change in others.filter(promotion=promotion, ended_at=None).exclude(target=target):
        end_change(change, answer, now)


def under_way(change: OutOfBandChange) -> str:
    """What is being done about a change, in a sentence; empty when nothing is."""
    promotion = change.promotion
    if promotion is not None:
        what = "adopted" if promotion.retroactive else "put back"
        if promotion.is_pending:
            return f"It is to be {what} by promotion {promotion.pk}, which waits for approval."
        deployment: Deployment | None = getattr(promotion, "deployment", None)
        delivered = deployment is not None and (
            deployment.is_open or deployment.status == DeploymentStatus.SUCCEEDED
        )
        if promotion.status == PromotionStatus.APPROVED and delivered:
            return f"It is being {what} by promotion {promotion.pk}."
        return ""
    if change.answer and change.ended_at is None:
        return f"{change.answered_by} is having it put back."
    return ""
