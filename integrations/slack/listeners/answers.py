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
from integrations.slack import modals
from integrations.slack.blocks import View
from integrations.slack.client import slack
from integrations.slack.identities import person_of, user_of
from integrations.slack.text import whole
from integrations.slack.workspaces import answering

log = structlog.get_logger(__name__)
Body = Mapping[str, Any]
# Of one wait for Slack. A trigger_id lives three seconds, and after three seconds Slack shows the person an error:
# a dialog that does not open, and the sentence that says so, have to fit.
PATIENCE_SECONDS = 1
# Characters of the error below an input; Slack names no limit.
MOST_IN_A_DIALOG = 1500


def value_of(body: Body) -> dict[str, Any]:
    """What the button pressed carries. Raises Refused for a value that is not ours."""
    try:
        value = json.loads(body["actions"][0]["value"])
        int(value["p"])
    except (KeyError, IndexError, TypeError, ValueError, OverflowError):
        raise Refused("bad_button", "This button is not one that Countersign made.") from None
    return dict(value)


def button_of(body: Body) -> tuple[int, str]:
    """Promotion id and seal of the button pressed; buttons that decide nothing need no seal, and one without it
    decides nothing. Raises Refused for a value that is not ours."""
    value = value_of(body)
    return int(value["p"]), str(value.get("s") or "")


def in_dialog(body: Body) -> bool:
    """Whether it was pressed inside a dialog; else in a message or a Home view."""
    return (body.get("view") or {}).get("type") == "modal"


def show(body: Body, view: View) -> None:
    """Open a dialog for the one who pressed, on top of the one in which it was pressed. Raises Unavailable or
    Rejected."""
    with slack(timeout=PATIENCE_SECONDS, team=answering(body)) as client:
        # Slack takes views.push, three deep, from inside a dialog, and views.open from everywhere else.
        opened = client.views_push if in_dialog(body) else client.views_open
        opened(trigger_id=body["trigger_id"], view=with_channel(view, body))


def with_channel(view: View, body: Body) -> View:
    """The dialog carries the channel along, through every dialog opened from it: Slack does not tell it then."""
    pressed_in = body.get("view") or {}
    known = json.loads(pressed_in.get("private_metadata") or "{}") if in_dialog(body) else {}
    # A command names it otherwise than a press.
    pressed = (body.get("channel") or {}).get("id") or body.get("channel_id")
    channel = pressed or known.get("c")
    if not channel:
        return view
    carried = json.loads(view.get("private_metadata") or "{}") | {"c": channel}
    return {**view, "private_metadata": json.dumps(carried, separators=(",", ":"))}


def private(body: Body, sentence: str) -> None:
    """A private answer: below the message where the button stands; from Home or a dialog, which have no channel,
    in a small dialog. Where Slack does not take it, the press still changed nothing."""
    try:
        if url := body.get("response_url"):
            # Not bolt's own `respond`, which would wait for half a minute.
            WebhookClient(url, timeout=PATIENCE_SECONDS, retry_handlers=[]).send(
                text=modals.said(sentence), response_type="ephemeral", replace_original=False
            )
        else:
            show(body, modals.notice(sentence))
    except Exception as error:
        log.warning("private answer not delivered", error=type(error).__name__)


def refused(body: Body, refusal: Refused, promotion_id: int | None) -> None:
    """Bring the message up to date, and say privately why not."""
    if promotion_id is not None:
        refresh(promotion_id)
    private(body, refusal.sentence)


@transaction.atomic
def refresh(promotion_id: int) -> None:
    """A press on a message that is out of date brings it up to date."""
    promotion = Promotion.objects.filter(pk=promotion_id).first()
    if promotion is not None:
        now = timezone.now()
        enqueue(EffectKind.ANNOUNCE, promotion, key=f"press:{now.timestamp():.0f}", now=now)


def promotion_of(body: Body) -> Promotion:
    """The promotion of the button pressed. Raises Refused when there is none."""
    return promotion_with(button_of(body)[0])


