"""What the file may say of who decides, and within which time."""

from __future__ import annotations

from pydantic import Field, model_validator

from approvals.configuration.fields import Duration, Slug, Strict
from approvals.configuration.gates import GateConfig


class ApprovalRow(Strict):
    """``{team: risk, count: 1}`` or ``{any_of: [risk, ml-leads], count: 1}``."""

    team: Slug | None = None
    any_of: list[Slug] | None = Field(default=None, min_length=1)
    count: int = Field(default=1, ge=1, le=50)

    @model_validator(mode="after")
    def _one_of_both(self) -> ApprovalRow:
        if (self.team is None) == (self.any_of is None):
            raise ValueError("exactly one of 'team' and 'any_of' is expected")
        return self

    @property
    def teams(self) -> tuple[str, ...]:
        """The teams whose members count for this row."""
        return (self.team,) if self.team else tuple(self.any_of or ())


class RollbackConfig(Strict):
    """Who must approve a rollback. Default: one member of any team that approves promotions."""

    approvals: list[ApprovalRow] | None = Field(default=None, min_length=1)
    requester_may_approve: bool = False


class Rules(Strict):
    """The rules of an environment, or a model's own in one environment."""

    approvals: list[ApprovalRow] | None = Field(default=None, min_length=1)
    rollback: RollbackConfig | None = None
    requesters: list[Slug] | None = Field(default=None, min_length=1)
    gates: list[GateConfig] | None = None
    trainer_may_approve: bool | None = None
    expires_after: Duration | None = None
    grant_lapses_after: Duration | None = None
