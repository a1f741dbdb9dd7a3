"""What all listeners share: who pressed what, the private answer, a dialog that opens."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from django.db import transaction
from django.utils import timezone
from slack_bolt import Ack
from slack_sdk.webhook import WebhookClient

from approvals.models import Person, Promotion
from approvals.models.outbox import EffectKind
from approvals.services import Refused
from approvals.services.history import enqueue
from integrations.errors import Rejected, Unavailable
from integrations.slack.client import slack
from integrations.slack.identities import person_of, user_of
from integrations.slack.text import inert
from integrations.slack.workspaces import answering

log = structlog.get_logger(__name__)
Body = Mapping[str, Any]
# trigger_id lives three seconds, and after three seconds Slack shows the person an error.
PATIENCE_SECONDS = 2


def button_of(body: Body) -> tuple[int, str]:
    """Promotion id and seal of the button pressed. Raises Refused for a value that is not ours."""
    try:
        value = json.loads(body["actions"][0]["value"])
        return int(value["p"]), str(value["s"])
    except (KeyError, IndexError, TypeError, ValueError):
        raise Refused("bad_button", "This button is not one that Countersign made.") from None


def private(body: Body, sentence: str) -> None:
    """A private answer; where Slack does not take it, the press still changed nothing."""
    try:
        # Not bolt's own `respond`, which would wait for half a minute.
        WebhookClient(body["response_url"], timeout=PATIENCE_SECONDS, retry_handlers=[]).send(
            text=inert(sentence, 3000), response_type="ephemeral", replace_original=False
        )
    except Exception as error:
        log.warning("private answer not delivered", error=type(error).__name__)


def refused(body: Body, refusal: Refused, promotion_id: int | None) -> None:
    """Say privately why not, and bring the message up to date."""
    private(body, refusal.sentence)
    if promotion_id is not None:
        refresh(promotion_id)


@transaction.atomic
def refresh(promotion_id: int) -> None:
    """A press on a message that is out of date brings it up to date."""
    promotion = Promotion.objects.filter(pk=promotion_id).first()
    if promotion is not None:
        now = timezone.now()
        enqueue(EffectKind.ANNOUNCE, promotion, key=f"press:{now.timestamp():.0f}", now=now)


def promotion_of(body: Body) -> Promotion:
    """The promotion of the button pressed. Raises Refused when there is none."""
    promotion_id, _ = button_of(body)
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


ViewFor = Callable[[Body, Person], dict[str, Any]]


def open_modal(view_for: ViewFor) -> Callable[[Ack, Body], None]:
    """A listener that opens a dialog, or says privately why not."""

    def listener(ack: Ack, body: Body) -> None:
        promotion_id = None
        try:
            promotion_id, _ = button_of(body)
            view = _with_channel(view_for(body, person_of(user_of(body))), body)
            with slack(timeout=PATIENCE_SECONDS, team=answering(body)) as client:
                client.views_open(trigger_id=body["trigger_id"], view=view)
        except Refused as refusal:
            refused(body, refusal, promotion_id)
        except (Unavailable, Rejected) as error:
            log.warning("dialog not opened", error=str(error))
            private(body, "Slack did not open the dialog. Please press again.")
        ack()

    return listener


def _with_channel(view: dict[str, Any], body: Body) -> dict[str, Any]:
    """The dialog carries the channel along, which Slack does not tell when it is submitted."""
    channel = (body.get("channel") or {}).get("id")
    if not channel or not view.get("submit"):
        return view
    carried = json.loads(view.get("private_metadata") or "{}") | {"c": channel}
    return {**view, "private_metadata": json.dumps(carried)}


def submitted(
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
