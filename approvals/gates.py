"""Gates: automatic conditions of a promotion, each a small pure check. No ORM, no clock, no request.

A gate gives a verdict and one sentence. ``unknown`` (a value is missing, a run goes on) never passes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any, ClassVar, Protocol

from approvals.compare import number, shown
from approvals.wording import listed, time_words

PASS, FAIL, UNKNOWN = "pass", "fail", "unknown"


@dataclass(frozen=True)
class Observation:
    """What gates look at, as our rows have it now.

    ``metrics`` and ``live_metrics``: name → decimal text; ``live_metrics`` is None while nothing is live.
    ``data`` and ``live_data``: digests of the data sets that the two were evaluated on. ``runs``: workflow
    kind → conclusions of the newest run of each workflow for the version's commit, an empty text for one that
    is not completed. ``lived``: environment → seconds for which the version has been live there.
    """

    metrics: Mapping[str, str]
    live_metrics: Mapping[str, str] | None = None
    data: frozenset[str] = frozenset()
    live_data: frozenset[str] = frozenset()
    runs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    lived: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What a gate says: ``pass``, ``fail`` or ``unknown``, and why in one sentence."""

    verdict: str
    sentence: str

    @property
    def passed(self) -> bool:
        """Nothing but ``pass`` passes."""
        return self.verdict == PASS


class Gate(Protocol):
    """A condition. Its fields are JSON-able, because gates are part of the sealed policy."""

    kind: ClassVar[str]

    def check(self, seen: Observation) -> Outcome:
        """Judge what was observed."""


@dataclass(frozen=True)
class MetricLimit:
    """``metric`` must be ``at_least`` or ``at_most`` a value (decimal texts, either may be empty)."""

    kind: ClassVar[str] = "metric"
    metric: str
    at_least: str = ""
    at_most: str = ""

    def check(self, seen: Observation) -> Outcome:
        """Compare the sealed value with both limits."""
        value = number(seen.metrics.get(self.metric))
        limits = [f"at least {self.at_least}"] if self.at_least else []
        limits += [f"at most {self.at_most}"] if self.at_most else []
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


@dataclass(frozen=True)
class RunsGreen:
    """The newest run of every workflow of this ``runs`` kind, for the version's commit, must have succeeded."""

    kind: ClassVar[str] = "runs"
    runs: str

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


KINDS: dict[str, type[Any]] = {
    gate.kind: gate for gate in (MetricLimit, AgainstLive, RunsGreen, LiveIn)
}


def as_data(gate: Gate) -> dict[str, Any]:
    """The gate as JSON-able data without floats; :func:`from_data` is its inverse."""
    return {"kind": gate.kind, **asdict(gate)}  # type: ignore[call-overload]


def from_data(data: Mapping[str, Any]) -> Gate:
    """Read a snapshot. Raises KeyError or TypeError for what is not a gate: the caller then blocks."""
    gate: Gate = KINDS[data["kind"]](**{key: data[key] for key in data if key != "kind"})
    return gate


def _exact(value: Decimal) -> str:
    """All its digits; with an exponent where it would be very long."""
    plain = value.normalize()
    return f"{plain:f}" if -12 < plain.adjusted() < 20 else str(plain)


def _change(loss: Decimal) -> str:
    if loss == 0:
        return "the same"
    return f"{shown(abs(loss))} {'worse' if loss > 0 else 'better'}"
