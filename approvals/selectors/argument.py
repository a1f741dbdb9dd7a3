"""Candidate against live, as a promotion's page argues it: first what differs and what the policy limits, the rest
folded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db.models import Q

from approvals.bullets import Bullet, bullet
from approvals.compare import SAME, MetricRow, compare_metrics, number, shown
from approvals.gates import AgainstLive, Gate, MetricLimit, in_words
from approvals.models import CodeComparison, Evidence, ModelVersion, Promotion
from approvals.policy_words import Line, lines_of
from approvals.rules import Policy
from approvals.selectors.catalogue import Difference, dataset_differences, parameter_differences
from approvals.selectors.comparisons import comparison_of
from approvals.services.cases import NOT_A_POLICY

# So many are read at a glance; what is beyond unfolds.
METRICS, PARAMETERS, COLUMNS = 8, 8, 10


@dataclass(frozen=True)
class MetricLine:
    """One metric. ``limit`` is what the policy asks of it in words (empty: nothing), ``passes`` whether the
    candidate keeps to it, None where that cannot be told."""

    row: MetricRow
    limit: str = ""
    passes: bool | None = None
    bullet: Bullet | None = None

    @property
    def told(self) -> str:
        """The drawing in words."""
        live = f", live {self.row.live}" if self.row.live != "–" else ""
        return f"{self.row.name}: candidate {self.row.candidate}{live}; {self.limit} is asked"


@dataclass(frozen=True)
class ColumnLine:
    """One column of the signatures that differs; ``what`` says how, ``breaks`` that callers may notice."""

    side: str
    name: str
    live: str
    candidate: str
    what: str
    breaks: bool


@dataclass(frozen=True)
class Signatures:
    """``lines`` differ; ``same`` counts the columns that do not; ``unknown`` is the version of which none is
    known."""

    lines: list[ColumnLine] = field(default_factory=list)
    same: int = 0
    unknown: str = ""


@dataclass(frozen=True)
class Argument:
    """Everything that speaks for and against. ``metrics`` are shown, ``more_metrics`` differ too and unfold,
    ``same_metrics`` are equal; so for parameters and data sets."""

    metrics: list[MetricLine]
    more_metrics: list[MetricLine]
    same_metrics: list[MetricLine]
    parameters: list[Difference]
    more_parameters: list[Difference]
    same_parameters: list[Difference]
    datasets: list[Difference]
    same_datasets: list[Difference]
    signatures: Signatures
    comparison: CodeComparison | None
    candidate: ModelVersion
    live: ModelVersion | None

    @property
    def has_bullets(self) -> bool:
        """The legend is needed."""
        return any(each.bullet for each in (*self.metrics, *self.more_metrics))

    @property
    def size(self) -> str:
        """How the artifacts' size compares, ``4 % larger``; empty where one of both is not known."""
        new, old = self.candidate.artifact_bytes, self.live.artifact_bytes if self.live else None
        if not new or not old:
            return ""
        share = abs(new - old) / old
        if share < 0.005:
            return "the same size"
        words = "larger" if new > old else "smaller"
        return f"{share:.0%} {words}".replace("%", " %")

    @property
    def same_artifacts(self) -> bool:
        """Not a byte differs."""
        digest = self.candidate.artifact_digest
        return bool(digest and self.live and self.live.artifact_digest == digest)

    @property
    def equal(self) -> list[str]:
        """What is equal, counted: ``12 parameters``."""
        counts = (
            (len(self.same_metrics), "metric"),
            (len(self.same_parameters), "parameter"),
            (len(self.same_datasets), "data set"),
            (self.signatures.same, "column"),
        )
        return [f"{count} {word}{'s' if count > 1 else ''}" for count, word in counts if count]


