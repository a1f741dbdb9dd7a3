"""How somebody wants to be told what concerns them and how the pages look to them; everybody sets their own."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from approvals.calendar import is_zone
from approvals.models import Person, Preferences
from approvals.selectors.preferences import preferences_of
from approvals.services.history import record
from approvals.services.refusal import Refused
from approvals.states import MailWish, Theme


@transaction.atomic
def set_preferences(
    *,
    actor: Person,
    via: str,
    direct: bool | None = None,
    reminders: bool | None = None,
    mail: str | None = None,
    notify: bool | None = None,
    theme: str | None = None,
    zone: str | None = None,
    shortcuts: bool | None = None,
    now: datetime | None = None,
) -> Preferences:
    """Set how I am told and how pages look to me; None leaves a wish as it is, an empty ``zone`` is the browser's.

    One event, and only where it changed how I am told (``direct``, ``reminders``, ``mail``, ``notify``): who was
    told of a promotion matters to whoever asks later. Colours, clocks and keys concern nobody else, so they
    leave no line in the history.

    Raises Refused (``inactive``, ``machine``, ``bad_choice``, ``bad_zone``).
    """
    if actor.is_machine:
        raise Refused("machine", "You may not, because this is a machine account.")
    if mail is not None and mail not in MailWish.values:
        raise Refused("bad_choice", "Choose one of the ways to be told by mail.")
    if theme is not None and theme not in Theme.values:
        raise Refused("bad_choice", "Choose light, dark, or as your device.")
    if zone and not is_zone(zone):
        raise Refused("bad_zone", "There is no such time zone. Write one such as Europe/Amsterdam.")
    # One's own row is the lock: two doors at once must not make two rows, nor tell of one change twice.
    me = Person.objects.select_for_update().get(pk=actor.pk)
    if not me.is_active:
        raise Refused("inactive", "You may not, because your account is not active.")
    wishes = preferences_of(me)
    changes = []
    if direct is not None and direct != wishes.direct:
        wishes.direct = direct
        changes.append(f"direct messages {_switch(direct)}")
    if reminders is not None and reminders != wishes.reminders:
        wishes.reminders = reminders
        changes.append(f"reminders {_switch(reminders)}")
    if mail is not None and mail != wishes.mail:
        wishes.mail = mail
        changes.append(f"mail: {MailWish(mail).label.lower()}")
    if notify is not None and notify != wishes.notify:
        wishes.notify = notify
        changes.append(f"browser notifications {_switch(notify)}")
    looks = {"theme": theme, "zone": zone, "shortcuts": shortcuts}
    looks = {name: to for name, to in looks.items() if to not in (None, getattr(wishes, name))}
    for name, to in looks.items():
        setattr(wishes, name, to)
    if changes or looks:
        wishes.save()
    if changes:
        now = now or timezone.now()
        record("preferences.changed", via=via, actor=actor, now=now, wishes=changes)
    return wishes


def _switch(on: bool) -> str:
    return "on" if on else "off"
