"""What ``countersign.yaml`` may say. ``docs/configuration.md`` is the description for people."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from approvals.compare import number
from approvals.gates import AgainstLive, Gate, LiveIn, MetricLimit, RunsGreen
from approvals.policies import Policy, Requirement, Voter, unmeetable
from approvals.states import WorkflowKind

Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,49}$")]
Username = Annotated[str, Field(pattern=r"^[\w.@+-]{1,150}$")]


# FACTS of MLflow: names of aliases are [\w-]{1,255}, not "latest" and not "v<digits>".
def _alias(value: str) -> str:
    if (
        value == "latest"
        or not re.fullmatch(r"[\w-]{1,255}", value)
        or re.fullmatch(r"v\d+", value)
    ):
        raise ValueError(
            f"{value!r} cannot be an alias in MLflow: letters, digits, _ and -, not 'latest' nor 'v1'"
        )
    return value


Alias = Annotated[str, AfterValidator(_alias)]
Repository = Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$", max_length=255)]
WorkflowFile = Annotated[str, Field(pattern=r"^[\w.-]+\.ya?ml$", max_length=255)]


# Lengths are the database's; control characters would break pages, messages and PostgreSQL itself.
_PLAIN = r"^[^\x00-\x1f\x7f]*$"
Name = Annotated[str, Field(pattern=_PLAIN, max_length=150)]
Label = Annotated[str, Field(pattern=_PLAIN, max_length=200)]
Line = Annotated[str, Field(pattern=_PLAIN, max_length=255)]
# A model's name is part of addresses; MLflow refuses / and : as well.
ModelName = Annotated[str, Field(pattern=r"^[^/:\x00-\x1f\x7f]{1,255}$")]
# Slack's ids and names of channels.
Channel = Annotated[str, Field(pattern=r"^#?[\w.-]{1,80}$")]
# What Countersign itself passes to the workflow (integrations.github.dispatch).
OWN_INPUTS = frozenset({"model", "version", "environment", "artifact_digest", "countersign"})


def _inputs(value: dict[str, str]) -> dict[str, str]:
    taken = sorted(OWN_INPUTS & value.keys())
    if taken:
        raise ValueError(f"Countersign itself fills in {', '.join(taken)}; leave it out here")
    return value


# GitHub allows 25 inputs; five are ours.
Inputs = Annotated[dict[str, str], Field(max_length=20), AfterValidator(_inputs)]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def _duration(value: Any) -> Any:
    """``90s``, ``30m``, ``12h``, ``3d`` or ``2w`` to a timedelta."""
    match = re.fullmatch(r"(\d{1,4})\s*([smhdw])", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("a duration such as 30m, 12h or 3d is expected")
    seconds = int(match[1]) * _UNITS[match[2]]
    if seconds == 0:
        raise ValueError("a duration longer than nothing is expected")
    return timedelta(seconds=seconds)


Duration = Annotated[timedelta, BeforeValidator(_duration)]


class Strict(BaseModel):
    """Unknown keys are errors: a misspelt rule must not be a missing rule."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PersonConfig(Strict):
    """Somebody's name and address; needed only where they do not sign in through another system."""

    name: Name = ""
    email: Line = ""
    machine: bool = False


class TeamConfig(Strict):
    """A team and its members' usernames."""

    name: Label = ""
    members: list[Username] = Field(min_length=1)


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


def _decimal(value: Any) -> Any:
    """A number as the file has it, to exact decimal text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("a number is expected")
    if number(str(value)) is None:
        raise ValueError("a number is expected")
    return str(value)


Number = Annotated[str, BeforeValidator(_decimal)]


def _change(value: Any) -> Any:
    """``0.01``, or ``2%`` of the live value; neither may be negative."""
    text = str(value).strip()
    amount = number(text.removesuffix("%").strip())
    if isinstance(value, bool) or amount is None or amount < 0:
        raise ValueError("a number such as 0.01, or a share such as 2%, is expected")
    return text.replace(" ", "")


class GateConfig(Strict):
    """One gate: ``{metric: auc, at_least: 0.8}``, ``{metric: auc, no_worse_than_live_by: 0.01}``,
    ``{runs: ci}`` or ``{live_in: staging, for: 2h}``."""

    metric: Line | None = None
    at_least: Number | None = None
    at_most: Number | None = None
    no_worse_than_live_by: Annotated[str, BeforeValidator(_change)] | None = None
    runs: WorkflowKind | None = None
    live_in: Slug | None = None
    for_: Duration | None = Field(default=None, alias="for")

    @model_validator(mode="after")
    def _one_kind(self) -> GateConfig:
        if sum(each is not None for each in (self.metric, self.runs, self.live_in)) != 1:
            raise ValueError("exactly one of 'metric', 'runs' and 'live_in' is expected")
        limits = [self.at_least, self.at_most, self.no_worse_than_live_by]
        if self.metric is None and any(each is not None for each in limits):
            raise ValueError("limits belong to a gate on a 'metric'")
        if self.metric is not None and all(each is None for each in limits):
            raise ValueError("'at_least', 'at_most' or 'no_worse_than_live_by' is expected")
        if self.for_ is not None and self.live_in is None:
            raise ValueError("'for' belongs to a gate on 'live_in'")
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
        metric, found = str(self.metric), list[Gate]()
        if self.at_least is not None or self.at_most is not None:
            found.append(MetricLimit(metric, self.at_least or "", self.at_most or ""))
        if by := self.no_worse_than_live_by:
            direction = better.get(metric, "")
            found.append(AgainstLive(metric, direction, by.removesuffix("%"), by.endswith("%")))
        return found


class Rules(Strict):
    """The rules of an environment, or a model's own in one environment."""

    approvals: list[ApprovalRow] | None = Field(default=None, min_length=1)
    rollback: RollbackConfig | None = None
    requesters: list[Slug] | None = Field(default=None, min_length=1)
    gates: list[GateConfig] | None = None
    trainer_may_approve: bool | None = None
    expires_after: Duration | None = None
    grant_lapses_after: Duration | None = None


