"""What is frozen, and what will be."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Q, QuerySet

from approvals.calendar import Span, closed_until, next_span
from approvals.models import Environment, Freeze, Person, Target
from approvals.recurrence_words import rule_in_words
from approvals.services.cases import NOT_A_POLICY
from approvals.services.freezes import spans_of, windows_of
from approvals.services.restrictions import may_restrict


@dataclass(frozen=True)
class Recurring:
    """One freeze of the configuration: now, or next (both None when it does not come within two years).
    ``rule`` as it is written, empty for once, and in ``words``."""

    name: str
    rule: str
    words: str
    zone: str
    models: list[str]
    now: Span | None
    next: Span | None


@dataclass
class EnvironmentFreezes:
    """The freezes of one environment; ``may`` tells whether this person may place and lift some."""

    environment: Environment
    placed: list[Freeze] = field(default_factory=list)
    placed_now: list[Freeze] = field(default_factory=list)
    recurring: list[Recurring] = field(default_factory=list)
    may: bool = False
    unreadable: bool = False

    @property
    def is_frozen(self) -> bool:
        """Something is closed right now."""
        return self.unreadable or any(each.now for each in self.recurring) or bool(self.placed_now)


def freezes(person: Person, now: datetime) -> list[EnvironmentFreezes]:
    """Every active environment with its freezes that are not over, in the order of the chain."""
    found = []
    for environment in Environment.objects.filter(is_active=True):
        targets = environment.targets.filter(is_active=True)
        # Hundreds of targets share a few policies, and most have no freeze of their own.
        policies = targets.select_related(None).order_by("policy").distinct("policy")
        placed = list(
            environment.freezes.filter(Q(ends_at=None) | Q(ends_at__gt=now), lifted_at=None)
            .select_related("placed_by", "environment")
            .order_by("begins_at")
        )
        row = EnvironmentFreezes(
            environment,
            placed,
            may=may_restrict(person, policies),
            placed_now=[each for each in placed if each.begins_at <= now],
        )
        try:
            closing = targets.exclude(freezes=[]).select_related("model")
            row.recurring = _recurring(list(closing), targets.count(), now)
        except NOT_A_POLICY:
            row.unreadable = True
        found.append(row)
    return found


def open_freezes(now: datetime, environment: Environment | None = None) -> QuerySet[Freeze]:
    """The freezes placed by people that are not over, of one environment or of all, those that began first before
    the others."""
    found = Freeze.objects.filter(
        Q(ends_at=None) | Q(ends_at__gt=now), lifted_at=None, environment__is_active=True
    )
    if environment is not None:
        found = found.filter(environment=environment)
    return found.select_related("environment", "placed_by").order_by("begins_at", "id")


def _recurring(targets: list[Target], count: int, now: datetime) -> list[Recurring]:
    """Each window of these targets once, with the models that it covers; an empty list of models means all of
    the environment's ``count``."""
    covered: dict[str, list[str]] = {}
    windows = {}
    for target in targets:
        for window in windows_of(target):
            windows[window.name] = window
            covered.setdefault(window.name, []).append(target.model.name)
    return [
        Recurring(
            name=name,
            rule=window.repeats,
            words=rule_in_words(window.repeats, window.zone),
            zone=window.zone,
            models=[] if len(covered[name]) == count else sorted(covered[name]),
            now=closed_until([window], [], now),
            next=next_span(window, now),
        )
        for name, window in windows.items()
    ]


def frozen_environments(targets: list[Target], now: datetime) -> dict[int, Span]:
    """Target id → what keeps it frozen now, for lists; one query for each environment."""
    spans = {
        each.environment_id: spans_of(each.environment, now)
        for each in {target.environment_id: target for target in targets}.values()
    }
    found = {}
    for target in targets:
        try:
            closed = closed_until(windows_of(target), spans[target.environment_id], now)
        except NOT_A_POLICY:
            closed = Span("its freezes cannot be read", now, None)
        if closed is not None:
            found[target.pk] = closed
    return found
