"""What every gate has: what it looks at, what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

PASS, FAIL, UNKNOWN = "pass", "fail", "unknown"


@dataclass(frozen=True)
class Finding:
    """One piece of evidence: ``passed`` or not, ``age`` in seconds, and who or what produced it."""

    passed: bool
    age: int
    source: str


@dataclass(frozen=True)
class Column:
    """One column of a signature: its type in MLflow's words, and whether it must be given."""

    type: str
    required: bool = True


@dataclass(frozen=True)
class Signature:
    """What a version takes and gives: name → column. An unnamed (tensor) column is called by its position."""

    inputs: Mapping[str, Column]
    outputs: Mapping[str, Column]


@dataclass(frozen=True)
class Observation:
    """What gates look at, as our rows have it now.

    ``metrics`` and ``live_metrics``: name → decimal text; ``live_metrics`` is None while nothing is live.
    ``data`` and ``live_data``: digests of the data sets that the two were evaluated on. ``runs``: workflow
    kind → conclusions of the newest run of each workflow for the version's commit, an empty text for one that
    is not completed. ``lived``: environment → seconds for which the version has been live there.
    ``evidence``: name → the newest finding for the version and the environment. ``signature`` and
    ``live_signature``: the columns of both, None where they are not known (of the live one also while nothing
    is live).
    """

    metrics: Mapping[str, str]
    live_metrics: Mapping[str, str] | None = None
    data: frozenset[str] = frozenset()
    live_data: frozenset[str] = frozenset()
    runs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    lived: Mapping[str, int] = field(default_factory=dict)
    evidence: Mapping[str, Finding] = field(default_factory=dict)
    signature: Signature | None = None
    live_signature: Signature | None = None


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
