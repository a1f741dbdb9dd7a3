"""Django's SMTP, with its errors in our two words. Nothing here retries: the outbox does."""

from __future__ import annotations

import re
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.smtp import EmailBackend
from django.core.mail.message import sanitize_address

from integrations.errors import Rejected, Unavailable, outside_transaction, why


def is_configured() -> bool:
    """Whether this installation sends mail at all."""
    return bool(settings.EMAIL_HOST)


@contextmanager
def connected() -> Iterator[EmailBackend]:
    """One connection for several messages; inside the block SMTP's errors become Unavailable."""
    outside_transaction()
    server = EmailBackend()
    try:
        server.open()
        yield server
    except smtplib.SMTPAuthenticationError as error:
        # Its words may quote what was sent.
        raise Unavailable(
            f"The mail server refused the credentials ({error.smtp_code}). Check EMAIL_USER and "
            "EMAIL_PASSWORD."
        ) from None
    except smtplib.SMTPNotSupportedError as error:
        raise Unavailable(
            "The mail server does not offer what is configured (TLS or a sign-in). Check EMAIL_TLS, "
            "EMAIL_PORT and EMAIL_USER."
        ) from error
    except smtplib.SMTPSenderRefused as error:
        raise Unavailable(
            f"The mail server refused the sender ({code_of(error.smtp_code, error.smtp_error)}). Check "
            "DEFAULT_FROM_EMAIL and whether a sign-in is needed."
        ) from error
    except ssl.SSLError as error:
        raise Unavailable(
            f"No secure connection to the mail server ({error.reason or type(error).__name__}). Check "
            "EMAIL_HOST, EMAIL_PORT and EMAIL_TLS."
        ) from error
    except (smtplib.SMTPException, OSError) as error:
        raise Unavailable(f"The mail server could not be reached ({_reason(error)}).") from error
    finally:
        # What was said stands; a goodbye that fails changes nothing.
        with suppress(smtplib.SMTPException, OSError):
            server.close()


def send(server: EmailBackend, message: EmailMessage) -> None:
    """Hand over one message to one person.

    Raises Rejected when the server refused this address or message for good, Unavailable when it said
    "not now" about it; both leave the connection fit for the next one. What concerns the connection
    itself is raised as SMTP's own error, for :func:`connected`.
    """
    try:
        sanitize_address(message.to[0], "utf-8")
    except ValueError as error:
        raise Rejected("not an address that can be written to") from error
    try:
        server.send_messages([message])
    except smtplib.SMTPRecipientsRefused as error:
        [(code, words)] = error.recipients.values()
        raise _about_the_address(code, words) from error
    except smtplib.SMTPDataError as error:
        raise _about_the_address(error.smtp_code, error.smtp_error) from error


def code_of(code: int, words: bytes | str) -> str:
    """The server's answer by its numbers, such as ``550 5.1.1``: its words may hold addresses."""
    text = words.decode(errors="replace") if isinstance(words, bytes) else words
    detail = re.match(r"\d\.\d{1,3}\.\d{1,3}\b", text)
    return f"{code} {detail.group()}" if detail else str(code)


def _about_the_address(code: int, words: bytes | str) -> Rejected | Unavailable:
    if code >= 500:
        return Rejected(code_of(code, words))
    return Unavailable(code_of(code, words))


def _reason(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        return code_of(error.smtp_code, error.smtp_error)
    return why(error)
