"""What is in force: every target's policy in words, who could approve there, and what a version would be asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet

from approvals.calendar import Window, in_zone, next_span, span_at
from approvals.gates import Outcome
from approvals.models import Freeze, ModelVersion, Person, RegisteredModel, Target
from approvals.policies import Case, Requirement
from approvals.policy_words import UNREADABLE, Line, lines_of, terms_sentences
from approvals.rules import Policy
from approvals.services.cases import NOT_A_POLICY, situation_of
from approvals.services.conditions import observe_version
from approvals.services.freezes import UNREADABLE as FREEZES_UNREADABLE
from approvals.services.freezes import frozen_at, windows_of
from approvals.services.queueing import replaced_by_next
from approvals.services.voters import Able, everybody_for, still_able, stuck_rows
from approvals.states import PromotionKind
from approvals.wording import listed

NOBODY_THERE = 0  # no person's id: who asks is not known yet


@dataclass(frozen=True)
class Approvers:
    """Who could fill a row at all. ``names`` are empty where nobody could; ``enough`` compares with the count."""

    row: str
    names: list[str]
    enough: bool

    @property
    def sentence(self) -> str:
        """``1 of risk: Carol Chen``."""
        who = listed(self.names, "or") or "nobody"
        return f"{self.row}: {who}{'' if self.enough else '; not enough people'}"


@dataclass(frozen=True)
class TargetPolicy:
    """One target. ``lines`` are empty where the policy is ``unreadable``, which is then a sentence."""

    target: Target
    lines: list[Line]
    approvers: list[Approvers] = field(default_factory=list)
    rollback_approvers: list[Approvers] = field(default_factory=list)
    unreadable: str = ""

    @property
    def model(self) -> str:
        """The model's name."""
        return self.target.model.name

    @property
    def environment(self) -> str:
        """The environment's name."""
        return self.target.environment.name

    @property
    def main(self) -> list[Line]:
        """What people look for first."""
        return [each for each in self.lines if each.is_main]

    @property
    def rest(self) -> list[Line]:
        """Everything else."""
        return [each for each in self.lines if not each.is_main]

    @property
    def sentences(self) -> list[str]:
        """All of it as plain text, one line an aspect: the page shows these very words."""
        found = [f"Policy: {self.unreadable}"] if self.unreadable else []
        found += [f"{each.label}: {'; '.join(each.texts)}" for each in self.lines]
        found += [f"Could approve {each.sentence}" for each in self.approvers]
        return found + [
            f"Could approve a rollback, {each.sentence}" for each in self.rollback_approvers
        ]

    def words(self, label: str) -> str:
        """The items of one line, joined; the sentence instead where the policy is unreadable."""
        found = next((each.texts for each in self.lines if each.label == label), ())
        return "; ".join(found) or self.unreadable


def models_of_policies(text: str = "", name: str = "") -> QuerySet[RegisteredModel]:
    """The models that have an active target, by name: those whose name or group holds every word of ``text``, or
    the one of this ``name``."""
    active = Target.objects.filter(model=OuterRef("pk"), is_active=True)
    rows = RegisteredModel.objects.filter(Exists(active)).order_by("name")
    if name and not text:
        return rows.filter(name=name)
    for word in text.split():
        rows = rows.filter(Q(name__icontains=word) | Q(group__icontains=word))
    return rows


def table(now: datetime, **about: Any) -> list[TargetPolicy]:
    """Every active target that matches ``about``, in a number of queries that does not grow with theirs."""
    placed = Freeze.objects.filter(Q(ends_at=None) | Q(ends_at__gt=now), lifted_at=None)
    targets = list(
        Target.objects.filter(is_active=True, **about)
        .select_related("model", "environment")
        .prefetch_related(
            Prefetch(
                "environment__freezes",
                placed.select_related("placed_by", "environment"),
                to_attr="placed_freezes",
            )
        )
    )
    policies = {each.pk: _policy(each) for each in targets}
    rows = [
        row
        for policy in policies.values()
        if policy is not None
        for row in (*policy.strictest(), *policy.rollback)
    ]
    everybody = everybody_for(rows, now)

    @cache  # many targets ask for the same
    def approvers(asked: tuple[Requirement, ...]) -> list[Approvers]:
        return _approvers(asked, everybody)

    return [_told(each, policies[each.pk], approvers, now) for each in targets]


