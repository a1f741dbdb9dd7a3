"""The decision, as a pure function: rows in, verdict and reasons out. No ORM, no clock, no request.

A policy (:mod:`approvals.rules`) asks for rows of *teams × count*. A person counts once, for one row; who counts
where is a bipartite matching, so the order of votes never matters and one more approval never un-approves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from approvals.states import Verdict


def listing(value: Any) -> Sequence[Any]:
    """A list of a snapshot as we wrote it. Raises TypeError: a text or a mapping is not read as one."""
    if not isinstance(value, list | tuple):
        raise TypeError(f"{value!r} is not a list")
    return value


def texts(value: Any) -> tuple[str, ...]:
    """A list of texts. Raises TypeError for anything else."""
    if not all(isinstance(each, str) for each in listing(value)):
        raise TypeError(f"{value!r} is not a list of texts")
    return tuple(value)


NOT_SEALED = "The facts are not sealed yet."


@dataclass(frozen=True)
class Requirement:
    """``count`` different members of any of ``teams`` must approve."""

    teams: tuple[str, ...]
    count: int = 1

    def as_data(self) -> dict[str, Any]:
        """The row as JSON-able data, for snapshots and seals."""
        return {"teams": list(self.teams), "count": self.count}

    @property
    def words(self) -> str:
        """``risk`` or ``risk or ml-leads``."""
        return " or ".join(self.teams)

    @classmethod
    def rows(cls, items: Sequence[Mapping[str, Any]]) -> tuple[Requirement, ...]:
        """The inverse of :meth:`as_data`, for a list. Raises KeyError, TypeError or ValueError."""
        rows = tuple(cls(texts(item["teams"]), item["count"]) for item in listing(items))
        if any(type(row.count) is not int for row in rows):
            raise TypeError("a count that is not a whole number")
        if any(row.count < 1 or not row.teams for row in rows):
            raise ValueError("a row that asks for nobody")
        return rows


@dataclass(frozen=True)
class Voter:
    """A person as the policy sees them. ``names`` are those by which a registry may know them (user name,
    address), in lower case. ``for_id``: the colleague on whose behalf they act, whose teams these then are."""

    id: int
    teams: frozenset[str]
    is_active: bool = True
    is_machine: bool = False
    names: frozenset[str] = frozenset()
    for_id: int | None = None

    @property
    def ids(self) -> frozenset[int]:
        """The people behind this vote."""
        return frozenset({self.id, self.authority})

    @property
    def authority(self) -> int:
        """Whose approval it is: it counts once, whoever gives it."""
        return self.id if self.for_id is None else self.for_id


@dataclass(frozen=True)
class Vote:
    """One counting review. ``seal`` is what the voter saw."""

    voter: Voter
    verdict: str
    seal: str


@dataclass(frozen=True)
class Case:
    """Everything that a decision depends on. ``barred_trainer`` is the name, in lower case, of whoever trained the
    version, where the policy says that they do not count; else empty. ``blockers`` are what stands in the way
    whoever approves: the gates that do not pass, and problems with the facts. ``automatic``: the policy asks for
    nobody, and says so."""

    requirements: tuple[Requirement, ...]
    requester_id: int
    seal: str
    votes: tuple[Vote, ...] = ()
    requester_may_approve: bool = False
    blockers: tuple[str, ...] = ()
    barred_trainer: str = ""
    automatic: bool = False

    def with_vote(self, vote: Vote) -> Case:
        """The same case, in which one more has voted."""
        return replace(self, votes=(*self.votes, vote))

    def blocked_by(self, sentences: Sequence[str]) -> Case:
        """The same case, with this in its way too."""
        return replace(self, blockers=(*self.blockers, *sentences))


@dataclass(frozen=True)
class Row:
    """How far one requirement is met: the ids of those who count for it, and how many are missing."""

    requirement: Requirement
    counted: tuple[int, ...]

    @property
    def missing(self) -> int:
        """How many approvals are still needed."""
        return max(self.requirement.count - len(self.counted), 0)


@dataclass(frozen=True)
class Decision:
    """The verdict: ``approved``, ``rejected`` or ``pending``, and what it rests on."""

    verdict: str
    rows: tuple[Row, ...] = ()
    rejected_by: tuple[int, ...] = ()
    blockers: tuple[str, ...] = field(default=())


def whose_vote_counts(case: Case, voter: Voter) -> str | None:
    """Why this person's review would not count, as a code; None when it would.

    Codes: ``inactive``, ``machine``, ``requester``, ``trainer``, ``not_in_team``.
    """
    if not voter.is_active:
        return "inactive"
    if voter.is_machine:
        return "machine"
    if case.requester_id in voter.ids and not (case.requester_may_approve and voter.for_id is None):
        return "requester"
    if case.barred_trainer and case.barred_trainer in voter.names:
        return "trainer"
    if not any(voter.teams & set(row.teams) for row in case.requirements):
        return "not_in_team"
    return None


def assign(requirements: Sequence[Requirement], voters: Sequence[Voter]) -> list[list[int]]:
    """Match each voter to at most one requirement, meeting as many places as possible.

    Returns the matched voters' ids per requirement. Augmenting paths (Kuhn's algorithm); voters are
    taken in order of id, so that the same people always give the same answer.
    """
    places = [index for index, row in enumerate(requirements) for _ in range(row.count)]
    holder: dict[int, Voter] = {}

    def seat(voter: Voter, tried: set[int]) -> bool:
        for place, index in enumerate(places):
            if place in tried or not voter.teams & set(requirements[index].teams):
                continue
            tried.add(place)
            if place not in holder or seat(holder[place], tried):
                holder[place] = voter
                return True
        return False

    for voter in sorted(voters, key=lambda each: each.id):
        seat(voter, set())
    return [
        sorted(voter.id for place, voter in holder.items() if places[place] == index)
        for index in range(len(requirements))
    ]


def decide(case: Case) -> Decision:
    """Settle a case. Fails closed: no seal, no requirement (unless automatic) or any blocker means ``pending``.

    One counting rejection settles it; approval needs every row filled by people who saw the seal in force.
    """
    counting = [vote for vote in case.votes if whose_vote_counts(case, vote.voter) is None]
    rejected_by = tuple(
        sorted(vote.voter.id for vote in counting if vote.verdict == Verdict.REJECT)
    )
    seats = assign(case.requirements, _distinct(case, counting))
    rows = tuple(
        Row(requirement, tuple(ids))
        for requirement, ids in zip(case.requirements, seats, strict=True)
    )
    blockers = list(case.blockers)
    if not case.seal:
        blockers.append(NOT_SEALED)
    if not case.requirements and not case.automatic:
        blockers.append("No approver is required by the policy, which is not allowed.")
    if rejected_by:
        verdict = "rejected"
    elif blockers or any(row.missing for row in rows):
        verdict = "pending"
    else:
        verdict = "approved"
    return Decision(verdict, rows, rejected_by, tuple(blockers))


def _distinct(case: Case, votes: Sequence[Vote]) -> list[Voter]:
    """The approvers who saw the seal in force; nobody's authority counts twice, their own vote before one that
    a colleague gave for them. Both carry the same teams, so one more approval never takes anything away."""
    found: dict[int, Voter] = {}
    approving = (
        vote.voter
        for vote in votes
        if vote.verdict == Verdict.APPROVE and vote.seal == case.seal and case.seal
    )
    for voter in sorted(approving, key=lambda each: (each.for_id is not None, each.id)):
        found.setdefault(voter.authority, voter)
    return list(found.values())


def unmeetable(requirements: Sequence[Requirement], voters: Sequence[Voter]) -> list[Requirement]:
    """The requirements that these people could not fill even if all of them approved."""
    seats = assign(requirements, voters)
    return [row for row, ids in zip(requirements, seats, strict=True) if len(ids) < row.count]
