"""One structure that answers "why?", rendered the same by pages, messages, the API and the command.

Who may approve and who has, what is missing, what blocks and until when; and for *you*: whether you may act
and, if not, why, in one sentence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from django.utils import timezone

from approvals.calendar import in_zone
from approvals.gates import Outcome
from approvals.models import Person, Promotion
from approvals.policies import Row
from approvals.policy_words import (
    because_sentences,
    by_itself,
    demand_sentences,
    nobody_has_to,
)
from approvals.rollouts import Strategy
from approvals.rules import Policy, Terms
from approvals.services.cases import (
    NOT_A_POLICY,
    decider,
    is_prefetched,
    with_reviews,
)
from approvals.services.conditions import closures_of
from approvals.services.judging import Judgement, judge
from approvals.services.marks import mark_of
from approvals.services.out_of_band import open_changes
from approvals.services.overrides import why_no_override
from approvals.services.reminders import escalates_at, reminds_at
from approvals.services.voters import Able, everybody_for, still_able, stuck_rows
from approvals.states import DeploymentStatus, MarkKind, PromotionStatus, Verdict
from approvals.wording import day_and_time, listed

POLICY_CHANGED = (
    "The policy changed after this was asked; this request keeps the rules of that moment."
)
ADOPTS = "Retroactive: it adopts what is live without a promotion. Once approved, nothing is fired."
GATE_WORDS = {"pass": "Passed", "fail": "Fails", "unknown": "Unknown"}


@dataclass(frozen=True)
class RequirementRow:
    """One requirement: ``approved`` are those who count for it, ``could`` those who still can."""

    teams: str
    count: int
    approved: list[Able]
    missing: int
    could: list[Able]
    settled: bool = False

    @property
    def sentence(self) -> str:
        """``risk: 1 more needed (Carol Chen could).``"""
        return f"{self.teams}: {self.state}"

    @property
    def state(self) -> str:
        """The sentence without the teams' names."""
        have = listed([str(each) for each in self.approved])
        if not self.missing:
            return f"approved by {have}."
        if self.settled:
            return (
                f"approved by {have}; {self.missing} missing."
                if have
                else f"{self.missing} missing."
            )
        names = listed([str(each) for each in self.could], "or")
        who = f"{names} could" if names else "nobody is left who could"
        so_far = f"approved by {have}; " if have else ""
        return f"{so_far}{self.missing} more needed ({who})."


@dataclass(frozen=True)
class Explanation:
    """Everything about where a promotion stands. ``problems`` block it beside its gates; ``notes`` are what else
    people should know."""

    rows: list[RequirementRow]
    gates: list[Outcome]
    problems: list[str]
    terms: Terms
    expires_at: datetime | None
    may_act: bool
    why_not: str
    hint: str = ""
    may_override: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def missing(self) -> int:
        """How many approvals are still needed in all."""
        return sum(row.missing for row in self.rows)

    @property
    def blockers(self) -> list[str]:
        """Why nobody can approve now."""
        return [*self.problems, *(each.sentence for each in self.gates if not each.passed)]

    @property
    def sentences(self) -> list[str]:
        """All of it as plain text, one sentence a line: every door shows these very words."""
        lines = [row.sentence for row in self.rows]
        lines += [f"Blocked: {problem}" for problem in self.problems]
        lines += [f"{GATE_WORDS[gate.verdict]}: {gate.sentence}" for gate in self.gates]
        lines += self.notes
        return lines if self.expires_at is None else [*lines, self.open_until]

    @property
    def open_until(self) -> str:
        """``Open until 23 Nov 2026, 14:05 UTC.``; empty once it is decided."""
        return f"Open until {day_and_time(self.expires_at)}." if self.expires_at else ""

    @property
    def you(self) -> str:
        """One sentence for the person it was explained to."""
        return self.why_not or self.hint or "You may decide this now."

    @property
    def may_approve(self) -> bool:
        """Approving is possible: rejecting sometimes is when this is not."""
        return self.may_act and not self.hint and not self.blockers

    @property
    def can_still_act(self) -> list[Person]:
        """Everybody whose approval would still help, once each."""
        return list(
            {each.person.pk: each.person for row in self.rows for each in row.could}.values()
        )


def explain(
    promotion: Promotion, person: Person | None = None, now: datetime | None = None
) -> Explanation:
    """Explain a promotion, for ``person`` where one is given. Gates are judged while it is pending."""
    now = now or timezone.now()
    if not is_prefetched(promotion, "reviews"):
        # Read once, for the judgement and for the names.
        promotion = with_reviews(promotion)
    judgement = judge(promotion, now)
    case, pending = judgement.case, promotion.is_pending
    everybody = everybody_for(case.requirements, now) if pending else []
    able = still_able(case, everybody)
    why_not = _why_not(promotion, judgement, person, now) if person else "Sign in to decide."
    gates = judgement.outcomes if pending else []
    failing = {each.sentence for each in gates if not each.passed}
    return Explanation(
        rows=[_row(row, promotion, able if pending else []) for row in judgement.decision.rows],
        gates=gates,
        problems=[each for each in judgement.decision.blockers if pending and each not in failing],
        terms=judgement.terms,
        expires_at=promotion.expires_at if pending else None,
        may_act=not why_not,
        why_not=why_not,
        hint="" if why_not or not person else _hint(promotion, person),
        may_override=bool(
            pending and promotion.seal and person and why_no_override(promotion, person) is None
        ),
        notes=_notes(promotion, judgement, able),
    )


