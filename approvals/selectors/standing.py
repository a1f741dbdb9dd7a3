"""Where many promotions stand at once, without a query for each.

:func:`approvals.explain.explain` answers "why?" for one promotion; lists need only a few words for
many, from rows fetched together. The rules are the same pure policy's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import QuerySet
from django.utils import timezone

from approvals.models import Person, Promotion
from approvals.policies import Voter, decide, whose_vote_counts
from approvals.services.cases import case_of, counting_reviews, voters_of
from approvals.services.marks import with_marks
from approvals.states import PromotionStatus


@dataclass(frozen=True)
class Standing:
    """``missing`` names the teams whose approvals are still needed, one clause each; ``only_for`` are the ids of
    the colleagues for whom this person may act here, where they may not for themselves."""

    promotion: Promotion
    needed: int
    given: int
    missing: list[str]
    blockers: list[str]
    may_act: bool
    only_for: tuple[int, ...] = ()


def with_everything(promotions: QuerySet[Promotion]) -> QuerySet[Promotion]:
    """The promotions with all that a list shows of them."""
    return promotions.select_related(
        "target__model",
        "target__environment",
        "target__live_version",
        "version__model",
        "requester",
        "replaces",
        "deployment__step",
        "overridden_by",
    ).prefetch_related(counting_reviews(), with_marks(), "deployment__steps")


def standing_of(promotion: Promotion, me: Sequence[Voter]) -> Standing:
    """Where a promotion of :func:`with_everything` stands, for ``me``: as myself and for colleagues."""
    case = case_of(promotion)
    decision = decide(case)
    voted = any(vote.voter.id == me[0].id for vote in case.votes)
    used = {vote.voter.authority for vote in case.votes}
    able = [e for e in me if whose_vote_counts(case, e) is None and e.authority not in used]
    return Standing(
        promotion=promotion,
        needed=sum(row.requirement.count for row in decision.rows),
        given=sum(len(row.counted) for row in decision.rows),
        missing=[
            f"{row.missing} of {row.requirement.words}" for row in decision.rows if row.missing
        ],
        blockers=list(decision.blockers) if promotion.is_pending else [],
        may_act=promotion.is_pending and bool(promotion.seal) and not voted and bool(able),
        only_for=tuple(each.for_id for each in able if each.for_id)
        if all(each.for_id for each in able)
        else (),
    )


def standings(promotions: Iterable[Promotion], person: Person) -> list[Standing]:
    """Where each of these stands."""
    me = voters_of(person, timezone.now())
    return [standing_of(each, me) for each in promotions]


def waiting_for(person: Person) -> list[Standing]:
    """The pending promotions that ``person`` may decide now, the one that expires first at the top."""
    pending = with_everything(Promotion.objects.filter(status=PromotionStatus.PENDING))
    rows = standings(pending.order_by("expires_at", "id"), person)
    return [each for each in rows if each.may_act]


def count_waiting_for(person: Person) -> int:
    """How many promotions wait for ``person``."""
    return len(waiting_for(person))
