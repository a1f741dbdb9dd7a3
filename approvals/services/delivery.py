"""Firing a workflow exactly once (docs/adr/0004): the walk of a deployment's status.

``queued`` → ``dispatching`` is committed under the target's lock *before* the one POST. Whoever finds
``dispatching`` later never posts; they look the run up by the promotion's token.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from approvals.models import Deployment, Person
from approvals.models.outbox import EffectKind
from approvals.seals import seal as seal_of
from approvals.services.cases import case_of, why_not_counting
from approvals.services.conditions import stops_dispatch, waits_for_time
from approvals.services.facts import ObservedFacts, compose, difference_in_words, problem_with
from approvals.services.history import enqueue, record
from approvals.services.locks import lock_deployment
from approvals.services.refusal import Refused, clean_reason
from approvals.services.restrictions import may_restrict
from approvals.services.settle import close_deployment, move_deployment
from approvals.states import ACTIVE_DEPLOYMENT, DeploymentStatus, PromotionStatus, Via

D = DeploymentStatus


class NotYet(Exception):
    """The grant is good but has to wait; ``str()`` says for what, ``until`` for how long where that is known."""

    def __init__(self, sentence: str, until: datetime | None = None) -> None:
        super().__init__(sentence)
        self.until = until


@dataclass(frozen=True)
class DispatchOrder:
    """What to POST, once: the workflow, the ref and its inputs (all text)."""

    deployment_id: int
    repository: str
    workflow: str
    ref: str
    token: str
    inputs: dict[str, str] = field(default_factory=dict)


@transaction.atomic
def begin_dispatch(
    *,
    deployment_id: int,
    observed: ObservedFacts,
    again_after: int = 0,
    now: datetime | None = None,
) -> DispatchOrder | None:
    """Check the grant against facts gathered just now and commit ``dispatching``.

    ``again_after`` is the number of dispatches after which a person ordered one more; it lets an
    unconfirmed deployment be dispatched exactly once more.

    Returns the order to post, or None when there is nothing to do: somebody else did it, or the
    facts differ from the sealed ones and it was stopped for that. Raises :class:`NotYet` while another
    deployment is under way at the target.
    """
    deployment = lock_deployment(deployment_id)
    promotion, target = deployment.promotion, deployment.target
    now = now or timezone.now()
    due = D.UNCONFIRMED if again_after else D.QUEUED
    if deployment.status != due or deployment.dispatches != again_after:
        return None
    if promotion.status != PromotionStatus.APPROVED:
        return None
    if waits := _in_the_way(deployment):
        raise NotYet(waits)
    if not again_after and (waits := waits_for_time(promotion, now)):
        raise NotYet(waits, promotion.run_at)
    if not again_after and promotion.grant_lapses_at and promotion.grant_lapses_at <= now:
        close_deployment(
            deployment,
            D.CANCELLED,
            via=Via.SYSTEM,
            kind="deployment.lapsed",
            detail="The approval lapsed before it was used; ask again.",
            now=now,
        )
        return None
    nothing = "Nothing was started again" if again_after else "Nothing was started"
    facts = compose(promotion, target, observed)
    problem = problem_with(promotion, observed)
    if seal_of(facts) != promotion.seal or problem:
        what = problem or difference_in_words(promotion, facts)
        detail = f"{nothing}, because the facts are not those that were approved: {what}."
        _stop(deployment, detail, now, seal_now=seal_of(facts))
        return None
    # A person who dispatches once more overrules the answer of GitHub, not a gate.
    if blockers := stops_dispatch(promotion, now):
        detail = f"{nothing}, because a gate does not pass any more: {' '.join(blockers)}"
        _stop(deployment, detail, now, gates=blockers)
        return None
    move_deployment(
        deployment,
        D.DISPATCHING,
        detail="",
        previous=target.live_version,
        dispatch_began_at=now,
        dispatches=deployment.dispatches + 1,
    )
    promotion.grant_spent_at = promotion.grant_spent_at or now
    promotion.save(update_fields=["grant_spent_at"])
    record(
        "deployment.dispatching",
        via=Via.SYSTEM,
        promotion=promotion,
        now=now,
        version=deployment.version.number,
        repository=target.model.repository,
        workflow=target.workflow,
        token=promotion.token,
    )
    return DispatchOrder(
        deployment_id=deployment.pk,
        repository=target.model.repository,
        workflow=target.workflow,
        ref=target.ref,
        token=promotion.token,
        inputs={
            **{str(key): str(value) for key, value in target.inputs.items()},
            "model": target.model.registry_name,
            "version": str(deployment.version.number),
            "environment": target.environment.name,
            "artifact_digest": str(promotion.facts["version"]["artifact_digest"]),
            "countersign": promotion.token,
        },
    )


def _stop(deployment: Deployment, detail: str, now: datetime, **data: Any) -> None:
    """The grant is spent on nothing: say why, and tell whoever asked and approved."""
    promotion = deployment.promotion
    close_deployment(
        deployment,
        D.FAILED,
        via=Via.SYSTEM,
        kind="deployment.stopped",
        detail=detail,
        now=now,
        seal=promotion.seal,
        **data,
    )
    approvers = promotion.reviews.filter(voided_at=None).values_list("person_id", flat=True)
    enqueue(
        EffectKind.NOTIFY,
        promotion,
        key=f"stopped:{deployment.dispatches}",
        now=now,
        payload={
            "text": f"{promotion.version}: {detail}",
            "people": sorted({promotion.requester_id, *approvers}),
            "loud": True,
        },
    )


@transaction.atomic
def stop_dispatch(*, deployment_id: int, problem: str, now: datetime | None = None) -> None:
    """The facts of a queued grant cannot be had any more (deleted, broken): nothing is started."""
    deployment = lock_deployment(deployment_id)
    if deployment.status != D.QUEUED:
        return
    _stop(deployment, f"Nothing was started: {problem}", now or timezone.now())


@transaction.atomic
def record_dispatched(
    *, deployment_id: int, run_id: int, url: str, now: datetime | None = None
) -> None:
    """GitHub named the run that it started. Idempotent."""
    deployment = lock_deployment(deployment_id)
    started(deployment, run_id=run_id, url=url, now=now or timezone.now())


def started(deployment: Deployment, *, run_id: int, url: str, now: datetime) -> None:
    """The run exists: ``dispatching`` or ``unconfirmed`` → ``running``. The target must be locked."""
    if deployment.status not in {D.DISPATCHING, D.UNCONFIRMED}:
        return
    move_deployment(deployment, D.RUNNING, detail="", dispatched_at=now, run_id=run_id, run_url=url)
    record(
        "deployment.started",
        via=Via.GITHUB,
        promotion=deployment.promotion,
        now=now,
        version=deployment.version.number,
        run_id=run_id,
        url=url,
    )


@transaction.atomic
def record_dispatch_refused(
    *, deployment_id: int, detail: str, now: datetime | None = None
) -> None:
    """GitHub refused clearly (4xx): nothing was started, the deployment failed, in GitHub's words."""
    deployment = lock_deployment(deployment_id)
    if deployment.status != D.DISPATCHING:
        return
    close_deployment(
        deployment,
        D.FAILED,
        via=Via.GITHUB,
        kind="deployment.refused",
        detail=detail,
        now=now or timezone.now(),
    )


