"""Where a promotion stands: the one way to a verdict, for everything that shows, grants or delivers.

A grant needs a :class:`Judgement` (``settle.grant``), so no verb can approve and forget the gates.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from approvals.gates import Outcome
from approvals.models import Promotion
from approvals.policies import Case, Decision, Vote, decide
from approvals.rules import Policy, Terms
from approvals.services.cases import NOT_A_POLICY, case_of, terms_of
from approvals.services.conditions import outcomes_of


@dataclass(frozen=True)
class Judgement:
    """``outcomes``: what is closed, then each gate; ``case`` holds those that do not pass as blockers."""

    terms: Terms
    outcomes: list[Outcome]
    case: Case

    @cached_property
    def decision(self) -> Decision:
        """What follows from the case."""
        return decide(self.case)

    def with_vote(self, vote: Vote) -> Judgement:
        """The same once this vote, which is written under the lock of this judgement, is counted too."""
        return replace(self, case=self.case.with_vote(vote))


def judge(promotion: Promotion, now: datetime, case: Case | None = None) -> Judgement:
    """Judge a promotion at ``now``, from our rows as they are. ``case`` where it was read under the same lock, and
    nothing was written since."""
    outcomes = outcomes_of(promotion, now)
    case = (case or case_of(promotion)).blocked_by(
        [each.sentence for each in outcomes if not each.passed]
    )
    try:
        terms = terms_of(promotion, Policy.from_data(promotion.policy))
    except NOT_A_POLICY:
        terms = Terms(())
    return Judgement(terms, outcomes, case)
