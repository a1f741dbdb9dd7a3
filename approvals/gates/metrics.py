"""Gates on the numbers: a limit, and a comparison with the live version."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from approvals.compare import number, shown
from approvals.gates.base import FAIL, PASS, UNKNOWN, Observation, Outcome
from approvals.wording import listed


@dataclass(frozen=True)
class MetricLimit:
    """``metric`` must be ``at_least`` or ``at_most`` a value (decimal texts, either may be empty)."""

    kind: ClassVar[str] = "metric"
    metric: str
    at_least: str = ""
    at_most: str = ""

    @property
    def words(self) -> str:
        """``accuracy at least 0.80``."""
        return f"{self.metric} {listed(self._limits())}"

    def _limits(self) -> list[str]:
        limits = [f"at least {self.at_least}"] if self.at_least else []
        return limits + ([f"at most {self.at_most}"] if self.at_most else [])

    def check(self, seen: Observation) -> Outcome:
        """Compare the sealed value with both limits."""
        value = number(seen.metrics.get(self.metric))
        limits = self._limits()
        wanted = listed(limits)
        if value is None:
            return Outcome(UNKNOWN, f"{self.metric} is not known; {wanted} is required.")
        low, high = number(self.at_least or None), number(self.at_most or None)
        if (
            (low is None) == bool(self.at_least)
            or (high is None) == bool(self.at_most)
            or not limits
        ):
            return Outcome(UNKNOWN, f"The gate on {self.metric} has a limit that cannot be read.")
        good = (low is None or value >= low) and (high is None or value <= high)
        # Both exact: a rounded value would seem to equal a limit that it misses.
        text = f"{self.metric} is {_exact(value)}; {wanted} is required."
        return Outcome(PASS if good else FAIL, text)


@dataclass(frozen=True)
class AgainstLive:
    """``metric`` may be worse than the live version's by at most ``by`` (decimal text; of the live value
    where ``relative``). ``better`` says which direction is: higher or lower."""

    kind: ClassVar[str] = "against_live"
    metric: str
    better: str
    by: str
    relative: bool = False

    @property
    def words(self) -> str:
        """``rmse at most 5 % worse than the live version's``."""
        unit = " %" if self.relative else ""
        return f"{self.metric} at most {self.by}{unit} worse than the live version's"

    def check(self, seen: Observation) -> Outcome:
        """Compare the two values; with nothing live there is nothing to be worse than."""
        new, allowed = number(seen.metrics.get(self.metric)), number(self.by)
        if self.better not in {"higher", "lower"} or allowed is None:
            return Outcome(UNKNOWN, f"The gate on {self.metric} cannot be read.")
        if new is None:
            return Outcome(UNKNOWN, f"{self.metric} is not known, so it cannot be compared.")
        if seen.live_metrics is None:
            return Outcome(PASS, f"{self.metric}: nothing is live yet that it could be worse than.")
        old = number(seen.live_metrics.get(self.metric))
        if old is None:
            return Outcome(
                UNKNOWN, f"{self.metric} of the live version is not known, so nothing is compared."
            )
        loss = old - new if self.better == "higher" else new - old
        limit = abs(old) * allowed / 100 if self.relative else allowed
        unit = " %" if self.relative else ""
        text = (
            f"{self.metric} is {shown(new)} against {shown(old)} of the live version, "
            f"{_change(loss)}; at most {self.by}{unit} worse is allowed"
        )
        if not seen.data or not seen.live_data:
            text += " (whether on the same data is not known)"
        elif not seen.data & seen.live_data:
            text += " (measured on different data)"
        return Outcome(PASS if loss <= limit else FAIL, f"{text}.")


def _exact(value: Decimal) -> str:
    """All its digits; with an exponent where it would be very long."""
    plain = value.normalize()
    return f"{plain:f}" if -12 < plain.adjusted() < 20 else str(plain)


def _change(loss: Decimal) -> str:
    if loss == 0:
        return "the same"
    return f"{shown(abs(loss))} {'worse' if loss > 0 else 'better'}"
