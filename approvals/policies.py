"""The decision, as a pure function: rows in, verdict and reasons out. No ORM, no clock, no request.

A policy asks for rows of *teams × count*. A person counts once, for one row; who counts where is
a bipartite matching, so the order of votes never matters and one more approval never un-approves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from approvals import gates
from approvals.gates import Gate
from approvals.states import Verdict


@dataclass(frozen=True)
class Requirement:
    """``count`` different members of any of ``teams`` must approve."""

    teams: tuple[str, ...]
    count: int = 1

    def as_data(self) -> dict[str, Any]:
        """The row as JSON-able data, for snapshots and seals."""
        return {"teams": list(self.teams), "count": self.count}


@dataclass(frozen=True)
class Policy:
    """Who must approve at a target, by kind of promotion, within which time (seconds), and which gates a
    promotion has to pass."""

    promote: tuple[Requirement, ...]
    rollback: tuple[Requirement, ...]
    rollback_requester_may_approve: bool
    requesters: tuple[str, ...]
    expires_after: int
    grant_lapses_after: int
    gates: tuple[Gate, ...] = ()
    trainer_may_approve: bool = True

    def as_data(self) -> dict[str, Any]:
        """The policy as JSON-able data; :meth:`from_data` is its inverse."""
        return {
            "promote": [row.as_data() for row in self.promote],
            "rollback": [row.as_data() for row in self.rollback],
            "rollback_requester_may_approve": self.rollback_requester_may_approve,
            "requesters": list(self.requesters),
            "expires_after": self.expires_after,
            "grant_lapses_after": self.grant_lapses_after,
            "gates": [gates.as_data(gate) for gate in self.gates],
            "trainer_may_approve": self.trainer_may_approve,
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Policy:
        """Read a snapshot. Raises KeyError, TypeError or ValueError for anything unreadable: the callers
        then treat the promotion as blocked, never as free."""

        def rows(items: Sequence[Mapping[str, Any]]) -> tuple[Requirement, ...]:
            return tuple(Requirement(tuple(item["teams"]), int(item["count"])) for item in items)

        return cls(
            promote=rows(data["promote"]),
            rollback=rows(data["rollback"]),
            rollback_requester_may_approve=bool(data["rollback_requester_may_approve"]),
            requesters=tuple(data["requesters"]),
            expires_after=int(data["expires_after"]),
            grant_lapses_after=int(data["grant_lapses_after"]),
            # Snapshots of older releases have neither.
            gates=tuple(gates.from_data(item) for item in data.get("gates", ())),
            trainer_may_approve=bool(data.get("trainer_may_approve", True)),
        )

    def requirements(self, *, rollback: bool) -> tuple[Requirement, ...]:
        """The rows that apply to this kind of promotion."""
        return self.rollback if rollback else self.promote

    def gates_for(self, *, rollback: bool) -> tuple[Gate, ...]:
        """The gates of this kind of promotion. A rollback has none: it has its preflight, and must be quick."""
        return () if rollback else self.gates


@dataclass(frozen=True)
class Voter:
    """A person as the policy sees them. ``names`` are those by which a registry may know them (user name,
    address), in lower case."""

    id: int
    teams: frozenset[str]
    is_active: bool = True
    is_machine: bool = False
    names: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Vote:
    """One counting review. ``seal`` is what the voter saw."""

    voter: Voter
    verdict: str
    seal: str


@dataclass(frozen=True)
class Case:
    """Everything that a decision depends on. ``barred_trainer`` is the name, in lower case, of whoever trained the
    version, where the policy says that they do not count; else empty."""

    requirements: tuple[Requirement, ...]
    requester_id: int
    seal: str
    votes: tuple[Vote, ...] = ()
    requester_may_approve: bool = False
    blockers: tuple[str, ...] = ()
    barred_trainer: str = ""


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
    if voter.id == case.requester_id and not case.requester_may_approve:
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
    """Settle a case. Fails closed: no seal, no requirement or any blocker means ``pending``.

    One counting rejection settles it; approval needs every row filled by people who saw the
    seal in force.
    """
    counting = [vote for vote in case.votes if whose_vote_counts(case, vote.voter) is None]
    rejected_by = tuple(
        sorted(vote.voter.id for vote in counting if vote.verdict == Verdict.REJECT)
    )
    approvers = {
        vote.voter.id: vote.voter
        for vote in counting
        if vote.verdict == Verdict.APPROVE and vote.seal == case.seal and case.seal
    }
    seats = assign(case.requirements, list(approvers.values()))
    rows = tuple(
        Row(requirement, tuple(ids))
        for requirement, ids in zip(case.requirements, seats, strict=True)
    )
    blockers = list(case.blockers)
    if not case.seal:
        blockers.append("The facts are not sealed yet.")
    if not sum(row.count for row in case.requirements):
        blockers.append("No approver is required by the policy, which is not allowed.")
    if rejected_by:
        verdict = "rejected"
    elif blockers or any(row.missing for row in rows):
        verdict = "pending"
    else:
        verdict = "approved"
    return Decision(verdict, rows, rejected_by, tuple(blockers))


def unmeetable(requirements: Sequence[Requirement], voters: Sequence[Voter]) -> list[Requirement]:
    """The requirements that these people could not fill even if all of them approved."""
    seats = assign(requirements, voters)
    return [row for row, ids in zip(requirements, seats, strict=True) if len(ids) < row.count]
