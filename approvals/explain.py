"""One structure that answers "why?", rendered the same by pages and messages.

Who may approve and who has, what is missing, what blocks, until when; and for *you*: whether you may act
and, if not, why, in one sentence.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from approvals.gates import Outcome
from approvals.models import Person, Promotion
from approvals.policies import Decision, Policy, decide, whose_vote_counts
from approvals.services.cases import case_of, team_words, voter, why_not_counting
from approvals.services.conditions import outcomes_of
from approvals.states import Verdict
from approvals.wording import day_and_time, listed

POLICY_CHANGED = (
    "the policy changed after this was asked; this request keeps the rules of that moment"
)


@dataclass(frozen=True)
class RequirementRow:
    """One requirement: ``approved`` are those who count for it, ``could`` those who still can."""

    teams: str
    count: int
    approved: list[Person]
    missing: int
    could: list[Person]

    @property
    def sentence(self) -> str:
        """``risk: 1 more needed (Carol Chen could)``."""
        if not self.missing:
            return f"{self.teams}: approved by {listed([str(each) for each in self.approved])}"
        names = listed([str(each) for each in self.could], "or")
        who = f"{names} could" if names else "nobody left who could"
        return f"{self.teams}: {self.missing} more needed ({who})"


@dataclass(frozen=True)
class Explanation:
    """Everything about where a promotion stands."""

    rows: list[RequirementRow]
    gates: list[Outcome]
    blockers: list[str]
    expires_at: datetime | None
    may_act: bool
    why_not: str
    note: str = ""

    @property
    def missing(self) -> int:
        """How many approvals are still needed in all."""
        return sum(row.missing for row in self.rows)

    @property
    def sentences(self) -> list[str]:
        """All of it as plain text, one sentence a line."""
        lines = [row.sentence for row in self.rows]
        lines += [f"gate passed: {gate.sentence}" for gate in self.gates if gate.passed]
        lines += [f"blocked: {blocker}" for blocker in self.blockers]
        if self.note:
            lines.append(self.note)
        if self.expires_at:
            lines.append(f"open until {day_and_time(self.expires_at)}")
        return lines

    @property
    def can_still_act(self) -> list[Person]:
        """Everybody whose approval would still help, once each."""
        return list({person.pk: person for row in self.rows for person in row.could}.values())


def explain(
    promotion: Promotion, person: Person | None = None, now: datetime | None = None
) -> Explanation:
    """Explain a promotion, for ``person`` where one is given. Gates are judged while it is pending."""
    gates = outcomes_of(promotion, now or timezone.now()) if promotion.is_pending else []
    case = case_of(promotion)
    decision: Decision = decide(case)
    people = {
        each.pk: each
        for each in Person.objects.filter(
            teams__slug__in={team for row in case.requirements for team in row.teams}
        )
        .distinct()
        .prefetch_related("teams")
    }
    voted = {vote.voter.id for vote in case.votes}
    rows = []
    for row in decision.rows:
        able = [
            each
            for each in people.values()
            if each.pk not in voted
            and voter(each).teams & set(row.requirement.teams)
            and whose_vote_counts(case, voter(each)) is None
        ]
        rows.append(
            RequirementRow(
                teams=team_words(row.requirement.teams),
                count=row.requirement.count,
                approved=[people[id_] for id_ in row.counted if id_ in people],
                missing=row.missing,
                could=sorted(able, key=str) if row.missing and promotion.is_pending else [],
            )
        )
    why_not = _why_not(promotion, person) if person else "Sign in to decide."
    return Explanation(
        rows=rows,
        gates=gates,
        blockers=[
            *(each for each in decision.blockers if promotion.is_pending),
            *(each.sentence for each in gates if not each.passed),
        ],
        expires_at=promotion.expires_at if promotion.is_pending else None,
        may_act=not why_not,
        why_not=why_not,
        note=POLICY_CHANGED if promotion.is_pending and _policy_changed(promotion) else "",
    )


def _policy_changed(promotion: Promotion) -> bool:
    """Compared as policies, so that a snapshot of an older release does not seem to differ."""
    try:
        return Policy.from_data(promotion.policy) != Policy.from_data(promotion.target.policy)
    except (KeyError, TypeError, ValueError):
        return False  # that it cannot be read blocks it already, and says so


def _why_not(promotion: Promotion, person: Person) -> str:
    """Why this person cannot review now, or an empty text."""
    if not promotion.is_pending:
        return f"There is nothing to decide any more: {promotion.get_status_display().lower()}."
    reason = why_not_counting(case_of(promotion), person)
    if reason is not None:
        return reason[1]
    earlier = promotion.reviews.filter(person=person, voided_at=None).first()
    if earlier is not None:
        done = "approved" if earlier.verdict == Verdict.APPROVE else "rejected"
        return f"You have {done} it already; one person counts once."
    if not promotion.seal:
        return promotion.problem or "The facts are still being gathered."
    return ""
