"""Firing a workflow exactly once (docs/adr/0004): the walk of a deployment's status.

``queued`` → ``dispatching`` is committed under the target's lock *before* the one POST. Whoever finds
``dispatching`` later never posts; they look the run up by the promotion's token.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from approvals.models import Deployment
from approvals.rollouts import GO_BACK, Strategy
from approvals.seals import seal as seal_of
from approvals.services.conditions import stops_dispatch, waits_for_time
from approvals.services.facts import ObservedFacts, compose, difference_in_words, problem_with
from approvals.services.history import record
from approvals.services.locks import lock_deployment
from approvals.services.queueing import ask_to_confirm, in_the_way
from approvals.services.rollouts import go_back, pause, step_failed, step_told
from approvals.services.settle import close_deployment, move_deployment
from approvals.services.telling import tell_of_failure, tell_of_lapse
from approvals.states import DeploymentStatus, PromotionStatus, StepOutcome, Via

D = DeploymentStatus
# A question put to a person is looked at again now and then; an answer wakes it at once.
ASKED_AGAIN = timedelta(minutes=1)


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
    observed: ObservedFacts | None,
    step: int = 1,
    again_after: int = 0,
    now: datetime | None = None,
) -> DispatchOrder | None:
    """Check the grant against facts gathered just now and commit ``dispatching`` for its step number ``step``.

    ``again_after`` is the number of dispatches after which a person ordered one more; it lets an
    unconfirmed step be dispatched exactly once more. ``observed`` may be None for the way back alone: taking a
    version out of service needs no facts of it.

    Returns the order to post, or None when there is nothing to do: somebody else did it, or the
    facts differ from the sealed ones and it was stopped for that. Raises :class:`NotYet` while something goes
    before it at the target.
    """
    deployment = lock_deployment(deployment_id)
    promotion, target = deployment.promotion, deployment.target
    now = now or timezone.now()
    in_hand = deployment.step
    if in_hand is None or in_hand.ordinal != step or in_hand.outcome:
        return None
    first = D.QUEUED if step == 1 else D.WAITING
    due = D.UNCONFIRMED if again_after else first
    if deployment.status != due or in_hand.dispatches != again_after:
        return None
    if promotion.status != PromotionStatus.APPROVED:
        return None
    if not in_hand.goes_back and not _may_go_on(deployment, observed, again_after, now):
        return None
    move_deployment(
        deployment,
        D.DISPATCHING,
        detail="",
        **({"previous": target.live_version} if step == 1 else {}),
    )
    in_hand.began_at = now
    in_hand.dispatches += 1
    in_hand.save(update_fields=["began_at", "dispatches"])
    promotion.grant_spent_at = promotion.grant_spent_at or now
    promotion.save(update_fields=["grant_spent_at"])
    strategy = Strategy.from_data(deployment.strategy)
    record(
        "deployment.dispatching",
        via=Via.SYSTEM,
        promotion=promotion,
        now=now,
        version=deployment.version.number,
        repository=target.model.repository,
        workflow=target.workflow,
        token=in_hand.token,
        **step_told(deployment),
    )
    return DispatchOrder(
        deployment_id=deployment.pk,
        repository=target.model.repository,
        workflow=target.workflow,
        ref=target.ref,
        token=in_hand.token,
        inputs={
            **{str(key): str(value) for key, value in target.inputs.items()},
            "model": target.model.registry_name,
            "version": str(deployment.version.number),
            "environment": target.environment.name,
            "artifact_digest": str(promotion.facts["version"]["artifact_digest"]),
            "countersign": in_hand.token,
            **(
                {
                    "strategy": GO_BACK if in_hand.goes_back else strategy.kind,
                    "percent": str(in_hand.percent),
                }
                if strategy.is_progressive
                else {}
            ),
        },
    )


def _may_go_on(
    deployment: Deployment, observed: ObservedFacts | None, again_after: int, now: datetime
) -> bool:
    """Whether the step in hand may be dispatched now; whatever stops it has been written down. Raises NotYet."""
    if observed is None:
        raise RuntimeError("A version goes live only on facts that were gathered just now.")
    promotion, target = deployment.promotion, deployment.target
    started = deployment.has_begun
    if waits := in_the_way(deployment, now):
        raise NotYet(waits)
    if not again_after and (waits := waits_for_time(promotion, now)):
        raise NotYet(waits, promotion.run_at)
    lapses_at = promotion.grant_lapses_at
    if not started and lapses_at and lapses_at <= now:
        close_deployment(
            deployment,
            D.CANCELLED,
            via=Via.SYSTEM,
            kind="deployment.lapsed",
            detail="The approval lapsed before it was used; ask again.",
            now=now,
        )
        tell_of_lapse(deployment, now)
        return False
    nothing = "Nothing was started again" if started else "Nothing was started"
    live = target.live_version
    facts = compose(promotion, target, observed, live)
    problem = problem_with(promotion, observed)
    fresh = seal_of(facts)
    if fresh not in {promotion.seal, deployment.confirmed_seal} or problem:
        as_approved = compose(promotion, target, observed, promotion.replaces)
        if not problem and not started and seal_of(as_approved) == promotion.seal:
            ask_to_confirm(deployment, seal=fresh, replaces=live, now=now)
            return False
        what = problem or difference_in_words(promotion, facts)
        detail = f"{nothing}, because the facts are not those that were approved: {what}."
        stop_step(deployment, detail, now, seal_now=fresh)
        return False
    # A person who dispatches once more overrules the answer of GitHub, not a gate.
    if blockers := stops_dispatch(promotion, now):
        if started and deployment.strategy:
            # What serves a share already is left as it is: a lock is no order to change what is served.
            pause(deployment, " ".join(blockers), now)
            return False
        detail = f"{nothing}, because a gate does not pass any more: {' '.join(blockers)}"
        stop_step(deployment, detail, now, gates=blockers)
        return False
    return True


def stop_step(deployment: Deployment, detail: str, now: datetime, **data: Any) -> None:
    """The grant is spent on nothing, or its rollout goes back: say why, and tell whoever asked and approved.
    The target must be locked."""
    promotion = deployment.promotion
    if deployment.has_begun and deployment.status != D.QUEUED and deployment.strategy:
        go_back(deployment, detail, now, ends_as=StepOutcome.FAILED)
    else:
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
    tell_of_failure(deployment, detail, now)


@transaction.atomic
def stop_dispatch(*, deployment_id: int, problem: str, now: datetime | None = None) -> None:
    """The facts of a grant cannot be had any more (deleted, broken): nothing is started, a rollout goes back."""
    deployment = lock_deployment(deployment_id)
    if deployment.status in {D.QUEUED, D.WAITING}:
        stop_step(deployment, f"Nothing was started: {problem}", now or timezone.now())


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
    step = deployment.step
    if step is None:
        raise RuntimeError(f"{deployment} was dispatched without a step.")
    move_deployment(deployment, D.RUNNING, detail="")
    step.dispatched_at, step.run_id, step.run_url = now, run_id, url
    step.save(update_fields=["dispatched_at", "run_id", "run_url"])
    record(
        "deployment.started",
        via=Via.GITHUB,
        promotion=deployment.promotion,
        now=now,
        version=deployment.version.number,
        run_id=run_id,
        url=url,
        **step_told(deployment),
    )


@transaction.atomic
def record_dispatch_refused(
    *, deployment_id: int, detail: str, now: datetime | None = None
) -> None:
    """GitHub refused clearly (4xx): nothing was started, and the step failed, in GitHub's words."""
    deployment = lock_deployment(deployment_id)
    if deployment.status == D.DISPATCHING:
        step_failed(deployment, detail=detail, kind="deployment.refused", now=now or timezone.now())


