"""Turns rows into the pure policy's terms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Prefetch, QuerySet, prefetch_related_objects

from approvals.models import (
    Delegation,
    ModelVersion,
    Person,
    Promotion,
    Review,
    Target,
)
from approvals.policies import Case, Vote, Voter, decide, whose_vote_counts
from approvals.rules import Policy, Situation, Terms
from approvals.services.refusal import Refused
from approvals.states import DeploymentStatus, Verdict

UNREADABLE = "The policy of this promotion cannot be read, so nobody can approve it."
NOT_A_POLICY = (KeyError, TypeError, ValueError)


def voter(person: Person, on_behalf_of: Person | None = None) -> Voter:
    """The person as the policy sees them; acting for a colleague, with that colleague's teams."""
    both = [person] if on_behalf_of is None else [person, on_behalf_of]
    own, *lent = (
        Voter(
            id=each.pk,
            teams=frozenset(team.slug for team in each.teams.all()),
            is_active=each.is_active,
            is_machine=each.is_machine,
            names=frozenset(name.lower() for name in (each.username, each.email) if name),
        )
        for each in both
    )
    return _for(own, lent[0] if lent else None)


# A person, and on whose behalf they act, by their ids.
Acting = tuple[int, int | None]


def voters(acting: Iterable[Acting]) -> list[Voter]:
    """The same for many, by ids and in their order, from the rows as they are at this moment: one statement."""
    pairs = list(acting)
    ids = {each for pair in pairs for each in pair if each is not None}
    people: dict[int, Voter] = {}
    rows = Person.objects.filter(pk__in=ids).values_list(
        "pk", "username", "email", "is_active", "is_machine", "teams__slug"
    )
    for pk, username, email, is_active, is_machine, team in rows if ids else ():
        known = people.get(pk)
        people[pk] = Voter(
            id=pk,
            teams=(known.teams if known else frozenset()) | ({team} if team else set()),
            is_active=is_active,
            is_machine=is_machine,
            names=frozenset(name.lower() for name in (username, email) if name),
        )
    return [_for(people[one], people[other] if other else None) for one, other in pairs]


def _for(one: Voter, other: Voter | None) -> Voter:
    if other is None:
        return one
    return Voter(
        id=one.id,
        teams=other.teams,
        is_active=one.is_active and other.is_active,
        is_machine=one.is_machine or other.is_machine,
        names=one.names | other.names,
        for_id=other.id,
    )


def delegations_at(now: datetime, **about: Any) -> list[Delegation]:
    """The delegations in force at ``now`` that match ``about``."""
    found = _in_force(now).filter(**about).select_related("person", "delegate")
    return list(found.prefetch_related("person__teams", "delegate__teams"))


def _in_force(now: datetime) -> QuerySet[Delegation]:
    return Delegation.objects.filter(ended_at=None, begins_at__lte=now, until__gt=now)


def voters_of(person: Person, now: datetime) -> list[Voter]:
    """As whom this person may decide: as themselves, and for each colleague who delegated to them. From the rows
    as they are at this moment: ``person`` may have been read before a wait for a lock."""
    lent = _in_force(now).filter(delegate=person).values_list("person_id", flat=True)
    return voters([(person.pk, None), *((person.pk, each) for each in lent)])


def barred_trainer(policy: Policy, version: ModelVersion, *, rollback: bool) -> str:
    """Who trained the version (as far as MLflow knows), where that bars them. What was live before was approved
    before, so a rollback does not ask."""
    return "" if rollback or policy.trainer_may_approve else version.trained_by.strip().lower()


def situation_of(
    version: ModelVersion,
    target: Target,
    metrics: Mapping[str, str] | None = None,
    *,
    live: ModelVersion | None,
) -> Situation:
    """What the rules' conditions look at, as our rows have it now; ``metrics`` where they were read afresh,
    ``live`` what it would replace."""
    tags = {**target.model.tags, **version.tags}
    return Situation(
        metrics=version.metrics if metrics is None else metrics,
        number=version.number,
        tags={str(name): str(value) for name, value in tags.items()},
        live_metrics=live.metrics if live else None,
        live_number=live.number if live else None,
        was_anything_live=live is not None
        or target.deployments.filter(status=DeploymentStatus.SUCCEEDED).exists(),
    )


def terms_of(promotion: Promotion, policy: Policy) -> Terms:
    """What is asked of a promotion: as sealed; before that, the rows that are asked for in any case. Raises
    KeyError, TypeError or ValueError for sealed terms that cannot be."""
    by_itself = promotion.rolls_back_id is not None
    if promotion.seal:
        terms = Terms.from_data(promotion.facts["policy"])
        # Whatever was sealed: no rollback goes without people but the one that monitoring asked for.
        if bool(terms.by_itself) != by_itself or (
            promotion.is_rollback and terms.automatic != by_itself
        ):
            raise ValueError(f"promotion {promotion.pk} is not what its terms say")
        return terms
    if by_itself:
        return Terms.of_itself(promotion.reason)
    # A grant needs the seal; until then this only tells people what to expect.
    rows = policy.requirements(rollback=promotion.is_rollback)
    by_people = promotion.is_rollback or promotion.retroactive
    return Terms(rows, automatic=policy.automatic and not rows and not by_people)


