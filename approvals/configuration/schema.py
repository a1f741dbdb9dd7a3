"""What ``countersign.yaml`` may say. ``docs/configuration.md`` is the description for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import cached_property
from typing import Any, Literal

from pydantic import Field, model_validator

from approvals.calendar import Window
from approvals.configuration.fields import (
    Address,
    Alias,
    Channel,
    CopyName,
    EvidenceName,
    Group,
    Inputs,
    Label,
    Line,
    ModelName,
    Name,
    Number,
    Repository,
    Slug,
    Strict,
    Username,
    WorkflowFile,
)
from approvals.configuration.rollouts import StrategyConfig
from approvals.configuration.rules import (
    ApprovalRow,
    EscalationConfig,
    FreezeConfig,
    OverrideConfig,
    RollbackConfig,
    RuleConfig,
    Rules,
)
from approvals.monitoring import SignalRule
from approvals.policies import Requirement, Voter
from approvals.rollouts import Strategy
from approvals.rules import Policy
from approvals.states import WorkflowKind
from approvals.write_back import WriteBack


class PersonConfig(Strict):
    """Somebody's name and address; needed only where they do not sign in through another system."""

    name: Name = ""
    email: Line = ""
    machine: bool = False


class TeamConfig(Strict):
    """A team and its members' usernames."""

    name: Label = ""
    members: list[Username] = Field(min_length=1)


class PlaceConfig(Rules):
    """The rules of a place, how versions reach everybody there, and what is written to the registry then."""

    strategy: StrategyConfig | None = None
    alias: Alias | None = None
    previous_alias: Alias | None = None
    registry_tags: bool | None = None
    stage: Literal["Staging", "Production"] | None = None
    copy_to: CopyName | None = None


class EnvironmentConfig(PlaceConfig):
    """One environment; their order in the file is the order of the chain. ``confirm``: a press that decides here
    is asked about once more."""

    name: Slug
    confirm: bool = False


class ModelEnvironmentConfig(PlaceConfig):
    """What a model says differently in one environment."""

    ref: Line | None = None
    workflow: WorkflowFile | None = None
    inputs: Inputs = Field(default_factory=dict)
    channel: Channel | None = None
    health_url: Address | None = None


class EvidenceSource(Strict):
    """Where a result of validation is found: a job of a workflow run for the version's commit, a tag of the
    version in MLflow, or a metric of its run within limits. Without ``environment`` it counts in every one."""

    job: Label | None = None
    tag: Line | None = None
    metric: Line | None = None
    at_least: Number | None = None
    at_most: Number | None = None
    environment: Slug | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> EvidenceSource:
        if sum(each is not None for each in (self.job, self.tag, self.metric)) != 1:
            raise ValueError("exactly one of 'job', 'tag' and 'metric' is expected")
        limits = self.at_least is not None or self.at_most is not None
        if limits != (self.metric is not None):
            raise ValueError("a 'metric' needs 'at_least' or 'at_most', and nothing else has them")
        return self

    def as_data(self, name: str) -> dict[str, str]:
        """As the model's row keeps it."""
        return {"name": name, **self.model_dump(exclude_none=True)}


class ModelConfig(Strict):
    """One registered model and how it is deployed."""

    registry_name: ModelName | None = None
    group: Group = ""
    repository: Repository
    workflow: WorkflowFile = "deploy-model.yml"
    ref: Line = "main"
    inputs: Inputs = Field(default_factory=dict)
    metrics: dict[str, Literal["higher", "lower"]] = Field(default_factory=dict)
    evidence: dict[EvidenceName, EvidenceSource] = Field(default_factory=dict)
    environments: dict[Slug, ModelEnvironmentConfig | None] | None = None


class RepositoryConfig(Strict):
    """A GitHub repository and what its workflows are for."""

    workflows: dict[WorkflowFile, WorkflowKind]


class SlackConfig(Strict):
    """Where messages go, and where those go that their channel does not take."""

    channel: Channel
    fallback_channel: Channel | None = None


# (path of the key, sentence)
Problem = tuple[tuple[str | int, ...], str]


