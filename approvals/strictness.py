"""Which of two policies asks for more. Pure.

*At least as strict* means: whatever satisfies the one satisfies the other. What cannot be compared does not count
as strict, so that a change is rather called a loosening than overlooked.
"""

from __future__ import annotations

from collections.abc import Sequence

from approvals.compare import number
from approvals.gates import AgainstLive, EvidencePassed, Gate, LiveIn, MetricLimit
from approvals.policies import Requirement
from approvals.rules import rows_in_words


def rows_cover(new: Sequence[Requirement], old: Sequence[Requirement]) -> bool:
    """Whether people who fill the new rows always fill the old ones: each old place has a new place of its own
    whose teams are all allowed there."""
    places = [frozenset(row.teams) for row in new for _ in range(row.count)]
    wanted = [frozenset(row.teams) for row in old for _ in range(row.count)]
    holder: dict[int, int] = {}

    def seat(index: int, tried: set[int]) -> bool:
        for place, teams in enumerate(places):
            if place in tried or not teams <= wanted[index]:
                continue
            tried.add(place)
            if place not in holder or seat(holder[place], tried):
                holder[place] = index
                return True
        return False

    return len(wanted) <= len(places) and all(seat(index, set()) for index in range(len(wanted)))


def rows_change(old: Sequence[Requirement], new: Sequence[Requirement]) -> str:
    """``2 of risk instead of 1 of risk``; empty where the rows are the same."""
    came = [row for row in new if row not in old]
    gone = [row for row in old if row not in new]
    if came and gone:
        return f"{rows_in_words(came)} instead of {rows_in_words(gone)}"
    if came:
        return f"{rows_in_words(came)} in addition"
    return f"{rows_in_words(gone)} no longer" if gone else ""


def gate_covers(new: Gate, old: Gate) -> bool:
    """Whether whatever passes the new gate passes the old one."""
    if new == old:
        return True
    if isinstance(new, MetricLimit) and isinstance(old, MetricLimit):
        return (
            new.metric == old.metric
            and (not old.at_least or _not_below(new.at_least, old.at_least))
            and (not old.at_most or _not_below(old.at_most, new.at_most))
        )
    if isinstance(new, AgainstLive) and isinstance(old, AgainstLive):
        alike = (new.metric, new.better, new.relative) == (old.metric, old.better, old.relative)
        return alike and _not_below(old.by, new.by)
    if isinstance(new, LiveIn) and isinstance(old, LiveIn):
        return new.environment == old.environment and new.seconds >= old.seconds
    if isinstance(new, EvidencePassed) and isinstance(old, EvidencePassed):
        young_enough = not old.seconds or 0 < new.seconds <= old.seconds
        return new.name == old.name and young_enough
    return False


def _not_below(one: str, other: str) -> bool:
    """Both are numbers, and the one is at least the other."""
    high, low = number(one or None), number(other or None)
    return high is not None and low is not None and high >= low
