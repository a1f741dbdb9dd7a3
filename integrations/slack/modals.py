"""The dialogs: a reason for a rejection, details, a rollback."""

from __future__ import annotations

import json
from typing import Any

from approvals.explain import explain
from approvals.models import Person, Promotion, Target
from approvals.rules import Terms
from approvals.selectors.catalogue import RollbackChoice
from approvals.wording import day_and_time
from integrations.slack.messages import (
    address,
    metric_blocks,
    title_of,
)
from integrations.slack.text import inert, link, mrkdwn, quoted

View = dict[str, Any]


def _plain(text: str, limit: int = 75) -> dict[str, str]:
    return {"type": "plain_text", "text": text if len(text) <= limit else text[: limit - 1] + "…"}


def _reason_input(label: str) -> View:
    return {
        "type": "input",
        "block_id": "reason",
        "label": _plain(label),
        "element": {
            "type": "plain_text_input",
            "action_id": "text",
            "multiline": True,
            "max_length": 2000,
        },
    }


def _modal(callback: str, title: str, metadata: dict[str, Any], blocks: list[View]) -> View:
    return {
        "type": "modal",
        "callback_id": callback,
        "title": _plain(title, 24),
        "close": _plain("Close", 24),
        "private_metadata": json.dumps(metadata, separators=(",", ":")),
        "blocks": blocks,
    }


def _text(text: str) -> View:
    return {"type": "section", "text": mrkdwn(text)}


def reject(promotion: Promotion, seal: str) -> View:
    """Asks for the reason; carries the seal that the person saw."""
    blocks = [_text(f"*{inert(title_of(promotion), 300)}*"), _reason_input("Why do you reject it?")]
    modal = _modal("reject", "Reject", {"p": promotion.pk, "s": seal}, blocks)
    return {**modal, "submit": _plain("Reject", 24)}


def _lines(sentences: list[str]) -> list[View]:
    """Sentences in the words of every other door, as many to a section as Slack takes (3,000 characters)."""
    sections, lines, length = [], list[str](), 0
    for line in (f"• {inert(sentence, 1000)}" for sentence in sentences):
        if lines and length + len(line) > 2900:
            sections.append("\n".join(lines))
            lines, length = [], 0
        lines.append(line)
        length += len(line) + 1
    return [_text(section) for section in (*sections, "\n".join(lines)) if section]


# Slack takes ten boxes in one element, with 75 characters each.
MOST_BOXES = 10


def approve(promotion: Promotion, seal: str, terms: Terms) -> View:
    """Asks for the ticks and the comment that the policy wants; carries the seal that the person saw."""
    blocks = [_text(f"*{inert(title_of(promotion), 300)}*"), *metric_blocks(promotion, most=10)]
    items = list(enumerate(terms.checklist))
    for start in range(0, len(items), MOST_BOXES):
        chunk = items[start : start + MOST_BOXES]
        blocks.append(_text("\n".join(f"{index + 1}. {inert(item, 200)}" for index, item in chunk)))
        blocks.append(
            {
                "type": "input",
                "block_id": f"checklist-{start}",
                "label": _plain("You have checked"),
                "element": {
                    "type": "checkboxes",
                    "action_id": "ticked",
                    "options": [
                        {"text": _plain(f"{index + 1}. {item}"), "value": str(index)}
                        for index, item in chunk
                    ],
                },
            }
        )
    comment = _reason_input("Why do you approve it?")
    blocks.append(comment if terms.comment_required else {**comment, "optional": True})
    modal = _modal("approve", "Approve", {"p": promotion.pk, "s": seal}, blocks)
    return {**modal, "submit": _plain("Approve", 24)}


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
        _text(f"*{inert(title_of(promotion), 300)}*\n{quoted(promotion.reason)}"),
        _text(you),
        *metric_blocks(promotion, most=10),
        {"type": "divider"},
        *_lines(explained.sentences),
        {"type": "divider"},
        _text("\n".join(lineage)),
        _text(f"Seal `{promotion.seal or 'not sealed yet'}`"),
        _text(link(address(promotion.get_absolute_url()), "Open in Countersign")),
    ]
    return _modal("details", "Details", {}, blocks)


def _change(choice: RollbackChoice) -> str:
    """What going back to it changes: when it was live, and its metrics beside the live ones."""
    metrics = ", ".join(
        f"{inert(row.name, 80)} {row.live} → {row.candidate}"
        for row in choice.metrics[:4]
        if row.candidate != "–"
    )
    lines = [f"*v{choice.version.number}*: {inert(choice.sentence, 300)}", metrics]
    return "\n".join(line for line in lines if line)


def rollback(target: Target, choices: list[RollbackChoice]) -> View:
    """Choose among versions that were live before; the first, the last known-good one, is chosen already."""
    options = [
        {
            "text": _plain(f"{each.version.model.name} v{each.version.number}"),
            "value": str(each.version.pk),
        }
        for each in choices[:100]
    ]
    live = target.live_version
    since = f" since {day_and_time(target.live_since)}" if target.live_since else ""
    blocks = [
        _text(
            f"*{inert(target.model.name)}* in *{inert(target.environment.name)}*: "
            f"v{live.number if live else '–'} is live{since}."
        ),
        *(_text(_change(each)) for each in choices[:3]),
        {
            "type": "input",
            "block_id": "version",
            "label": _plain("Roll back to"),
            "element": {
                "type": "static_select",
                "action_id": "choice",
                "options": options,
                "initial_option": options[0],
            },
        },
        _reason_input("Why?"),
    ]
    modal = _modal("rollback", "Roll back", {"t": target.pk}, blocks)
    return {**modal, "submit": _plain("Ask for it", 24)}