@transaction.atomic
def postpone_dispatch(*, deployment_id: int, detail: str) -> None:
    """GitHub clearly refused for now (a rate limit), nothing was started: the grant waits its turn again."""
    deployment = lock_deployment(deployment_id)
    step = deployment.step
    if step is not None and deployment.status == D.DISPATCHING:
        step.dispatches -= 1
        step.save(update_fields=["dispatches"])
        first = D.QUEUED if step.ordinal == 1 else D.WAITING
        move_deployment(deployment, D.UNCONFIRMED if step.dispatches else first, detail=detail)


@transaction.atomic
def note_delivery(*, deployment_id: int, detail: str) -> None:
    """Say on the page what a deployment that has not started yet is waiting for. No event: nothing happened."""
    deployment = lock_deployment(deployment_id)
    waiting = deployment.status in {D.QUEUED, D.DISPATCHING, D.WAITING}
    if waiting and deployment.detail != detail:
        deployment.detail = detail
        deployment.save(update_fields=["detail"])


def refuse_too_early(*, deployment_id: int, now: datetime | None = None) -> None:
    """Raise :class:`NotYet` while something stands in the way at the target, or the time has not come.

    Asked before the costly gathering of facts; :func:`begin_dispatch` asks again under the lock.
    """
    deployment = Deployment.objects.select_related("promotion__target__environment", "step").get(
        pk=deployment_id
    )
    now = now or timezone.now()
    promotion = deployment.promotion
    if deployment.step is not None and deployment.step.goes_back:
        return
    if sentence := in_the_way(deployment, now):
        raise NotYet(sentence)
    if deployment.status in {D.QUEUED, D.WAITING} and (sentence := waits_for_time(promotion, now)):
        raise NotYet(sentence, promotion.run_at)
    if deployment.paused:
        raise NotYet(deployment.paused, now + ASKED_AGAIN)
    if deployment.asks_to_confirm:
        raise NotYet(deployment.asks_to_confirm, now + ASKED_AGAIN)


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
        **step_told(deployment),
    )
    tell_of_failure(deployment, detail, now)
