"""What dialogs say of a promotion at length: metrics, delivery, where the version comes from, evidence, the sealed
facts. Each value is cut on its own, so that a long one cannot hide a later one."""

from __future__ import annotations

import json
from collections.abc import Iterable

from django.template.defaultfilters import filesizeformat

from approvals.compare import BETTER, SAME, WORSE, MetricRow, compare_metrics
from approvals.models import Deployment, Promotion
from approvals.seals import canonical, flatten
from approvals.selectors.catalogue import dataset_differences, parameter_differences
from approvals.services.evidence import newest_evidence
from approvals.services.marks import mark_of
from approvals.services.restrictions import restrictions_of
from approvals.states import EvidenceVerdict
from approvals.web import links
from approvals.wording import day_and_time
from integrations.slack.blocks import Block, context, section
from integrations.slack.text import inert, link

# Slack takes 100 blocks in a modal, and a view of 250 kB (its error view_too_large); some is kept in reserve.
MOST_BLOCKS, MOST_BYTES = 100, 240_000
# A section takes 3,000 characters.
PARAGRAPH = 2900
MARKS = {BETTER: "✓ better", WORSE: "✗ worse", SAME: "✓ the same"}
LEFT_OUT = "Slack takes no more here: the whole is on the page."


def line(text: str, limit: int) -> str:
    """A value, inert, in one line: what somebody wrote cannot pass for a line of ours."""
    return inert(" ".join(text.split()), limit)


def paragraphs(heading: str, lines: Iterable[str]) -> list[Block]:
    """Lines, inert already, as many to a section as Slack takes; none without lines."""
    texts, held, length = list[str](), [f"*{heading}*"] if heading else [], len(heading) + 2
    for line in lines:
        if length + len(line) > PARAGRAPH:
            texts.append("\n".join(held))
            held, length = [], 0
        held.append(line)
        length += len(line) + 1
    if not texts and len(held) < 2 and heading:
        return []
    return [section(each) for each in (*texts, "\n".join(held)) if each]


def fitted(parts: list[list[Block]]) -> list[Block]:
    """The parts one after the other; where Slack would not take them all, the longest one is shortened at its
    end, so that none pushes another out. A part of one block stays whole."""
    sizes = [[len(json.dumps(block)) for block in part] for part in parts]
    cut = False
    while True:
        longer = [part for part in sizes if len(part) > 1]
        if longer and sum(map(len, sizes)) > MOST_BLOCKS - cut:
            max(longer, key=len).pop()
        elif longer and sum(map(sum, sizes)) > MOST_BYTES:
            max(longer, key=sum).pop()
        else:
            break
        cut = True
    kept = [part[: len(size)] for part, size in zip(parts, sizes, strict=True)]
    blocks = [block for part in kept for block in part]
    return [*blocks, context(LEFT_OUT)] if cut else blocks


def metrics(promotion: Promotion, live: dict[str, str] | None = None) -> list[Block]:
    """Every metric beside what is live: what the promotion replaces, or ``live``. The candidate's are the sealed
    ones, as soon as there is a seal."""
    if live is None:
        live = promotion.replaces.metrics if promotion.replaces else {}
    candidate = promotion.facts.get("metrics") or promotion.version.metrics
    rows = compare_metrics(candidate, live, promotion.target.model.metrics)
    if not rows:
        return [context("The run logged no metrics.")]
    return paragraphs("Metrics: live → candidate", map(_metric, rows))


def _metric(row: MetricRow) -> str:
    if row.live == row.candidate == "–":
        return f"• *{line(row.name, 120)}*: logged by neither"
    change = f" ({row.change})" if row.change else ""
    mark = f" {MARKS[row.verdict]}" if row.verdict in MARKS else ""
    return f"• *{line(row.name, 120)}*: {row.live} → {row.candidate}{change}{mark}"


def changes(promotion: Promotion) -> list[Block]:
    """Parameters and data that differ from what is live."""
    if promotion.replaces is None:
        return []
    differing, _ = parameter_differences(promotion.version, promotion.replaces)
    data = [e for e in dataset_differences(promotion.version, promotion.replaces) if not e.same]
    return paragraphs(
        "Parameters and data that differ: live → candidate",
        [
            f"• {line(each.name, 120)}: {line(each.live, 120)} → {line(each.candidate, 120)}"
            for each in (*differing, *data)
        ],
    )


