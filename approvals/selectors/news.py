"""What of a promotion's history is told to people as it happens, which of it is the outcome, and whom it calls."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone

from approvals.models import Deployment, Event, Person, Promotion
from approvals.services.interventions import stuck_on_the_way_back
from approvals.services.judging import judge
from approvals.services.queueing import why_not_settle
from approvals.services.reminders import missing_people
from approvals.services.telling import owners
from approvals.states import DeploymentStatus

REPLY, OUTCOME = "reply", "outcome"
# Which events are told, and which of them are an outcome. What is not here is noise below a message that shows it
# anyway: the request itself, the first sealing, the moment between a dispatch and its run, what was written to the
# registry, runs that passed GitHub's gate. A review that rejects is told by the rejection.
TOLD = {
    "promotion.resealed": REPLY,
    "promotion.blocked": REPLY,
    "promotion.unblocked": REPLY,
    "promotion.approved": REPLY,
    "promotion.overridden": REPLY,
    "promotion.scheduled": REPLY,
    "promotion.unscheduled": REPLY,
    "promotion.reminded": REPLY,
    "promotion.escalated": REPLY,
    "promotion.commented": REPLY,
    "promotion.superseded": OUTCOME,
    "promotion.rejected": OUTCOME,
    "promotion.cancelled": OUTCOME,
    "promotion.expired": OUTCOME,
    "review.approved": REPLY,
    "review.withdrawn": REPLY,
    "deployment.started": REPLY,
    "deployment.waits": REPLY,
    "deployment.asks": REPLY,
    "deployment.confirmed": REPLY,
    "deployment.step_succeeded": REPLY,
    "deployment.paused": REPLY,
    "deployment.advanced": REPLY,
    "deployment.aborting": REPLY,
    "deployment.dispatched_again": REPLY,
    "deployment.succeeded": OUTCOME,
    "deployment.adopted": OUTCOME,
    "deployment.failed": OUTCOME,
    "deployment.refused": OUTCOME,
    "deployment.cancelled": OUTCOME,
    "deployment.stopped": OUTCOME,
    "deployment.gone_back": OUTCOME,
    "deployment.lapsed": OUTCOME,
    "deployment.unconfirmed": OUTCOME,
    "deployment.called_off": OUTCOME,
    "deployment.given_up": OUTCOME,
    "gate.held": REPLY,
    "out_of_band.declared": REPLY,
    "out_of_band.noted": REPLY,
    "out_of_band.answered": REPLY,
    "out_of_band.persists": REPLY,
    "out_of_band.adopted": REPLY,
    "out_of_band.put_back": REPLY,
    "out_of_band.ignored": REPLY,
    "out_of_band.ended": REPLY,
    "signal.alerted": REPLY,
    "signal.paused": REPLY,
    "signal.rolled_back": REPLY,
    "signal.guarded": REPLY,
}
# Questions that stand until a person settles them.
QUESTIONS = {"deployment.asks", "deployment.paused"}


def is_outcome(event: Event, promotion: Promotion) -> bool:
    """The end of it, or a point at which it stays until a person looks. A step that failed is neither while the
    rollout goes back, nor is what was unconfirmed once it is settled."""
    if TOLD.get(event.kind) != OUTCOME:
        return False
    if event.kind == "promotion.cancelled":
        return event.actor_id is not None
    deployment = _deployment(promotion)
    if deployment is None:
        return True
    if event.kind == "deployment.unconfirmed":
        return deployment.status == DeploymentStatus.UNCONFIRMED
    return not deployment.is_open or stuck_on_the_way_back(deployment)


def called_by(event: Event, promotion: Promotion, now: datetime | None = None) -> list[Person]:
    """The active people whom it calls by name, by username: those who can still act on it, and for an outcome
    whoever asked; never the one who did it."""
    now = now or timezone.now()
    found: set[int] = set()
    deployment = _deployment(promotion)
    outcome = is_outcome(event, promotion)
    asks = deployment is not None and _asks(deployment)
    if deployment is not None and asks and (outcome or event.kind in QUESTIONS):
        found |= _who_settle(deployment, now)
    elif outcome:
        found.add(promotion.requester_id)
    elif promotion.is_pending and event.kind == "promotion.reminded":
        wish_no = Person.objects.filter(preferences__reminders=False).values_list("pk", flat=True)
        missing = {each.pk for each in missing_people(judge(promotion, now), now)}
        found |= set(event.data.get("person_ids", [])) & missing - set(wish_no)
    elif promotion.is_pending and event.kind == "promotion.escalated":
        found |= set(event.data.get("person_ids", []))
    found.discard(event.actor_id or 0)
    return list(Person.objects.filter(pk__in=found, is_active=True).order_by("username"))


def _deployment(promotion: Promotion) -> Deployment | None:
    found: Deployment | None = getattr(promotion, "deployment", None)
    return found


def _asks(deployment: Deployment) -> bool:
    unconfirmed = deployment.status == DeploymentStatus.UNCONFIRMED
    return bool(unconfirmed or deployment.asks_to_confirm or deployment.paused)


def _who_settle(deployment: Deployment, now: datetime) -> set[int]:
    """Those who approved it and may settle it; where there is nobody such, all who may."""
    approved = deployment.promotion.reviews.filter(voided_at=None)
    for ids in (set(approved.values_list("person_id", flat=True)), owners(deployment.target)):
        people = Person.objects.filter(pk__in=ids, is_active=True)
        may = {each.pk for each in people if why_not_settle(deployment, each, now) is None}
        if may:
            return may
    return set()
