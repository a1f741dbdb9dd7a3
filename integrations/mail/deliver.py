"""Delivers the mail effect: each person's copy once, whatever happens to the others'."""

from __future__ import annotations

from datetime import timedelta

import structlog
from django.core.mail.backends.smtp import EmailBackend
from django.utils import timezone

from approvals.models import Effect, Person
from integrations.errors import Rejected, Unavailable
from integrations.mail.client import connected, is_configured, send
from integrations.mail.message import compose
from integrations.mail.wishes import readers
from integrations.models import SentMail

log = structlog.get_logger(__name__)

# How long a server that said "not now" about an address is left alone, in seconds: most of them want to
# see some minutes pass.
NOT_NOW_SECONDS = 300.0
# A mailbox that is full or busy for so long is given up; the news would be stale.
PATIENCE = timedelta(days=1)


def deliver(effect: Effect) -> None:
    """Send what has not been sent yet; quietly nothing where mail is not configured.

    Raises Unavailable while the server, or one mailbox, asks to try later, and Rejected when all is
    done but for those whom the server refused. A crash between the server's yes and our note of it
    sends one copy twice, under the same Message-ID.
    """
    if not is_configured():
        return
    effect = Effect.objects.select_related(
        "target__model",
        "target__environment",
        "promotion__requester",
        "promotion__version__model",
        "promotion__replaces__model",
        "promotion__target__model",
        "promotion__target__environment",
        "promotion__target__live_version",
        "promotion__deployment__step",
    ).get(pk=effect.pk)
    people, waiting = _left(effect), []
    if people:
        with connected() as server:
            waiting = [who for person in people if (who := _hand_over(server, effect, person))]
    if waiting:
        raise Unavailable(
            f"The mail server said not now about {', '.join(waiting)}.", NOT_NOW_SECONDS
        )
    _tell_of_refusals(effect)


def _hand_over(server: EmailBackend, effect: Effect, person: Person) -> str:
    """Give the server one person's copy and note the outcome; who has to wait, and why, where it said so."""
    try:
        send(server, compose(effect, person))
    except Rejected as error:
        _note(effect, person, str(error))
    except Unavailable as error:
        if timezone.now() - effect.created_at <= PATIENCE:
            return f"{person} ({error})"
        _note(effect, person, str(error))
    else:
        _note(effect, person)
    return ""


def _left(effect: Effect) -> list[Person]:
    """Who is to get it still: active people with an address who want it."""
    people = Person.objects.filter(
        pk__in=effect.payload["people"], is_active=True, is_machine=False
    ).exclude(email="")
    return readers(effect, people.exclude(mails__effect=effect).order_by("pk"))


def _note(effect: Effect, person: Person, refusal: str = "") -> None:
    SentMail.objects.update_or_create(
        effect=effect,
        person=person,
        defaults={"at": timezone.now(), "refusal": refusal[:200]},
    )
    if refusal:
        log.warning("mail refused", effect=effect.pk, person=person.pk, answer=refusal)


def _tell_of_refusals(effect: Effect) -> None:
    """The effect is given up with their names; whoever has it delivered again tries them again."""
    refused = effect.mails.exclude(refusal="").select_related("person").order_by("person")
    who = ", ".join(f"{each.person} ({each.refusal})" for each in refused)
    if who:
        refused.order_by().delete()
        raise Rejected(
            f"The mail server refused mail for {who}. Mend the address, then have it delivered again."
        )