def lineage(promotion: Promotion) -> list[Block]:
    """Where the version comes from: run, who trained it, commit, data, artifact."""
    version, repository = promotion.version, promotion.target.model.repository
    run = line(f"{version.run_id or 'unknown'} {version.run_name}", 200)
    if address := links.mlflow_run(version):
        run = link(address, f"{version.run_id} {version.run_name}")
    commit = line(version.git_commit[:12] or "unknown", 40)
    if repository and version.git_commit:
        commit = link(links.commit(repository, version.git_commit), version.git_commit[:12])
    size = f", {filesizeformat(version.artifact_bytes)}" if version.artifact_bytes else ""
    return paragraphs(
        "Where it comes from",
        [
            f"• Run: {run}",
            f"• Trained by: {line(version.trained_by or 'unknown', 120)}",
            f"• Commit: {commit} {line(version.git_branch, 120)}".rstrip(),
            *(
                f"• Data ({line(each.get('context') or 'data set', 40)}): "
                f"{line(str(each.get('name', '?')), 120)} `{line(str(each.get('digest', '–')), 60)}`"
                for each in version.datasets
            ),
            f"• Artifact: `{line(version.artifact_digest or 'not hashed yet', 80)}`{size}".replace(
                "\xa0", " "
            ),
        ],
    )


def evidence(promotion: Promotion) -> list[Block]:
    """The newest result of each name that counts for this promotion, with its numbers."""
    found = newest_evidence(
        promotion.version, promotion.target.environment_id, asked_by=promotion.requester
    )
    lines = []
    for each in found:
        passed = each.verdict == EvidenceVerdict.PASS
        mark = "✓ passed" if passed else "✗ failed"
        name = link(each.link, each.name) if each.link else line(each.name, 120)
        numbers = ", ".join(
            f"{line(key, 60)} {line(value, 40)}" for key, value in list(each.numbers.items())[:8]
        )
        lines.append(
            f"• {mark}: {name}, {line(each.produced_by, 120)}, {day_and_time(each.produced_at)}"
            + (f" ({numbers})" if numbers else "")
        )
    return paragraphs("Evidence", lines)


def warnings(promotion: Promotion, said: Iterable[str]) -> list[Block]:
    """What people know of the version or closed here: marks, locks, holds, quarantine; without what was ``said``
    above already."""
    mark = mark_of(promotion)
    found = [mark.sentence] if mark is not None else []
    found += [each.sentence for each in restrictions_of(promotion)]
    told = "\n".join(said)
    return paragraphs("Known of it", [f"• {line(each, 600)}" for each in found if each not in told])


def sealed(promotion: Promotion, *, without: tuple[str, ...] = ()) -> list[Block]:
    """The seal, and every fact under it but the metrics, which stand above, and the one at ``without``, which
    stands elsewhere."""
    if not promotion.seal:
        return [section("*Sealed facts*\nNot sealed yet: the facts are still being gathered.")]
    lines = [f"Seal `{promotion.seal}`"]
    for path, value in flatten(promotion.facts):
        if path[0] != "metrics" and path != without:
            text = value if isinstance(value, str) else canonical(value)
            lines.append(f"• {line(' › '.join(path), 120)}: {line(text or '–', 300)}")
    return paragraphs("Sealed facts", lines)


def delivery(promotion: Promotion) -> list[Block]:
    """How the deployment is going; nothing before there is one."""
    deployment: Deployment | None = getattr(promotion, "deployment", None)
    if deployment is None:
        return []
    lines = [f"{deployment.get_status_display()}. {line(deployment.detail, 600)}".strip()]
    for label, text in (
        ("Paused", deployment.paused),
        ("Going back", deployment.aborting),
        ("To be confirmed", deployment.asks_to_confirm),
    ):
        if text and text not in deployment.detail:
            lines.append(f"{label}: {line(text, 600)}")
    if deployment.run_url:
        lines.append(link(deployment.run_url, "Open the workflow run on GitHub"))
    return paragraphs("Deployment", lines)
