"""What the file may say of how a version reaches everybody."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from approvals.configuration.fields import Duration, Number, Strict
from approvals.rollouts import (
    ALL_AT_ONCE,
    BESIDE,
    Limit,
    PlanStep,
    Strategy,
    problem_with,
)
from approvals.states import EVIDENCE_NAME

# Signals are called as evidence is: small letters, digits, _ . -
SignalName = Annotated[str, Field(pattern=f"^{EVIDENCE_NAME.pattern}$")]


class LimitConfig(Strict):
    """``{signal: error_rate, at_most: 0.02}``."""

    signal: SignalName
    at_least: Number | None = None
    at_most: Number | None = None

    @model_validator(mode="after")
    def _a_bound(self) -> LimitConfig:
        if self.at_least is None and self.at_most is None:
            raise ValueError("'at_least' or 'at_most' is expected")
        return self


class StepConfig(Strict):
    """One step, and what has to happen before the next one."""

    percent: int = Field(ge=0, le=100)
    wait: Duration | None = None
    analysis: list[LimitConfig] = Field(default_factory=list, max_length=10)
    advance: Literal["by itself", "by a person"] = "by itself"

    def step(self) -> PlanStep:
        """As the pure strategy has it."""
        return PlanStep(
            percent=self.percent,
            wait=int(self.wait.total_seconds()) if self.wait else 0,
            analysis=tuple(
                Limit(each.signal, each.at_least or "", each.at_most or "")
                for each in self.analysis
            ),
            advance=self.advance == "by a person",
        )


class StrategyConfig(Strict):
    """The kind and its steps. Blue-green and shadow may leave the steps out: a person switches over."""

    kind: Literal["all-at-once", "canary", "blue-green", "shadow", "a-b"]
    steps: list[StepConfig] | None = Field(default=None, min_length=1, max_length=20)

    @model_validator(mode="after")
    def _goes_up_to_all(self) -> StrategyConfig:
        if problem := problem_with(self._made()):
            raise ValueError(problem)
        return self

    def _made(self) -> Strategy:
        if self.steps is not None:
            return Strategy(self.kind, tuple(each.step() for each in self.steps))
        if self.kind == ALL_AT_ONCE:
            return Strategy()
        if self.kind in BESIDE:
            return Strategy(self.kind, (PlanStep(0, advance=True), PlanStep(100)))
        raise ValueError(f"{self.kind} needs 'steps'")

    def strategy(self) -> Strategy:
        """The strategy; it was found good when the file was read."""
        return self._made()
