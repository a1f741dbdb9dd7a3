"""Makes a mail of an effect: the letter in both forms, and headers that nobody's text gets into unasked."""

from __future__ import annotations

from datetime import datetime
from email.utils import parseaddr

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.text import slugify

from approvals.models import Effect, Person, Target
from approvals.wording import one_line
from integrations.mail.about import of_promotion, of_target

LONGEST_SUBJECT = 150


def compose(effect: Effect, person: Person, now: datetime | None = None) -> EmailMultiAlternatives:
    """The mail of ``effect`` for one person, as things stand now, with nobody else's address in it."""
    now = now or timezone.now()
    if effect.promotion is not None:
        letter = of_promotion(effect, effect.promotion, person, now)
    else:
        letter = of_target(effect, effect.target, now)
    message = EmailMultiAlternatives(
        subject=one_line(f"[Countersign] {letter.subject}", LONGEST_SUBJECT),
        body=letter.plain(),
        to=[person.email],
        headers={
            "Message-ID": message_id(effect, person),
            "Auto-Submitted": "auto-generated",  # RFC 3834: nobody's absence note comes back
            **_thread(effect),
            **_list(effect.target),
        },
    )
    message.attach_alternative(letter.html(), "text/html")
    return message


def message_id(effect: Effect, person: Person) -> str:
    """The same for every repetition, so that a mail that arrives twice is shown once."""
    return _id(f"{effect.dedupe_key}:{person.pk}")


def _thread(effect: Effect) -> dict[str, str]:
    """All mails of one promotion answer one that nobody ever sent: that is how mail programs put them together."""
    if effect.promotion_id is None:
        return {}
    root = _id(f"promotion:{effect.promotion_id}")
    return {"In-Reply-To": root, "References": root}


def _list(target: Target | None) -> dict[str, str]:
    """RFC 2919, to filter by. A name without ASCII letters is told by the target's number."""
    if target is None:
        return {}
    named = [(target.environment.name, "environment"), (target.model.name, "model")]
    parts = [slugify(name)[:60].strip("-_") or f"{kind}-of-{target.pk}" for name, kind in named]
    return {"List-Id": f"<{'.'.join(parts)}.countersign.{_domain()}>"}


def _id(name: str) -> str:
    return f"<{salted_hmac('integrations.mail', name).hexdigest()}@{_domain()}>"


def _domain() -> str:
    return parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "localhost"
