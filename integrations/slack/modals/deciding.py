"""The dialogs of a decision: approve with ticks and a comment, reject with a reason."""

from __future__ import annotations

from collections.abc import Iterator

from approvals.models import Promotion
from approvals.rules import Terms
from integrations.slack.blocks import Block, View, modal, plain, reason_input, section
from integrations.slack.messages import title_of
from integrations.slack.modals import facts
from integrations.slack.text import quoted

# Slack takes ten boxes in one element, with 75 characters each.
MOST_BOXES, MOST_IN_A_BOX = 10, 75


def reject(promotion: Promotion, seal: str) -> View:
    """Asks for the reason; carries the seal that the person saw."""
    blocks = [
        section(f"*{facts.line(title_of(promotion), 300)}*\n{quoted(promotion.reason)}"),
        reason_input("Why do you reject it?"),
    ]
    return modal("reject", "Reject", {"p": promotion.pk, "s": seal}, blocks, submit="Reject")


def approve(promotion: Promotion, seal: str, terms: Terms) -> View:
    """Asks for the ticks and the comment that the policy wants, below the facts; carries the seal that the
    person saw."""
    title = section(f"*{facts.line(title_of(promotion), 300)}*\n{quoted(promotion.reason)}")
    asked = list(_checklist(terms.checklist))
    asked.append(reason_input("Why do you approve it?", optional=not terms.comment_required))
    # What is asked stands in parts of its own, one block each: nothing of it is ever left out.
    blocks = facts.fitted(
        [
            [title],
            facts.metrics(promotion),
            facts.changes(promotion),
            facts.sealed(promotion, without=("policy", "checklist")),
            *([block] for block in asked),
        ]
    )
    return modal("approve", "Approve", {"p": promotion.pk, "s": seal}, blocks, submit="Approve")


def _checklist(items: tuple[str, ...]) -> Iterator[Block]:
    """The boxes. What fits into one stands there alone; what does not stands above, whole, and its box names it by
    number."""
    for start in range(0, len(items), MOST_BOXES):
        chunk = list(enumerate(items[start : start + MOST_BOXES], start))
        above = [f"*{i + 1}.* {facts.line(item, 2000)}" for i, item in chunk if not _is_short(item)]
        yield from facts.paragraphs("", above)
        yield {
            "type": "input",
            "block_id": f"checklist-{start}",
            "label": plain("You have checked"),
            "element": {
                "type": "checkboxes",
                "action_id": "ticked",
                "options": [
                    {
                        "text": plain(item if _is_short(item) else f"{i + 1}. as written above"),
                        "value": str(i),
                    }
                    for i, item in chunk
                ],
            },
        }


def _is_short(item: str) -> bool:
    return len(item) <= MOST_IN_A_BOX