def _policy(target: Target) -> Policy | None:
    try:
        return Policy.from_data(target.policy)
    except NOT_A_POLICY:
        return None


def _told(
    target: Target,
    policy: Policy | None,
    approvers: Callable[[tuple[Requirement, ...]], list[Approvers]],
    now: datetime,
) -> TargetPolicy:
    closed = _freezes(target, now)
    freezes = Line("Freezes", tuple(closed) or ("none",), bool(closed))
    if policy is None:
        return TargetPolicy(target, [freezes], unreadable=UNREADABLE)
    return TargetPolicy(
        target,
        [*lines_of(policy), freezes],
        approvers(policy.strictest()),
        approvers(policy.rollback),
    )


def _approvers(rows: Sequence[Requirement], everybody: Sequence[Able]) -> list[Approvers]:
    case = Case(tuple(rows), NOBODY_THERE, "")
    able = still_able(case, everybody)
    short = stuck_rows(case, able)
    return [
        Approvers(
            f"{row.count} of {row.words}",
            [str(each) for each in able if each.voter.teams & set(row.teams)],
            row not in short,
        )
        for row in rows
    ]


def _freezes(target: Target, now: datetime) -> list[str]:
    """The recurring ones of the file, then those that people placed."""
    try:
        found = [_next(window, now) for window in windows_of(target)]
    except NOT_A_POLICY:
        found = [FREEZES_UNREADABLE]
    placed: list[Freeze] = getattr(target.environment, "placed_freezes", [])
    return found + [each.sentence for each in placed]


def _next(window: Window, now: datetime) -> str:
    span = span_at(window, now)
    if span is not None and span.ends is not None:
        return f"{window.name}: on now, until {in_zone(span.ends, window.zone)}"
    span = next_span(window, now)
    if span is None or span.ends is None:
        return f"{window.name}: not within the next two years"
    begins, ends = (in_zone(each, window.zone) for each in (span.begins, span.ends))
    return f"{window.name}: next from {begins} until {ends}"


@dataclass(frozen=True)
class Asked:
    """What a version would be asked at a target if somebody asked for it now: ``terms`` in sentences, what each
    gate says, and whether a freeze is on (an empty text where none is)."""

    terms: list[str]
    gates: list[Outcome]
    frozen: str = ""

    @property
    def sentences(self) -> list[str]:
        """All of it, one sentence a line: every door shows these very words."""
        said = {"pass": "Passes now", "fail": "Fails now"}
        lines = [f"{said.get(each.verdict, 'Unknown now')}: {each.sentence}" for each in self.gates]
        return [*self.terms, *lines, *([f"Closed now: {self.frozen}"] if self.frozen else [])]


def asked_of(
    version: ModelVersion,
    target: Target,
    now: datetime,
    kind: str = PromotionKind.PROMOTE,
    asked_by: Person | None = None,
) -> Asked:
    """What would be asked, from our rows as they are. A rollback has no gates and waits for no freeze."""
    rollback = kind == PromotionKind.ROLLBACK
    policy = _policy(target)
    if policy is None:
        return Asked([f"The policy is {UNREADABLE}."], [])
    live = replaced_by_next(target, rollback=rollback, now=now)
    terms = policy.terms(situation_of(version, target, live=live), rollback=rollback)
    gates = policy.gates_for(rollback=rollback)
    seen = (
        observe_version(version, target, gates, now, live=live, asked_by=asked_by)
        if gates
        else None
    )
    return Asked(
        terms_sentences(terms),
        [each.check(seen) for each in gates] if seen else [],
        "" if rollback else frozen_at(target, now),
    )
