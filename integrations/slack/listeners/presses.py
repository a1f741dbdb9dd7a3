"""The buttons by which people decide, look and ask to roll back: one press, one verb or one dialog."""

from __future__ import annotations

from django.utils import timezone
from slack_bolt import Ack, App

from approvals import services
from approvals.models import Person
from approvals.rules import Policy
from approvals.selectors.catalogue import rollback_choices
from approvals.services import Refused
from approvals.services.cases import terms_of
from approvals.services.reviews import refuse_reviewer, refuse_unseen
from approvals.states import Verdict, Via
from integrations.slack import modals
from integrations.slack.blocks import View
from integrations.slack.identities import person_of, user_of
from integrations.slack.listeners.answers import (
    Body,
    brought_up_to_date,
    button_of,
    open_modal,
    press,
    promotion_of,
    refused,
)


def register(app: App) -> None:
    """Tell bolt of the buttons."""
    app.action("approve")(approve)
    app.action("reject")(open_modal(_reject_view))
    app.action("details")(open_modal(_details_view))
    app.action("rollback")(open_modal(_rollback_view))
    app.action("withdraw")(press(_withdraw))


def approve(ack: Ack, body: Body) -> None:
    """The Approve button: one press, one review; a dialog where the policy asks for more than a press."""
    promotion_id = None
    try:
        promotion_id, seal = button_of(body)
        person = person_of(user_of(body))
        services.review(
            actor=person,
            via=Via.SLACK,
            promotion_id=promotion_id,
            verdict=Verdict.APPROVE,
            seal=seal,
        )
    except Refused as refusal:
        if refusal.code in {"checklist", "reason_missing"}:
            # Nothing but the ticks and the comment is missing, else it would have been refused before.
            open_modal(_approve_view)(ack, body)
            return
        refused(body, refusal, promotion_id)
    else:
        brought_up_to_date(body, promotion_id, person)
    ack()


def _withdraw(person: Person, body: Body) -> None:
    services.withdraw_review(actor=person, via=Via.SLACK, promotion_id=button_of(body)[0])


def _reject_view(body: Body, person: Person) -> View:
    promotion, (_, seal) = promotion_of(body), button_of(body)
    # What the verb would refuse is said before somebody has written a reason.
    refuse_reviewer(promotion, person, Verdict.REJECT, timezone.now())
    refuse_unseen(promotion, seal)
    return modals.reject(promotion, seal)


def _approve_view(body: Body, person: Person) -> View:
    promotion = promotion_of(body)
    terms = terms_of(promotion, Policy.from_data(promotion.policy))
    return modals.approve(promotion, button_of(body)[1], terms)


def _details_view(body: Body, person: Person) -> View:
    return modals.details(promotion_of(body), person)


def _rollback_view(body: Body, person: Person) -> View:
    target = promotion_of(body).target
    choices = rollback_choices(person, target)
    if not choices:
        raise Refused("nothing_before", f"Nothing was live before at {target}.")
    able = [choice for choice in choices if not choice.why_not]
    if not able:
        raise Refused("may_not", choices[0].why_not)
    return modals.rollback(target, able)
