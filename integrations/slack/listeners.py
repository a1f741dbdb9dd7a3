"""What happens on a press: identify, one verb, acknowledge. Everything slow is an effect.

``process_before_response`` keeps bolt from running listeners in threads of its own, with another
database connection; nothing of bolt calls Slack by itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from slack_bolt import Ack, App, BoltResponse
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.error import BoltUnhandledRequestError
from slack_sdk.webhook import WebhookClient

from approvals import services
from approvals.explain import explain
from approvals.models import Person, Promotion
from approvals.models.outbox import EffectKind
from approvals.selectors.catalogue import rollback_choices
from approvals.services import Refused
from approvals.services.history import enqueue
from approvals.states import Verdict, Via
from integrations.errors import Rejected, Unavailable
from integrations.slack import modals
from integrations.slack.client import slack
from integrations.slack.identities import FOREIGN, link_address, person_of, user_of
from integrations.slack.messages import address
from integrations.slack.text import inert

log = structlog.get_logger(__name__)
Body = Mapping[str, Any]
# trigger_id lives three seconds, and after three seconds Slack shows the person an error.
PATIENCE_SECONDS = 2

HELP = (
    "Requests appear in the channel; press *Approve*, *Reject* or *Details* there. "
    "`/countersign link` links your Slack account to your Countersign account."
)


def _authorize(**_: Any) -> AuthorizeResult:
    return AuthorizeResult(
        enterprise_id=None, team_id=None, bot_token=settings.SLACK_BOT_TOKEN, bot_user_id="U0"
    )


@cache
def bolt_app() -> App:
    """The bolt application with all listeners."""
    app = App(
        signing_secret=settings.SLACK_SIGNING_SECRET,
        authorize=_authorize,
        process_before_response=True,
        token_verification_enabled=False,
        ignoring_self_events_enabled=False,
        raise_error_for_unhandled_request=True,
    )
    app.error(failed)
    app.action("approve")(approve)
    app.action("reject")(open_modal(_reject_view))
    app.action("details")(open_modal(_details_view))
    app.action("rollback")(open_modal(_rollback_view))
    app.view("approve")(approve_submitted)
    app.view("reject")(reject_submitted)
    app.view("rollback")(rollback_submitted)
    app.command("/countersign")(command)
    return app


def failed(error: Exception) -> BoltResponse:
    """What no listener is for (a message in the channel, another app's button) is answered quietly:
    after a 404 Slack would show an error or send it again. An error of ours is a 500."""
    if isinstance(error, BoltUnhandledRequestError):
        return BoltResponse(status=200)
    log.error("slack listener failed", exc_info=error)
    return BoltResponse(status=500)


def _button(body: Body) -> tuple[int, str]:
    """Promotion id and seal of the button pressed. Raises Refused for a value that is not ours."""
    try:
        value = json.loads(body["actions"][0]["value"])
        return int(value["p"]), str(value["s"])
    except (KeyError, IndexError, TypeError, ValueError):
        raise Refused("bad_button", "This button is not one that Countersign made.") from None


def _private(body: Body, sentence: str) -> None:
    """A private answer; where Slack does not take it, the press still changed nothing."""
    try:
        # Not bolt's own `respond`, which would wait for half a minute.
        WebhookClient(body["response_url"], timeout=PATIENCE_SECONDS, retry_handlers=[]).send(
            text=inert(sentence, 3000), response_type="ephemeral", replace_original=False
        )
    except Exception as error:
        log.warning("private answer not delivered", error=type(error).__name__)


def _refused(body: Body, refusal: Refused, promotion_id: int | None) -> None:
    _private(body, refusal.sentence)
    if promotion_id is not None:
        _refresh(promotion_id)


@transaction.atomic
def _refresh(promotion_id: int) -> None:
    """A press on a message that is out of date brings it up to date."""
    promotion = Promotion.objects.filter(pk=promotion_id).first()
    if promotion is not None:
        now = timezone.now()
        enqueue(EffectKind.ANNOUNCE, promotion, key=f"press:{now.timestamp():.0f}", now=now)


def approve(ack: Ack, body: Body) -> None:
    """The Approve button: one press, one review; a dialog where the policy asks for more than a press."""
    promotion_id = None
    try:
        promotion_id, seal = _button(body)
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
        _refused(body, refusal, promotion_id)
    ack()


ViewFor = Callable[[Body, Person], dict[str, Any]]


def open_modal(view_for: ViewFor) -> Callable[[Ack, Body], None]:
    """A listener that opens a dialog, or says privately why not."""

    def listener(ack: Ack, body: Body) -> None:
        promotion_id = None
        try:
            promotion_id, _ = _button(body)
            view = view_for(body, person_of(user_of(body)))
            with slack(timeout=PATIENCE_SECONDS) as client:
                client.views_open(trigger_id=body["trigger_id"], view=view)
        except Refused as refusal:
            _refused(body, refusal, promotion_id)
        except (Unavailable, Rejected) as error:
            log.warning("dialog not opened", error=str(error))
            _private(body, "Slack did not open the dialog. Please press again.")
        ack()

    return listener


def _promotion(body: Body) -> Promotion:
    promotion_id, _ = _button(body)
    found = (
        Promotion.objects.select_related(
            "target__model", "target__environment", "version__model", "replaces", "requester"
        )
        .filter(pk=promotion_id)
        .first()
    )
    if found is None:
        raise Refused("unknown_promotion", "There is no such promotion any more.")
    return found


def _reject_view(body: Body, person: Person) -> dict[str, Any]:
    promotion = _promotion(body)
    explained = explain(promotion, person)
    if not explained.may_act:
        raise Refused("may_not", explained.why_not)
    return modals.reject(promotion, _button(body)[1])


def _approve_view(body: Body, person: Person) -> dict[str, Any]:
    promotion = _promotion(body)
    explained = explain(promotion, person)
    if not explained.may_act:
        raise Refused("may_not", explained.why_not)
    return modals.approve(promotion, _button(body)[1], explained.terms)


def _details_view(body: Body, person: Person) -> dict[str, Any]:
    return modals.details(_promotion(body), person)


def _rollback_view(body: Body, person: Person) -> dict[str, Any]:
    target = _promotion(body).target
    choices = rollback_choices(person, target)
    if not choices:
        raise Refused("nothing_before", f"Nothing was live before at {target}.")
    able = [choice for choice in choices if not choice.why_not]
    if not able:
        raise Refused("may_not", choices[0].why_not)
    return modals.rollback(target, able)


def _submitted(
    ack: Ack, body: Body, block: str, act: Callable[[Person, dict[str, Any], Any], None]
) -> None:
    """Run a dialog's verb; a refusal is shown inside the dialog, which stays open."""
    try:
        view = body["view"]
        act(person_of(user_of(body)), json.loads(view["private_metadata"]), view["state"]["values"])
    except Refused as refusal:
        ack(response_action="errors", errors={block: refusal.sentence})
    else:
        ack()


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

    _submitted(ack, body, "reason", act)


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

    _submitted(ack, body, "reason", act)


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

    _submitted(ack, body, "reason", act)


def command(ack: Ack, body: Body) -> None:
    """``/countersign``: link, or help. The answer is private."""
    words = str(body.get("text") or "").split()
    user = user_of(body)
    if user.is_foreign:
        text = FOREIGN
    elif words[:1] == ["link"]:
        text = (
            "Open this while you are signed in to Countersign (it works once, for 15 minutes): "
            f"{link_address(user)}"
        )
    else:
        text = f"{HELP}\n{address('/')}"
    ack(text=text, response_type="ephemeral")
