"""Where many promotions stand at once, without a query for each.

:func:`approvals.explain.explain` answers "why?" for one promotion; lists need only a few words for
many, from rows fetched together. The rules are the same pure policy's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from approvals.models import Person, Promotion, Review
from approvals.policies import Case, Voter, decide, whose_vote_counts
from approvals.services.cases import case_of, counting_reviews, voters_of
from approvals.services.marks import with_marks
from approvals.states import PromotionKind, PromotionStatus


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
    gave = [(vote.voter.id, vote.voter.authority) for vote in case.votes]
    voted, able = _able(case, me, gave)
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


def _able(
    case: Case, me: Sequence[Voter], gave: Sequence[tuple[int, int]]
) -> tuple[bool, list[Voter]]:
    """Whether I have voted, and as whom I still could; ``gave``: (person, authority) of the counting votes."""
    used = {authority for _, authority in gave}
    voted = any(person == me[0].id for person, _ in gave)
    return voted, [
        each for each in me if whose_vote_counts(case, each) is None and each.authority not in used
    ]


def could_be_mine(me: Sequence[Voter]) -> QuerySet[Promotion]:
    """The pending promotions that I may perhaps decide: sealed, asking one of my teams, not asked for by me,
    without a vote of mine. All that I may decide are among them; the policy is asked about each."""
    teams = {team for each in me for team in each.teams}
    asked = Q(pk__in=[])
    for team in sorted(teams):
        asked |= Q(facts__contains={"policy": {"requirements": [{"teams": [team]}]}})
    voted = Review.objects.filter(promotion=OuterRef("pk"), person=me[0].id, voided_at=None)
    return (
        Promotion.objects.filter(~Exists(voted), asked, status=PromotionStatus.PENDING)
        .exclude(seal="")
        .exclude(~Q(kind=PromotionKind.ROLLBACK), requester=me[0].id)
    )


def mine_of(rows: QuerySet[Promotion], me: Sequence[Voter]) -> dict[int, int]:
    """Promotion id → target id of those among ``rows`` that I may decide: two statements that read of them only
    what the policy asks about."""
    found = list(
        (rows & could_be_mine(me))
        .select_related("version")
        .only(
            *("target", "kind", "requester", "seal", "facts", "policy", "problem", "reason"),
            *("rolls_back", "retroactive", "status", "version__trained_by"),
        )
    )
    gave: dict[int, list[tuple[int, int]]] = {}
    votes = Review.objects.filter(promotion__in=[each.pk for each in found], voided_at=None)
    for promotion, person, other in votes.values_list("promotion", "person", "on_behalf_of"):
        gave.setdefault(promotion, []).append((person, other or person))
    mine = {}
    for each in found:
        voted, able = _able(case_of(each, ()), me, gave.get(each.pk, []))
        if able and not voted:
            mine[each.pk] = each.target_id
    return mine


def waiting_for(person: Person) -> list[Standing]:
    """The pending promotions that ``person`` may decide now, the one that expires first at the top."""
    me = voters_of(person, timezone.now())
    rows = with_everything(could_be_mine(me)).order_by("expires_at", "id")
    return [each for each in (standing_of(row, me) for row in rows) if each.may_act]


def count_waiting_for(person: Person) -> int:
    """How many promotions wait for ``person``: on every page, so it reads as little as can be."""
    return len(mine_of(Promotion.objects.all(), voters_of(person, timezone.now())))
