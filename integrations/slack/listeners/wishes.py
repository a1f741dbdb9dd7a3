"""Dialogs that complete a wish: their searched lists, the choices that are sent at once, and their submission."""

from __future__ import annotations

import json

import structlog
from django.utils import timezone
from slack_bolt import Ack, App

from approvals.models import Environment, ModelVersion, Person, RegisteredModel, Target
from approvals.selectors.freezes import open_freezes
from approvals.selectors.searching import find_models, find_versions
from approvals.services import Refused
from integrations.errors import Rejected, Unavailable
from integrations.slack.client import slack
from integrations.slack.identities import SlackUser, person_of, user_of
from integrations.slack.listeners.answers import PATIENCE_SECONDS, Body, with_channel
from integrations.slack.listeners.commands import doing, lookup, times
from integrations.slack.listeners.dialogs import tell_channel
from integrations.slack.modals import asking
from integrations.slack.modals.asking import Wish
from integrations.slack.workspaces import answering
from integrations.slack.zones import zone_of

log = structlog.get_logger(__name__)
# A refusal's code → the box that it is shown at, the first that the dialog has.
AT: dict[str, tuple[str, ...]] = {
    "reason_missing": (asking.REASON,),
    "reason_too_long": (asking.REASON,),
    "bad_time": (asking.UNTIL,),
    "unknown_person": (asking.PERSON,),
    "own_account": (asking.PERSON,),
    "nothing_to_delegate": (asking.PERSON,),
    "not_frozen": (asking.PLACED,),
    "unknown_version": (asking.VERSION,),
    "version_deleted": (asking.VERSION,),
    "version_not_ready": (asking.VERSION,),
    "run_unfinished": (asking.VERSION,),
    "quarantined": (asking.VERSION,),
    "never_live": (asking.VERSION,),
    "marked_bad": (asking.VERSION,),
    "goes_nowhere": (asking.VERSION, asking.MODEL),
}
ELSEWHERE = (asking.TARGET, asking.ENVIRONMENT, asking.PLACED, asking.PERSON, asking.MODEL)


def register(app: App) -> None:
    """Tell bolt of the lists, the choices and the dialogs."""
    app.options("ask_model")(models)
    app.options("ask_version")(versions)
    for action in asking.SENT_AT_ONCE:
        app.action(action)(chosen)
    for callback in asking.VERBS:
        app.view(callback)(submitted)


# -- the searched lists ----------------------------------------------------------------------------


def models(ack: Ack, body: Body) -> None:
    """The models that hold what was typed; nothing for whoever is not linked."""
    if _known(body) is None:
        ack(options=[])
        return
    found = find_models(str(body.get("value") or ""))
    ack(options=[asking.model_option(each) for each in found])


def versions(ack: Ack, body: Body) -> None:
    """The chosen model's versions that may be meant. Which model it is stands in the block's id, because the list
    of another one may still be on somebody's screen."""
    model = None
    if _known(body) is not None:
        number = _number(str(body.get("block_id") or "").partition("-")[2])
        model = RegisteredModel.objects.filter(pk=number, is_active=True).first()
    found = find_versions(model, str(body.get("value") or "")) if model else []
    ack(options=[asking.version_option(each) for each in found])


def _known(body: Body) -> Person | None:
    try:
        return person_of(user_of(body))
    except Refused:
        return None


# -- what was chosen and typed ---------------------------------------------------------------------


def _number(text: object) -> int:
    """A row's id; 0, which none has, for anything else."""
    written = str(text)
    return int(written) if written.isascii() and written.isdigit() and len(written) < 19 else 0


def _values(view: Body) -> dict[str, tuple[str, str]]:
    """Kind of box → (what it depends on, what it holds)."""
    found: dict[str, tuple[str, str]] = {}
    for block_id, held in ((view.get("state") or {}).get("values") or {}).items():
        kind, _, of = str(block_id).partition("-")
        for said in held.values():
            option = said.get("selected_option") or {}
            value = option.get("value") or said.get("selected_user") or said.get("value") or ""
            found[kind] = (of, str(value))
    return found


