"""Who goes when at a target: one deployment at a time, the others in order; a rollback goes before promotions.

What a promotion replaces is what will be live when its turn comes, so approving in order needs nobody twice. Where
it turns out otherwise (something before it failed, or people changed the order), nothing is started until somebody
who may decide has confirmed what it replaces now.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Prefetch, QuerySet
from django.utils import timezone

from approvals.models import Deployment, Effect, ModelVersion, Person, Promotion, Target
from approvals.models.outbox import EffectKind
from approvals.services.cases import case_of, why_not_counting
from approvals.services.history import enqueue, record, wake_on_commit
from approvals.services.locks import lock_deployment, lock_target
from approvals.services.refusal import Refused, clean_reason
from approvals.services.restrictions import may_restrict
from approvals.states import (
    OPEN_DEPLOYMENT,
    DeploymentStatus,
    EffectStatus,
    PromotionKind,
    PromotionStatus,
    Via,
)

D = DeploymentStatus


OPEN_HERE = "open_deployments"


def open_here() -> Prefetch[str, Any, Any]:
    """What a list of targets has to fetch so that asking for what would be replaced costs nothing more."""
    return Prefetch("deployments", _open(), to_attr=OPEN_HERE)


def _open() -> QuerySet[Deployment]:
    rows = Deployment.objects.filter(status__in=OPEN_DEPLOYMENT)
    return rows.select_related("promotion", "version__model").order_by("pk")


def open_deployments_of(target: Target) -> list[Deployment]:
    """The active deployment, then what is granted and not begun, in the order in which it goes: rollbacks, then
    promotions."""
    rows = getattr(target, OPEN_HERE, None)
    if rows is None:
        rows = _open().filter(target_id=target.pk)
    return sorted(rows, key=lambda each: (each.status == D.QUEUED, *_order(each)))


def queue_of(target: Target) -> list[Deployment]:
    """What is granted and not begun at a target, in the order in which it goes."""
    return [each for each in open_deployments_of(target) if each.status == D.QUEUED]


def _order(deployment: Deployment) -> tuple[bool, int, int]:
    return not deployment.promotion.is_rollback, deployment.place, deployment.pk


def _is_ready(deployment: Deployment, now: datetime) -> bool:
    """Nothing but its turn is missing; what waits for its own time or for a person holds nobody up."""
    run_at = deployment.promotion.run_at
    return not deployment.asks_to_confirm and not (run_at and run_at > now)


def replaced_by(promotion: Promotion, now: datetime | None = None) -> ModelVersion | None:
    """The version that will be live at the target when this promotion's turn comes, as far as can be known."""
    before = ahead_of(promotion, now or timezone.now())
    return before[-1].version if before else promotion.target.live_version


def replaced_by_next(target: Target, *, rollback: bool, now: datetime) -> ModelVersion | None:
    """The same for something that would be asked for now."""
    asked = Promotion(
        target=target, kind=PromotionKind.ROLLBACK if rollback else PromotionKind.PROMOTE
    )
    return replaced_by(asked, now)


def ahead_of(promotion: Promotion, now: datetime) -> list[Deployment]:
    """The deployments that go before this promotion at its target: the active one, then those queued. What is
    adopted is live already and waits for nobody."""
    if promotion.retroactive:
        return []
    others = open_deployments_of(promotion.target)
    mine = next((e for e in others if promotion.pk and e.promotion_id == promotion.pk), None)
    if mine is not None and mine.status != D.QUEUED:
        # Under way: whatever is queued waits for it, a rollback too. A rollout between two steps waits for nobody.
        return []

    def goes_before(other: Deployment) -> bool:
        if other.status != D.QUEUED:
            return True
        if not _is_ready(other, now):
            return False
        if mine is not None:
            return _order(other) < _order(mine)
        # Not granted yet: a promotion would go last, a rollback behind the rollbacks.
        return other.promotion.is_rollback or not promotion.is_rollback

    return [each for each in others if each is not mine and goes_before(each)]


def under_way(target: Target, now: datetime) -> str:
    """What is being deployed at a target, or will be at once, in a sentence; empty when what is live there is
    settled. What waits for its own time or for a person's answer does not count."""
    for each in open_deployments_of(target):
        if each.status != D.QUEUED or _is_ready(each, now):
            return f"The deployment of {each.version} (promotion {each.promotion_id}) is under way."
    return ""


def in_the_way(deployment: Deployment, now: datetime) -> str:
    """Whom a queued deployment waits for, in a sentence; empty when it is its turn."""
    before = ahead_of(deployment.promotion, now)
    if not before:
        return ""
    first = before[0]
    return f"Waiting for the deployment of promotion {first.promotion_id} ({first.version})."


def queue_changed(target: Target, key: str, now: datetime) -> None:
    """Something was granted, ended or moved: whoever is next is looked at now, and what is asked for there is
    sealed anew, because what it would replace may be another version."""
    Effect.objects.filter(
        kind=EffectKind.DISPATCH, status=EffectStatus.WAITING, target=target, due_at__gt=now
    ).update(due_at=now)
    # A question may be answered by what has just happened: it is looked at anew.
    Deployment.objects.filter(target=target, status=D.QUEUED).exclude(asks_to_confirm="").update(
        asks_to_confirm=""
    )
    wake_on_commit()
    for promotion in Promotion.objects.filter(target=target, status=PromotionStatus.PENDING):
        if replaced_by(promotion, now) != promotion.replaces:
            enqueue(EffectKind.GATHER_FACTS, promotion, key=key, now=now)


