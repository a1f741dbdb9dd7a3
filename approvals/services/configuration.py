"""Applying the configuration: idempotent, in one transaction, recorded as an event."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from approvals.configuration.loader import ConfigurationError, Loaded
from approvals.configuration.schema import Configuration
from approvals.models import (
    Environment,
    Event,
    Membership,
    ModelVersion,
    Person,
    RegisteredModel,
    Repository,
    Target,
    Team,
)
from approvals.services.history import record, refresh_pending


@transaction.atomic
def apply_configuration(
    *, loaded: Loaded, via: str, actor: Person | None = None, now: datetime | None = None
) -> list[str]:
    """Make the rows say what the file says. Returns what changed, one clause each; empty when nothing.

    What the file no longer names is made inactive, never deleted: history refers to it. People who
    are named and unknown are created inactive. Raises ConfigurationError (see :func:`refuse_unknown_metrics`).
    """
    now = now or timezone.now()
    refuse_unknown_metrics(loaded)
    # Two applications at once would interleave: the environments' table is the parent of them all.
    list(Environment.objects.select_for_update())
    configuration = loaded.configuration
    changes = [
        *_apply_people(configuration),
        *_apply_teams(configuration),
        *_apply_environments(configuration),
        *_apply_repositories(configuration),
        *_apply_models(configuration),
    ]
    last = Event.objects.filter(kind="configuration.applied").first()
    if changes or last is None or last.data.get("digest") != loaded.digest:
        record(
            "configuration.applied",
            via=via,
            actor=actor,
            now=now,
            digest=loaded.digest,
            changes=changes,
        )
        refresh_pending("configuration", now)
    return changes


def refuse_unknown_metrics(loaded: Loaded) -> None:
    """Raise ConfigurationError for a gate or rule on a metric that no known version of its model has ever logged:
    it could never pass. A model without any metrics yet is not held to this."""
    found = []
    for name, model in loaded.configuration.models.items():
        versions = ModelVersion.objects.filter(model__registry_name=model.registry_name or name)
        logged = {
            metric for metrics in versions.values_list("metrics", flat=True) for metric in metrics
        }
        if not logged:
            continue
        for environment in loaded.configuration.environments_of(model):
            policy = loaded.configuration.policy_of(name, environment)
            wanted = {getattr(gate, "metric", "") for gate in policy.gates}
            wanted |= {rule.when.metric_drops for rule in policy.rules}
            found += [
                loaded.problem(
                    ("models", name, "environments", environment.name),
                    f"no version of {name} has ever logged the metric {metric!r}; it logs "
                    f"{', '.join(sorted(logged)[:20])}",
                )
                for metric in sorted(wanted - logged - {""})
            ]
    if found:
        raise ConfigurationError(found)


def _apply_people(configuration: Configuration) -> list[str]:
    named = {name for team in configuration.teams.values() for name in team.members}
    changes = []
    for username in sorted(named | set(configuration.people)):
        told = configuration.people.get(username)
        person = Person.objects.filter(username=username).first()
        if person is None:
            first, _, last = (told.name if told else "").partition(" ")
            person = Person(
                username=username,
                first_name=first,
                last_name=last,
                email=told.email if told else "",
                is_active=False,
            )
            person.set_unusable_password()
            person.is_machine = bool(told and told.machine)
            person.save()
            changes.append(f"created {username}, not active yet")
        elif told and person.is_machine != told.machine:
            person.is_machine = told.machine
            person.save(update_fields=["is_machine"])
            changes.append(
                f"{username} is {'now' if told.machine else 'no longer'} a machine account"
            )
    return changes


def _apply_teams(configuration: Configuration) -> list[str]:
    changes = []
    for slug, told in configuration.teams.items():
        name = told.name or slug
        team, created = Team.objects.get_or_create(slug=slug, defaults={"name": name})
        if created:
            changes.append(f"created team {slug}")
        elif team.name != name:
            team.name = name
            team.save(update_fields=["name"])
            changes.append(f"renamed team {slug}")
        wanted = set(told.members)
        present = set(team.members.values_list("username", flat=True))
        for username in sorted(wanted - present):
            Membership.objects.create(team=team, person=Person.objects.get(username=username))
            changes.append(f"{username} joined {slug}")
        for username in sorted(present - wanted):
            Membership.objects.filter(team=team, person__username=username).delete()
            changes.append(f"{username} left {slug}")
    for team in Team.objects.exclude(slug__in=configuration.teams):
        changes.append(f"removed team {team.slug}")
        team.delete()
    return changes


def _apply_environments(configuration: Configuration) -> list[str]:
    changes = []
    for position, told in enumerate(configuration.environments):
        changes += _put(
            Environment,
            {"name": told.name},
            {"position": position, "confirm": told.confirm, "is_active": True},
            told.name,
        )
    gone = Environment.objects.filter(is_active=True).exclude(
        name__in=[each.name for each in configuration.environments]
    )
    for environment in gone:
        environment.is_active = False
        environment.save(update_fields=["is_active"])
        changes.append(f"environment {environment.name} is no longer named")
    return changes


def _apply_repositories(configuration: Configuration) -> list[str]:
    changes = []
    for name, told in configuration.repositories.items():
        workflows = {file: kind.value for file, kind in told.workflows.items()}
        changes += _put(
            Repository, {"name": name}, {"workflows": workflows, "is_active": True}, name
        )
    gone = Repository.objects.filter(is_active=True).exclude(name__in=configuration.repositories)
    for repository in gone:
        repository.is_active = False
        repository.save(update_fields=["is_active"])
        changes.append(f"repository {repository.name} is no longer named")
    return changes


def _apply_models(configuration: Configuration) -> list[str]:
    changes = []
    kept = []
    for name, told in configuration.models.items():
        registry_name = told.registry_name or name
        changes += _put(
            RegisteredModel,
            {"name": name},
            {
                "registry_name": registry_name,
                "group": told.group,
                "repository": told.repository,
                "metrics": [[metric, better] for metric, better in told.metrics.items()],
                "evidence": [each.as_data(key) for key, each in told.evidence.items()],
                "is_active": True,
            },
            name,
        )
        model = RegisteredModel.objects.get(name=name)
        for environment in configuration.environments_of(told):
            own = (told.environments or {}).get(environment.name)
            write_back = configuration.write_back_of(name, environment)
            target_values = {
                "workflow": (own and own.workflow) or told.workflow,
                "ref": (own and own.ref) or told.ref,
                "inputs": {**told.inputs, **(own.inputs if own else {})},
                "alias": write_back.alias,
                "write_back": write_back.as_data(),
                "channel": (own and own.channel)
                or (configuration.slack.channel if configuration.slack else ""),
                "fallback_channel": (configuration.slack and configuration.slack.fallback_channel)
                or "",
                "strategy": configuration.strategy_of(name, environment).as_data(),
                "health_url": (own and own.health_url) or "",
                "policy": configuration.policy_of(name, environment).as_data(),
                "freezes": [
                    each.as_data() for each in configuration.freezes_of(name, environment.name)
                ],
                "signals": [each.as_data() for each in configuration.signals_of(name, environment)],
                "is_active": True,
            }
            row = Environment.objects.get(name=environment.name)
            changes += _put(
                Target,
                {"model": model, "environment": row},
                target_values,
                f"{name} in {environment.name}",
            )
            kept.append((model.pk, row.pk))
    for target in Target.objects.filter(is_active=True):
        if (target.model_id, target.environment_id) not in kept:
            target.is_active = False
            target.save(update_fields=["is_active"])
            changes.append(f"{target} is no longer named")
    for model in RegisteredModel.objects.filter(is_active=True).exclude(
        name__in=configuration.models
    ):
        model.is_active = False
        model.save(update_fields=["is_active"])
        changes.append(f"model {model.name} is no longer named")
    return changes


# Fields whose names would tell nobody anything.
FIELD_WORDS = {"write_back": "what is written to the registry"}


def _put(
    row_type: type[Environment | RegisteredModel | Repository | Target],
    identity: dict[str, object],
    values: dict[str, object],
    label: str,
) -> list[str]:
    """Create or update one row; the clauses that say what changed."""
    row, created = row_type.objects.get_or_create(**identity, defaults=values)
    if created:
        return [f"created {label}"]
    different = [name for name, value in values.items() if getattr(row, name) != value]
    if not different:
        return []
    for name in different:
        setattr(row, name, values[name])
    row.save(update_fields=different)
    words = [FIELD_WORDS.get(name, name) for name in different]
    return [f"{label}: {', '.join(words)} changed"]
