"""What one person may do to one promotion and its delivery, and why not: in the verbs' own words, before they are
called. It spares people a refusal; the verbs decide for themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from approvals.models import Deployment, Person, Promotion
from approvals.seals import differences
from approvals.seals import seal as seal_of
from approvals.selectors.catalogue import why_not_ask
from approvals.services.facts import ObservedFacts, compose
from approvals.services.interventions import why_not_call_off
from approvals.services.promotions import may_cancel
from approvals.services.queueing import why_not_settle
from approvals.services.rollouts import why_not_abort, why_not_advance, why_not_pause
from approvals.states import DeploymentStatus, PromotionKind

# Code and sentence, as of Refused; None: they may.
WhyNot = tuple[str, str] | None
NOTHING_YET = ("nothing_to_steer", "It is not approved, so there is nothing to steer.")


def _confirm(deployment: Deployment) -> str:
    asks = deployment.status == DeploymentStatus.QUEUED and deployment.asks_to_confirm
    return "" if asks else "There is nothing to confirm any more."


# What those who may settle things do, with why it cannot be done now.
STEERING: Mapping[str, Callable[[Deployment], str]] = {
    "advance": why_not_advance,
    "pause": why_not_pause,
    "abort": why_not_abort,
    "confirm": _confirm,
}


def why_not_steer(act: str, deployment: Deployment | None, person: Person, now: datetime) -> WhyNot:
    """Why this person cannot do one of ``advance``, ``pause``, ``abort``, ``confirm``, ``look_again`` and
    ``call_off`` to a promotion's deployment now."""
    if deployment is None:
        return NOTHING_YET
    if act == "call_off":
        return why_not_call_off(deployment, person, now)
    if act == "look_again":
        unconfirmed = deployment.status == DeploymentStatus.UNCONFIRMED
        return (
            None if unconfirmed else ("not_unconfirmed", "There is nothing to look for any more.")
        )
    if sentence := STEERING[act](deployment):
        return f"nothing_to_{act}", sentence
    return why_not_settle(deployment, person, now)


def acts_of(promotion: Promotion, person: Person, now: datetime) -> list[str]:
    """Everything but approving and rejecting that this person may do from here now."""
    if not person.is_active:
        return []
    deployment: Deployment | None = getattr(promotion, "deployment", None)
    acts = []
    if promotion.is_pending:
        mine = (each for each in promotion.reviews.all() if each.person_id == person.pk)
        if any(each.voided_at is None for each in mine):
            acts.append("withdraw")
        if may_cancel(promotion, person, now):
            acts.append("cancel")
    steering = ("confirm", "advance", "pause", "abort", "look_again", "call_off")
    acts += [act for act in steering if why_not_steer(act, deployment, person, now) is None]
    if may_roll_back(promotion, person):
        acts.append("rollback")
    return acts


def may_roll_back(promotion: Promotion, person: Person) -> bool:
    """It is what is live, something was live before, and this person may ask to go back to it."""
    deployment: Deployment | None = getattr(promotion, "deployment", None)
    target = promotion.target
    if deployment is None or target.live_deployment_id != deployment.pk:
        return False
    former = deployment.previous
    return former is not None and not why_not_ask(person, target, former, PromotionKind.ROLLBACK)


def what_to_confirm(deployment: Deployment) -> list[str]:
    """What differs between the facts that were approved and those that hold now, a clause each. Nothing but what
    it replaces moved, or nobody would be asked; the rest of the facts follows from that."""
    promotion, sealed = deployment.promotion, deployment.promotion.facts
    as_sealed = ObservedFacts(
        version=sealed["version"],
        metrics=sealed["metrics"],
        workflow_digest=sealed["workflow"]["file_digest"],
    )
    facts = compose(promotion, deployment.target, as_sealed, deployment.target.live_version)
    if seal_of(facts) != deployment.asked_seal:
        return ["what it would replace has changed meanwhile; look again in a moment"]
    return differences(sealed, facts)