@transaction.atomic
def reorder(
    *,
    actor: Person,
    via: str,
    target_id: int,
    deployment_ids: Iterable[int],
    now: datetime | None = None,
) -> list[Deployment]:
    """Set the order in which queued promotions go; those not named keep theirs, behind. Rollbacks stay in front.

    Raises Refused (``unknown_target``, ``inactive``, ``machine``, ``may_not_reorder``, ``not_queued``).
    """
    target = lock_target(target_id)
    now = now or timezone.now()
    if not may_restrict(actor, [target]):
        raise Refused(
            "may_not_reorder",
            "You may not, because only those who decide here change the order of the queue.",
        )
    queued = queue_of(target)
    wanted = list(dict.fromkeys(deployment_ids))
    unknown = set(wanted) - {each.pk for each in queued}
    if unknown:
        raise Refused(
            "not_queued", "The queue has changed meanwhile: look again, then set the order."
        )
    before = [each.pk for each in queued]
    by_pk = {each.pk: each for each in queued}
    rest = [each for each in before if each not in wanted]
    places = sorted(each.place for each in queued)
    for index, (pk, place) in enumerate(zip([*wanted, *rest], places, strict=True)):
        by_pk[pk].place = place + index  # two may have been granted in the same millisecond
        by_pk[pk].save(update_fields=["place"])
    after = queue_of(target)
    if [each.pk for each in after] == before:
        return after
    record(
        "queue.reordered",
        via=via,
        actor=actor,
        target=target,
        now=now,
        order=[f"v{each.version.number}" for each in after],
    )
    for each in after:
        enqueue(EffectKind.ANNOUNCE, each.promotion, key=f"order:{now.timestamp():.3f}", now=now)
    queue_changed(target, f"order:{now.timestamp():.3f}", now)
    return after


def ask_to_confirm(
    deployment: Deployment, *, seal: str, replaces: ModelVersion | None, now: datetime
) -> str:
    """Nothing but what it replaces differs from what was approved: put the question to a person, and hold nobody
    up meanwhile. Returns it."""
    version = deployment.version
    now_live = str(replaces) if replaces else "nothing"
    then = deployment.promotion.replaces
    question = (
        f"{now_live} is live now, not {then or 'nothing'} as when it was approved. Somebody who "
        f"decides here has to confirm that {version} goes live all the same."
    )
    if replaces and version.number < replaces.number:
        question = f"{version} is older than what is live. {question}"
    known = deployment.asked_seal == seal
    deployment.asks_to_confirm, deployment.asked_seal = question, seal
    deployment.detail = question
    deployment.save(update_fields=["asks_to_confirm", "asked_seal", "detail"])
    if not known:
        record(
            "deployment.asks",
            via=Via.SYSTEM,
            promotion=deployment.promotion,
            now=now,
            version=version.number,
            detail=question,
            seal=seal,
        )
    return question


@transaction.atomic
def confirm(
    *,
    actor: Person,
    via: str,
    deployment_id: int,
    seal: str,
    reason: str = "",
    now: datetime | None = None,
) -> Deployment:
    """Somebody who may decide says that it goes live although it replaces another version than was approved.

    ``seal`` is that of the facts they saw. Raises Refused (``nothing_to_confirm``, ``stale``, or why they may
    not).
    """
    deployment = lock_deployment(deployment_id)
    now = now or timezone.now()
    if deployment.status != D.QUEUED or not deployment.asks_to_confirm:
        raise Refused("nothing_to_confirm", "There is nothing to confirm any more.")
    if why_not := why_not_settle(deployment, actor, now):
        raise Refused(*why_not)
    if seal != deployment.asked_seal:
        raise Refused("stale", "What it would replace has changed meanwhile; look again.")
    deployment.confirmed_seal, deployment.confirmed_by = seal, actor
    deployment.asks_to_confirm = ""
    deployment.save(update_fields=["confirmed_seal", "confirmed_by", "asks_to_confirm"])
    record(
        "deployment.confirmed",
        via=via,
        actor=actor,
        promotion=deployment.promotion,
        now=now,
        version=deployment.version.number,
        seal=seal,
        reason=clean_reason(reason),
    )
    queue_changed(deployment.target, f"confirmed:{deployment.pk}:{seal[:10]}", now)
    return deployment


def why_not_settle(deployment: Deployment, actor: Person, now: datetime) -> tuple[str, str] | None:
    """(code, sentence) why this person may not settle what a deployment asks of people; None when they may.

    Those who may decide the promotion; where the policy asked for nobody, those who may close the target.
    """
    case = case_of(deployment.promotion)
    why_not = why_not_counting(case, actor, now, lent=False)
    if why_not and why_not[0] == "not_in_team" and case.automatic:
        return None if may_restrict(actor, [deployment.target]) else why_not
    return why_not
