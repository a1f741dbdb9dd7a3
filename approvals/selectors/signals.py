"""What monitoring says of a model's targets: the rules in force, and their newest readings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from approvals.charts import Sparkline, sparkline
from approvals.compare import number
from approvals.models import Signal, Target
from approvals.monitoring import SignalRule

READINGS = 30
THEN = {
    "note": "it is noted",
    "alert": "people are told",
    "pause": "the rollout pauses",
    "roll_back": "it is rolled back",
}


@dataclass
class Watched:
    """One rule at one target, with the readings of its signal, newest first."""

    target: Target
    rule: SignalRule
    readings: list[Signal] = field(default_factory=list)

    @property
    def newest(self) -> Signal | None:
        """The last reading that is not over."""
        return next((each for each in self.readings if not each.resolved), None)

    @property
    def is_out(self) -> bool:
        """Its newest reading passes the limit."""
        return self.newest is not None and self.rule.breached_by(self.newest.value)

    @property
    def then(self) -> str:
        """What happens once the rule fires."""
        return THEN.get(self.rule.then, self.rule.then)

    @property
    def line(self) -> Sparkline | None:
        """The readings from the oldest to the newest."""
        values = [number(each.value) for each in reversed(self.readings)]
        return sparkline([None if each is None else float(each) for each in values], 96, 24)


def watched(targets: Sequence[Target]) -> tuple[list[Watched], list[Target]]:
    """(every rule with its newest readings, the targets whose rules cannot be read). One query."""
    found: list[Watched] = []
    unreadable: list[Target] = []
    for target in targets:
        try:
            found += [Watched(target, SignalRule.from_data(each)) for each in target.signals]
        except (KeyError, TypeError, ValueError, AttributeError):
            unreadable.append(target)
    wanted = dict.fromkeys((each.target.pk, each.rule.signal) for each in found)
    queries = [
        Signal.objects.filter(target=pk, name=name).order_by("-observed_at", "-id")[:READINGS]
        for pk, name in wanted
    ]
    if not queries:
        return found, unreadable
    by_name: dict[tuple[int, str], list[Signal]] = {}
    rows = queries[0].union(*queries[1:], all=True) if len(queries) > 1 else queries[0]
    for each in sorted(rows, key=lambda row: (row.observed_at, row.pk), reverse=True):
        by_name.setdefault((each.target_id, each.name), []).append(each)
    for each_rule in found:
        each_rule.readings = by_name.get((each_rule.target.pk, each_rule.rule.signal), [])
    return found, unreadable
