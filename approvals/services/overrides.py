"""Breaking the glass: one person of a named team approves alone, loudly and for ever visibly."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from approvals.models import Person, Promotion
from approvals.rules import Policy
from approvals.services.cases import NOT_A_POLICY, UNREADABLE, voter
from approvals.services.conditions import closures_of
from approvals.services.history import record
from approvals.services.judging import judge
from approvals.services.locks import lock_promotion
from approvals.services.refusal import Refused, clean_reason
from approvals.services.reviews import refuse_not_open, refuse_unseen
from approvals.services.settle import grant


def why_no_override(promotion: Promotion, actor: Person) -> tuple[str, str] | None:
    """(code, sentence) why this person may not break the glass here; None when they may."""
    try:
        policy = Policy.from_data(promotion.policy)
    except NOT_A_POLICY:
        return "policy_unreadable", UNREADABLE
    if not policy.override_team:
        return "no_override", "You may not, because the policy lets nobody break the glass here."
    if not actor.is_active:
        return "inactive", "You may not, because your account is not active."
    if actor.is_machine:
        return "machine", "You may not, because this is a machine account and only people decide."
    if policy.override_team not in voter(actor).teams:
        return (
            "may_not_override",
            f"You may not, because breaking the glass is for members of {policy.override_team}.",
        )
    if actor.pk == promotion.requester_id and not policy.override_by_requester:
        return (
            "requester",
            "You may not, because you asked for it; somebody else has to break the glass.",
        )
    return None


@transaction.atomic
def override(
    *,
    actor: Person,
    via: str,
    promotion_id: int,
    seal: str,
    reason: str,
    now: datetime | None = None,
) -> Promotion:
    """Approve a pending promotion alone, over missing approvals, gates, freezes and a later time: it starts at
    once. Delegation does not help.

    It never goes over what people closed (lock, quarantine), over facts that cannot be sealed, or over facts
    that the person did not see. Raises Refused (``already_decided``, ``expired``, ``no_override``, ``inactive``,
    ``machine``, ``may_not_override``, ``requester``, ``reason_missing``, ``not_sealed``, ``stale``, ``blocked``).
    """
    promotion = lock_promotion(promotion_id)
    now = now or timezone.now()
    reason = clean_reason(reason)
    refuse_not_open(promotion, now)
    why_not = why_no_override(promotion, actor)
    if why_not is not None:
        raise Refused(*why_not)
    if not reason:
        raise Refused("reason_missing", "Say why it cannot wait: this is read for ever.")
    refuse_unseen(promotion, seal)
    closed = [promotion.problem] if promotion.problem else []
    closed += [each.sentence for each in closures_of(promotion)]
    if closed:
        raise Refused("blocked", f"Nobody breaks the glass over this: {' '.join(closed)}")
    judgement = judge(promotion, now)
    if promotion.run_at is not None:
        # What cannot wait does not wait for Tuesday.
        promotion.run_at, promotion.run_zone = None, ""
        promotion.save(update_fields=["run_at", "run_zone"])
    missing = [
        f"{row.missing} of {row.requirement.words}"
        for row in judgement.decision.rows
        if row.missing
    ]
    record(
        "promotion.overridden",
        via=via,
        actor=actor,
        promotion=promotion,
        now=now,
        version=promotion.version.number,
        seal=seal,
        reason=reason,
        missing=missing,
        over=list(judgement.decision.blockers),
    )
    grant(promotion, judgement=judgement, via=via, actor=actor, now=now, overriding=reason)
    return promotion
