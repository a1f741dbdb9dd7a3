"""The dialogs that were filled in: one submission, one verb."""

from __future__ import annotations

from typing import Any

from slack_bolt import Ack, App

from approvals import services
from approvals.explain import explain
from approvals.models import Person, Promotion
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
        promotion = Promotion.objects.filter(pk=int(data["p"])).first()
        checklist = explain(promotion).terms.checklist if promotion else ()
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