@transaction.atomic
def postpone_dispatch(*, deployment_id: int, detail: str) -> None:
    """GitHub clearly refused for now (a rate limit), nothing was started: the grant waits its turn again."""
    deployment = lock_deployment(deployment_id)
    if deployment.status == D.DISPATCHING:
        dispatches = deployment.dispatches - 1
        waits = D.UNCONFIRMED if dispatches else D.QUEUED
        move_deployment(deployment, waits, detail=detail, dispatches=dispatches)


@transaction.atomic
def note_delivery(*, deployment_id: int, detail: str) -> None:
    """Say on the page what a deployment that has not started yet is waiting for. No event: nothing happened."""
    deployment = lock_deployment(deployment_id)
    if deployment.status in {D.QUEUED, D.DISPATCHING} and deployment.detail != detail:
        deployment.detail = detail
        deployment.save(update_fields=["detail"])


def refuse_too_early(*, deployment_id: int, now: datetime | None = None) -> None:
    """Raise :class:`NotYet` while something stands in the way at the target, or the time has not come.

    Asked before the costly gathering of facts; :func:`begin_dispatch` asks again under the lock.
    """
    deployment = Deployment.objects.select_related("promotion__target__environment").get(
        pk=deployment_id
    )
    if sentence := _in_the_way(deployment):
        raise NotYet(sentence)
    promotion = deployment.promotion
    if deployment.status == D.QUEUED and (
        sentence := waits_for_time(promotion, now or timezone.now())
    ):
        raise NotYet(sentence, promotion.run_at)


def _in_the_way(deployment: Deployment) -> str:
    active = Deployment.objects.filter(
        target_id=deployment.target_id, status__in=ACTIVE_DEPLOYMENT
    ).exclude(pk=deployment.pk)
    other = active.first()
    return f"Waiting for the deployment of promotion {other.promotion_id}." if other else ""


@transaction.atomic
def record_unconfirmed(*, deployment_id: int, detail: str, now: datetime | None = None) -> None:
    """The run did not turn up in the time allowed: a person must look."""
    deployment = lock_deployment(deployment_id)
    if deployment.status != D.DISPATCHING:
        return
    now = now or timezone.now()
    move_deployment(deployment, D.UNCONFIRMED, detail=detail)
    record(
        "deployment.unconfirmed",
        via=Via.SYSTEM,
        promotion=deployment.promotion,
        now=now,
        version=deployment.version.number,
        detail=detail,
    )


