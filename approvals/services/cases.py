"""Turns rows into the pure policy's terms."""

from __future__ import annotations

from approvals.models import ModelVersion, Person, Promotion
from approvals.policies import Case, Policy, Vote, Voter, whose_vote_counts

UNREADABLE = "The policy of this promotion cannot be read, so nobody can approve it."


def voter(person: Person) -> Voter:
    """The person as the policy sees them."""
    return Voter(
        id=person.pk,
        teams=frozenset(team.slug for team in person.teams.all()),
        is_active=person.is_active,
        is_machine=person.is_machine,
        names=frozenset(name.lower() for name in (person.username, person.email) if name),
    )


def barred_trainer(policy: Policy, version: ModelVersion, *, rollback: bool) -> str:
    """Who trained the version (as far as MLflow knows), where that bars them. What was live before was approved
    before, so a rollback does not ask."""
    return "" if rollback or policy.trainer_may_approve else version.trained_by.strip().lower()


def case_of(promotion: Promotion) -> Case:
    """The case of a promotion, with its counting reviews. An unreadable policy blocks it."""
    blockers = [promotion.problem] if promotion.problem else []
    trainer = ""
    try:
        policy = Policy.from_data(promotion.policy)
        requirements = policy.requirements(rollback=promotion.is_rollback)
        trainer = barred_trainer(policy, promotion.version, rollback=promotion.is_rollback)
        requester_may_approve = promotion.is_rollback and policy.rollback_requester_may_approve
    except (KeyError, TypeError, ValueError):
        requirements, requester_may_approve = (), False
        blockers.append(UNREADABLE)
    reviews = promotion.reviews.all()
    if not is_prefetched(promotion, "reviews"):
        reviews = reviews.select_related("person").prefetch_related("person__teams")
    return Case(
        requirements=requirements,
        requester_id=promotion.requester_id,
        seal=promotion.seal,
        votes=tuple(
            Vote(voter(each.person), each.verdict, each.seal)
            for each in reviews
            if each.voided_at is None
        ),
        requester_may_approve=requester_may_approve,
        blockers=tuple(blockers),
        barred_trainer=trainer,
    )


def is_prefetched(promotion: Promotion, relation: str) -> bool:
    """Whether a list fetched this relation together with its promotions."""
    return relation in getattr(promotion, "_prefetched_objects_cache", {})


def team_words(teams: tuple[str, ...]) -> str:
    """``risk`` or ``risk or ml-leads``."""
    return " or ".join(teams)


def why_not_counting(case: Case, person: Person) -> tuple[str, str] | None:
    """(code, sentence) why this person may not review, None when they may."""
    code = whose_vote_counts(case, voter(person))
    if code is None:
        return None
    teams = sorted({team for row in case.requirements for team in row.teams})
    sentences = {
        "inactive": "You may not, because your account is not active.",
        "machine": "You may not, because this is a machine account and only people decide.",
        "requester": "You may not, because you asked for it; somebody else has to decide.",
        "trainer": "You may not, because you trained this version; somebody else has to decide.",
        "not_in_team": "You may not, because you are in none of the teams that decide here: "
        f"{', '.join(teams) or 'no team'}.",
    }
    return code, sentences[code]