class EnvironmentConfig(Rules):
    """One environment; their order in the file is the order of the chain."""

    name: Slug
    alias: Alias | None = None


class ModelEnvironmentConfig(Rules):
    """What a model says differently in one environment."""

    alias: Alias | None = None
    ref: Line | None = None
    workflow: WorkflowFile | None = None
    inputs: Inputs = Field(default_factory=dict)
    channel: Channel | None = None


class ModelConfig(Strict):
    """One registered model and how it is deployed."""

    registry_name: ModelName | None = None
    repository: Repository
    workflow: WorkflowFile = "deploy-model.yml"
    ref: Line = "main"
    inputs: Inputs = Field(default_factory=dict)
    metrics: dict[str, Literal["higher", "lower"]] = Field(default_factory=dict)
    environments: dict[Slug, ModelEnvironmentConfig | None] | None = None


class RepositoryConfig(Strict):
    """A GitHub repository and what its workflows are for."""

    workflows: dict[WorkflowFile, WorkflowKind]


class SlackConfig(Strict):
    """Where messages go."""

    channel: Channel


class Configuration(Strict):
    """The whole file."""

    environments: list[EnvironmentConfig] = Field(min_length=1)
    people: dict[Username, PersonConfig | None] = Field(default_factory=dict)
    teams: dict[Slug, TeamConfig] = Field(min_length=1)
    repositories: dict[Repository, RepositoryConfig] = Field(default_factory=dict)
    models: dict[ModelName, ModelConfig] = Field(min_length=1)
    slack: SlackConfig | None = None

    def environments_of(self, model: ModelConfig) -> list[EnvironmentConfig]:
        """The environments that a model goes to, in order; all of them where it names none."""
        wanted = model.environments
        return [each for each in self.environments if wanted is None or each.name in wanted]

    def policy_of(
        self, model: ModelConfig, environment: EnvironmentConfig, own: Rules | None
    ) -> Policy:
        """The policy in force: the model's own rules where it has any, else the environment's."""
        layers = [layer for layer in (own, environment) if layer is not None]

        def first(name: str) -> Any:
            return next((v for layer in layers if (v := getattr(layer, name)) is not None), None)

        promote = tuple(Requirement(row.teams, row.count) for row in first("approvals") or ())
        rollback: RollbackConfig = first("rollback") or RollbackConfig()
        any_approver = Requirement(tuple(sorted({team for row in promote for team in row.teams})))
        return Policy(
            promote=promote,
            rollback=tuple(Requirement(row.teams, row.count) for row in rollback.approvals)
            if rollback.approvals
            else (any_approver,),
            rollback_requester_may_approve=rollback.requester_may_approve,
            requesters=tuple(first("requesters") or sorted(self.teams)),
            expires_after=int((first("expires_after") or timedelta(days=7)).total_seconds()),
            grant_lapses_after=int(
                (first("grant_lapses_after") or timedelta(days=1)).total_seconds()
            ),
            trainer_may_approve=first("trainer_may_approve") is not False,
            gates=tuple(g for each in first("gates") or () for g in each.gates(model.metrics)),
        )

    def voters(self) -> list[Voter]:
        """The members of all teams as the policy sees them, machine accounts left out."""
        names = sorted({name for team in self.teams.values() for name in team.members})
        machines = {name for name, person in self.people.items() if person and person.machine}
        return [
            Voter(
                index,
                frozenset(slug for slug, team in self.teams.items() if name in team.members),
            )
            for index, name in enumerate(names)
            if name not in machines
        ]

    def problems(self) -> list[tuple[tuple[str | int, ...], str]]:
        """What no single key can tell: (path, sentence) of every reference that leads nowhere and
        every quorum that nobody could fill."""
        found: list[tuple[tuple[str | int, ...], str]] = []
        names = [each.name for each in self.environments]
        for index, environment in enumerate(self.environments):
            if names.index(environment.name) != index:
                found.append(
                    (("environments", index, "name"), f"{environment.name!r} is named twice")
                )
            found += self._problems_of_rules(environment, ("environments", index))
        registered: dict[str, str] = {}
        for name, model in self.models.items():
            found += self._problems_of_model(name, model, names)
            other = registered.setdefault(model.registry_name or name, name)
            if other != name:
                found.append(
                    (("models", name), f"it is the same registered model in MLflow as {other!r}")
                )
        return found

    def _problems_of_model(
        self, name: str, model: ModelConfig, names: list[str]
    ) -> list[tuple[tuple[str | int, ...], str]]:
        found: list[tuple[tuple[str | int, ...], str]] = []
        repository = self.repositories.get(model.repository)
        if repository is None:
            return [
                (
                    ("models", name, "repository"),
                    f"{model.repository!r} is not among 'repositories'; add it there with its workflows",
                )
            ]
        if model.environments is not None:
            for key, own in model.environments.items():
                if key not in names:
                    found.append(
                        (
                            ("models", name, "environments", key),
                            f"no environment is called {key!r}; there are {', '.join(names)}",
                        )
                    )
                if own is not None:
                    found += self._problems_of_rules(own, ("models", name, "environments", key))
        aliases: dict[str, str] = {}
        for environment in self.environments_of(model):
            own = (model.environments or {}).get(environment.name)
            path: tuple[str | int, ...] = ("models", name)
            workflow = (own and own.workflow) or model.workflow
            if repository.workflows.get(workflow) != WorkflowKind.DEPLOY:
                found.append(
                    (
                        (*path, "workflow"),
                        f"{workflow!r} is not listed as a deploy workflow of {model.repository}",
                    )
                )
            alias = (own and own.alias) or environment.alias
            if alias and aliases.setdefault(alias, environment.name) != environment.name:
                found.append(
                    (
                        path,
                        f"{aliases[alias]} and {environment.name} share the alias {alias!r}; each "
                        "needs its own",
                    )
                )
            policy = self.policy_of(model, environment, own)
            found += [
                ((*path, "environments", environment.name, "gates"), problem)
                for problem in self._problems_of_gates(model, environment.name, policy)
            ]
            if not policy.promote:
                found.append(
                    (path, f"nobody has to approve {environment.name}; give it 'approvals'")
                )
            if len({**model.inputs, **(own.inputs if own else {})}) > 20:
                found.append(
                    (path, "GitHub allows 25 inputs and five are Countersign's: at most 20")
                )
        return found

    def _problems_of_gates(
        self, model: ModelConfig, environment: str, policy: Policy
    ) -> Iterator[str]:
        """What could never pass, or not be judged."""
        chain = [each.name for each in self.environments_of(model)]
        before = chain[: chain.index(environment)]
        kinds = set(self.repositories[model.repository].workflows.values())
        for gate in policy.gates:
            if isinstance(gate, AgainstLive) and not gate.better:
                yield (
                    f"{gate.metric} is compared with the live version in {environment}, but the model's "
                    "'metrics' do not say whether higher or lower is better"
                )
            if isinstance(gate, LiveIn) and gate.environment not in before:
                yield (
                    f"the model does not pass through {gate.environment!r} before {environment}, so "
                    "'live_in' could never pass"
                )
            if isinstance(gate, RunsGreen) and gate.runs not in kinds:
                yield f"{model.repository} lists no {gate.runs} workflow, so 'runs' could never pass"

    def _problems_of_rules(
        self, rules: Rules, path: tuple[str | int, ...]
    ) -> list[tuple[tuple[str | int, ...], str]]:
        found: list[tuple[tuple[str | int, ...], str]] = []
        known = ", ".join(sorted(self.teams))
        lists: list[tuple[tuple[str, ...], list[ApprovalRow]]] = [
            (("approvals",), rules.approvals or [])
        ]
        if rules.rollback is not None:
            lists.append((("rollback", "approvals"), rules.rollback.approvals or []))
        for slug in rules.requesters or []:
            if slug not in self.teams:
                found.append(
                    ((*path, "requesters"), f"no team is called {slug!r}; there are {known}")
                )
        for keys, rows in lists:
            unknown = [
                ((*path, *keys, i), f"no team is called {team!r}; there are {known}")
                for i, row in enumerate(rows)
                for team in row.teams
                if team not in self.teams
            ]
            found += unknown
            if unknown:
                continue
            requirements = [Requirement(row.teams, row.count) for row in rows]
            for row in unmeetable(requirements, self.voters()):
                teams = " or ".join(row.teams)
                found.append(
                    (
                        (*path, *keys, requirements.index(row)),
                        f"{row.count} of {teams} can never be reached: one person counts once, and "
                        "machine accounts never count; add members or ask for fewer",
                    )
                )
        return found
