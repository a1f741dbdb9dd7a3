"""What no single key of the file can tell: references that lead nowhere, and rules that nobody could satisfy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

from approvals.configuration.rules import ApprovalRow, RuleConfig, Rules
from approvals.configuration.schema import (
    Configuration,
    EnvironmentConfig,
    ModelConfig,
    Problem,
)
from approvals.gates import AgainstLive, LiveIn, RunsGreen
from approvals.policies import Requirement, Voter, unmeetable
from approvals.rules import Policy
from approvals.states import SYSTEM_ACCOUNT, WorkflowKind

Path = tuple[str | int, ...]


@lru_cache(maxsize=256)
def _unmeetable(
    rows: tuple[Requirement, ...], voters: tuple[Voter, ...]
) -> tuple[Requirement, ...]:
    """Many targets ask for the same rows of the same people; working it out is what takes time here."""
    return tuple(unmeetable(rows, voters))


def problems_of(file: Configuration) -> list[Problem]:
    """(path, sentence) of each, in the order of the file."""
    # What an environment says wrongly shows at each of its models.
    return list(dict.fromkeys(_problems(file)))


def _problems(file: Configuration) -> Iterator[Problem]:
    names = [each.name for each in file.environments]
    for index, environment in enumerate(file.environments):
        if names.index(environment.name) != index:
            yield ("environments", index, "name"), f"{environment.name!r} is named twice"
        yield from _of_rules(file, environment, ("environments", index))
    named = {*file.people, *(each for team in file.teams.values() for each in team.members)}
    if SYSTEM_ACCOUNT in named:
        yield (
            ("people", SYSTEM_ACCOUNT),
            f"{SYSTEM_ACCOUNT!r} is Countersign's own account, in whose name monitoring rolls back; nobody else "
            "can be called so",
        )
    registered: dict[str, str] = {}
    copies: dict[str, str] = {}
    for name, model in file.models.items():
        yield from _of_model(file, name, model, names)
        yield from _of_write_back(file, name, model, copies)
        other = registered.setdefault(model.registry_name or name, name)
        if other != name:
            yield ("models", name), f"it is the same registered model in MLflow as {other!r}"
    for index, rule in enumerate(file.rules):
        yield from _of_conditional(file, rule, ("rules", index), names)
    for index, freeze in enumerate(file.freezes):
        path: Path = ("freezes", index)
        yield from _unknown_names(
            freeze.environments, names, (*path, "environments"), "environment"
        )
        yield from _unknown_names(freeze.models or [], file.models, (*path, "models"), "model")


def _unknown_names(
    given: Sequence[str], known: Sequence[str] | dict[str, ModelConfig], path: Path, what: str
) -> Iterator[Problem]:
    for each in given:
        if each not in known:
            yield path, f"no {what} is called {each!r}; there are {', '.join(known)}"


def _of_conditional(
    file: Configuration, rule: RuleConfig, path: Path, names: list[str]
) -> Iterator[Problem]:
    when = rule.when
    yield from _unknown_names(
        when.environments or [], names, (*path, "when", "environments"), "environment"
    )
    yield from _unknown_names(when.models or [], file.models, (*path, "when", "models"), "model")
    yield from _of_rows(file, rule.approvals, (*path, "approvals"))
    if when.metric_drops is not None:
        for name, model in file.models.items():
            covered = any(when.covers(name, each.name) for each in file.environments_of(model))
            if covered and when.metric_drops not in model.metrics:
                yield (
                    (*path, "when", "metric_drops"),
                    f"the 'metrics' of {name} do not say whether a higher or a lower {when.metric_drops} is "
                    "better; say it there, or name the rule's 'models'",
                )


def _of_model(
    file: Configuration, name: str, model: ModelConfig, names: list[str]
) -> Iterator[Problem]:
    path: Path = ("models", name)
    repository = file.repositories.get(model.repository)
    if repository is None:
        yield (
            (*path, "repository"),
            f"{model.repository!r} is not among 'repositories'; add it there with its workflows",
        )
        return
    for key, own in (model.environments or {}).items():
        yield from _unknown_names([key], names, (*path, "environments", key), "environment")
        if own is not None:
            yield from _of_rules(file, own, (*path, "environments", key))
    for key, source in model.evidence.items():
        if source.environment is not None:
            there: Path = (*path, "evidence", key, "environment")
            yield from _unknown_names([source.environment], names, there, "environment")
    for environment in file.environments_of(model):
        own = (model.environments or {}).get(environment.name)
        workflow = (own and own.workflow) or model.workflow
        if repository.workflows.get(workflow) != WorkflowKind.DEPLOY:
            yield (
                (*path, "workflow"),
                f"{workflow!r} is not listed as a deploy workflow of {model.repository}",
            )
        if len({**model.inputs, **(own.inputs if own else {})}) > 18:
            yield path, "GitHub allows 25 inputs and seven are Countersign's: at most 18"
        yield from _of_policy(file, name, environment)


def _of_write_back(
    file: Configuration, name: str, model: ModelConfig, copies: dict[str, str]
) -> Iterator[Problem]:
    """Names in the registry that would be fought over. ``copies`` tells which model is copied to which name."""
    registered = {each.registry_name or key: key for key, each in file.models.items()}
    aliases: dict[str, str] = {}
    for environment in file.environments_of(model):
        wanted = file.write_back_of(name, environment)
        stands = _standing(file, name, environment)
        names = [wanted.alias, wanted.previous_alias]
        if wanted.alias and wanted.alias == wanted.previous_alias:
            yield (
                stands("previous_alias"),
                f"the live version and the one before cannot share the alias {wanted.alias!r}",
            )
            names.pop()
        for alias in filter(None, names):
            if aliases.setdefault(alias, environment.name) != environment.name:
                yield (
                    ("models", name),
                    f"{aliases[alias]} and {environment.name} share the alias {alias!r}; each needs its own",
                )
        for key in ("previous_alias", "copy_to"):
            if getattr(wanted, key) and not wanted.alias:
                yield stands(key), f"it needs an 'alias' for the live version in {environment.name}"
        if wanted.copy_to:
            for problem in _of_copy(wanted.copy_to, name, registered, copies):
                yield stands("copy_to"), problem


def _standing(
    file: Configuration, name: str, environment: EnvironmentConfig
) -> Callable[[str], Path]:
    """Where a key stands that a model may say in place of its environment."""
    own = (file.models[name].environments or {}).get(environment.name)

    def path(key: str) -> Path:
        if getattr(own, key, None) is not None:
            return ("models", name, "environments", environment.name, key)
        return ("environments", file.environments.index(environment), key)

    return path


def _of_copy(
    copy_to: str, name: str, registered: dict[str, str], copies: dict[str, str]
) -> Iterator[str]:
    if len(copy_to) > 255 or set(copy_to) & set("'\"`\\"):
        yield f"{copy_to!r} is too long for a registered model's name, or has quotes; name one without"
    elif copy_to in registered:
        yield (
            f"{copy_to!r} is the registered model of {registered[copy_to]}; copies go to one of their own, such "
            "as prod.{model}"
        )
    elif copies.setdefault(copy_to, name) != name:
        yield (
            f"{copies[copy_to]} and {name} would both be copied to {copy_to!r}; each needs its own, such as "
            "prod.{model}"
        )


def _of_policy(file: Configuration, name: str, environment: EnvironmentConfig) -> Iterator[Problem]:
    """The policy as it results from all layers."""
    model, path = file.models[name], ("models", name)
    own = (model.environments or {}).get(environment.name)
    policy = file.policy_of(name, environment)
    there: Path = (*path, "environments", environment.name)
    for problem in _of_gates(file, model, environment.name, policy):
        yield (*there, "gates"), problem
    if policy.automatic:
        if own and own.automatic and environment.approvals:
            yield (
                (*there, "automatic"),
                f"{environment.name} says that people must approve; a model cannot take that away",
            )
        if policy.checklist or policy.comment_required:
            yield there, "nobody is asked, so nobody could tick or comment; give it 'approvals'"
        for rule in policy.rules:
            if not rule.approvals:
                yield (
                    ("rules",),
                    f"{rule.words}: nobody is asked in {environment.name} ('automatic'), so nobody could tick or "
                    "comment; give the rule 'approvals'",
                )
        if not policy.gates:
            yield there, f"nothing would stand before {environment.name}: 'automatic' needs 'gates'"
        if not policy.rollback:
            yield (
                there,
                f"nobody could roll {environment.name} back: beside 'automatic', say who approves a "
                "'rollback'",
            )
    elif not policy.promote:
        yield path, f"nobody has to approve {environment.name}; give it 'approvals'"
    # Each row for itself is looked at where it stands; together they may still ask too much.
    short = _unmeetable(policy.strictest(), file.everybody)
    alone = [row for row in policy.strictest() if _unmeetable((row,), file.everybody)]
    if short and not alone and len(policy.strictest()) > len(policy.promote):
        rows = " and ".join(f"{row.count} of {row.words}" for row in policy.strictest())
        yield (
            path,
            f"where all rules apply in {environment.name}, {rows} can never be reached together: one person "
            "counts once; add members or ask for fewer",
        )


def _of_gates(
    file: Configuration, model: ModelConfig, environment: str, policy: Policy
) -> Iterator[str]:
    """What could never pass, or not be judged."""
    chain = [each.name for each in file.environments_of(model)]
    before = chain[: chain.index(environment)]
    kinds = set(file.repositories[model.repository].workflows.values())
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


def _of_rules(file: Configuration, rules: Rules, path: Path) -> Iterator[Problem]:
    teams: list[tuple[Path, str]] = [
        ((*path, "requesters"), each) for each in rules.requesters or []
    ]
    if rules.override is not None:
        teams.append(((*path, "override", "team"), rules.override.team))
    if rules.escalate is not None:
        teams.append(((*path, "escalate", "to"), rules.escalate.to))
    for place, slug in teams:
        yield from _unknown_names([slug], sorted(file.teams), place, "team")
    yield from _of_rows(file, rules.approvals or [], (*path, "approvals"))
    signals = rules.signals or []
    for index, signal in enumerate(signals):
        if signals.index(signal) != index:
            yield (*path, "signals", index), f"the rule for {signal.signal!r} stands twice"
    if rules.rollback is not None:
        rows = rules.rollback.approvals or []
        yield from _of_rows(file, rows, (*path, "rollback", "approvals"))


def _of_rows(file: Configuration, rows: Sequence[ApprovalRow], path: Path) -> Iterator[Problem]:
    known, unknown = sorted(file.teams), False
    for index, row in enumerate(rows):
        for problem in _unknown_names(row.teams, known, (*path, index), "team"):
            unknown = True
            yield problem
    if unknown:
        return
    requirements = [Requirement(row.teams, row.count) for row in rows]
    for short in _unmeetable(tuple(requirements), file.everybody):
        yield (
            (*path, requirements.index(short)),
            f"{short.count} of {short.words} can never be reached: one person counts once, and machine accounts "
            "never count; add members or ask for fewer",
        )
