"""Sending webhooks as GitHub does: signed, in the background, once, and never retried."""

import hashlib
import hmac
import json
import queue
import threading
import uuid
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

from sandbox.github.faults import Faults
from sandbox.github.records import now
from sandbox.github.settings import INSTALLATION_ID, Settings

TIMEOUT = 10.0  # seconds GitHub waits for an answer
_HOLD = 1.0  # seconds a reordered webhook waits for one to follow


def sign(secret: str, body: bytes) -> str:
    """The ``X-Hub-Signature-256`` of a body (GitHub: "Validating webhook deliveries")."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


@dataclass
class Delivery:
    """One webhook: its id, what it said, and the answers it got (an HTTP status, or why none)."""

    guid: str
    event: str
    action: str
    body: bytes = field(repr=False)
    sent: list[str] = field(default_factory=list)
    created_at: str = field(default_factory=now)

    def as_json(self) -> dict[str, Any]:
        """The delivery without its body."""
        return {name: value for name, value in asdict(self).items() if name != "body"}


class Webhooks:
    """The sender: one thread, so webhooks keep their order unless a fault says otherwise."""

    def __init__(self, settings: Settings, faults: Faults) -> None:
        """Send to ``settings.webhook_url``; without one nothing is sent."""
        self.settings, self.faults = settings, faults
        self.deliveries: deque[Delivery] = deque(maxlen=200)
        self._queue: queue.Queue[Delivery | None] = queue.Queue()
        self._thread = threading.Thread(target=self._work, name="webhooks", daemon=True)
        self._opener = build_opener(ProxyHandler({}))  # local: never through a proxy

    def start(self) -> None:
        """Begin sending."""
        self._thread.start()

    def stop(self) -> None:
        """Stop after the one under way; what still waits is lost."""
        self._queue.put(None)
        self._thread.join(timeout=TIMEOUT)

    def send(self, event: str, payload: dict[str, Any]) -> None:
        """Queue one webhook."""
        body = json.dumps(payload).encode()
        delivery = Delivery(str(uuid.uuid4()), event, str(payload.get("action", "")), body)
        self.deliveries.append(delivery)
        self._queue.put(delivery)

    def redeliver(self, guid: str) -> Delivery | None:
        """Send one again under the same delivery id; None if it is not known."""
        found = next((one for one in self.deliveries if one.guid == guid), None)
        if found:
            self._queue.put(found)
        return found

    def _work(self) -> None:
        while (delivery := self._queue.get()) is not None:
            batch = [delivery]
            if self.faults.strike("webhooks_reordered") is not None:
                try:
                    follower = self._queue.get(timeout=_HOLD)
                except queue.Empty:
                    follower = delivery
                if follower is None:
                    return
                batch = [follower, delivery] if follower is not delivery else [delivery]
            for one in batch:
                self._deliver(one)

    def _deliver(self, delivery: Delivery) -> None:
        if self.faults.strike("webhooks_lost") is not None:
            delivery.sent.append("lost")
            return
        doubled = self.faults.strike("webhooks_doubled") is not None
        for _ in range(2 if doubled else 1):
            delivery.sent.append(self._post(delivery))

    def _post(self, delivery: Delivery) -> str:
        if not self.settings.webhook_url:
            return "no webhook URL"
        request = Request(
            self.settings.webhook_url,
            data=delivery.body,
            headers={
                "Content-Type": "application/json",
                "User-Agent": "GitHub-Hookshot/sandbox",
                "X-GitHub-Delivery": delivery.guid,
                "X-GitHub-Event": delivery.event,
                "X-GitHub-Hook-ID": "1",
                "X-GitHub-Hook-Installation-Target-ID": str(INSTALLATION_ID),
                "X-GitHub-Hook-Installation-Target-Type": "integration",
                "X-Hub-Signature-256": sign(self.settings.webhook_secret, delivery.body),
            },
        )
        try:
            with self._opener.open(request, timeout=TIMEOUT) as answer:
                return str(answer.status)
        except OSError as error:  # also an HTTP error status and a refused connection
            return str(getattr(error, "code", error))
