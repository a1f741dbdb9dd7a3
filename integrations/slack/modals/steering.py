"""The dialogs of what people do to a request or a rollout: each says what will happen, and asks why."""

from __future__ import annotations

from dataclasses import dataclass

from approvals.models import Deployment, Promotion
from approvals.selectors.allowed import what_to_confirm
from approvals.services.rollouts import plan_of
from integrations.slack.blocks import Block, View, modal, reason_input, section
from integrations.slack.messages import rollout_bar, title_of
from integrations.slack.modals import facts


@dataclass(frozen=True)
class Words:
    """What a dialog is called, asks and offers; the reason may be left out where ``optional``."""

    title: str
    asks: str
    submit: str
    optional: bool = False


WORDS = {
    "cancel": Words("Cancel the request", "Why is it taken back?", "Cancel the request", True),
    "advance": Words("Go on now", "Why?", "Go on now", True),
    "pause": Words("Pause the rollout", "Why?", "Pause"),
    "abort": Words("Abort the rollout", "Why?", "Go back"),
    "confirm": Words("Confirm", "Why?", "Let it go live", True),
    "call_off": Words("Call it off", "Why?", "Call it off"),
}


def ask_why(act: str, promotion: Promotion) -> View:
    """The dialog of one of WORDS; carries what the person saw."""
    words = WORDS[act]
    deployment: Deployment | None = getattr(promotion, "deployment", None)
    lines = [f"*{facts.line(title_of(promotion), 300)}*"]
    carried: dict[str, object] = {"p": promotion.pk}
    differing: list[Block] = []
    if deployment is not None:
        if bar := rollout_bar(deployment):
            lines.append(bar)
        lines.append(_then(act, deployment))
        if act == "advance":
            carried["n"] = deployment.step.ordinal if deployment.step else None
        if act == "confirm":
            carried["s"] = deployment.asked_seal
            differing = _differing(promotion, deployment)
    else:
        lines.append("Nobody is asked any more then.")
    asked = reason_input(words.asks, optional=words.optional)
    blocks = facts.fitted([[section("\n".join(lines))], differing, [asked]])
    return modal(act, words.title, carried, blocks, submit=words.submit)


def _differing(promotion: Promotion, deployment: Deployment) -> list[Block]:
    """What holds now beside what was approved, and the metrics beside those of what is live now."""
    live = deployment.target.live_version
    return [
        *facts.paragraphs(
            "Approved, and now",
            [f"• {facts.line(clause, 600)}" for clause in what_to_confirm(deployment)],
        ),
        *facts.metrics(promotion, live.metrics if live else {}),
    ]


def _then(act: str, deployment: Deployment) -> str:
    """What happens when the dialog is sent."""
    former = f"v{deployment.previous.number}" if deployment.previous else "nothing"
    if act == "advance":
        return f"It goes on with {_next_step(deployment)}."
    if act == "pause":
        return "The step in hand ends, and no other begins until somebody lets it go on."
    if act == "abort":
        return f"It goes back: {former} serves everybody again, and this deployment ends."
    if act == "confirm":
        return facts.line(deployment.asks_to_confirm, 1000)
    return "Nothing is started then; ask again if it is wanted."


def _next_step(deployment: Deployment) -> str:
    """``the next step, 50 %``, as far as the plan says."""
    step = deployment.step
    if step is None or step.index is None or not deployment.strategy:
        return "the next step"
    steps = plan_of(deployment).steps
    # Decided before it was paused, it is the step in hand; else the one after it.
    at = step.index if not step.outcome else min(step.index + 1, len(steps) - 1)
    return f"the next step, {steps[at].percent} %"
