"""The words of a mail: the same in plain text and in HTML, and nothing in it that decides."""

from __future__ import annotations

import re
from email.utils import parseaddr

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.utils.crypto import salted_hmac
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from approvals.models import Effect, Person
from approvals.wording import clean_text, day_and_time, one_line, straight

LONGEST_SUBJECT = 150
LONGEST_TEXT = 10_000
_BREAK = SafeString("<br>\n")
Link = tuple[str, str]  # the words, the address


def compose(effect: Effect, person: Person) -> EmailMultiAlternatives:
    """The mail of ``effect`` for one person, with nobody else's address in it."""
    text = clean_text(straight(str(effect.payload["text"])))[:LONGEST_TEXT]
    label, url = _link(effect)
    foot = _foot(effect, person)
    message = EmailMultiAlternatives(
        subject=one_line(str(effect.payload["subject"]), LONGEST_SUBJECT),
        body=f"{text}\n\n{label}: {url}\n\n-- \n{foot}\n",
        to=[person.email],
        headers={
            "Message-ID": message_id(effect, person),
            "Auto-Submitted": "auto-generated",  # RFC 3834: nobody's absence note comes back
        },
    )
    message.attach_alternative(_html(text, (label, url), foot), "text/html")
    return message


def message_id(effect: Effect, person: Person) -> str:
    """The same for every repetition, so that a mail that arrives twice is shown once."""
    name = salted_hmac("integrations.mail", f"{effect.dedupe_key}:{person.pk}").hexdigest()
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "localhost"
    return f"<{name}@{domain}>"


def _link(effect: Effect) -> Link:
    """Where one reads on, signed in as oneself; following it changes nothing."""
    label, path = "Open Countersign", "/"
    if effect.promotion is not None:
        label = "See where it stands and what you may do"
        path = f"{effect.promotion.get_absolute_url()}#actions"
    elif effect.target is not None:
        label, path = "Open the model's page", effect.target.model.get_absolute_url()
    return label, f"{settings.BASE_URL}{path}"


def _foot(effect: Effect, person: Person) -> str:
    return f"Countersign wrote this on {day_and_time(effect.created_at)}, because {_why(effect, person)}."


def _why(effect: Effect, person: Person) -> str:
    if effect.promotion is not None and effect.promotion.requester_id == person.pk:
        return "you asked for it"
    target = effect.target  # a promotion's effects carry its target, too
    if target is None:
        return "you are among its people"
    return f"you are concerned with {target.model.name} in {target.environment.name}"


def _html(text: str, link: Link, foot: str) -> SafeString:
    anchor = format_html('<a href="{}">{}</a>', link[1], link[0])
    paragraphs = [*map(_lines, re.split(r"\n{2,}", text)), anchor, foot]
    return format_html(
        '<!doctype html>\n<html lang="en"><body>\n{}\n</body></html>\n',
        format_html_join("\n", "<p>{}</p>", ((each,) for each in paragraphs)),
    )


def _lines(paragraph: str) -> SafeString:
    return format_html_join(_BREAK, "{}", ((line,) for line in paragraph.splitlines()))
