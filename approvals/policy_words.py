"""A policy in words: the same lines for the command, the page and the comparison of two policies. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from approvals import gates
from approvals.calendar import Window
from approvals.policies import Requirement
from approvals.rules import Policy, Terms, rows_in_words
from approvals.wording import listed, time_words

UNREADABLE = "unreadable: nobody can ask or approve here until the configuration is applied again"
AUTOMATIC = "automatic once every gate passes"
NOBODY_HAS_TO = f"Nobody has to approve: it is {AUTOMATIC}."
NOBODY = "nobody is named"


@dataclass(frozen=True)
class Line:
    """One aspect of a policy. ``texts`` are its items, at least one; ``is_main``: people look for it first."""

    label: str
    texts: tuple[str, ...]
    is_main: bool = False


def promotion_words(policy: Policy) -> str:
    """Who must always approve a promotion: ``1 of ml-leads and 1 of risk``."""
    if policy.promote:
        return rows_in_words(policy.promote)
    return AUTOMATIC if policy.automatic else NOBODY


def rollback_words(policy: Policy) -> str:
    """Who must approve a rollback, and whether the requester may be one of them."""
    own = " (the requester too)" if policy.rollback_requester_may_approve else ""
    return (rows_in_words(policy.rollback) or NOBODY) + own


def lines_of(policy: Policy) -> list[Line]:
    """Everything that the policy says, in the order in which people ask."""
    return [
        Line("Promotion", (promotion_words(policy),), True),
        Line("More is asked", _or_none([each.words for each in policy.rules], "never"), True),
        Line("Gates", _or_none([gates.in_words(each) for each in policy.gates]), True),
        Line("Rollback", (rollback_words(policy),), True),
        Line("Checklist", _or_none(policy.checklist)),
        Line("Comment", ("whoever approves says why" if policy.comment_required else "optional",)),
        Line("Trainer", (_trainer(policy),)),
        Line("May ask", (_members(policy.requesters),)),
        Line("May break the glass", (_override(policy),)),
        Line("Expires", (f"an undecided request after {time_words(policy.expires_after)}",)),
        Line("Lapses", (f"an unused approval after {time_words(policy.grant_lapses_after)}",)),
        Line("Reminders", (_reminders(policy),)),
        Line("Escalation", (_escalation(policy),)),
    ]


def terms_sentences(terms: Terms) -> list[str]:
    """What is asked of one candidate, and why more than usual."""
    asked = rows_in_words(terms.requirements)
    nobody = nobody_has_to(terms) if terms.automatic else f"{NOBODY}."
    first = f"{asked} must approve." if asked else nobody
    found = [f"{first[:1].upper()}{first[1:]}", *because_sentences(terms)]
    return found + demand_sentences(terms)


def nobody_has_to(terms: Terms) -> str:
    """Why no person is asked."""
    return f"Nobody has to approve: {by_itself(terms)}" if terms.by_itself else NOBODY_HAS_TO


def by_itself(terms: Terms) -> str:
    """``it is rolled back by itself because …``, where monitoring had it rolled back."""
    return f"it is rolled back by itself because {terms.by_itself.rstrip('.')}."


def because_sentences(terms: Terms) -> list[str]:
    """One sentence for each rule that applies."""
    return [f"More is asked because {why}." for why in terms.because]


def demand_sentences(terms: Terms) -> list[str]:
    """What those who approve have to do beside approving."""
    found = []
    if terms.checklist:
        found.append(f"Whoever approves ticks: {'; '.join(terms.checklist)}.")
    if terms.comment_required:
        found.append("Whoever approves says why.")
    return found


def window_words(window: Window) -> str:
    """A recurring freeze as the file has it."""
    again = f", {window.repeats}" if window.repeats else ", once"
    return (
        f"{window.name}: from {window.starts} {window.zone} for {time_words(window.lasts)}{again}"
    )


def _or_none(items: Sequence[str], none: str = "none") -> tuple[str, ...]:
    return tuple(items) or (none,)


def _members(teams: Sequence[str]) -> str:
    return f"members of {Requirement(tuple(teams)).words}" if teams else "nobody"


def _trainer(policy: Policy) -> str:
    if policy.trainer_may_approve:
        return "whoever trained the version may approve it"
    return "whoever trained the version does not count"


def _override(policy: Policy) -> str:
    if not policy.override_team:
        return "nobody"
    own = "their own requests too" if policy.override_by_requester else "not their own requests"
    return f"{_members([policy.override_team])}, {own}"


def _reminders(policy: Policy) -> str:
    if not policy.remind_after:
        return "nobody is reminded"
    return f"those missing, every {time_words(policy.remind_after)}"


def _escalation(policy: Policy) -> str:
    if not policy.escalate_after:
        return "to nobody"
    return f"to {policy.escalate_to} after {time_words(policy.escalate_after)}"


def gates_in_words(of: Sequence[gates.Gate]) -> str:
    """``accuracy at least 0.80 and ci runs green``."""
    return listed([gates.in_words(each) for each in of])
