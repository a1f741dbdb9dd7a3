"""The dialogs of a decision: approve with ticks and a comment, reject with a reason, details."""

from __future__ import annotations

from approvals.explain import explain
from approvals.models import Person, Promotion
from approvals.rules import Terms
from integrations.slack.blocks import DIVIDER, View, modal, plain, reason_input, section
from integrations.slack.messages import (
    address,
    metric_blocks,
    title_of,
)
from integrations.slack.text import inert, link, quoted


def reject(promotion: Promotion, seal: str) -> View:
    """Asks for the reason; carries the seal that the person saw."""
    blocks = [
        section(f"*{inert(title_of(promotion), 300)}*"),
        reason_input("Why do you reject it?"),
    ]
    return modal("reject", "Reject", {"p": promotion.pk, "s": seal}, blocks, submit="Reject")


def _lines(sentences: list[str]) -> list[View]:
    """Sentences in the words of every other door, as many to a section as Slack takes (3,000 characters)."""
    sections, lines, length = [], list[str](), 0
    for line in (f"• {inert(sentence, 1000)}" for sentence in sentences):
        if lines and length + len(line) > 2900:
            sections.append("\n".join(lines))
            lines, length = [], 0
        lines.append(line)
        length += len(line) + 1
    return [section(each) for each in (*sections, "\n".join(lines)) if each]


# Slack takes ten boxes in one element, with 75 characters each.
MOST_BOXES = 10


def approve(promotion: Promotion, seal: str, terms: Terms) -> View:
    """Asks for the ticks and the comment that the policy wants; carries the seal that the person saw."""
    blocks = [section(f"*{inert(title_of(promotion), 300)}*"), *metric_blocks(promotion, most=10)]
    items = list(enumerate(terms.checklist))
    for start in range(0, len(items), MOST_BOXES):
        chunk = items[start : start + MOST_BOXES]
        blocks.append(
            section("\n".join(f"{index + 1}. {inert(item, 200)}" for index, item in chunk))
        )
        blocks.append(
            {
                "type": "input",
                "block_id": f"checklist-{start}",
                "label": plain("You have checked"),
                "element": {
                    "type": "checkboxes",
                    "action_id": "ticked",
                    "options": [
                        {"text": plain(f"{index + 1}. {item}"), "value": str(index)}
                        for index, item in chunk
                    ],
                },
            }
        )
    blocks.append(reason_input("Why do you approve it?", optional=not terms.comment_required))
    return modal("approve", "Approve", {"p": promotion.pk, "s": seal}, blocks, submit="Approve")


def details(promotion: Promotion, person: Person) -> View:
    """Everything needed to decide, and what this person may do."""
    version, explained = promotion.version, explain(promotion, person)
    you = f"*You*: {inert(explained.you)}"
    lineage = [
        f"Run: `{inert(version.run_id or 'unknown', 80)}` {inert(version.run_name, 100)}",
        f"Trained by: {inert(version.trained_by or 'unknown', 100)}",
        f"Commit: `{inert(version.git_commit[:12] or 'unknown', 40)}` "
        f"{inert(version.git_branch, 100)}",
        f"Artifact: `{inert(version.artifact_digest[:23] or 'not hashed yet', 80)}`",
        *(
            f"Data ({inert(each.get('context') or 'dataset', 40)}): {inert(each['name'], 100)} "
            f"`{inert(str(each.get('digest', '')), 40)}`"
            for each in version.datasets[:10]
        ),
    ]
    blocks = [
        section(f"*{inert(title_of(promotion), 300)}*\n{quoted(promotion.reason)}"),
        section(you),
        *metric_blocks(promotion, most=10),
        DIVIDER,
        *_lines(explained.sentences),
        DIVIDER,
        section("\n".join(lineage)),
        section(f"Seal `{promotion.seal or 'not sealed yet'}`"),
        section(link(address(promotion.get_absolute_url()), "Open in Countersign")),
    ]
    return modal("details", "Details", {}, blocks)