def promotion_with(promotion_id: int) -> Promotion:
    """The promotion with what dialogs show of it. Raises Refused when there is none."""
    found = (
        Promotion.objects.select_related(
            "target__model",
            "target__environment",
            "target__live_version__model",
            "version__model",
            "replaces__model",
            "requester",
            "overridden_by",
            "deployment__step",
            "deployment__previous__model",
        )
        .filter(pk=promotion_id)
        .first()
    )
    if found is None:
        raise Refused("unknown_promotion", "There is no such promotion any more.")
    found.version.model = found.target.model
    if deployment := getattr(found, "deployment", None):
        deployment.target, deployment.version = found.target, found.version
    return found


ViewFor = Callable[[Body, Person], View]


def open_modal(view_for: ViewFor) -> Callable[[Ack, Body], None]:
    """A listener that opens a dialog, or says privately why not."""

    def listener(ack: Ack, body: Body) -> None:
        promotion_id = None
        try:
            promotion_id, _ = button_of(body)
            show(body, view_for(body, person_of(user_of(body))))
        except Refused as refusal:
            refused(body, refusal, promotion_id)
        except (Unavailable, Rejected) as error:
            log.warning("dialog not opened", error=str(error))
            private(body, "Slack did not open the dialog. Please press again.")
        ack()

    return listener


Act = Callable[[Person, Body], object]


def press(act: Act) -> Callable[[Ack, Body], None]:
    """A listener for a button that is one verb; a refusal is private."""

    def listener(ack: Ack, body: Body) -> None:
        promotion_id = None
        try:
            promotion_id, _ = button_of(body)
            person = person_of(user_of(body))
            act(person, body)
        except Refused as refusal:
            refused(body, refusal, promotion_id)
        else:
            brought_up_to_date(body, promotion_id, person)
        ack()

    return listener


def brought_up_to_date(body: Body, promotion_id: int, person: Person) -> None:
    """Pressed inside the details, these show at once what the press did. The message is edited by an effect."""
    if not in_dialog(body):
        return
    try:
        view = with_channel(modals.details(promotion_with(promotion_id), person), body)
        with slack(timeout=PATIENCE_SECONDS, team=answering(body)) as client:
            client.views_update(view_id=body["view"]["id"], view=view)
    except (Unavailable, Rejected) as error:
        log.warning("dialog not brought up to date", error=str(error))


def submitted(
    ack: Ack, body: Body, block: str, act: Callable[[Person, dict[str, Any], Any], object]
) -> None:
    """Run a dialog's verb; a refusal is shown inside the dialog, below ``block``, and the dialog stays open."""
    view, data = body["view"], dict[str, Any]()
    try:
        try:
            data = dict(json.loads(view["private_metadata"]))
            act(person_of(user_of(body)), data, view["state"]["values"])
        except (KeyError, IndexError, TypeError, ValueError) as error:
            log.error("dialog not understood", exc_info=error)
            sentence = "This dialog is not one that Countersign made. Nothing was done."
            raise Refused("bad_dialog", sentence) from error
    except Refused as refusal:
        if str(data.get("p", "")).isdigit():
            refresh(int(data["p"]))
        if refusal.code == "checklist":
            block = _unticked(view) or block
        ack(response_action="errors", errors={block: whole(refusal.sentence, MOST_IN_A_DIALOG)})
    else:
        # On top of others it would leave one that says what was true before.
        ack(response_action="clear") if view.get("previous_view_id") else ack()


def _unticked(view: Mapping[str, Any]) -> str:
    """The first group of boxes in which one is not ticked."""
    values = view["state"]["values"]
    for block in view["blocks"]:
        name = str(block.get("block_id", ""))
        if name.startswith("checklist-"):
            ticked = values.get(name, {}).get("ticked", {}).get("selected_options") or []
            if len(ticked) < len(block["element"]["options"]):
                return name
    return ""
