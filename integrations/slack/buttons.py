"""The buttons of a promotion's message: those that make sense now. Who may press them, the verbs decide."""

from __future__ import annotations

from typing import Any

from approvals.explain import Explanation
from approvals.models import Deployment, Promotion
from approvals.services.interventions import stuck_on_the_way_back
from approvals.services.rollouts import why_not_abort, why_not_advance, why_not_pause
from approvals.states import DeploymentStatus
from integrations.slack.blocks import Block, button, confirm


def buttons_of(
    promotion: Promotion, deployment: Deployment | None, explained: Explanation
) -> list[Block]:
    """At most five, and none for what nobody can do.

    Approve stays while it is blocked: much of what blocks ends by itself (a freeze, a run, a soak), and no event
    would tell the message. It only does not invite any more, and the words above say why; a press meanwhile is
    answered privately with the same reason.
    """
    if deployment is not None:
        value = value_of(promotion)
        return [*_steering(promotion, deployment, value), button("Details", "details", value)]
    return deciding(
        promotion, blocked=bool(explained.blockers), asked=not explained.terms.automatic
    )


def value_of(promotion: Promotion) -> dict[str, Any]:
    """What a button about a promotion carries: its id, and the seal that whoever presses it saw."""
    return {"p": promotion.pk, "s": promotion.seal}


def deciding(promotion: Promotion, *, blocked: bool = False, asked: bool = True) -> list[Block]:
    """Approve, Reject and Details, wherever a request is shown; Details alone where nothing can be decided or
    nobody is ``asked``."""
    value = value_of(promotion)
    details = button("Details", "details", value)
    if not (promotion.is_pending and promotion.seal and asked):
        return [details]
    return [
        approve_button(promotion, style="" if blocked else "primary"),
        button("Reject", "reject", value, "danger"),
        details,
    ]


def approve_button(promotion: Promotion, *, style: str = "primary") -> Block:
    """Approve; where the environment is so marked, Slack asks once more."""
    asks = _asks(promotion, "Approve?", f"Approve {_what(promotion)}?", "Approve")
    return button("Approve", "approve", value_of(promotion), style, asks)


def seen_step(deployment: Deployment | None) -> dict[str, int]:
    """The number of the step after which a rollout stands: *Go on*, pressed late, must not start another one."""
    return {"n": deployment.step.ordinal} if deployment and deployment.step else {}


def _steering(promotion: Promotion, deployment: Deployment, value: dict[str, Any]) -> list[Block]:
    buttons = []
    if deployment.status == DeploymentStatus.QUEUED and deployment.asks_to_confirm:
        # Who confirms saw these facts, not those that were approved: it carries their seal.
        asked = {**value, "s": deployment.asked_seal}
        buttons.append(button("Confirm", "confirm", asked, "primary"))
    if deployment.status == DeploymentStatus.UNCONFIRMED:
        buttons.append(button("Look again", "look_again", value, "primary"))
    if deployment.strategy:
        if not why_not_advance(deployment):
            buttons.append(
                button("Go on", "advance", {**value, **seen_step(deployment)}, "primary")
            )
        if not why_not_pause(deployment):
            buttons.append(button("Pause", "pause", value))
        if not why_not_abort(deployment):
            again = stuck_on_the_way_back(deployment)
            to = f"to v{deployment.previous.number}" if deployment.previous else "to nothing"
            asks = _asks(promotion, "Go back?", f"Take {_what(promotion)} back {to}?", "Go back")
            label = "Go back once more" if again else "Abort"
            buttons.append(button(label, "abort", value, "danger", asks))
    if promotion.target.live_deployment_id == deployment.pk and deployment.previous_id:
        asks = _asks(promotion, "Roll back?", f"Roll back {_what(promotion)}?", "Roll back")
        buttons.append(button("Roll back", "rollback", value, "danger", asks))
    return buttons


def _what(promotion: Promotion) -> str:
    return f"{promotion.version} in {promotion.target.environment.name}"


def _asks(promotion: Promotion, title: str, text: str, yes: str) -> Block | None:
    """Slack's own dialog that asks once more, where the environment is so marked."""
    return confirm(title, text, yes) if promotion.target.environment.confirm else None
