"""Who could still approve: people by name, as themselves or for a colleague."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from approvals.models import Person
from approvals.policies import Case, Requirement, Voter, unmeetable, whose_vote_counts
from approvals.services.cases import delegations_at, voter


@dataclass(frozen=True)
class Able:
    """Somebody whose approval would count; ``on_behalf_of`` whom, when it would be by delegation."""

    person: Person
    on_behalf_of: Person | None = None

    def __str__(self) -> str:
        return f"{self.person} for {self.on_behalf_of}" if self.on_behalf_of else str(self.person)

    @cached_property
    def voter(self) -> Voter:
        """As the policy sees them."""
        return voter(self.person, self.on_behalf_of)


def everybody_for(requirements: Sequence[Requirement], now: datetime) -> list[Able]:
    """The members of the teams that are asked for, and those to whom one of them delegated; by name."""
    teams = {team for row in requirements for team in row.teams}
    people = Person.objects.filter(teams__slug__in=teams).distinct().prefetch_related("teams")
    own = sorted((Able(each) for each in people), key=str)
    lent = delegations_at(now, person__in=[each.person for each in own])
    return own + sorted((Able(each.delegate, each.person) for each in lent), key=str)


def still_able(case: Case, everybody: Sequence[Able]) -> list[Able]:
    """Those who count here and whose authority was not used yet; nobody who voted already."""
    used = {vote.voter.authority for vote in case.votes}
    voted = {vote.voter.id for vote in case.votes}
    return [
        each
        for each in everybody
        if whose_vote_counts(case, each.voter) is None
        and each.voter.authority not in used
        and each.person.pk not in voted
    ]


def able_for(case: Case, row: Requirement, now: datetime) -> list[Able]:
    """Those who could still fill this row."""
    able = still_able(case, everybody_for([row], now))
    return [each for each in able if each.voter.teams & set(row.teams)]


def could_help(case: Case, rows: Sequence[Requirement], now: datetime) -> list[Person]:
    """Those who could still fill one of these rows, once each."""
    found = {able.person.pk: able.person for row in rows for able in able_for(case, row, now)}
    return list(found.values())


def stuck_rows(case: Case, able: Sequence[Able]) -> list[Requirement]:
    """The rows that cannot be filled any more, even if everybody who still could approved."""
    counting = [
        vote.voter
        for vote in case.votes
        if whose_vote_counts(case, vote.voter) is None and vote.seal == case.seal
    ]
    own = [each.voter for each in able if each.on_behalf_of is None]
    # A delegate adds nobody: their colleague's own approval would count in the same place.
    lent = [each.voter for each in able if each.on_behalf_of is not None]
    seen = {each.authority for each in (*counting, *own)}
    extra = [each for each in lent if each.authority not in seen]
    return unmeetable(case.requirements, _one_each([*counting, *own, *extra]))


def _one_each(voters: Sequence[Voter]) -> list[Voter]:
    return list({each.id: each for each in reversed(voters)}.values())
