"""The messages that came in, and the faults that were asked for. In memory: a restart forgets them."""

from __future__ import annotations

import email
import email.policy
import threading
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from itertools import count
from typing import Any

KEPT = 300

# What each fault does, for the controls. ``to`` (an address) limits the first four to one recipient.
FAULTS = {
    "refuse": "550 to the recipient: no such mailbox",
    "not_now": "451 to the recipient: try again later",
    "refuse_message": "554 after the message was sent",
    "drop_after_data": "the message is kept, then the connection is cut with no answer",
    "refuse_sender": "553 to the sender",
    "refuse_sign_in": "535 to any name and password",
}


@dataclass(frozen=True)
class Message:
    """One copy as the server was handed it."""

    id: int
    at: datetime
    sender: str
    recipients: list[str]
    source: str
    parsed: EmailMessage

    @property
    def subject(self) -> str:
        """The heading, decoded."""
        # A folded header is read with the space that it was folded at.
        return str(self.parsed["Subject"] or "(no subject)").strip()

    def part(self, kind: str) -> str:
        """The text of the part that is ``plain`` or ``html``; empty when there is none."""
        found = self.parsed.get_body((kind,))
        return str(found.get_content()).replace("\r\n", "\n") if found else ""

    def as_json(self) -> dict[str, Any]:
        """All of it, for tests."""
        return {
            "id": self.id,
            "at": self.at.isoformat(),
            "from": self.sender,
            "to": self.recipients,
            "subject": self.subject,
            "text": self.part("plain"),
            "html": self.part("html"),
            "headers": {name: str(value) for name, value in self.parsed.items()},
            "source": self.source,
        }


@dataclass
class Mailbox:
    """What one stand-in knows."""

    messages: deque[Message] = field(default_factory=lambda: deque(maxlen=KEPT))
    faults: list[dict[str, Any]] = field(default_factory=list)
    sessions: int = 0
    _ids: count[int] = field(default_factory=lambda: count(1))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def keep(self, sender: str, recipients: list[str], content: bytes) -> Message:
        """Add a message; the oldest one goes when there are too many."""
        parsed = email.message_from_bytes(content, policy=email.policy.default)
        source = content.decode(errors="replace")
        with self._lock:
            message = Message(
                next(self._ids), datetime.now(UTC), sender, recipients, source, parsed
            )
            self.messages.append(message)
        return message

    def find(self, number: int) -> Message | None:
        """The message with this number, while it is kept."""
        return next((each for each in list(self.messages) if each.id == number), None)

    def set_fault(self, name: str, times: int, to: str) -> None:
        """Have it happen the next ``times`` times. Raises ValueError for an unknown one."""
        if name not in FAULTS:
            raise ValueError(f"no such fault: {name}; known: {', '.join(FAULTS)}")
        with self._lock:
            self.faults.append({"fault": name, "times": times, "to": to})

    def strikes(self, name: str, to: str = "") -> bool:
        """Whether this fault happens now; then it is counted."""
        with self._lock:
            for each in self.faults:
                if each["fault"] == name and each["times"] > 0 and each["to"] in ("", to):
                    each["times"] -= 1
                    return True
        return False
