"""Everything needed to decide, built for the one who looks: what they may do and why not comes first."""

from __future__ import annotations

from django.utils import timezone

from approvals.explain import Explanation, explain
from approvals.models import Deployment, Person, Promotion
from approvals.selectors.allowed import acts_of
from approvals.services.queueing import why_not_settle
from integrations.slack.blocks import Block, View, button, modal, section
from integrations.slack.buttons import approve_button, seen_step, value_of
from integrations.slack.messages import address, title_of
from integrations.slack.modals import facts
from integrations.slack.text import inert, link, quoted

# What each act is called on its button, and its colour.
LABELS: dict[str, tuple[str, str]] = {
    "withdraw": ("Withdraw my review", ""),
    "cancel": ("Cancel the request", ""),
    "confirm": ("Confirm", "primary"),
    "advance": ("Go on now", "primary"),
    "pause": ("Pause", ""),
    "abort": ("Abort", "danger"),
    "look_again": ("Look again", ""),
    "call_off": ("Call it off", "danger"),
    "rollback": ("Roll back", "danger"),
}


def details(promotion: Promotion, person: Person) -> View:
    """All about a promotion, and what this person may do."""
    explained = explain(promotion, person)
    now = timezone.now()
    deployment: Deployment | None = getattr(promotion, "deployment", None)
    you = f"*You*: {inert(explained.you)}"
    if explained.may_act and explained.blockers:
        you += " It cannot be approved while it is blocked; you may reject it."
    if deployment is not None and deployment.is_open:
        refusal = why_not_settle(deployment, person, now)
        you += f"\n*The deployment*: {inert(refusal[1]) if refusal else 'you may steer it.'}"
    acts = _buttons(promotion, person, explained)
    blocks = facts.fitted(
        [
            [section(f"*{facts.line(title_of(promotion), 300)}*")],
            [section(you)],
            [{"type": "actions", "block_id": "acts", "elements": acts}] if acts else [],
            [
                section(
                    f"{facts.line(str(promotion.requester), 120)} asks:\n{quoted(promotion.reason)}"
                )
            ],
            facts.delivery(promotion),
            facts.paragraphs(
                "Who and what it takes",
                [f"• {facts.line(each, 1000)}" for each in explained.sentences],
            ),
            facts.metrics(promotion),
            facts.changes(promotion),
            facts.lineage(promotion),
            facts.evidence(promotion),
            facts.warnings(promotion, explained.sentences),
            facts.sealed(promotion),
            [section(link(address(promotion.get_absolute_url()), "Open in Countersign"))],
        ]
    )
    return modal("details", "Details", {"p": promotion.pk}, blocks)


def _buttons(promotion: Promotion, person: Person, explained: Explanation) -> list[Block]:
    """What this person may do from here; the value is that of the message's buttons."""
    value, made = value_of(promotion), []
    if explained.may_approve:
        made.append(approve_button(promotion))
    if explained.may_act:
        made.append(button("Reject", "reject", value, "danger"))
    for act in acts_of(promotion, person, timezone.now()):
        label, style = LABELS[act]
        seen = seen_step(getattr(promotion, "deployment", None)) if act == "advance" else {}
        made.append(button(label, act, {**value, **seen}, style))
    return made
