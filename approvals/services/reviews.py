"""Approving and rejecting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from approvals.models import Person, Promotion, Review
from approvals.policies import Case, Vote, Voter, decide
from approvals.services.cases import case_of, decider
from approvals.services.history import record
from approvals.services.judging import Judgement, judge
from approvals.services.locks import lock_promotion
from approvals.services.promotions import refuse_decided
from approvals.services.refusal import Refused, clean_reason
from approvals.services.settle import grant, settle
from approvals.services.telling import tell_of_end
from approvals.states import PromotionStatus, Verdict
from approvals.wording import day_and_time, listed


@transaction.atomic
def review(
    *,
    actor: Person,
    via: str,
    promotion_id: int,
    verdict: str,
    seal: str,
    comment: str = "",
    ticked: Sequence[str] = (),
    now: datetime | None = None,
) -> Promotion:
    """Record one person's approve or reject, and settle the promotion when it is decided.

    ``seal`` is the whole seal that the person saw, 64 hex digits; ``ticked`` the items of the checklist that they
    ticked. Raises Refused with one of the codes ``already_decided``, ``expired``, ``inactive``, ``machine``,
    ``requester``, ``trainer``, ``not_in_team``, ``already_reviewed``, ``not_sealed``, ``blocked``, ``stale``,
    ``reason_missing``, ``checklist``, ``unknown_verdict``; then nothing was written.
    """
    promotion = lock_promotion(promotion_id)
    now = now or timezone.now()
    comment = clean_reason(comment)
    if verdict not in Verdict.values:
        raise Refused("unknown_verdict", "A review approves or rejects.")
    refuse_not_open(promotion, now)
    # Under the lock, with the rows as they are now, and once: what follows from them is pure.
    case = case_of(promotion)
    vote = Vote(_refuse_in_case(promotion, case, actor, verdict, now), verdict, seal)
    if verdict == Verdict.REJECT and not comment:
        raise Refused("reason_missing", "Say why you reject it: the one who asked has to know.")
    refuse_unseen(promotion, seal)
    judgement = None
    if verdict == Verdict.APPROVE:  # a rejection settles it whatever the gates say
        judgement = judge(promotion, now, case).with_vote(vote)
        _refuse_blocked(judgement, comment, ticked)

    Review.objects.create(
        promotion=promotion,
        person=actor,
        on_behalf_of_id=vote.voter.for_id,
        verdict=verdict,
        seal=seal,
        via=via,
        comment=comment,
        ticked=list(dict.fromkeys(ticked)) if verdict == Verdict.APPROVE else [],
        created_at=now,
    )
    more: dict[str, Any] = {}
    if vote.voter.for_id is not None:
        more["on_behalf_of"] = str(Person.objects.get(pk=vote.voter.for_id))
    if ticked and verdict == Verdict.APPROVE:
        more["ticked"] = list(ticked)
    record(
        "review.approved" if verdict == Verdict.APPROVE else "review.rejected",
        via=via,
        actor=actor,
        promotion=promotion,
        now=now,
        version=promotion.version.number,
        seal=seal,
        comment=comment,
        **more,
    )
    decision = judgement.decision if judgement else decide(case.with_vote(vote))
    if decision.verdict == "rejected":
        settle(promotion, PromotionStatus.REJECTED, now=now, reason=comment)
        record(
            "promotion.rejected", via=via, actor=actor, promotion=promotion, now=now, reason=comment
        )
        tell_of_end(promotion, f"{actor} rejected it", because=comment, now=now, but_not=actor)
    elif judgement and decision.verdict == "approved":
        grant(promotion, judgement=judgement, via=via, actor=actor, now=now)
    return promotion


def refuse_reviewer(promotion: Promotion, actor: Person, verdict: str, now: datetime) -> Voter:
    """As whom this person decides here. Raises Refused as :func:`review` does, with whatever is about the moment
    and the person: doors that ask for a reason first say it before they ask."""
    refuse_not_open(promotion, now)
    return _refuse_in_case(promotion, case_of(promotion), actor, verdict, now)


def _refuse_in_case(
    promotion: Promotion, case: Case, actor: Person, verdict: str, now: datetime
) -> Voter:
    voter = decider(case, actor, now).or_refuse()
    _refuse_second(promotion, case, voter, verdict)
    return voter


def refuse_not_open(promotion: Promotion, now: datetime) -> None:
    """Raise Refused (``already_decided``, ``expired``) unless it can still be decided."""
    refuse_decided(promotion)
    if promotion.expires_at <= now:
        raise Refused(
            "expired", f"It is too late: this expired on {day_and_time(promotion.expires_at)}."
        )


def refuse_unseen(promotion: Promotion, seal: str) -> None:
    """Raise Refused (``not_sealed``, ``stale``) unless ``seal`` is the one in force."""
    if not promotion.seal:
        raise Refused(
            "not_sealed",
            promotion.problem or "The facts are still being gathered; try again in a moment.",
        )
    if seal != promotion.seal:
        raise Refused("stale", _what_moved(promotion, seal))


def _refuse_second(promotion: Promotion, case: Case, voter: Voter, verdict: str) -> None:
    """Nobody decides twice; an approval that a colleague gave for somebody is that person's one."""
    if any(each.voter.id == voter.id for each in case.votes):
        earlier = _given_by(promotion, voter.id)
        raise Refused(
            "already_reviewed",
            f"You have decided already ({earlier.verdict}, {day_and_time(earlier.created_at)}); "
            "one person counts once.",
        )
    same = [each for each in case.votes if each.voter.authority == voter.authority]
    # A rejection adds to what the colleague said themselves, but not to what was said for them already.
    lent_twice = voter.for_id is not None and any(each.voter.for_id for each in same)
    if same and (verdict == Verdict.APPROVE or lent_twice):
        other = _given_by(promotion, same[0].voter.id)
        done = "approved" if other.verdict == Verdict.APPROVE else "rejected"
        raise Refused(
            "already_reviewed",
            f"{other.by} has {done} already ({day_and_time(other.created_at)}); one person's approval "
            "counts once.",
        )


