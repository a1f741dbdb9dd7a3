"""How a version reaches everybody: strategies, their steps, and who of the users gets which version.

Pure: no rows, no clock. ``services.rollouts`` walks the steps, ``selectors.routes`` answers for a key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any

from approvals.compare import number

ALL_AT_ONCE, CANARY, BLUE_GREEN, SHADOW, A_B = (
    "all-at-once",
    "canary",
    "blue-green",
    "shadow",
    "a-b",
)
KINDS = (ALL_AT_ONCE, CANARY, BLUE_GREEN, SHADOW, A_B)
# Kinds whose first step serves nobody: the version stands beside, or only gets a copy of the requests.
BESIDE = frozenset({BLUE_GREEN, SHADOW})
# What the workflow is told when the version is to be taken out of service again.
GO_BACK = "go-back"

PASS, FAIL, INCONCLUSIVE = "pass", "fail", "inconclusive"


@dataclass(frozen=True)
class Limit:
    """What a monitoring signal must be for the rollout to go on; bounds are decimal text, either may be empty."""

    signal: str
    at_least: str = ""
    at_most: str = ""

    def judge(self, value: str) -> str:
        """``pass`` or ``fail``; ``inconclusive`` for what is no number."""
        found = number(value)
        if found is None:
            return INCONCLUSIVE
        low, high = number(self.at_least or "-1e400"), number(self.at_most or "1e400")
        if low is None or high is None:
            return INCONCLUSIVE
        return PASS if low <= found <= high else FAIL

    @property
    def words(self) -> str:
        """``error_rate at most 0.02``."""
        bounds = [f"at least {self.at_least}"] if self.at_least else []
        bounds += [f"at most {self.at_most}"] if self.at_most else []
        return f"{self.signal} {' and '.join(bounds)}"


@dataclass(frozen=True)
class PlanStep:
    """One step: the share of requests in percent, and what has to happen before the next one.

    ``wait`` in seconds; ``analysis`` is judged when the wait is over, and fails at once when a reading is out of
    bounds; ``advance`` says that a person has to let it go on.
    """

    percent: int
    wait: int = 0
    analysis: tuple[Limit, ...] = ()
    advance: bool = False


@dataclass(frozen=True)
class Strategy:
    """The kind and its steps, the last of which is 100 %."""

    kind: str = ALL_AT_ONCE
    steps: tuple[PlanStep, ...] = (PlanStep(100),)

    @property
    def is_progressive(self) -> bool:
        """It has more than one step, or tells the workflow how far to go."""
        return self.kind != ALL_AT_ONCE

    @property
    def words(self) -> str:
        """``canary: 10 → 50 → 100 %``."""
        if not self.is_progressive:
            return "all at once"
        return f"{self.kind}: {' → '.join(str(each.percent) for each in self.steps)} %"

    def as_data(self) -> dict[str, Any]:
        """As rows and sealed facts keep it; ``{}`` for all at once, so that older seals stay what they were."""
        if not self.is_progressive:
            return {}
        return {
            "kind": self.kind,
            "steps": [
                {
                    "percent": each.percent,
                    "wait": each.wait,
                    "advance": each.advance,
                    "analysis": [
                        {"signal": one.signal, "at_least": one.at_least, "at_most": one.at_most}
                        for one in each.analysis
                    ],
                }
                for each in self.steps
            ],
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Strategy:
        """Raises ValueError, KeyError or TypeError for what :func:`as_data` never wrote."""
        if not data:
            return cls()
        steps = tuple(
            PlanStep(
                percent=_whole(each["percent"]),
                wait=_whole(each["wait"]),
                advance=each["advance"] is True,
                analysis=tuple(
                    Limit(str(one["signal"]), str(one["at_least"]), str(one["at_most"]))
                    for one in each["analysis"]
                ),
            )
            for each in data["steps"]
        )
        made = cls(str(data["kind"]), steps)
        if problem := problem_with(made):
            raise ValueError(problem)
        return made


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"a whole number is expected, not {value!r}")
    return value


def problem_with(strategy: Strategy) -> str:
    """Why this cannot be a strategy, in words; empty when it can."""
    kind, steps = strategy.kind, strategy.steps
    percents = [each.percent for each in steps]
    if kind not in KINDS:
        return f"the kind is one of {', '.join(KINDS)}"
    if not steps or percents[-1] != 100:
        return "the last step is 100 %, so that everybody gets the version in the end"
    if any(later <= earlier for earlier, later in pairwise(percents)):
        return f"the steps go up, and these do not: {_arrows(percents)}"
    first = 0 if kind in BESIDE else 1
    if percents[0] < first or percents[-1] > 100:
        return f"each step of {kind} is between {first} and 100 %"
    if kind in BESIDE and percents[0] != 0:
        return f"{kind} begins at 0 %: the version is there and serves nobody yet"
    if kind == ALL_AT_ONCE and percents != [100]:
        return "all-at-once has one step, 100 %"
    if kind != ALL_AT_ONCE and len(steps) < 2:
        return f"{kind} needs a step before 100 %"
    last = steps[-1]
    if last.wait or last.advance or last.analysis:
        return "after 100 % there is nothing to wait for"
    if any(each.analysis and not each.wait for each in steps):
        return "an analysis needs a time ('wait') in which signals are read"
    if any(each.wait < 0 for each in steps):
        return "a wait is not negative"
    return ""


def _arrows(percents: Sequence[int]) -> str:
    return " → ".join(str(each) for each in percents)


def share_of(key: str, salt: str) -> Decimal:
    """Where a key stands between 0 (inclusive) and 100 (exclusive), always the same for the same salt.

    The first 8 bytes of SHA-256 over ``salt``, NUL and ``key`` (UTF-8), as a fraction of 2**64: uniform, so a
    step of 10 % gets 10 % of the keys, and every key that 10 % has is among those that 50 % has.
    """
    digest = hashlib.sha256(f"{salt}\0{key}".encode("utf-8", "surrogatepass")).digest()
    return Decimal(int.from_bytes(digest[:8], "big")) * 100 / Decimal(2**64)


def gets_the_new_one(key: str, salt: str, percent: int) -> bool:
    """Whether this key is among the ``percent`` of keys that the new version serves."""
    return share_of(key, salt) < percent
