"""Template tags of code comparisons and logs."""

from __future__ import annotations

from datetime import datetime

from django import template

from approvals.models import CodeComparison, WorkflowRun
from approvals.templatetags.countersign import badge
from approvals.web import links

register = template.Library()

FOLDED_COMMITS = 6
BAD = {"failure", "timed_out", "cancelled", "startup_failure", "action_required", "stale"}


@register.filter
def at_commit(comparison: CodeComparison, sha: str) -> str:
    """A commit of the compared repository, on GitHub."""
    return links.commit(comparison.repository, sha)


@register.filter
def compare_url(comparison: CodeComparison) -> str:
    """The comparison on GitHub, in the direction that has commits to show."""
    pair = comparison.base, comparison.head
    if comparison.status == "behind":
        pair = comparison.head, comparison.base
    return links.compare(comparison.repository, *pair)


@register.filter
def takes_back_url(comparison: CodeComparison) -> str:
    """What is live and not in the candidate, on GitHub."""
    return links.compare(comparison.repository, comparison.head, comparison.base)


@register.filter
def commit_count(comparison: CodeComparison) -> int:
    """How many commits the listed ones are of: those that are taken back where it only goes back."""
    return comparison.behind_by if comparison.status == "behind" else comparison.ahead_by


@register.filter
def first_commits(comparison: CodeComparison) -> list[dict[str, str]]:
    """The newest, shown at once."""
    return comparison.commits[:FOLDED_COMMITS]


@register.filter
def more_commits(comparison: CodeComparison) -> list[dict[str, str]]:
    """The others that are known, folded."""
    return comparison.commits[FOLDED_COMMITS:]


@register.filter
def unlisted_commits(comparison: CodeComparison) -> int:
    """How many there are that only GitHub lists."""
    return max(commit_count(comparison) - len(comparison.commits), 0)


@register.filter
def unlisted_files(comparison: CodeComparison) -> int:
    """How many files there are that only GitHub lists."""
    return max(comparison.file_count - len(comparison.files), 0)


@register.filter
def moment(text: str) -> datetime | None:
    """A time as GitHub writes it; None where it is none."""
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo is not None else None


@register.filter
def ended_badly(run: WorkflowRun) -> bool:
    """It failed, was cancelled or the like: then its log matters at once."""
    return run.is_completed and run.conclusion in BAD


# The shape beside the word: state is never told by colour alone.
STATES = {
    "good": ("circle-check", "good"),
    "bad": ("circle-x", "bad"),
    "attention": ("triangle-alert", "attention"),
    "unknown": ("circle-question-mark", "neutral"),
    "off": ("circle-off", "neutral"),
}


@register.simple_tag
def state_badge(state: str, word: str) -> str:
    """The state of a connection in word, shape and colour."""
    shape, tone = STATES.get(state, STATES["unknown"])
    return badge(word, shape, tone, "state", state)