def case_of(promotion: Promotion, votes: tuple[Vote, ...] | None = None) -> Case:
    """The case of a promotion, with its counting reviews, or with ``votes``. An unreadable policy blocks it.

    The gates that do not pass are not among its blockers: :func:`approvals.services.judging.judge` fills them in,
    and nothing is granted without it.
    """
    blockers = [promotion.problem] if promotion.problem else []
    trainer, requester_may_approve = "", False
    try:
        policy = Policy.from_data(promotion.policy)
        terms = terms_of(promotion, policy)
        trainer = barred_trainer(policy, promotion.version, rollback=promotion.is_rollback)
        requester_may_approve = promotion.is_rollback and policy.rollback_requester_may_approve
    except NOT_A_POLICY:
        terms = Terms(())
        blockers.append(UNREADABLE)
    return Case(
        requirements=terms.requirements,
        requester_id=promotion.requester_id,
        seal=promotion.seal,
        votes=_votes(promotion) if votes is None else votes,
        requester_may_approve=requester_may_approve,
        blockers=tuple(blockers),
        barred_trainer=trainer,
        automatic=terms.automatic,
    )


def _votes(promotion: Promotion) -> tuple[Vote, ...]:
    """The counting reviews: those fetched together with the promotion, else read now, without the rows' models,
    because a verb does so while others wait for its lock."""
    if is_prefetched(promotion, "reviews"):
        return tuple(
            Vote(voter(each.person, each.on_behalf_of), each.verdict, each.seal)
            for each in promotion.reviews.all()
            if each.voided_at is None
        )
    rows = list(
        promotion.reviews.filter(voided_at=None).values_list(
            "person_id", "on_behalf_of_id", "verdict", "seal"
        )
    )
    who = voters((person_id, for_id) for person_id, for_id, _, _ in rows)
    return tuple(Vote(each, row[2], row[3]) for each, row in zip(who, rows, strict=True))


def counting_reviews() -> Prefetch[str, Any, Any]:
    """A promotion's reviews with everything that a case reads of them."""
    rows = Review.objects.select_related("person", "on_behalf_of")
    return Prefetch("reviews", rows.prefetch_related("person__teams", "on_behalf_of__teams"))


def with_reviews(promotion: Promotion) -> Promotion:
    """A copy with its reviews, read once for everything that a page shows: the caller's goes on reading them
    afresh."""
    promotion = copy(promotion)
    prefetch_related_objects([promotion], counting_reviews())
    return promotion


def is_prefetched(promotion: Promotion, relation: str) -> bool:
    """Whether a list fetched this relation together with its promotions."""
    return relation in getattr(promotion, "_prefetched_objects_cache", {})


@dataclass(frozen=True)
class Decider:
    """As whom a person decides here, or why they may not: then ``code`` and ``sentence`` are set."""

    voter: Voter
    code: str = ""
    sentence: str = ""

    def or_refuse(self) -> Voter:
        """The voter. Raises Refused with the code."""
        if self.code:
            raise Refused(self.code, self.sentence)
        return self.voter


def decider(case: Case, person: Person, now: datetime, *, lent: bool = True) -> Decider:
    """As themselves where that helps, else for a colleague who delegated to them where that does (unless not
    ``lent``: what is delegated is reviews, nothing else)."""
    options = voters_of(person, now) if lent else voters([(person.pk, None)])
    counting = [each for each in options if whose_vote_counts(case, each) is None]
    if not counting:
        code = whose_vote_counts(case, options[0]) or ""
        return Decider(options[0], code, _why_not(code, case))
    used = {vote.voter.authority for vote in case.votes}
    unused = [each for each in counting if each.authority not in used] or counting
    if len(unused) == 1:
        return Decider(unused[0])
    missing = _missing(case)
    helping = (
        each
        for each in unused
        if _missing(case.with_vote(Vote(each, Verdict.APPROVE, case.seal))) < missing
    )
    return Decider(next(helping, unused[0]))


def _missing(case: Case) -> int:
    return sum(row.missing for row in decide(case).rows)


def why_not_counting(
    case: Case, person: Person, now: datetime, *, lent: bool = True
) -> tuple[str, str] | None:
    """(code, sentence) why this person may not decide here, None when they may."""
    found = decider(case, person, now, lent=lent)
    return (found.code, found.sentence) if found.code else None


def _why_not(code: str, case: Case) -> str:
    teams = sorted({team for row in case.requirements for team in row.teams})
    sentences = {
        "inactive": "You may not, because your account is not active.",
        "machine": "You may not, because this is a machine account and only people decide.",
        "requester": "You may not, because you asked for it; somebody else has to decide.",
        "trainer": "You may not, because you trained this version; somebody else has to decide.",
        "not_in_team": "You may not, because you are in none of the teams that decide here: "
        f"{', '.join(teams) or 'no team'}.",
    }
    return sentences[code]
