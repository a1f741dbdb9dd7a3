"""Making, revoking and recognising the API's tokens. A secret is told once and never kept."""

from __future__ import annotations

import hashlib
import re
import secrets
import string
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from approvals.models import ApiToken, Person
from approvals.services.history import record
from approvals.services.refusal import Refused
from approvals.wording import clean_text, day_and_time

# 40 of 62 signs are 238 random bits: a plain hash of them cannot be guessed back.
ALPHABET = string.ascii_letters + string.digits
SECRET = re.compile(r"cs_[A-Za-z0-9]{40}")
PREFIX_LENGTH = len("cs_") + 8
MAX_NAME = 100
MAX_DAYS = 3650
# How exact ``last_used_at`` is: not every request needs to write.
USED_EVERY = timedelta(minutes=1)


@sensitive_variables("secret")
@transaction.atomic
def create_token(
    *,
    actor: Person | None,
    via: str,
    person_id: int,
    name: str,
    days: int | None = None,
    now: datetime | None = None,
) -> tuple[ApiToken, str]:
    """A new token that acts as the person, and its secret, which is told only here.

    ``actor`` is None for the operator at the command line. It lasts ``days`` days, or until it is revoked.
    Raises Refused (``may_not_administer``, ``unknown_person``, ``inactive``, ``bad_name``, ``bad_days``).
    """
    now = now or timezone.now()
    person = Person.objects.filter(pk=person_id).first()
    if person is None:
        raise Refused("unknown_person", "There is no such person.")
    _refuse_stranger(actor, person)
    if not person.is_active:
        raise Refused("inactive", f"The account of {person} is not active; activate it first.")
    name = clean_text(name)
    if not name or len(name) > MAX_NAME or "\n" in name:
        raise Refused("bad_name", f"Say what it is for, in one line of at most {MAX_NAME} signs.")
    if days is not None and not 1 <= days <= MAX_DAYS:
        raise Refused("bad_days", f"A token lasts 1 to {MAX_DAYS:,} days.")
    secret = "cs_" + "".join(secrets.choice(ALPHABET) for _ in range(40))
    token = ApiToken.objects.create(
        person=person,
        name=name,
        digest=_digest(secret),
        prefix=secret[:PREFIX_LENGTH],
        created_at=now,
        expires_at=now + timedelta(days=days) if days is not None else None,
    )
    _tell("token.created", token, via, actor, now)
    return token, secret


@transaction.atomic
def revoke_token(
    *, actor: Person | None, via: str, token_id: int, now: datetime | None = None
) -> ApiToken:
    """From now on it opens nothing. Raises Refused (``unknown_token``, ``may_not_administer``,
    ``already_revoked``)."""
    now = now or timezone.now()
    token = (
        ApiToken.objects.select_for_update(of=("self",))
        .select_related("person")
        .filter(pk=token_id)
        .first()
    )
    if token is None:
        raise Refused("unknown_token", "There is no such token.")
    _refuse_stranger(actor, token.person)
    if token.revoked_at is not None:
        raise Refused(
            "already_revoked", f"It was revoked already, on {day_and_time(token.revoked_at)}."
        )
    token.revoked_at = now
    token.save(update_fields=["revoked_at"])
    _tell("token.revoked", token, via, actor, now)
    return token


@sensitive_variables("secret")
def person_of_token(*, secret: str, now: datetime | None = None) -> Person:
    """Who comes with this secret.

    Raises Refused (``token_unknown``, ``token_revoked``, ``token_expired``, ``inactive``): each is told only
    to whoever holds the secret.
    """
    now = now or timezone.now()
    token = None
    if SECRET.fullmatch(secret):
        token = (
            ApiToken.objects.filter(digest=_digest(secret))
            .select_related("person")
            .prefetch_related("person__teams")
            .first()
        )
    if token is None:
        raise Refused("token_unknown", "The token is missing or is not one of ours.")
    if token.revoked_at is not None:
        raise Refused("token_revoked", "The token was revoked; ask for a new one.")
    if token.expires_at is not None and token.expires_at <= now:
        raise Refused(
            "token_expired",
            f"The token expired on {day_and_time(token.expires_at)}; ask for a new one.",
        )
    if not token.person.is_active:
        raise Refused("inactive", "You may not, because your account is not active.")
    if token.last_used_at is None or now - token.last_used_at >= USED_EVERY:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
    return token.person


@sensitive_variables("secret")
def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _refuse_stranger(actor: Person | None, person: Person) -> None:
    """Whoever is named as the actor has to be that person, or an administrator."""
    if actor is not None and not (
        actor.is_active and (actor.pk == person.pk or actor.is_superuser)
    ):
        raise Refused(
            "may_not_administer",
            "You may not, because a token belongs to its person and to administrators.",
        )


def _tell(kind: str, token: ApiToken, via: str, actor: Person | None, now: datetime) -> None:
    record(
        kind,
        via=via,
        actor=actor,
        now=now,
        person=token.person.username,
        name=token.name,
        prefix=token.prefix,
    )
