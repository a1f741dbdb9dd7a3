"""The metrics that a decision hangs on: those that the policy and the model name, each with a verdict in words.
Pure.

``approvals.compare`` shows every metric; here are the few that somebody has to look at before deciding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from approvals.compare import (
    BETTER,
    SAME,
    UNKNOWN,
    WORSE,
    MetricRow,
    compare_metrics,
    number,
    shown,
)
from approvals.gates import AgainstLive, Gate, MetricLimit, Observation
from approvals.rules import Policy

GOOD, BAD, OPEN = "✓", "✗", "?"


@dataclass(frozen=True)
class Score:
    """One metric beside the live version's. ``mark`` is ✓, ✗ or ? (or empty: nothing is asked of it), and
    ``words`` say the same: ``better``, ``below the required 0.8``."""

    row: MetricRow
    mark: str
    words: str


def named_by(policy: Policy | None, directions: Sequence[Sequence[str]]) -> list[str]:
    """The metrics that the model's configuration names, the headline first, then those of the policy's gates and
    rules in the file's order. ``policy`` None: it cannot be read."""
    names = [row[0] for row in directions]
    if policy is not None:
        names += [
            gate.metric for gate in policy.gates if isinstance(gate, MetricLimit | AgainstLive)
        ]
        names += [rule.when.metric_drops for rule in policy.rules if rule.when.metric_drops]
    return list(dict.fromkeys(names))


def scores(
    candidate: Mapping[str, str],
    live: Mapping[str, str] | None,
    directions: Sequence[Sequence[str]],
    policy: Policy | None,
    gates: Sequence[Gate] = (),
) -> tuple[list[Score], int]:
    """The named metrics, and how many others there are. ``live`` is None while nothing is live; ``gates`` are
    those that are judged here (a rollback has none). Where nobody names any metric all are returned, by name."""
    known = {row[0]: row[1] for row in directions}
    for gate in policy.gates if policy else ():
        if isinstance(gate, AgainstLive):
            known.setdefault(gate.metric, gate.better)
    for rule in policy.rules if policy else ():
        if rule.when.metric_drops:
            known.setdefault(rule.when.metric_drops, rule.when.better)
    by_name = {row.name: row for row in compare_metrics(candidate, live or {}, list(known.items()))}
    wanted = named_by(policy, directions)
    missing = {name: MetricRow(name, "–", "–", "", UNKNOWN) for name in wanted}
    rows = [{**missing, **by_name}[name] for name in wanted] or list(by_name.values())
    seen = Observation(metrics=candidate, live_metrics=live)
    found = [Score(row, *_verdict(row, gates, seen)) for row in rows]
    return found, len(by_name.keys() - {row.name for row in rows})


def _verdict(row: MetricRow, gates: Sequence[Gate], seen: Observation) -> tuple[str, str]:
    """What a gate objects to goes before what is merely better or worse."""
    own = [
        gate
        for gate in gates
        if isinstance(gate, MetricLimit | AgainstLive) and gate.metric == row.name
    ]
    outcomes = [(gate, gate.check(seen)) for gate in own]
    for gate, outcome in outcomes:
        if outcome.verdict == "fail":
            return BAD, _missed(gate, row, seen)
    if any(not outcome.passed for _, outcome in outcomes):
        return OPEN, "not known, and required" if row.candidate == "–" else "cannot be compared"
    if row.candidate == "–":
        return OPEN, "not known"
    passes = [
        gate.words.removeprefix(row.name).strip() for gate in own if isinstance(gate, MetricLimit)
    ]
    if row.verdict == BETTER:
        return GOOD, "better"
    if row.verdict == SAME:
        return GOOD, "the same"
    if row.verdict == WORSE:
        return BAD, "worse, but the gate allows it" if own else "worse"
    if passes:
        return GOOD, f"{' and '.join(passes)}, as required"
    unknown = seen.live_metrics is not None and row.live == "–"
    return "", "not known of the live version" if unknown else ""


def _missed(gate: MetricLimit | AgainstLive, row: MetricRow, seen: Observation) -> str:
    if isinstance(gate, AgainstLive):
        unit = " %" if gate.relative else ""
        return f"worse by {row.change.lstrip('+−')}; at most {gate.by}{unit} is allowed"
    value, low = number(seen.metrics.get(gate.metric)), number(gate.at_least or None)
    below = value is not None and low is not None and value < low
    limit = gate.at_least if below else gate.at_most
    # All its digits where rounding would make it seem to reach the limit.
    exact = f" ({value})" if number(shown(value)) == number(limit) else ""
    return f"{'below the required' if below else 'above the allowed'} {limit}{exact}"
