"""Gates: automatic conditions of a promotion, each a small pure check. No ORM, no clock, no request.

A gate gives a verdict and one sentence. ``unknown`` (a value is missing, a run goes on) never passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from approvals.gates.base import (
    FAIL,
    PASS,
    UNKNOWN,
    Column,
    Finding,
    Gate,
    Observation,
    Outcome,
    Signature,
)
from approvals.gates.evidence import EvidencePassed
from approvals.gates.metrics import AgainstLive, MetricLimit
from approvals.gates.pasts import LiveIn, RunsGreen
from approvals.gates.signature import SignatureCompatible

__all__ = [
    "FAIL",
    "KINDS",
    "PASS",
    "UNKNOWN",
    "AgainstLive",
    "Column",
    "EvidencePassed",
    "Finding",
    "Gate",
    "LiveIn",
    "MetricLimit",
    "Observation",
    "Outcome",
    "RunsGreen",
    "Signature",
    "SignatureCompatible",
    "as_data",
    "from_data",
    "in_words",
]

KINDS: dict[str, type[Any]] = {
    gate.kind: gate
    for gate in (MetricLimit, AgainstLive, RunsGreen, LiveIn, EvidencePassed, SignatureCompatible)
}


def as_data(gate: Gate) -> dict[str, Any]:
    """The gate as JSON-able data without floats; :func:`from_data` is its inverse."""
    return {"kind": gate.kind, **asdict(gate)}  # type: ignore[call-overload]


def in_words(gate: Gate) -> str:
    """What the gate asks, ``accuracy at least 0.80``; its kind where it has no words of its own."""
    return str(getattr(gate, "words", "") or f"the gate {gate.kind!r}")


def from_data(data: Mapping[str, Any]) -> Gate:
    """Read a snapshot. Raises KeyError or TypeError for what is not a gate: the caller then blocks."""
    gate: Gate = KINDS[data["kind"]](**{key: data[key] for key in data if key != "kind"})
    for field in fields(gate):  # type: ignore[arg-type]
        if type(getattr(gate, field.name)).__name__ != field.type:
            raise TypeError(f"{field.name} of a {gate.kind} gate is not {field.type}")
    return gate
