"""The gate on what a version takes and gives: callers of the live version must not notice the change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from approvals.gates.base import FAIL, PASS, UNKNOWN, Column, Observation, Outcome
from approvals.wording import listed

# So many columns are named, and so much of a name or type is shown: the sentence stays one that is read.
NAMED = 4
SHOWN = 60


@dataclass(frozen=True)
class SignatureCompatible:
    """No input or output of the live version may be lost or have another type, and nothing may be required
    that the live version does not require, because callers need not send it. New outputs and new optional
    inputs are fine."""

    kind: ClassVar[str] = "signature"

    @property
    def words(self) -> str:
        """What it asks."""
        return "signature compatible with the live version's"

    def check(self, seen: Observation) -> Outcome:
        """Compare column by column; with nothing live there is nothing to differ from."""
        if seen.live_metrics is None:
            return Outcome(PASS, "Signature: nothing is live yet that it could differ from.")
        new, old = seen.signature, seen.live_signature
        if new is None:
            return Outcome(UNKNOWN, "The version's signature is not known.")
        if old is None:
            return Outcome(
                UNKNOWN, "The live version's signature is not known, so nothing is compared."
            )
        found = [*_changed("input", old.inputs, new.inputs), *_required(old.inputs, new.inputs)]
        found += _changed("output", old.outputs, new.outputs)
        if not found:
            return Outcome(
                PASS, "The signature is compatible with the live version's: no column is lost."
            )
        named = found[:NAMED]
        if len(found) > NAMED:
            named.append(f"{len(found) - NAMED} more")
        return Outcome(
            FAIL, f"The signature is not compatible with the live version's: {listed(named)}."
        )


def _changed(side: str, old: Mapping[str, Column], new: Mapping[str, Column]) -> Iterator[str]:
    """One clause for each column that is lost or has another type."""
    for name, column in sorted(old.items()):
        if name not in new:
            yield f"{_called(side, name)} is lost"
        elif new[name].type != column.type:
            yield f"{_called(side, name)} is {_cut(new[name].type)}, not {_cut(column.type)}"


def _required(old: Mapping[str, Column], new: Mapping[str, Column]) -> Iterator[str]:
    """One clause for each input that has to be given now and had not to be before."""
    for name, column in sorted(new.items()):
        if not column.required:
            continue
        if name not in old:
            yield f"{_called('input', name)} is new and required"
        elif not old[name].required and old[name].type == column.type:
            yield f"{_called('input', name)} is required now"


def _called(side: str, name: str) -> str:
    """``input age``; a column without a name is called ``input 0`` already."""
    return _cut(name) if name.removeprefix(f"{side} ").isdigit() else f"{side} {_cut(name)}"


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
