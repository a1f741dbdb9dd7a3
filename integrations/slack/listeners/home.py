"""The Home tab: it was opened, and what is chosen in it acts at once. Publishing is an effect (``homes``)."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from django.db import transaction
from slack_bolt import Ack, App

from approvals import services
from approvals.models import Person
from approvals.services import Refused
from approvals.states import Via
from integrations.errors import Rejected, Unavailable
from integrations.slack import homes
from integrations.slack.identities import person_of, user_of
from integrations.slack.listeners.answers import Body, private, refused, show
from integrations.slack.listeners.event_users import event_user
from integrations.slack.modals import asking
from integrations.slack.modals.asking import Wish
from integrations.slack.zones import zone_of

log = structlog.get_logger(__name__)


def register(app: App) -> None:
    """Tell bolt of the tab and of what is in it."""
    app.event("app_home_opened")(opened)
    app.action("home_link")(link_pressed)
    app.action("home_told")(acting(told))
    app.action("home_mail")(acting(mail))
    app.action("home_end_delegation")(acting(end_delegation))
    app.action("home_delegate")(acting(ask_for_delegate))


def opened(ack: Ack, body: Body) -> None:
    """The tab was opened: remember that, and have the view published."""
    event = body["event"]
    user = event_user(body)
    # The Messages tab sends the same event.
    if event.get("tab") == "home" and user is not None and not user.is_foreign:
        with transaction.atomic():
            homes.opened(user, key=str(body["event_id"]), empty="view" not in event)
    ack()


def link_pressed(ack: Ack) -> None:
    """The button is a link, of which Slack tells us too; there is nothing to do."""
    ack()


Act = Callable[[Person, Body], None]


def acting(act: Act) -> Callable[[Ack, Body], None]:
    """A listener that acts for whoever pressed, then brings their view up to date; or says privately why not."""

    def listener(ack: Ack, body: Body) -> None:
        person = None
        try:
            person = person_of(user_of(body))
            act(person, body)
        except Refused as refusal:
            refused(body, refusal, None)
        except (Unavailable, Rejected) as error:
            log.warning("dialog not opened", error=str(error))
            private(body, "Slack did not open the dialog. Please press again.")
        if person is not None:
            homes.refresh(person)  # after a refusal too: what was pressed was out of date
        ack()

    return listener


def told(person: Person, body: Body) -> None:
    """The two boxes; Slack tells all that are ticked, whichever was pressed."""
    ticked = {each.get("value") for each in body["actions"][0].get("selected_options") or []}
    services.set_preferences(
        actor=person, via=Via.SLACK, direct="direct" in ticked, reminders="reminders" in ticked
    )


def mail(person: Person, body: Body) -> None:
    """The choice of mail."""
    chosen = (body["actions"][0].get("selected_option") or {}).get("value")
    services.set_preferences(actor=person, via=Via.SLACK, mail=str(chosen))


def end_delegation(person: Person, body: Body) -> None:
    """Take it back."""
    services.end_delegation(actor=person, via=Via.SLACK)


def ask_for_delegate(person: Person, body: Body) -> None:
    """Open the dialog that asks to whom and until when: the command's own."""
    zone = zone_of(user_of(body))
    show(body, asking.view(Wish(asking.DELEGATE), person, zone=zone))
