"""What ``countersign.yaml`` may say. ``docs/configuration.md`` is the description for people."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Literal

from pydantic import Field

from approvals.configuration.fields import (
    Alias,
    Channel,
    Inputs,
    Label,
    Line,
    ModelName,
    Name,
    Repository,
    Slug,
    Strict,
    Username,
    WorkflowFile,
)
from approvals.configuration.rules import ApprovalRow, RollbackConfig, Rules
from approvals.gates import AgainstLive, LiveIn, RunsGreen
from approvals.policies import Policy, Requirement, Voter, unmeetable
from approvals.states import WorkflowKind


class PersonConfig(Strict):
    """Somebody's name and address; needed only where they do not sign in through another system."""

    name: Name = ""
    email: Line = ""
    machine: bool = False


class TeamConfig(Strict):
    """A team and its members' usernames."""

    name: Label = ""
    members: list[Username] = Field(min_length=1)


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
