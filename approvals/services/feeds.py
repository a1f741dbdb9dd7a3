"""The private addresses of the feeds: feed readers and calendars cannot sign in.

The key in an address is an HMAC, keyed by SECRET_KEY, of a random secret of the person's row. So it can be shown
again whenever somebody subscribes to another filter, and yet neither the database nor a backup of it holds
anything that opens a feed. A new secret, and every former address is dead.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.views.decorators.debug import sensitive_variables

from approvals.models import Person, Preferences
from approvals.selectors.preferences import preferences_of
from approvals.services.history import record
from approvals.services.refusal import Refused

# The person's number, and 256 bits.
KEY = re.compile(r"([1-9][0-9]{0,17})-([A-Za-z0-9_-]{43})", re.ASCII)


@transaction.atomic
def renew_feed_key(*, actor: Person, via: str, now: datetime | None = None) -> str:
    """A new key for the addresses of one's own feeds, which it returns; former ones open nothing any more.

    Raises Refused (``inactive``).
    """
    wishes = _own(actor)
    former = bool(wishes.feed_key)
    wishes.feed_key = secrets.token_hex(32)
    wishes.save()
    record(
        "feed.renewed" if former else "feed.begun", via=via, actor=actor, now=now or timezone.now()
    )
    return _key(wishes, settings.SECRET_KEY)


@transaction.atomic
def end_feeds(*, actor: Person, via: str, now: datetime | None = None) -> None:
    """One's own private addresses open nothing any more. Raises Refused (``inactive``, ``no_feeds``)."""
    wishes = _own(actor)
    if not wishes.feed_key:
        raise Refused("no_feeds", "Your feeds have no private addresses.")
    wishes.feed_key = ""
    wishes.save()
    record("feed.ended", via=via, actor=actor, now=now or timezone.now())


def feed_key_of(person: Person) -> str:
    """The key of the person's feeds; empty where they are off."""
    wishes = Preferences.objects.filter(person=person).exclude(feed_key="").first()
    return _key(wishes, settings.SECRET_KEY) if wishes else ""


@sensitive_variables("key")
def person_of_feed_key(*, key: str) -> Person:
    """Whose feed it is. Raises Refused (``feed_unknown``): whoever is inactive, switched it off or renewed it is
    answered like whoever guesses."""
    refused = Refused("feed_unknown", "There is no feed at this address.")
    match = KEY.fullmatch(key)
    if match is None:
        raise refused
    wishes = (
        Preferences.objects.select_related("person")
        .filter(person_id=int(match[1]), person__is_active=True)
        .exclude(feed_key="")
        .first()
    )
    if wishes is None:
        raise refused
    known = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    if not any(constant_time_compare(key, _key(wishes, each)) for each in known):
        raise refused
    return wishes.person


def _own(actor: Person) -> Preferences:
    # One's own row is the lock, as for every other wish.
    me = Person.objects.select_for_update().get(pk=actor.pk)
    if not me.is_active:
        raise Refused("inactive", "You may not, because your account is not active.")
    return preferences_of(me)


@sensitive_variables()
def _key(wishes: Preferences, secret: str) -> str:
    found = hmac.new(f"feeds:{secret}".encode(), wishes.feed_key.encode(), hashlib.sha256)
    return f"{wishes.person_id}-{base64.urlsafe_b64encode(found.digest()).decode().rstrip('=')}"
