"""What one person may do to one promotion and its delivery, and why not: in the verbs' own words, before they are
called. It spares people a refusal; the verbs decide for themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from approvals.explain import Explanation
from approvals.models import Deployment, Person, Promotion
from approvals.seals import differences
from approvals.seals import seal as seal_of
from approvals.selectors.catalogue import why_not_ask
from approvals.services.comments import why_no_comment
from approvals.services.facts import ObservedFacts, compose
from approvals.services.interventions import stuck_on_the_way_back, why_not_call_off
from approvals.services.overrides import why_no_override
from approvals.services.promotions import refuse_cancelling
from approvals.services.queueing import queue_of, why_not_settle
from approvals.services.refusal import Refused
from approvals.services.restrictions import may_restrict
from approvals.services.rollouts import why_not_abort, why_not_advance, why_not_pause
from approvals.services.schedules import why_no_schedule
from approvals.states import DeploymentStatus, PromotionKind

# Code and sentence, as of Refused; None: they may.
WhyNot = tuple[str, str] | None
NOTHING_YET = ("nothing_to_steer", "It is not approved, so there is nothing to steer.")
BLOCKED = "It cannot be approved while it is blocked."
MAY_NOT_REORDER = "You may not, because only those who decide here change the order of the queue."


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
# It cannot be done by anybody as things stand; everything else is about who tries.
_NOT_NOW = {"already_started", "not_unconfirmed", "no_override", "policy_unreadable"}


@dataclass(frozen=True)
class _Here:
    """A person in front of a promotion."""

    promotion: Promotion
    person: Person
    now: datetime

    @cached_property
    def deployment(self) -> Deployment | None:
        return getattr(self.promotion, "deployment", None)

    @cached_property
    def settles(self) -> WhyNot:
        """Why this person may not settle what a deployment asks of people."""
        if self.deployment is None:
            return NOTHING_YET
        return why_not_settle(self.deployment, self.person, self.now)

    def why_not_steer(self, act: str) -> WhyNot:
        deployment = self.deployment
        if deployment is None:
            return NOTHING_YET
        if act == "call_off":
            return why_not_call_off(deployment, self.person, self.now)
        if act == "look_again":
            unconfirmed = deployment.status == DeploymentStatus.UNCONFIRMED
            return (
                None
                if unconfirmed
                else ("not_unconfirmed", "There is nothing to look for any more.")
            )
        if sentence := STEERING[act](deployment):
            return f"nothing_to_{act}", sentence
        return self.settles


def why_not_steer(act: str, deployment: Deployment | None, person: Person, now: datetime) -> WhyNot:
    """Why this person cannot do one of ``advance``, ``pause``, ``abort``, ``confirm``, ``look_again`` and
    ``call_off`` to a promotion's deployment now."""
    if deployment is None:
        return NOTHING_YET
    return _Here(deployment.promotion, person, now).why_not_steer(act)


def acts_of(promotion: Promotion, person: Person, now: datetime) -> list[str]:
    """Everything but approving and rejecting that this person may do from a message now."""
    if not person.is_active:
        return []
    here = _Here(promotion, person, now)
    found = {**_asked(here), **_steered(here), **_back(here)}
    named = (
        "withdraw",
        "cancel",
        "confirm",
        "advance",
        "pause",
        "abort",
        "look_again",
        "call_off",
        "rollback",
    )
    return [act for act in named if found.get(act) == ""]


def allowed(
    promotion: Promotion, person: Person, now: datetime, explained: Explanation
) -> dict[str, str]:
    """Every act that fits the promotion as it stands, with why this person cannot, in a sentence; empty: they can.
    ``explained`` is the explanation for the same person."""
    here = _Here(promotion, person, now)
    found = {}
    if promotion.is_pending:
        found["approve"] = explained.why_not or explained.hint
        found["approve"] = found["approve"] or (BLOCKED if explained.blockers else "")
        found["reject"] = explained.why_not
    found |= {**_asked(here), **_steered(here), **_settled(here), **_afterwards(here)}
    why_not = why_no_comment(promotion, person)
    found["comment"] = why_not[1] if why_not else ""
    if not person.is_active:
        inactive = "You may not, because your account is not active."
        found = {act: sentence or inactive for act, sentence in found.items()}
    return found


