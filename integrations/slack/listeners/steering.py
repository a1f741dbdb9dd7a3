"""The buttons by which people steer what they asked for or what is being deployed, and their dialogs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.utils import timezone
from slack_bolt import Ack, App

from approvals import services
from approvals.models import Deployment, Person
from approvals.selectors.allowed import NOTHING_YET, why_not_steer
from approvals.services import Refused
from approvals.services.promotions import refuse_cancelling
from approvals.states import Via
from integrations.slack import modals
from integrations.slack.blocks import View
from integrations.slack.listeners.answers import (
    Body,
    button_of,
    open_modal,
    press,
    promotion_of,
    promotion_with,
    submitted,
    value_of,
)

Sent = Mapping[str, Any]


def register(app: App) -> None:
    """Tell bolt of the buttons and of the dialogs that they open."""
    app.action("advance")(advance)
    app.action("look_again")(press(_look_again))
    for act in ("pause", "abort", "confirm", "call_off", "cancel"):
        app.action(act)(open_modal(_asking(act)))
    for act in VERBS:
        app.view(act)(_on_submission(act))


def advance(ack: Ack, body: Body) -> None:
    """One press where the button says after which step it was shown; else a dialog, which does: a late press must
    not start the step after the next."""
    one_press = body.get("actions") and _has_step(body)
    (press(_advance) if one_press else open_modal(_asking("advance")))(ack, body)


def _has_step(body: Body) -> bool:
    try:
        return isinstance(value_of(body).get("n"), int)
    except Refused:
        return False  # told by the dialog's listener


def _advance(person: Person, body: Body) -> None:
    promotion_id, _ = button_of(body)
    services.advance(
        actor=person,
        via=Via.SLACK,
        deployment_id=_deployment_id(promotion_id),
        step=int(value_of(body)["n"]),
    )


def _look_again(person: Person, body: Body) -> None:
    promotion_id, _ = button_of(body)
    services.look_again(actor=person, via=Via.SLACK, deployment_id=_deployment_id(promotion_id))


def _deployment_id(promotion_id: int) -> int:
    """The id of a promotion's deployment. Raises Refused where there is none."""
    found = Deployment.objects.filter(promotion_id=promotion_id).values_list("pk", flat=True)
    deployment_id = found.first()
    if deployment_id is None:
        promotion_with(promotion_id)  # which says so where even that is not there
        raise Refused(*NOTHING_YET)
    return deployment_id


def _asking(act: str) -> Callable[[Body, Person], View]:
    """The dialog of an act, or the refusal that its verb would give."""

    def view_for(body: Body, person: Person) -> View:
        promotion, now = promotion_of(body), timezone.now()
        if act == "cancel":
            refuse_cancelling(promotion, person, now)
        else:
            deployment: Deployment | None = getattr(promotion, "deployment", None)
            if refusal := why_not_steer(act, deployment, person, now):
                raise Refused(*refusal)
        return modals.ask_why(act, promotion)

    return view_for


Verb = Callable[[dict[str, Any], Sent, str], object]
VERBS: dict[str, Verb] = {
    "advance": lambda who, data, why: services.advance(**who, reason=why, step=data.get("n")),
    "pause": lambda who, data, why: services.hold_rollout(**who, reason=why),
    "abort": lambda who, data, why: services.abort(**who, reason=why),
    "confirm": lambda who, data, why: services.confirm(**who, seal=str(data["s"]), reason=why),
    "call_off": lambda who, data, why: services.call_off(**who, reason=why),
    "cancel": lambda who, data, why: services.cancel(**who, reason=why),
}


def _on_submission(act: str) -> Callable[[Ack, Body], None]:
    def listener(ack: Ack, body: Body) -> None:
        def verb(person: Person, data: dict[str, Any], values: Any) -> None:
            promotion_id = int(data["p"])
            about = (
                {"promotion_id": promotion_id}
                if act == "cancel"
                else {"deployment_id": _deployment_id(promotion_id)}
            )
            why = values["reason"]["text"]["value"] or ""
            VERBS[act]({"actor": person, "via": Via.SLACK, **about}, data, why)

        submitted(ack, body, "reason", verb)

    return listener