def argument_of(promotion: Promotion) -> Argument:
    """What a promotion's candidate changes against what it replaces. What is decided on is what was sealed,
    whatever MLflow says by now; one query."""
    candidate, live = promotion.version, promotion.replaces
    head, more, same = _metrics(promotion)
    differing, equal = parameter_differences(candidate, live)
    datasets = dataset_differences(candidate, live)
    if live is None:  # nothing differs from nothing: what there is, is shown
        differing, equal, datasets_same = equal, [], []
    else:
        datasets_same = [each for each in datasets if each.same]
        datasets = [each for each in datasets if not each.same]
    return Argument(
        metrics=head,
        more_metrics=more,
        same_metrics=same,
        parameters=differing if len(differing) <= PARAMETERS else [],
        more_parameters=differing if len(differing) > PARAMETERS else [],
        same_parameters=equal,
        datasets=datasets,
        same_datasets=datasets_same,
        signatures=signatures(candidate, live),
        comparison=comparison_of(live, candidate),
        candidate=candidate,
        live=live,
    )


def policy_of(promotion: Promotion) -> Policy | None:
    """The policy that this promotion keeps; None where it cannot be read."""
    try:
        return Policy.from_data(promotion.policy)
    except NOT_A_POLICY:
        return None


def policy_lines(promotion: Promotion) -> list[Line]:
    """The policy of the request in words, those that people look for first at the beginning."""
    policy = policy_of(promotion)
    if policy is None:
        return []
    return sorted(lines_of(policy), key=lambda each: not each.is_main)


def asked_gates(promotion: Promotion) -> list[str]:
    """What the gates of the request ask, in words: for the record once they are not judged any more."""
    policy = policy_of(promotion)
    return [in_words(each) for each in _gates(promotion, policy)] if policy else []


def evidence_for(promotion: Promotion, limit: int = 20) -> list[Evidence]:
    """What was reported of the version for this environment or for all, the newest first; one query."""
    here = Q(environment=None) | Q(environment=promotion.target.environment_id)
    rows = promotion.version.evidence.filter(here)
    return list(rows.select_related("environment", "recorded_by", "workflow_run")[:limit])


def _gates(promotion: Promotion, policy: Policy | None) -> tuple[Gate, ...]:
    return policy.gates_for(rollback=promotion.is_rollback) if policy else ()


def _metrics(
    promotion: Promotion,
) -> tuple[list[MetricLine], list[MetricLine], list[MetricLine]]:
    live = promotion.replaces
    new: Mapping[str, str] = promotion.facts.get("metrics") or promotion.version.metrics
    old = live.metrics if live else {}
    configured = promotion.target.model.metrics
    limits = _limits(_gates(promotion, policy_of(promotion)), old)
    known = {row[0] for row in configured}
    # What the policy limits is looked at first, whether it is configured or not.
    wanted = [*configured, *([name, ""] for name in limits if name not in known)]
    # A configured metric that neither of the two has says nothing, unless a gate asks for it.
    lines = [
        _line(row, limits.get(row.name), new, old)
        for row in _rows(new, old, wanted)
        if row.name in limits or row.name in new or row.name in old
    ]
    important = {row[0] for row in wanted}
    same = [e for e in lines if e.row.verdict == SAME and not e.limit]
    rest = [e for e in lines if e.row.verdict != SAME or e.limit]
    head = [e for e in rest if e.row.name in important] if important else rest[:METRICS]
    more = [e for e in rest if e not in head]
    if len(head) + len(more) <= METRICS:
        head, more = [*head, *more], []
    return head, more, same


def _rows(
    new: Mapping[str, str], old: Mapping[str, str], wanted: list[list[str]]
) -> list[MetricRow]:
    rows = compare_metrics(new, old, [each for each in wanted if each[1]])
    place = {each[0]: index for index, each in enumerate(wanted)}
    return sorted(rows, key=lambda row: place.get(row.name, len(place)))


Limits = tuple[Decimal | None, Decimal | None, list[str]]


