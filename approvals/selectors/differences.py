"""What a proposed file changes in the policies in force."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from approvals.configuration import Configuration
from approvals.models import Target, Team
from approvals.policy_words import UNREADABLE, lines_of, window_words
from approvals.rules import Policy
from approvals.services.cases import NOT_A_POLICY
from approvals.services.freezes import windows_of

SHOWN = 500
DETAIL = "a detail"


@dataclass(frozen=True)
class Difference:
    """One aspect that changes. ``where`` is a target, or a team."""

    where: str
    what: str
    before: str
    after: str

    @property
    def sentence(self) -> str:
        """``fraud-detector in production, Promotion: 1 of risk → 2 of risk``."""
        return f"{self.where}, {self.what}: {self.before} → {self.after}"


def differences(proposed: Configuration) -> list[Difference]:
    """Targets by model and chain, then what is new, then teams. Two queries and one for members."""
    return [*_of_targets(proposed), *_of_teams(proposed)]


def _of_targets(proposed: Configuration) -> Iterator[Difference]:
    wanted = {
        (name, environment.name): environment
        for name, model in proposed.models.items()
        for environment in proposed.environments_of(model)
    }
    for target in Target.objects.filter(is_active=True).select_related("model", "environment"):
        key = (target.model.name, target.environment.name)
        environment = wanted.pop(key, None)
        if environment is None:
            yield Difference(
                str(target), "Target", "named", "no longer named: nothing can be asked"
            )
            continue
        policy = proposed.policy_of(key[0], environment)
        yield from _of_policy(target, policy)
        after = "; ".join(window_words(each) for each in proposed.freezes_of(*key)) or "none"
        if (before := _freezes(target)) != after:
            yield Difference(str(target), "Recurring freezes", before, after)
    for (name, where), environment in wanted.items():
        new = lines_of(proposed.policy_of(name, environment))[0]
        yield Difference(f"{name} in {where}", "Target", "not named", "; ".join(new.texts))


def _of_policy(target: Target, policy: Policy) -> Iterator[Difference]:
    try:
        old = Policy.from_data(target.policy)
    except NOT_A_POLICY:
        yield Difference(str(target), "Policy", UNREADABLE, "; ".join(lines_of(policy)[0].texts))
        return
    changed = [
        Difference(str(target), new.label, "; ".join(was.texts), "; ".join(new.texts))
        for was, new in zip(lines_of(old), lines_of(policy), strict=True)
        if was.texts != new.texts
    ]
    if not changed and old != policy:
        # Not said in words: which direction of a metric is better, or the order of rows.
        changed = [Difference(str(target), "Policy", DETAIL, "another direction of a metric")]
    yield from changed


def _freezes(target: Target) -> str:
    try:
        return "; ".join(window_words(each) for each in windows_of(target)) or "none"
    except NOT_A_POLICY:
        return "unreadable"


def _of_teams(proposed: Configuration) -> Iterator[Difference]:
    present = {
        team.slug: sorted(person.username for person in team.members.all())
        for team in Team.objects.prefetch_related("members")
    }
    for slug in sorted({*present, *proposed.teams}):
        before = present.get(slug)
        after = sorted(proposed.teams[slug].members) if slug in proposed.teams else None
        if before != (sorted(set(after)) if after else after):
            yield Difference(f"team {slug}", "Members", _names(before), _names(after))


def _names(members: list[str] | None) -> str:
    return "not named" if members is None else ", ".join(members) or "nobody"
