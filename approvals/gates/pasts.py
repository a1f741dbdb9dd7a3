"""Gates on what happened before: pipeline runs, and time in an earlier environment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from approvals.gates.base import FAIL, PASS, UNKNOWN, Observation, Outcome
from approvals.wording import listed, time_words


@dataclass(frozen=True)
class RunsGreen:
    """The newest run of every workflow of this ``runs`` kind, for the version's commit, must have succeeded."""

    kind: ClassVar[str] = "runs"
    runs: str

    @property
    def words(self) -> str:
        """``ci runs green``."""
        return f"{self.runs} runs green"

    def check(self, seen: Observation) -> Outcome:
        """No run, and a run that goes on, are unknown; whatever is not success fails."""
        found = list(seen.runs.get(self.runs, ()))
        if not found:
            return Outcome(UNKNOWN, f"No {self.runs} run is known for the version's commit.")
        bad = sorted({each for each in found if each not in {"success", ""}})
        if bad:
            return Outcome(
                FAIL, f"The {self.runs} run for the version's commit ended {listed(bad)}."
            )
        if "" in found:
            return Outcome(UNKNOWN, f"The {self.runs} run for the version's commit is under way.")
        return Outcome(PASS, f"The {self.runs} run for the version's commit succeeded.")


@dataclass(frozen=True)
class LiveIn:
    """The version must have been live in ``environment`` for ``seconds`` in all."""

    kind: ClassVar[str] = "live_in"
    environment: str
    seconds: int = 0

    @property
    def words(self) -> str:
        """``live in staging for 2 d``."""
        wanted = f"for {time_words(self.seconds)}" if self.seconds else "before"
        return f"live in {self.environment} {wanted}"

    def check(self, seen: Observation) -> Outcome:
        """Add up the stays; one that goes on counts until now."""
        lived = seen.lived.get(self.environment)
        wanted = f" for {time_words(self.seconds)}" if self.seconds else ""
        if lived is None:
            return Outcome(
                FAIL,
                f"It was never live in {self.environment}; it has to be{wanted or ' first'}.",
            )
        if lived < self.seconds:
            rest = time_words(self.seconds - lived)
            return Outcome(
                FAIL,
                f"It was live in {self.environment} for {time_words(lived)}, not{wanted}; {rest} to go.",
            )
        return Outcome(PASS, f"It was live in {self.environment}{wanted or ' before'}.")
