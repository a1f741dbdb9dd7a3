"""What the file may say of gates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator

from approvals.compare import number
from approvals.configuration.fields import (
    Change,
    Duration,
    EvidenceName,
    Line,
    Number,
    Slug,
    Strict,
)
from approvals.gates import (
    AgainstLive,
    EvidencePassed,
    Gate,
    LiveIn,
    MetricLimit,
    RunsGreen,
    SignatureCompatible,
)
from approvals.states import WorkflowKind


class GateConfig(Strict):
    """One gate: ``{metric: auc, at_least: 0.8}``, ``{metric: auc, no_worse_than_live_by: 0.01}``,
    ``{runs: ci}``, ``{live_in: staging, for: 2h}``, ``{evidence: load-test, max_age: 7d}`` or
    ``{signature: compatible}``."""

    metric: Line | None = None
    at_least: Number | None = None
    at_most: Number | None = None
    no_worse_than_live_by: Change | None = None
    runs: WorkflowKind | None = None
    live_in: Slug | None = None
    for_: Duration | None = Field(default=None, alias="for")
    signature: Literal["compatible"] | None = None
    evidence: EvidenceName | None = None
    max_age: Duration | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> GateConfig:
        kinds = (self.metric, self.runs, self.live_in, self.evidence, self.signature)
        if sum(each is not None for each in kinds) != 1:
            raise ValueError(
                "exactly one of 'metric', 'runs', 'live_in', 'evidence' and 'signature' is expected"
            )
        limits = [self.at_least, self.at_most, self.no_worse_than_live_by]
        if self.metric is None and any(each is not None for each in limits):
            raise ValueError("limits belong to a gate on a 'metric'")
        if self.metric is not None and all(each is None for each in limits):
            raise ValueError("'at_least', 'at_most' or 'no_worse_than_live_by' is expected")
        if self.for_ is not None and self.live_in is None:
            raise ValueError("'for' belongs to a gate on 'live_in'")
        if self.max_age is not None and self.evidence is None:
            raise ValueError("'max_age' belongs to a gate on 'evidence'")
        low, high = number(self.at_least), number(self.at_most)
        if low is not None and high is not None and low > high:
            raise ValueError("no value is at least the one and at most the other")
        if self.runs == WorkflowKind.DEPLOY:
            raise ValueError(
                "a deployment is what the gate stands before; name ci, train or validate"
            )
        return self

    def gates(self, better: Mapping[str, str]) -> list[Gate]:
        """The checks of this entry; ``better`` tells each metric's direction."""
        if self.runs is not None:
            return [RunsGreen(str(self.runs.value))]
        if self.live_in is not None:
            return [LiveIn(self.live_in, int(self.for_.total_seconds()) if self.for_ else 0)]
        if self.signature is not None:
            return [SignatureCompatible()]
        if self.evidence is not None:
            seconds = int(self.max_age.total_seconds()) if self.max_age else 0
            return [EvidencePassed(self.evidence, seconds)]
        metric, found = str(self.metric), list[Gate]()
        if self.at_least is not None or self.at_most is not None:
            found.append(MetricLimit(metric, self.at_least or "", self.at_most or ""))
        if by := self.no_worse_than_live_by:
            direction = better.get(metric, "")
            found.append(AgainstLive(metric, direction, by.removesuffix("%"), by.endswith("%")))
        return found