def wish_of(view: Body) -> Wish:
    """What the dialog holds. What was chosen for another model or version than the one chosen now is left out."""
    verb = asking.VERBS[str(view["callback_id"])]
    values = _values(view)

    def held(kind: str) -> str:
        return values.get(kind, ("", ""))[1]

    def of(kind: str) -> int:
        return _number(values.get(kind, ("", ""))[0])

    model = RegisteredModel.objects.filter(pk=_number(held(asking.MODEL)), is_active=True).first()
    version, target = None, None
    if model is not None:
        target = (
            Target.objects.filter(pk=_number(held(asking.TARGET)), model=model)
            .select_related("model", "environment", "live_version")
            .first()
        )
        wanted = ModelVersion.objects.filter(pk=_number(held(asking.VERSION)), model=model)
        about = model if verb == asking.PROMOTE else target
        if about is not None and of(asking.VERSION) == about.pk:
            version = wanted.select_related("model").first()
    return Wish(
        verb,
        model=model,
        version=version,
        target=target,
        environment=Environment.objects.filter(pk=_number(held(asking.ENVIRONMENT))).first(),
        placed=open_freezes(timezone.now()).filter(pk=_number(held(asking.PLACED))).first(),
        colleague=held(asking.PERSON),
        until=held(asking.UNTIL),
        reason=held(asking.REASON),
    )


def _answer_to(view: Body) -> str:
    try:
        return str(json.loads(view.get("private_metadata") or "{}").get("r") or "")
    except (ValueError, AttributeError):
        return ""


def chosen(ack: Ack, body: Body) -> None:
    """A choice that others depend on: the dialog shows what can be chosen next."""
    view = body.get("view") or {}
    try:
        if view.get("callback_id") in asking.VERBS:
            person = person_of(user_of(body))
            made = asking.view(wish_of(view), person, answer_to=_answer_to(view))
            with slack(timeout=PATIENCE_SECONDS, team=answering(body)) as client:
                # Without the view's hash: of two choices right after each other the second one has to show.
                client.views_update(view_id=str(view["id"]), view=with_channel(made, body))
    except (Refused, Unavailable, Rejected) as error:
        log.warning("dialog not updated", error=str(error))
    ack()


# -- submission ------------------------------------------------------------------------------------


def submitted(ack: Ack, body: Body) -> None:
    """One submission, one verb. What is missing is asked for; a refusal is shown at its box."""
    view = body["view"]
    try:
        user = user_of(body)
        person = person_of(user)
        wish = wish_of(view)
        made = asking.view(wish, person, answer_to=_answer_to(view))
        if not _boxes(made) <= _boxes(view):
            # It was sent before it showed the boxes of what was chosen last.
            ack(response_action="update", view=with_channel(made, body))
            return
        said = act(wish, person, user)
    except Refused as refusal:
        ack(response_action="errors", errors={box_for(refusal.code, view): refusal.sentence[:1000]})
        return
    answer_to = _answer_to(view)
    if answer_to:
        ack()
        tell_channel(answer_to, said)
    else:
        ack(response_action="update", view=asking.done(said))


def _boxes(view: Body) -> set[str]:
    return {str(each["block_id"]) for each in view["blocks"] if each.get("type") == "input"}


def box_for(code: str, view: Body) -> str:
    """The block_id at which a refusal is shown; one that the dialog does have."""
    inputs = sorted(_boxes(view))
    for kind in (*AT.get(code, ()), *ELSEWHERE):
        for block_id in inputs:
            if block_id.partition("-")[0] == kind:
                return block_id
    return inputs[0] if inputs else asking.REASON


def act(wish: Wish, person: Person, user: SlackUser) -> str:
    """Do what is wished, by one verb; the channel's sentence. Raises Refused."""
    verb, reason = wish.verb, wish.reason
    if verb == asking.DELEGATE:
        to = lookup.colleague_in_slack(wish.colleague, user)
        zone = zone_of(user)
        until = times.ending(wish.until, timezone.now(), zone)
        if until is None:
            raise Refused("bad_time", "Say until when, or for how long.")
        return doing.delegate(person, to, until, zone, reason)
    if verb == asking.FREEZE:
        if wish.environment is None:
            raise Refused("unknown_environment", "There is no such environment any more.")
        zone = zone_of(user) if wish.until.strip() else "UTC"
        ends = times.ending(wish.until, timezone.now(), zone)
        return doing.freeze(person, wish.environment, ends, zone, reason)
    if verb == asking.UNFREEZE:
        if wish.placed is None:
            raise Refused("not_frozen", "This freeze is over already; there is nothing to lift.")
        return doing.unfreeze(person, wish.placed, reason)
    if wish.target is None:
        raise Refused("goes_nowhere", "This version can go nowhere now; the dialog says why.")
    if verb == asking.PROMOTE:
        if wish.version is None:
            raise Refused("unknown_version", "Choose a version.")
        return doing.promote(person, wish.target, wish.version, reason)
    if verb == asking.ROLL_BACK:
        if wish.version is None:
            raise Refused("unknown_version", "There is nothing to go back to; the dialog says why.")
        return doing.roll_back(person, wish.target, wish.version, reason)
    return (doing.lock if verb == asking.LOCK else doing.unlock)(person, wish.target, reason)
