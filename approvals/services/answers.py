"""What people answer to an out-of-band change: adopt it, put it back, or ignore it, each with a reason."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from approvals.models import OutOfBandChange, Person, Promotion, Target
from approvals.models.outbox import EffectKind
from approvals.rules import Policy
from approvals.services.cases import NOT_A_POLICY, voter
from approvals.services.history import enqueue
from approvals.services.locks import lock_target
from approvals.services.out_of_band import end_change, lock_change, told, under_way
from approvals.services.promotions import request_answer
from approvals.services.refusal import Refused, clean_reason
from approvals.states import ChangeAnswer, ChangeKind, PromotionKind

# Written back to the registry by us; anything else takes a deployment.
WRITTEN_BACK = {ChangeKind.ALIAS, ChangeKind.TAGS}


@transaction.atomic
def ignore_change(
    *, actor: Person, via: str, change_id: int, reason: str, now: datetime | None = None
) -> OutOfBandChange:
    """Leave a change as it is; nothing is said of it any more until it is another one. The same run's changes at
    other targets where the actor decides are answered with it.

    Raises Refused (``unknown_change``, ``already_answered``, ``inactive``, ``machine``, ``may_not_answer``,
    ``reason_missing``).
    """
    change, siblings = _change_or_refuse(change_id)
    now = now or timezone.now()
    refuse_who_may_not_answer(actor, change.target)
    reason = _reason_or_refuse(reason)
    for each in (change, *(e for e in siblings if _may_answer(actor, e.target))):
        each.answered_by, each.reason = actor, reason
        each.save(update_fields=["answered_by", "reason"])
        end_change(each, ChangeAnswer.IGNORED, now, actor=actor, via=via)
    return change


@transaction.atomic
def put_back(
    *, actor: Person, via: str, change_id: int, reason: str, now: datetime | None = None
) -> OutOfBandChange:
    """Have live again what should be: alias and tags are written to the registry once more; for anything else a
    rollback to the live version is asked for, with its usual approvals, and named by the change's ``promotion``.

    The change ends when readings no longer show it, or when that rollback is live. Raises Refused like
    :func:`ignore_change`, ``nothing_to_put_back``, and what :func:`request_rollback` raises.
    """
    change, siblings = _change_or_refuse(change_id)
    now = now or timezone.now()
    target = change.target
    if refusal := why_not_put_back(change):
        raise Refused("nothing_to_put_back", refusal)
    live, deployment = target.live_version, target.live_deployment
    if live is None or deployment is None:
        raise RuntimeError(f"Nothing is live at {target}.")
    if change.kind not in WRITTEN_BACK:
        return _ask_for(PromotionKind.ROLLBACK, change, siblings, actor, via, live.pk, reason, now)
    refuse_who_may_not_answer(actor, target)
    change.answer, change.answered_by = ChangeAnswer.PUT_BACK, actor
    change.reason, change.promotion = _reason_or_refuse(reason), None
    change.save(update_fields=["answer", "answered_by", "reason", "promotion"])
    enqueue(
        EffectKind.SET_ALIAS,
        deployment.promotion,
        key=f"put-back:{change.pk}:{change.seen}",
        now=now,
        payload={"deployment": deployment.pk},
    )
    told(
        change,
        "out_of_band.answered",
        now,
        actor=actor,
        via=via,
        what="put back",
        reason=change.reason,
    )
    return change


@transaction.atomic
def adopt(
    *,
    actor: Person,
    via: str,
    change_id: int,
    reason: str,
    version_id: int | None = None,
    now: datetime | None = None,
) -> OutOfBandChange:
    """Ask that what seems to be live be approved in retrospect: a promotion with the usual approvals and gates,
    for which nothing is fired. ``version_id`` where the change does not tell the version.

    The change ends when it is granted; when it is not, it stays open. Raises Refused like :func:`ignore_change`,
    ``nothing_to_adopt``, ``unknown_version``, and what :func:`request_promotion` raises.
    """
    change, siblings = _change_or_refuse(change_id)
    now = now or timezone.now()
    if refusal := why_not_adopt(change):
        raise Refused("nothing_to_adopt", refusal)
    if change.version_id and version_id not in {None, change.version_id}:
        raise Refused("unknown_version", f"It is {change.version} that seems to be live.")
    wanted = change.version_id or version_id
    if wanted is None:
        raise Refused("unknown_version", "Say which version it is: nothing tells it.")
    return _ask_for(PromotionKind.PROMOTE, change, siblings, actor, via, wanted, reason, now)


def why_not_put_back(change: OutOfBandChange) -> str:
    """Why nobody can have this put back, in a sentence; empty where it can be."""
    target = change.target
    if target.live_version_id is None or target.live_deployment_id is None:
        return "Nothing has gone live here through Countersign that could be put back."
    return ""


def why_not_adopt(change: OutOfBandChange) -> str:
    """Why nobody can adopt this, in a sentence; empty where it can be."""
    if change.kind == ChangeKind.TAGS:
        return "Tags say nothing of what is live; put them back, or ignore them."
    if change.kind == ChangeKind.ALIAS and change.version_id is None:
        return "No version is there to adopt; put it back, or ignore it."
    return ""


def refuse_who_may_not_answer(actor: Person, target: Target) -> None:
    """Raise Refused unless the actor is one of those who decide at the target; where its policy asks nobody, one
    of those who may ask there."""
    if not actor.is_active:
        raise Refused("inactive", "You may not, because your account is not active.")
    if actor.is_machine:
        raise Refused("machine", "You may not, because this is a machine account.")
    teams = _answering(target)
    if not voter(actor).teams & teams:
        raise Refused(
            "may_not_answer",
            "You may not, because you are in none of the teams that decide here: "
            f"{', '.join(sorted(teams)) or 'no team'}.",
        )


def _answering(target: Target) -> set[str]:
    try:
        policy = Policy.from_data(target.policy)
    except NOT_A_POLICY:
        return set()
    deciding = {team for row in (*policy.strictest(), *policy.rollback) for team in row.teams}
    return deciding or set(policy.requesters)


def _change_or_refuse(change_id: int) -> tuple[OutOfBandChange, list[OutOfBandChange]]:
    """The change, still to be answered, and the open ones of the same run at other targets; all targets locked."""
    about = Q(pk=change_id) | Q(
        run__in=OutOfBandChange.objects.filter(pk=change_id, run__isnull=False).values("run"),
        ended_at=None,
    )
    targets = OutOfBandChange.objects.filter(about).values_list("target_id", flat=True)
    # All of them, in one order for everybody.
    locked = {each: lock_target(each) for each in sorted(set(targets))}
    change = lock_change(change_id)
    if change.ended_at is not None:
        by = f" by {change.answered_by}" if change.answered_by else ""
        how = ChangeAnswer(change.answer).label.lower()
        raise Refused("already_answered", f"It is too late: {how}{by}.")
    if sentence := under_way(change):
        raise Refused("already_answered", sentence)
    if change.run_id is None:
        return change, []
    same = OutOfBandChange.objects.filter(
        run=change.run_id, key=change.key, ended_at=None, declared_at__isnull=False
    )
    same = same.filter(target__in=locked).exclude(pk=change.pk)
    siblings = list(same.select_related("version", "promotion__deployment").order_by("target_id"))
    for each in siblings:
        each.target = locked[each.target_id]
    return change, [each for each in siblings if not under_way(each)]


def _may_answer(actor: Person, target: Target) -> bool:
    try:
        refuse_who_may_not_answer(actor, target)
    except Refused:
        return False
    return True


def _ask_for(
    kind: PromotionKind,
    change: OutOfBandChange,
    siblings: list[OutOfBandChange],
    actor: Person,
    via: str,
    version_id: int,
    reason: str,
    now: datetime,
) -> OutOfBandChange:
    promotion: Promotion = request_answer(
        kind,
        actor=actor,
        via=via,
        target_id=change.target_id,
        version_id=version_id,
        reason=reason,
        now=now,
    )
    what = "adopted" if promotion.retroactive else "put back"
    for each in (change, *(e for e in siblings if _may_answer(actor, e.target))):
        each.promotion, each.answered_by, each.reason = promotion, actor, promotion.reason
        each.save(update_fields=["promotion", "answered_by", "reason"])
        told(
            each,
            "out_of_band.answered",
            now,
            actor=actor,
            via=via,
            what=what,
            by_promotion=promotion.pk,
            reason=each.reason,
        )
    return change


def _reason_or_refuse(reason: str) -> str:
    reason = clean_reason(reason)
    if not reason:
        raise Refused("reason_missing", "Say why: it is read long after.")
    return reason
