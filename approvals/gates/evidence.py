"""A gate on evidence: results of validation that was done elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from approvals.gates.base import FAIL, PASS, UNKNOWN, Observation, Outcome
from approvals.wording import time_words


@dataclass(frozen=True)
class EvidencePassed:
    """The newest evidence called ``name`` must have passed, at most ``seconds`` ago where that is not 0."""

    kind: ClassVar[str] = "evidence"
    name: str
    seconds: int = 0

    @property
    def words(self) -> str:
        """``load-test evidence, at most 7 d old``."""
        age = f", at most {time_words(self.seconds)} old" if self.seconds else ""
        return f"{self.name} evidence{age}"

    def check(self, seen: Observation) -> Outcome:
        """No evidence is unknown; a failure and what is too old fail."""
        found = seen.evidence.get(self.name)
        if found is None:
            return Outcome(UNKNOWN, f"No {self.name} evidence is known.")
        if not found.passed:
            return Outcome(FAIL, f"{self.name} failed, says {found.source}.")
        if self.seconds and found.age > self.seconds:
            return Outcome(
                FAIL,
                f"{self.name} passed {time_words(found.age)} ago, says {found.source}; at most "
                f"{time_words(self.seconds)} is allowed.",
            )
        return Outcome(PASS, f"{self.name} passed, says {found.source}.")