def _given_by(promotion: Promotion, person_id: int) -> Review:
    """The one review of this person that counts."""
    rows = promotion.reviews.select_related("person", "on_behalf_of")
    return rows.get(person_id=person_id, voided_at=None)


def _refuse_blocked(judgement: Judgement, comment: str, ticked: Sequence[str]) -> None:
    """What an approval needs beside the person: open gates, the comment and the ticks that the policy asks for."""
    if judgement.case.blockers:
        raise Refused("blocked", f"It is blocked: {' '.join(judgement.case.blockers)}")
    if judgement.terms.comment_required and not comment:
        raise Refused("reason_missing", "Say why you approve it: the policy asks for a comment.")
    missing = [item for item in judgement.terms.checklist if item not in ticked]
    if missing:
        raise Refused("checklist", f"Tick what you have checked first: {'; '.join(missing)}.")
    unknown = [item for item in ticked if item not in judgement.terms.checklist]
    if unknown:
        raise Refused("checklist", "What was ticked is not on the checklist; look again.")


@dataclass(frozen=True)
class Answer:
    """What became of one item of several: ``refused`` is None when it was done."""

    promotion_id: int
    refused: Refused | None


def review_many(
    *,
    actor: Person,
    via: str,
    verdict: str,
    items: Mapping[int, str],
    comment: str = "",
    now: datetime | None = None,
) -> list[Answer]:
    """Decide several promotions, id → the seal seen, each by its own policy and in its own transaction."""
    answers = []
    for promotion_id, seal in items.items():
        try:
            review(
                actor=actor,
                via=via,
                promotion_id=promotion_id,
                verdict=verdict,
                seal=seal,
                comment=comment,
                now=now,
            )
        except Refused as refused:
            answers.append(Answer(promotion_id, refused))
        else:
            answers.append(Answer(promotion_id, None))
    return answers


@transaction.atomic
def withdraw_review(
    *, actor: Person, via: str, promotion_id: int, now: datetime | None = None
) -> Promotion:
    """Take one's own counting review back while nothing is settled; one may then decide anew.

    Raises Refused (``already_decided``, ``nothing_to_withdraw``, ``inactive``).
    """
    promotion = lock_promotion(promotion_id)
    now = now or timezone.now()
    refuse_decided(promotion)
    if not actor.is_active:
        raise Refused("inactive", "You may not, because your account is not active.")
    mine = promotion.reviews.filter(person=actor, voided_at=None).first()
    if mine is None:
        raise Refused("nothing_to_withdraw", "You have no review here that counts.")
    mine.voided_at, mine.withdrawn = now, True
    mine.save(update_fields=["voided_at", "withdrawn"])
    record(
        "review.withdrawn",
        via=via,
        actor=actor,
        promotion=promotion,
        now=now,
        version=promotion.version.number,
        verdict=mine.verdict,
    )
    return promotion


def _what_moved(promotion: Promotion, seen: str) -> str:
    """What changed since the seal that the person saw, in words."""
    resealed = list(promotion.events.filter(kind="promotion.resealed").order_by("id"))
    start = next(
        (i for i, event in enumerate(resealed) if event.data.get("previous_seal") == seen), None
    )
    if start is None:
        return "The facts are not the ones you saw. Look at them again, then decide."
    clauses = [clause for event in resealed[start:] for clause in event.data.get("differences", [])]
    return f"The facts changed since you looked: {listed(clauses)}. Look again, then decide."
