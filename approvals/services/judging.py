"""Where a promotion stands: the one way to a verdict, for everything that shows, grants or delivers.

A grant needs a :class:`Judgement` (``settle.grant``), so no verb can approve and forget the gates.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from approvals.gates import Outcome
from approvals.models import Promotion
from approvals.policies import Case, Decision, decide
from approvals.rules import Policy, Terms
from approvals.services.cases import NOT_A_POLICY, case_of, terms_of
from approvals.services.conditions import outcomes_of


@dataclass(frozen=True)
class Judgement:
    """``outcomes``: what is closed, then each gate; ``case`` holds those that do not pass as blockers."""

    terms: Terms
    outcomes: list[Outcome]
    case: Case
    decision: Decision


def judge(promotion: Promotion, now: datetime, outcomes: list[Outcome] | None = None) -> Judgement:
    """Judge a promotion at ``now``, from our rows as they are. ``outcomes`` where they were gathered a moment ago
    under the same lock, and only a review has come since."""
    if outcomes is None:
        outcomes = outcomes_of(promotion, now)
    case = case_of(promotion, [each.sentence for each in outcomes if not each.passed])
    try:
        terms = terms_of(promotion, Policy.from_data(promotion.policy))
    except NOT_A_POLICY:
        terms = Terms(())
    return Judgement(terms, outcomes, case, decide(case))