def _row(row: Row, promotion: Promotion, able: list[Able]) -> RequirementRow:
    counted = {
        each.person_id: Able(each.person, each.on_behalf_of)
        for each in promotion.reviews.all()
        if each.voided_at is None
    }
    could = [each for each in able if each.voter.teams & set(row.requirement.teams)]
    return RequirementRow(
        teams=row.requirement.words,
        count=row.requirement.count,
        approved=[counted[id_] for id_ in row.counted if id_ in counted],
        missing=row.missing,
        could=could if row.missing else [],
        settled=not promotion.is_pending,
    )


def _notes(promotion: Promotion, judgement: Judgement, able: list[Able]) -> list[str]:
    terms = judgement.terms
    notes = because_sentences(terms)
    if promotion.overridden_by is not None:
        notes.append(f"{promotion.overridden_by} broke the glass: {promotion.override_reason}")
    if promotion.retroactive:
        notes.append(ADOPTS)
    deployment = getattr(promotion, "deployment", None)
    if deployment is not None and deployment.status == DeploymentStatus.SUCCEEDED:
        found = open_changes().filter(target__live_deployment=deployment)
        notes += [f"Out-of-band: {each.sentence}" for each in found]
    waits = deployment is not None and deployment.status == DeploymentStatus.QUEUED
    if waits:
        notes += [
            f"It will be stopped when its turn comes: {each.sentence}"
            for each in closures_of(promotion)
        ]
    if promotion.run_at and (promotion.is_pending or waits):
        notes.append(f"Scheduled: it runs on {in_zone(promotion.run_at, promotion.run_zone)}.")
    if strategy := promotion.facts.get("strategy"):
        notes.append(f"It goes out step by step, {Strategy.from_data(strategy).words}.")
    if not promotion.is_pending:
        if terms.by_itself and promotion.status == PromotionStatus.APPROVED:
            notes.append(f"Nobody was asked: {by_itself(terms)}")
        return notes
    mark = mark_of(promotion)
    if mark is not None and mark.kind == MarkKind.BAD:
        notes.append(f"Careful: {mark.sentence}")
    if terms.automatic:
        notes.append(nobody_has_to(terms))
    notes += demand_sentences(terms)
    if stuck := stuck_rows(judgement.case, able):
        rows = listed([f"{row.count} of {row.words}" for row in stuck])
        notes.append(
            f"As things stand this can never be approved: there are not enough people left for {rows}. "
            "Have a member added, or cancel it."
        )
    if (reminded := reminds_at(promotion)) and any(row.missing for row in judgement.decision.rows):
        notes.append(f"Those missing are reminded on {day_and_time(reminded)}.")
    if escalation := escalates_at(promotion):
        notes.append(f"It is escalated to {escalation[1]} on {day_and_time(escalation[0])}.")
    if _policy_changed(promotion):
        notes.append(POLICY_CHANGED)
    return notes


def _policy_changed(promotion: Promotion) -> bool:
    """Compared as policies, so that a snapshot of an older release does not seem to differ."""
    try:
        return Policy.from_data(promotion.policy) != Policy.from_data(promotion.target.policy)
    except NOT_A_POLICY:
        return False  # that it cannot be read blocks it already, and says so


def _hint(promotion: Promotion, person: Person) -> str:
    """A colleague has approved for this person already; nothing keeps them from rejecting."""
    for each in promotion.reviews.all():
        if each.voided_at is None and each.on_behalf_of_id == person.pk:
            return f"{each.person} has decided for you already; you may still reject it."
    return ""


def _why_not(promotion: Promotion, judgement: Judgement, person: Person, now: datetime) -> str:
    """Why this person cannot review now, or an empty text."""
    if not promotion.is_pending:
        return f"There is nothing to decide any more: {promotion.get_status_display().lower()}."
    found = decider(judgement.case, person, now)
    if found.code:
        return nobody_has_to(judgement.terms) if judgement.terms.automatic else found.sentence
    reviews = [each for each in promotion.reviews.all() if each.voided_at is None]
    earlier = next((each for each in reviews if each.person_id == person.pk), None)
    if earlier is not None:
        done = "approved" if earlier.verdict == Verdict.APPROVE else "rejected"
        return f"You have {done} it already; one person counts once."
    if not promotion.seal:
        return promotion.problem or "The facts are still being gathered."
    lender = found.voter.for_id
    same = [each for each in reviews if (each.on_behalf_of_id or each.person_id) == lender]
    if lender is not None and same:
        return f"{same[0].by} has decided already; one person's approval counts once."
    return ""
