"""What the file may say of who decides, and within which time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, model_validator

from approvals.calendar import Window, problem_with
from approvals.configuration.fields import PLAIN, Duration, Line, ModelName, Slug, Strict
from approvals.configuration.gates import GateConfig
from approvals.configuration.monitoring import Signals
from approvals.policies import Requirement
from approvals.rules import Condition, Rule


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


class OverrideConfig(Strict):
    """Who may break the glass: approve alone, over people and gates, with a reason."""

    team: Slug
    requester_may: bool = False


class EscalationConfig(Strict):
    """Whom to tell when a request waits for so long."""

    after: Duration
    to: Slug


Item = Annotated[str, Field(pattern=PLAIN, min_length=1, max_length=200)]
Checklist = Annotated[list[Item], Field(min_length=1, max_length=20)]


class Rules(Strict):
    """The rules of an environment, or a model's own in one environment."""

    approvals: list[ApprovalRow] | None = Field(default=None, min_length=1)
    rollback: RollbackConfig | None = None
    requesters: list[Slug] | None = Field(default=None, min_length=1)
    gates: list[GateConfig] | None = None
    trainer_may_approve: bool | None = None
    automatic: bool | None = None
    checklist: Checklist | None = None
    comment_required: bool | None = None
    override: OverrideConfig | None = None
    remind_every: Duration | None = None
    escalate: EscalationConfig | None = None
    signals: Signals | None = None

    @model_validator(mode="after")
    def _people_or_none(self) -> Rules:
        if self.automatic and self.approvals:
            raise ValueError(
                "it says that people must approve, and that nobody has to; keep 'approvals' or 'automatic'"
            )
        return self

    @property
    def says_who_approves(self) -> bool:
        """This layer decides between people and 'automatic'."""
        return self.approvals is not None or self.automatic is not None

    expires_after: Duration | None = None
    grant_lapses_after: Duration | None = None


class WhenConfig(Strict):
    """When a rule applies: everything that is given must hold."""

    environments: list[Slug] | None = Field(default=None, min_length=1)
    models: list[ModelName] | None = Field(default=None, min_length=1)
    metric_drops: Line | None = None
    older_than_live: Literal[True] | None = None
    first_promotion: Literal[True] | None = None
    tags: dict[Line, Line] | None = Field(default=None, min_length=1)

    def covers(self, model: str, environment: str) -> bool:
        """Whether the rule can apply at this target at all."""
        return (self.models is None or model in self.models) and (
            self.environments is None or environment in self.environments
        )

    def condition(self, better: Mapping[str, str]) -> Condition:
        """What is left to be looked at for each candidate; ``better`` tells each metric's direction."""
        return Condition(
            self.metric_drops or "",
            better.get(self.metric_drops or "", ""),
            bool(self.older_than_live),
            bool(self.first_promotion),
            tuple(sorted((self.tags or {}).items())),
        )


class RuleConfig(Strict):
    """What is asked in addition where ``when`` holds. Rules that apply together are merged by maximum."""

    when: WhenConfig
    approvals: list[ApprovalRow] = Field(default_factory=list)
    checklist: Checklist | None = None
    comment_required: bool = False

    @model_validator(mode="after")
    def _asks_something(self) -> RuleConfig:
        if not self.approvals and not self.checklist and not self.comment_required:
            raise ValueError(
                "it asks for nothing; give it 'approvals', 'checklist' or 'comment_required'"
            )
        return self

    def rule(self, better: Mapping[str, str]) -> Rule:
        """The rule as the policy keeps it."""
        return Rule(
            self.when.condition(better),
            tuple(Requirement(row.teams, row.count) for row in self.approvals),
            tuple(self.checklist or ()),
            self.comment_required,
        )


class FreezeConfig(Strict):
    """A time in which nothing is promoted, once or again and again (RFC 5545)."""

    name: Annotated[str, Field(pattern=PLAIN, min_length=1, max_length=100)]
    environments: list[Slug] = Field(min_length=1)
    models: list[ModelName] | None = Field(default=None, min_length=1)
    starts: datetime | str
    lasts: Duration
    time_zone: str
    repeats: str = ""

    @model_validator(mode="after")
    def _opens(self) -> FreezeConfig:
        if problem := problem_with(self.window()):
            raise ValueError(problem)
        return self

    def window(self) -> Window:
        """As the calendar reads it. YAML makes a time of what looks like one."""
        starts = self.starts
        text = starts if isinstance(starts, str) else starts.isoformat(timespec="minutes")
        return Window(
            self.name, text, int(self.lasts.total_seconds()), self.time_zone, self.repeats
        )
