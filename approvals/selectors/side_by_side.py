"""Two or several versions of a model side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from approvals.charts import Scale
from approvals.compare import MetricRow, compare_metrics, number, shown
from approvals.models import CodeComparison, ModelVersion, RegisteredModel
from approvals.selectors.catalogue import open_restrictions
from approvals.selectors.comparisons import comparison_of
from approvals.selectors.versions import Spell, newest_spells

MOST = 6
MOST_LINES = 300
# So many small plots stand open; the others are folded.
PLOTS = 8


@dataclass(frozen=True)
class Figure:
    """One metric of one version. ``standing`` is best, worst or nothing; ``at`` is where it lies in its plot, in
    percents, None where it is no number."""

    version: ModelVersion
    row: MetricRow
    standing: str
    at: float | None

    @property
    def x(self) -> str:
        """Where its mark lies."""
        return f"{self.at:g}%" if self.at is not None else ""


@dataclass(frozen=True)
class MetricLine:
    """One metric of all versions; ``better`` is higher, lower, or nothing where nobody said."""

    name: str
    better: str
    figures: list[Figure]
    low: str
    high: str

    @property
    def is_same(self) -> bool:
        """All versions have the same value."""
        return len({each.row.candidate for each in self.figures}) == 1

    @property
    def has_plot(self) -> bool:
        """At least two values, not all the same."""
        return not self.is_same and sum(each.at is not None for each in self.figures) > 1


@dataclass(frozen=True)
class TextLine:
    """One parameter, data set or column of all versions."""

    name: str
    texts: list[str]

    @property
    def is_same(self) -> bool:
        """All versions have the same."""
        return len(set(self.texts)) == 1


@dataclass(frozen=True)
class Column:
    """One version as a column of the page."""

    version: ModelVersion
    spells: list[Spell]
    commits: CodeComparison | None


@dataclass(frozen=True)
class SideBySide:
    """Everything the page shows; ``base`` is what the others' changes are counted from."""

    base: ModelVersion
    columns: list[Column]
    metrics: list[MetricLine]
    parameters: list[TextLine]
    datasets: list[TextLine]
    signature: list[TextLine]
    left_out: int

    @property
    def versions(self) -> list[ModelVersion]:
        """The versions, in the order of their numbers."""
        return [each.version for each in self.columns]

    @property
    def plots(self) -> list[MetricLine]:
        """The metrics that can be drawn, the configured ones first."""
        return [each for each in self.metrics if each.has_plot]

    @property
    def signatures_known(self) -> int:
        """Of how many versions the signature is known."""
        return sum(bool(each.signature) for each in self.versions)


def chosen_versions(model: RegisteredModel, numbers: Iterable[int]) -> list[ModelVersion]:
    """The versions with these numbers by number, each once: the one that MLflow still has, else the newest."""
    rows = model.versions.filter(number__in=list(numbers)).select_related("model")
    rows = rows.prefetch_related(open_restrictions())
    found: dict[int, ModelVersion] = {}
    for each in rows.order_by("number", "-deleted_at", "-id"):
        found.setdefault(each.number, each)
    return list(found.values())


def side_by_side(versions: Sequence[ModelVersion], base: ModelVersion) -> SideBySide:
    """Compare them. Two queries, and one for each version's commits."""
    spells = newest_spells(each.pk for each in versions)
    metrics = _metrics(versions, base)
    parameters = _lines(versions, lambda each: each.parameters)
    return SideBySide(
        base,
        [
            Column(
                each,
                spells.get(each.pk, []),
                comparison_of(base, each) if each.pk != base.pk else None,
            )
            for each in versions
        ],
        metrics[:MOST_LINES],
        parameters[:MOST_LINES],
        _lines(versions, _datasets)[:MOST_LINES],
        _lines(versions, _columns)[:MOST_LINES],
        max(len(metrics) - MOST_LINES, 0) + max(len(parameters) - MOST_LINES, 0),
    )


def _metrics(versions: Sequence[ModelVersion], base: ModelVersion) -> list[MetricLine]:
    directions = versions[0].model.metrics
    better: dict[str, str] = {row[0]: row[1] for row in directions}
    by_version = [
        {row.name: row for row in compare_metrics(each.metrics, base.metrics, directions)}
        for each in versions
    ]
    names = list(dict.fromkeys([*better, *sorted({name for rows in by_version for name in rows})]))
    lines = []
    for name in names:
        values = [number(each.metrics.get(name)) for each in versions]
        if not any(name in each.metrics for each in versions):
            continue
        known = [value for value in values if value is not None]
        scale = _scale(known)
        standings = _standings(values, better.get(name, ""))
        figures = [
            Figure(
                version,
                rows.get(name) or MetricRow(name, "–", "–", "", "unknown"),
                standing,
                scale(float(value)) if value is not None and scale else None,
            )
            for version, rows, value, standing in zip(
                versions, by_version, values, standings, strict=True
            )
        ]
        ends = (shown(min(known)), shown(max(known))) if known else ("", "")
        lines.append(MetricLine(name, better.get(name, ""), figures, *ends))
    return lines


def _scale(known: Sequence[Decimal]) -> Scale | None:
    """From the least to the greatest, a little inside of the drawing."""
    return Scale(float(min(known)), float(max(known)), 4, 96) if known else None


def _standings(values: Sequence[Decimal | None], better: str) -> list[str]:
    """best and worst, each where it is one version's alone; nothing where nobody said which is better."""
    known = sorted(value for value in values if value is not None)
    if not better or len(known) < 2 or known[0] == known[-1]:
        return [""] * len(values)
    worst, best = (known[0], known[-1]) if better == "higher" else (known[-1], known[0])
    marks = {best: "best"} if known.count(best) == 1 else {}
    if known.count(worst) == 1 and len(known) > 2:
        marks[worst] = "worst"
    return [marks.get(value, "") if value is not None else "" for value in values]


def _lines(
    versions: Sequence[ModelVersion], read: Callable[[ModelVersion], dict[str, object]]
) -> list[TextLine]:
    """Those that differ first, then by name; a dash where a version has none."""
    texts = [{str(name): str(value) for name, value in read(each).items()} for each in versions]
    lines = [
        TextLine(name, [each.get(name, "–") for each in texts])
        for name in sorted({name for each in texts for name in each})
    ]
    return sorted(lines, key=lambda each: each.is_same)


def _datasets(version: ModelVersion) -> dict[str, object]:
    named: dict[str, object] = {}
    for each in version.datasets:
        context = f" ({each['context']})" if each.get("context") else ""
        named[f"{each.get('name', '?')}{context}"] = each.get("digest", "–")
    return named


def _columns(version: ModelVersion) -> dict[str, object]:
    """The columns of the signature: ``input amount`` → ``double, required``."""
    named: dict[str, object] = {}
    for side, key in (("input", "inputs"), ("output", "outputs")):
        for index, each in enumerate(version.signature.get(key) or []):
            required = ", optional" if each.get("required") is False else ""
            named[f"{side} {each.get('name') or index}"] = f"{each.get('type', '?')}{required}"
    return named
