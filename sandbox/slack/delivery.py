"""Requests to the product: signed as Slack signs them, with Slack's limits and retries."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import http.client
import json
import time
from collections.abc import Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

from sandbox.slack.workspace import Workspace
from sandbox.slack.world import JSON

FORM, AS_JSON = "application/x-www-form-urlencoded", "application/json"
# Slack: acknowledge interactions, commands and events within three seconds.
LIMIT_SECONDS = 3.0
# Slack retries an event nearly at once, after a minute and after five; here it is hurried.
RETRY_SECONDS = (0.0, 2.0, 10.0)


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """Slack's request signature: `v0=` + HMAC-SHA256 over `v0:{timestamp}:{body}`, in hex."""
    text = b"v0:" + timestamp.encode() + b":" + body
    return "v0=" + hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()


@dataclass
class Answer:
    """How the product answered: an HTTP status and body, or why there is none.

    `error` is `operation_timeout` (nothing within the limit), `dispatch_failed` (not reachable)
    or `http_error` (an answer that is not 200).
    """

    status: int | None = None
    body: str = ""
    error: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def json(self) -> JSON:
        """The body as a JSON object; anything else is an empty one."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


def _post(url: str, body: bytes, headers: dict[str, str], seconds: float) -> Answer:
    """One POST that follows no redirect and retries nothing."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=seconds)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request("POST", target, body, headers)
        response = connection.getresponse()
        text = response.read().decode("utf-8", "replace")
        error = None if response.status == 200 else "http_error"
        names = {k.lower(): v for k, v in response.getheaders()}
        return Answer(response.status, text, error, names)
    except TimeoutError:
        return Answer(error="operation_timeout")
    except (OSError, http.client.HTTPException):
        return Answer(error="dispatch_failed")
    finally:
        connection.close()


class Transport(Protocol):
    """Another way to the product than HTTP: it is taken while it is connected."""

    @property
    def is_connected(self) -> bool: ...

    async def deliver(self, what: str, kind: str, payload: JSON, **retry: Any) -> Answer: ...


class Sender:
    """Sends to the product: by its own connections where it has any, else to its one inbound URL."""

    def __init__(
        self,
        space: Workspace,
        *,
        events_url: str,
        signing_secret: str,
        limit_seconds: float = LIMIT_SECONDS,
        retry_seconds: Iterable[float] = RETRY_SECONDS,
    ) -> None:
        self.space = space
        self.events_url = events_url
        self.limit_seconds = limit_seconds
        self.retry_seconds = tuple(retry_seconds)
        self.sockets: Transport | None = None
        self.last: tuple[bytes, dict[str, str]] | None = None
        self._secret = signing_secret
        self._pool = ThreadPoolExecutor(32, "to-product")  # many people may click at once
        self._background: set[asyncio.Task[None]] = set()

    def signed(
        self, body: bytes, content_type: str, *, skew: float = 0, bad: bool = False
    ) -> dict[str, str]:
        """The headers of a request; `skew` seconds off the clock, or with a `bad` signature."""
        timestamp = str(int(time.time() + skew))
        secret = "not the signing secret" if bad else self._secret
        return {
            "Content-Type": content_type,
            "User-Agent": "Slackbot 1.0 (stand-in)",
            "Accept": "application/json,*/*",
            "X-Slack-Request-Timestamp": timestamp,
            "X-Slack-Signature": sign(secret, timestamp, body),
        }

    async def send(self, what: str, body: bytes, headers: dict[str, str]) -> Answer:
        """Post to the product within the limit; the clicker waits no longer than that."""
        self.last = (body, headers)
        started = time.monotonic()
        # The thread's own limit is a little later, so that the limit below is the one that counts.
        call = asyncio.get_running_loop().run_in_executor(
            self._pool, _post, self.events_url, body, headers, self.limit_seconds + 1
        )
        try:
            answer = await asyncio.wait_for(call, self.limit_seconds)
        except TimeoutError:
            answer = Answer(error="operation_timeout")
        self.space.deliveries.append(
            {
                "what": what,
                "status": answer.status,
                "error": answer.error,
                "seconds": round(time.monotonic() - started, 3),
                "retry": headers.get("X-Slack-Retry-Num"),
            }
        )
        return answer

    async def form(self, what: str, fields: dict[str, Any]) -> Answer:
        """An interaction or a slash command: a signed form, sent once and never again."""
        if self.sockets is not None and self.sockets.is_connected:
            if "payload" in fields:
                return await self.sockets.deliver(
                    what, "interactive", json.loads(fields["payload"])
                )
            return await self.sockets.deliver(what, "slash_commands", fields)
        body = urlencode(fields).encode()
        return await self.send(what, body, self.signed(body, FORM))

    async def interaction(self, payload: JSON) -> Answer:
        return await self.form(payload["type"], {"payload": json.dumps(payload)})

    async def url_verification(self) -> Answer:
        body = json.dumps({"type": "url_verification", "challenge": "3eZbrw1aBm2rZgRNFdxV2595E9"})
        return await self.send(
            "url_verification", body.encode(), self.signed(body.encode(), AS_JSON)
        )

    def event(self, envelope: JSON) -> None:
        """Deliver an event in the background: once, then up to three times more."""
        self.in_background(self._deliver(envelope))

    def in_background(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it beside everything else."""
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _deliver(self, envelope: JSON) -> None:
        body = json.dumps(envelope).encode()
        what = f"event {envelope['event']['type']}"
        answer = await self._event_once(what, body, {})
        for number, pause in enumerate(self.retry_seconds, start=1):
            if answer.error is None or answer.headers.get("x-slack-no-retry") == "1":
                return
            reason = {"operation_timeout": "http_timeout", "dispatch_failed": "connection_failed"}
            await asyncio.sleep(pause)
            retry = {
                "X-Slack-Retry-Num": str(number),
                "X-Slack-Retry-Reason": reason.get(answer.error, "http_error"),
            }
            answer = await self._event_once(what, body, retry)

    async def _event_once(self, what: str, body: bytes, retry: dict[str, str]) -> Answer:
        if self.sockets is None or not self.sockets.is_connected:
            return await self.send(what, body, self.signed(body, AS_JSON) | retry)
        more: JSON = {"retry_attempt": 0, "retry_reason": ""}
        if retry:
            more["retry_attempt"] = int(retry["X-Slack-Retry-Num"])
            more["retry_reason"] = "timeout"
        return await self.sockets.deliver(what, "events_api", json.loads(body), **more)