class Configuration(Strict):
    """The whole file."""

    environments: list[EnvironmentConfig] = Field(min_length=1)
    people: dict[Username, PersonConfig | None] = Field(default_factory=dict)
    teams: dict[Slug, TeamConfig] = Field(min_length=1)
    repositories: dict[Repository, RepositoryConfig] = Field(default_factory=dict)
    models: dict[ModelName, ModelConfig] = Field(min_length=1)
    rules: list[RuleConfig] = Field(default_factory=list)
    freezes: list[FreezeConfig] = Field(default_factory=list)
    slack: SlackConfig | None = None

    def environments_of(self, model: ModelConfig) -> list[EnvironmentConfig]:
        """The environments that a model goes to, in order; all of them where it names none."""
        wanted = model.environments
        return [each for each in self.environments if wanted is None or each.name in wanted]

    def policy_of(self, name: str, environment: EnvironmentConfig) -> Policy:
        """The policy in force at a target: the model's own rules where it has any, else the environment's, and
        the conditional rules that can apply there."""
        model = self.models[name]
        own = (model.environments or {}).get(environment.name)
        layers = [layer for layer in (own, environment) if layer is not None]

        def first(key: str, default: Any = None) -> Any:
            return next((v for layer in layers if (v := getattr(layer, key)) is not None), default)

        def seconds(key: str, default: timedelta) -> int:
            return int(first(key, default).total_seconds())

        says = next((each for each in layers if each.says_who_approves), Rules())
        promote = _rows(says.approvals or [])
        rollback: RollbackConfig = first("rollback", RollbackConfig())
        any_approver = Requirement(tuple(sorted({team for row in promote for team in row.teams})))
        override: OverrideConfig | None = first("override")
        escalate: EscalationConfig | None = first("escalate")
        return Policy(
            promote=promote,
            rollback=_rows(rollback.approvals or []) or ((any_approver,) if promote else ()),
            rollback_requester_may_approve=rollback.requester_may_approve,
            requesters=tuple(first("requesters", sorted(self.teams))),
            expires_after=seconds("expires_after", timedelta(days=7)),
            grant_lapses_after=seconds("grant_lapses_after", timedelta(days=1)),
            trainer_may_approve=first("trainer_may_approve") is not False,
            gates=tuple(g for each in first("gates", []) for g in each.gates(model.metrics)),
            automatic=says.automatic is True,
            rules=tuple(
                rule.rule(model.metrics)
                for rule in self.rules
                if rule.when.covers(name, environment.name)
            ),
            checklist=tuple(first("checklist", [])),
            comment_required=first("comment_required") is True,
            override_team=override.team if override else "",
            override_by_requester=bool(override and override.requester_may),
            remind_after=seconds("remind_every", timedelta()),
            escalate_after=int(escalate.after.total_seconds()) if escalate else 0,
            escalate_to=escalate.to if escalate else "",
        )

    def strategy_of(self, name: str, environment: EnvironmentConfig) -> Strategy:
        """How a version reaches everybody at a target: the model's own strategy, else the environment's."""
        own = (self.models[name].environments or {}).get(environment.name)
        says = (own and own.strategy) or environment.strategy
        return says.strategy() if says else Strategy()

    def write_back_of(self, name: str, environment: EnvironmentConfig) -> WriteBack:
        """What is written to the registry at a target: each key the model's own, else the environment's."""
        model = self.models[name]
        own = (model.environments or {}).get(environment.name)
        layers: list[PlaceConfig] = [each for each in (own, environment) if each is not None]

        def first(key: str) -> Any:
            return next((v for layer in layers if (v := getattr(layer, key)) is not None), None)

        return WriteBack(
            alias=first("alias") or "",
            previous_alias=first("previous_alias") or "",
            tags=first("registry_tags") is not False,
            stage=first("stage") or "",
            copy_to=(first("copy_to") or "").replace("{model}", model.registry_name or name),
        )

    def signals_of(self, name: str, environment: EnvironmentConfig) -> list[SignalRule]:
        """What is done about monitoring's signals at a target: the model's own rules there, else the
        environment's."""
        own = (self.models[name].environments or {}).get(environment.name)
        said = environment.signals if own is None or own.signals is None else own.signals
        return [each.rule() for each in said or []]

    def freezes_of(self, name: str, environment: str) -> list[Window]:
        """The recurring freezes of a target."""
        return [
            each.window()
            for each in self.freezes
            if environment in each.environments and (each.models is None or name in each.models)
        ]

    @cached_property
    def everybody(self) -> tuple[Voter, ...]:
        """The members of all teams as the policy sees them, machine accounts left out; by user name."""
        teams: dict[str, set[str]] = {}
        for slug, team in self.teams.items():
            for name in team.members:
                teams.setdefault(name, set()).add(slug)
        machines = {name for name, person in self.people.items() if person and person.machine}
        return tuple(
            Voter(index, frozenset(teams[name]))
            for index, name in enumerate(sorted(teams))
            if name not in machines
        )


def _rows(rows: Sequence[ApprovalRow]) -> tuple[Requirement, ...]:
    return tuple(Requirement(row.teams, row.count) for row in rows)
