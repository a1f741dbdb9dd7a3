"""The dialogs that were filled in: one submission, one verb."""

from __future__ import annotations

from typing import Any

from slack_bolt import Ack, App

from approvals import services
from approvals.models import Person, Promotion
from approvals.rules import Policy
from approvals.services.cases import NOT_A_POLICY, terms_of
from approvals.states import Verdict, Via
from integrations.slack.listeners.answers import Body, submitted


def register(app: App) -> None:
    """Tell bolt of the dialogs."""
    app.view("approve")(approve_submitted)
    app.view("reject")(reject_submitted)
    app.view("rollback")(rollback_submitted)


def approve_submitted(ack: Ack, body: Body) -> None:
    """The Approve dialog was submitted."""

    def act(person: Person, data: dict[str, Any], values: Any) -> None:
        checklist = _checklist(int(data["p"]))
        chosen = [
            int(option["value"])
            for block, inputs in values.items()
            if block.startswith("checklist-")
            for option in inputs["ticked"]["selected_options"]
        ]
        services.review(
            actor=person,
            via=Via.SLACK,
            promotion_id=int(data["p"]),
            verdict=Verdict.APPROVE,
            seal=str(data["s"]),
            comment=values["reason"]["text"]["value"] or "",
            ticked=[checklist[index] for index in chosen if index < len(checklist)],
        )

    submitted(ack, body, "reason", act)


def _checklist(promotion_id: int) -> tuple[str, ...]:
    """The items as sealed, to which the numbers of the boxes belong; the verb compares the seal."""
    promotion = Promotion.objects.filter(pk=promotion_id).first()
    try:
        return (
            terms_of(promotion, Policy.from_data(promotion.policy)).checklist if promotion else ()
        )
    except NOT_A_POLICY:
        return ()  # which the verb refuses


def reject_submitted(ack: Ack, body: Body) -> None:
    """The Reject dialog was submitted."""

    def act(person: Person, data: dict[str, Any], values: Any) -> None:
        services.review(
            actor=person,
            via=Via.SLACK,
            promotion_id=int(data["p"]),
            verdict=Verdict.REJECT,
            seal=str(data["s"]),
            comment=values["reason"]["text"]["value"] or "",
        )

    submitted(ack, body, "reason", act)


def rollback_submitted(ack: Ack, body: Body) -> None:
    """The Roll back dialog was submitted."""

    def act(person: Person, data: dict[str, Any], values: Any) -> None:
        services.request_rollback(
            actor=person,
            via=Via.SLACK,
            target_id=int(data["t"]),
            version_id=int(values["version"]["choice"]["selected_option"]["value"]),
            reason=values["reason"]["text"]["value"] or "",
        )

    submitted(ack, body, "reason", act)