def _limits(gates: Iterable[Gate], old: Mapping[str, str]) -> dict[str, Limits]:
    """Metric → the highest lower and the lowest upper limit of all gates, and what they ask in words."""
    found: dict[str, Limits] = {}
    for gate in gates:
        if isinstance(gate, MetricLimit):
            low, high = number(gate.at_least or None), number(gate.at_most or None)
            words = " and ".join(
                f"{sign} {limit}"
                for sign, limit in (("≥", gate.at_least), ("≤", gate.at_most))
                if limit
            )
        elif isinstance(gate, AgainstLive):
            low, high, words = _against_live(gate, number(old.get(gate.metric)))
        else:
            continue
        before = found.get(gate.metric, (None, None, []))
        found[gate.metric] = (
            _of(max, before[0], low),
            _of(min, before[1], high),
            [*before[2], words],
        )
    return found


def _against_live(
    gate: AgainstLive, live: Decimal | None
) -> tuple[Decimal | None, Decimal | None, str]:
    allowed = number(gate.by)
    words = f"at most {gate.by}{' %' if gate.relative else ''} worse than live"
    if live is None or allowed is None:
        return None, None, words
    by = abs(live) * allowed / 100 if gate.relative else allowed
    if gate.better == "higher":
        return live - by, None, f"≥ {shown(live - by)}, {words}"
    return None, live + by, f"≤ {shown(live + by)}, {words}"


def _of(choose: Any, one: Decimal | None, other: Decimal | None) -> Decimal | None:
    known = [each for each in (one, other) if each is not None]
    chosen: Decimal | None = choose(known) if known else None
    return chosen


def _line(
    row: MetricRow, limits: Limits | None, new: Mapping[str, str], old: Mapping[str, str]
) -> MetricLine:
    if limits is None:
        return MetricLine(row)
    low, high, words = limits
    value = number(new.get(row.name))
    if value is None or (low is None and high is None):
        return MetricLine(row, "; ".join(words))
    keeps = (low is None or value >= low) and (high is None or value <= high)
    drawn = bullet(value, number(old.get(row.name)), low, high)
    return MetricLine(row, "; ".join(words), keeps, drawn)


def signatures(candidate: ModelVersion, live: ModelVersion | None) -> Signatures:
    """What a caller would notice. Columns without a name are called by their place."""
    if live is None or not (candidate.signature or live.signature):
        return Signatures()
    if not candidate.signature or not live.signature:
        return Signatures(unknown=str(live if candidate.signature else candidate))
    lines: list[ColumnLine] = []
    same = 0
    for side in ("inputs", "outputs"):
        new, old = _columns(candidate, side), _columns(live, side)
        for name in dict.fromkeys([*old, *new]):
            line = _column(side, name, new.get(name), old.get(name))
            if line is None:
                same += 1
            else:
                lines.append(line)
    return Signatures(lines, same)


Column = tuple[str, bool]


def _columns(version: ModelVersion, side: str) -> dict[str, Column]:
    found: dict[str, Column] = {}
    for place, each in enumerate(version.signature.get(side) or [], 1):
        name = str(each.get("name") or f"column {place}")
        found[name] = (str(each.get("type", "?")), bool(each.get("required", True)))
    return found


def _column(side: str, name: str, new: Column | None, old: Column | None) -> ColumnLine | None:
    if new == old:
        return None
    word, is_input = side[:-1], side == "inputs"
    if new is None or old is None:
        kind, required = new or old or ("?", True)
        what = "new" if old is None else "gone"
        if what == "new" and is_input:
            what = "new, required" if required else "new, optional"
        breaks = old is not None or (is_input and required)
        shown_new, shown_old = (kind, "–") if old is None else ("–", kind)
        return ColumnLine(word, name, shown_old, shown_new, what, breaks)
    if new[0] != old[0]:
        return ColumnLine(word, name, old[0], new[0], "another type", True)
    what = "now required" if new[1] else "now optional"
    return ColumnLine(word, name, old[0], new[0], what, is_input and new[1])