def _asked(here: _Here) -> dict[str, str]:
    """What is done to a request, and to a grant that is not used yet."""
    promotion, person, now = here.promotion, here.person, here.now
    found = {}
    if promotion.is_pending:
        if any(e.person_id == person.pk and not e.voided_at for e in promotion.reviews.all()):
            found["withdraw"] = ""
        found["cancel"] = _sentence(lambda: refuse_cancelling(promotion, person, now))
        if promotion.problem:
            found["check"] = ""
        if promotion.seal and (why := _fits(why_no_override(promotion, person))) is not None:
            found["override"] = why
    waits = here.deployment
    queued = waits and waits.status == DeploymentStatus.QUEUED and not waits.has_begun
    # What is adopted is live already: there is no time to set.
    if (promotion.is_pending or queued) and not promotion.retroactive:
        found["schedule"] = why_no_schedule(promotion, person, now)
    return found


def _steered(here: _Here) -> dict[str, str]:
    """What is done to a delivery."""
    acts = ("confirm", "advance", "pause", "abort", "look_again", "call_off")
    fitting = {act: _fits(here.why_not_steer(act)) for act in acts if here.deployment}
    return {act: why for act, why in fitting.items() if why is not None}


def _settled(here: _Here) -> dict[str, str]:
    """What a person vouches for, and the order of the queue."""
    deployment, found = here.deployment, {}
    if deployment is None:
        return {}
    settles = here.settles[1] if here.settles else ""
    if deployment.status == DeploymentStatus.UNCONFIRMED:
        found["dispatch"] = settles
    if deployment.status == DeploymentStatus.UNCONFIRMED or stuck_on_the_way_back(deployment):
        found["give_up"] = settles
    if deployment.status == DeploymentStatus.QUEUED:
        queued = queue_of(here.promotion.target)
        if len(queued) > 1 and queued[0].pk != deployment.pk:
            may = may_restrict(here.person, [here.promotion.target])
            found["first"] = "" if may else MAY_NOT_REORDER
    return found


def _afterwards(here: _Here) -> dict[str, str]:
    """What follows from how it ended."""
    deployment, target, found = here.deployment, here.promotion.target, {}
    if deployment is None:
        return {}
    if deployment.status in {DeploymentStatus.FAILED, DeploymentStatus.CANCELLED}:
        found["ask_again"] = ""
    found |= _back(here)
    former = deployment.previous
    if "rollback" in found and former is not None and here.promotion.is_rollback:
        # It was rolled back from: one question more.
        free = not former.restrictions.filter(lifted_at=None).exists()
        if free and may_restrict(here.person, [target]):
            found["quarantine"] = ""
    return found


def _back(here: _Here) -> dict[str, str]:
    """Going back from what is live, where something was live before."""
    deployment, target = here.deployment, here.promotion.target
    if deployment is None or target.live_deployment_id != deployment.pk:
        return {}
    former = deployment.previous
    if former is None:
        return {}
    return {"rollback": why_not_ask(here.person, target, former, PromotionKind.ROLLBACK)}


def _fits(why_not: WhyNot) -> str | None:
    """The sentence, empty where they may; None where nobody could as things stand."""
    if why_not is None:
        return ""
    code, sentence = why_not
    return None if code in _NOT_NOW or code.startswith("nothing_to_") else sentence


def _sentence(act: Callable[[], object]) -> str:
    try:
        act()
    except Refused as refused:
        return refused.sentence
    return ""


def reasons(found: Mapping[str, str]) -> Iterator[tuple[str, list[str]]]:
    """Each reason why something cannot be done, with the acts that it keeps from, in their order."""
    by_reason: dict[str, list[str]] = {}
    for act, why_not in found.items():
        if why_not:
            by_reason.setdefault(why_not, []).append(act)
    yield from by_reason.items()


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
