"""Rules that turn a monitoring signal into something to do. Pure: no rows, no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from approvals.compare import number

NOTE, ALERT, PAUSE, ROLL_BACK = "note", "alert", "pause", "roll_back"
# From the mildest to the strongest: where several rules are breached the strongest one acts.
ACTIONS = (NOTE, ALERT, PAUSE, ROLL_BACK)


@dataclass(frozen=True)
class SignalRule:
    """``then`` is done once ``times`` readings in a row are out of bounds; bounds are decimal text."""

    signal: str
    above: str = ""
    below: str = ""
    times: int = 1
    then: str = ALERT

    def breached_by(self, value: str) -> bool:
        """Whether this value passes a bound. What is no number breaches nothing; it is refused at the door."""
        found = number(value)
        if found is None:
            return False
        high, low = number(self.above or ""), number(self.below or "")
        return (high is not None and found > high) or (low is not None and found < low)

    def fires(self, newest_first: Sequence[str]) -> bool:
        """Whether the newest ``times`` readings all breach it."""
        run = newest_first[: self.times]
        return len(run) == self.times and all(self.breached_by(each) for each in run)

    @property
    def words(self) -> str:
        """``error_rate above 0.05, 2 times in a row``."""
        bounds = [f"above {self.above}"] if self.above else []
        bounds += [f"below {self.below}"] if self.below else []
        often = f", {self.times} times in a row" if self.times > 1 else ""
        return f"{self.signal} {' or '.join(bounds)}{often}"

    def as_data(self) -> dict[str, Any]:
        """As ``Target.signals`` keeps it."""
        return asdict(self)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> SignalRule:
        """Raises ValueError, KeyError or TypeError for what :func:`as_data` never wrote."""
        made = cls(**data)
        if made.then not in ACTIONS or not isinstance(made.times, int) or made.times < 1:
            raise ValueError(f"not a rule for signals: {data!r}")
        return made


def strongest(rules: Sequence[SignalRule]) -> SignalRule | None:
    """The rule that acts when all of these fire."""
    return max(rules, key=lambda rule: ACTIONS.index(rule.then), default=None)