def why_not_settle(deployment: Deployment, actor: Person, now: datetime) -> tuple[str, str] | None:
    """(code, sentence) why this person may not settle what is unconfirmed; None when they may.

    Those who may decide the promotion; where the policy asked for nobody, those who may close the target.
    """
    case = case_of(deployment.promotion)
    why_not = why_not_counting(case, actor, now, lent=False)
    if why_not and why_not[0] == "not_in_team" and case.automatic:
        return None if may_restrict(actor, [deployment.target]) else why_not
    return why_not


@transaction.atomic
def call_off(
    *, actor: Person, via: str, deployment_id: int, reason: str, now: datetime | None = None
) -> Deployment:
    """Take an approval back that was not used yet: whoever asked, or whoever may decide here. Raises Refused
    (``already_started``, ``may_not_cancel``, ``reason_missing``)."""
    deployment = lock_deployment(deployment_id)
    now = now or timezone.now()
    if why_not := why_not_call_off(deployment, actor, now):
        raise Refused(*why_not)
    reason = clean_reason(reason)
    if not reason:
        raise Refused("reason_missing", "Say why: people have approved it.")
    move_deployment(deployment, D.CANCELLED, detail=f"Called off: {reason}", finished_at=now)
    record(
        "deployment.called_off",
        via=via,
        actor=actor,
        promotion=deployment.promotion,
        now=now,
        version=deployment.version.number,
        reason=reason,
    )
    return deployment


def why_not_call_off(
    deployment: Deployment, actor: Person, now: datetime
) -> tuple[str, str] | None:
    """(code, sentence) why this person may not call it off; None when they may."""
    if deployment.status != D.QUEUED or deployment.dispatches:
        return "already_started", "It is too late: the deployment was begun."
    asked = actor.pk == deployment.promotion.requester_id
    if actor.is_active and (asked or why_not_settle(deployment, actor, now) is None):
        return None
    return (
        "may_not_cancel",
        "You may not, because only the one who asked and those who decide may call it off.",
    )


def _unconfirmed_or_refuse(
    deployment: Deployment, actor: Person, reason: str, ask: str, now: datetime
) -> str:
    """Only who may decide here settles what is unconfirmed, and says how they know; the reason, cleaned."""
    if deployment.status != D.UNCONFIRMED:
        raise Refused(
            "not_unconfirmed", "There is nothing to settle: the deployment is not unconfirmed."
        )
    not_counting = why_not_settle(deployment, actor, now)
    if not_counting is not None:
        raise Refused(*not_counting)
    reason = clean_reason(reason)
    if not reason:
        raise Refused("reason_missing", ask)
    return reason


@transaction.atomic
def look_again(
    *, actor: Person, via: str, deployment_id: int, now: datetime | None = None
) -> Deployment:
    """Look an unconfirmed run up once more. Changes nothing but what is found. Raises Refused."""
    deployment = lock_deployment(deployment_id)
    now = now or timezone.now()
    if deployment.status != D.UNCONFIRMED:
        raise Refused("not_unconfirmed", "There is nothing to look for any more.")
    if not actor.is_active:
        raise Refused("inactive", "You may not, because your account is not active.")
    enqueue(
        EffectKind.LOOK_UP,
        deployment.promotion,
        key=f"look:{now.timestamp():.0f}",
        now=now,
        payload={"deployment": deployment.pk, "again_after": 0},
    )
    return deployment


@transaction.atomic
def dispatch_again(
    *, actor: Person, via: str, deployment_id: int, reason: str, now: datetime | None = None
) -> Deployment:
    """A person who may decide here vouches that no run was started: dispatch once more.

    The facts are checked against the seal again, and the run is looked up once more before the POST.
    Raises Refused.
    """
    deployment = lock_deployment(deployment_id)
    now = now or timezone.now()
    ask = "Say how you know that no run was started."
    reason = _unconfirmed_or_refuse(deployment, actor, reason, ask, now)
    record(
        "deployment.dispatched_again",
        via=via,
        actor=actor,
        promotion=deployment.promotion,
        now=now,
        version=deployment.version.number,
        reason=reason,
    )
    enqueue(
        EffectKind.LOOK_UP,
        deployment.promotion,
        key=f"again:{deployment.dispatches}",
        now=now,
        payload={"deployment": deployment.pk, "again_after": deployment.dispatches},
    )
    return deployment


@transaction.atomic
def give_up(
    *, actor: Person, via: str, deployment_id: int, reason: str, now: datetime | None = None
) -> Deployment:
    """A person who may decide here settles that an unconfirmed deployment came to nothing.

    The target is free for the next grant. Raises Refused.
    """
    deployment = lock_deployment(deployment_id)
    now = now or timezone.now()
    ask = "Say how you know that nothing was deployed."
    reason = _unconfirmed_or_refuse(deployment, actor, reason, ask, now)
    move_deployment(deployment, D.CANCELLED, detail=f"Given up: {reason}", finished_at=now)
    record(
        "deployment.given_up",
        via=via,
        actor=actor,
        promotion=deployment.promotion,
        now=now,
        version=deployment.version.number,
        reason=reason,
    )
    return deployment
