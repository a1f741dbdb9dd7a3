"""What the file may say of monitoring's signals: which reading, out of which bounds, how often, and then what."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from approvals.compare import number
from approvals.configuration.fields import Number, Strict
from approvals.monitoring import SignalRule

# A signal's name, as monitoring sends it: one line, no white space around it.
SignalName = Annotated[
    str,
    Field(pattern=r"^[^\s\x00-\x1f\x7f]([^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?$", max_length=100),
]


class SignalConfig(Strict):
    """``{signal: error_rate, above: 0.05, times: 2, then: roll_back}``."""

    signal: SignalName
    above: Number | None = None
    below: Number | None = None
    times: int = Field(default=1, ge=1, le=100, strict=True)
    then: Literal["note", "alert", "pause", "roll_back"] = "alert"

    @model_validator(mode="after")
    def _has_bounds(self) -> SignalConfig:
        high, low = number(self.above), number(self.below)
        if high is None and low is None:
            raise ValueError("say which readings are bad: give it 'above', 'below' or both")
        if high is not None and low is not None and low >= high:
            raise ValueError(
                f"no reading would be good: 'below' ({self.below}) has to be less than 'above' ({self.above})"
            )
        return self

    def rule(self) -> SignalRule:
        """As the target keeps it."""
        return SignalRule(self.signal, self.above or "", self.below or "", self.times, self.then)


Signals = Annotated[list[SignalConfig], Field(max_length=50)]
