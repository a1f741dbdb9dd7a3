"""The SMTP side, by aiosmtpd: takes every message for everybody, unless a fault was asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from sandbox.mail.mailbox import Mailbox


class Desk:
    """aiosmtpd's hooks; each answer is SMTP's own line."""

    def __init__(self, mailbox: Mailbox) -> None:
        """Take messages for this mailbox."""
        self.mailbox = mailbox

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's names
        self, server: SMTP, session: Session, _: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """Somebody came."""
        self.mailbox.sessions += 1
        session.host_name = hostname
        return responses

    async def handle_MAIL(  # noqa: N802
        self, _: SMTP, __: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Who it is from."""
        if self.mailbox.strikes("refuse_sender"):
            return "553 5.7.1 Sender address rejected"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, _: SMTP, __: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Whom it is for."""
        if self.mailbox.strikes("refuse", address):
            return f"550 5.1.1 <{address}>: no such mailbox"
        if self.mailbox.strikes("not_now", address):
            return f"451 4.7.1 <{address}>: try again later"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _: Session, envelope: Envelope) -> str:  # noqa: N802
        """The message itself."""
        to = envelope.rcpt_tos[0]
        if self.mailbox.strikes("refuse_message", to):
            return "554 5.7.1 Message rejected"
        content = envelope.content
        assert isinstance(content, bytes)
        self.mailbox.keep(
            str(envelope.mail_from), [str(each) for each in envelope.rcpt_tos], content
        )
        if self.mailbox.strikes("drop_after_data", to) and server.transport is not None:
            server.transport.abort()  # type: ignore[attr-defined]
        return "250 OK"

    def sign_in(self, *_: object) -> AuthResult:
        """Any name and password will do."""
        return AuthResult(success=not self.mailbox.strikes("refuse_sign_in"), handled=False)


def protocol(mailbox: Mailbox, loop: asyncio.AbstractEventLoop) -> Callable[[], SMTP]:
    """What makes the protocol of one connection."""
    desk = Desk(mailbox)

    def make() -> SMTP:
        return SMTP(
            desk,
            hostname="sandbox.mail",
            ident="Sandbox mail",
            authenticator=desk.sign_in,
            auth_require_tls=False,
            loop=loop,
        )

    return make
