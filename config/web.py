"""Pages (WSGI, on threads) and the stream of changes (asynchronous) as one application.

What a2wsgi leaves open is settled here: a body is read before a thread is taken, so that slow senders hold none
up; one that broke off never reaches a view; header names that could pass for others are dropped; and a request
line has a limit.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from a2wsgi import WSGIMiddleware

from approvals.web.stream import NEWEST, Hub, serve

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# Bytes. A key of a thousand characters, percent-encoded, fits (docs/api.md).
REQUEST_LINE = 8190
# Bytes of a body that are read before a thread is taken; Django refuses forms of 2.5 MB and more.
AHEAD = 3 * 1024 * 1024
ADDRESS = "/live/"


class Web:
    """The application: ``pages`` on ``threads`` threads, and ``hub``'s streams."""

    def __init__(self, pages: Any, hub: Hub, *, threads: int) -> None:
        self.hub = hub
        self.pages = WSGIMiddleware(pages, workers=threads)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] != "http":
            return
        elif _line(scope) > REQUEST_LINE:
            await _refuse(send, 414, "The address is too long.")
        elif scope["path"] == ADDRESS:
            await serve(self.hub, scope, receive, send)
        else:
            await self._page(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.hub.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _page(self, scope: Scope, receive: Receive, send: Send) -> None:
        # ``X_Forwarded_Proto`` would look like ``X-Forwarded-Proto``, which proxies overwrite, to WSGI.
        headers = [each for each in scope["headers"] if b"_" not in each[0]]
        body = _Body(receive)
        names = {name for name, _ in headers}
        if b"content-length" in names or b"transfer-encoding" in names:
            if not await body.read_ahead():
                return  # whoever sent it is gone
        else:
            body.more = False
        scope = {**scope, "headers": headers, NEWEST: self.hub.newest}
        await self.pages(scope, body.receive, _Sending(send).send)  # type: ignore[arg-type]


def _line(scope: Scope) -> int:
    """How long the request line was, in bytes."""
    query = scope["query_string"]
    target = len(scope["raw_path"]) + (len(query) + 1 if query else 0)
    return len(scope["method"]) + target + len("  HTTP/1.1")


async def _refuse(send: Send, status: int, sentence: str) -> None:
    head = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": f"{sentence}\n".encode()})


class _Body:
    """A request's body: what was read ahead first, then what still comes."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._ahead = bytearray()
        self.more = True

    async def read_ahead(self) -> bool:
        """Whether the sender is still there after the body, or its first megabytes."""
        while self.more and len(self._ahead) < AHEAD:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                return False
            self._ahead += message.get("body", b"")
            self.more = message.get("more_body", False)
        return True

    async def receive(self) -> Message:
        """The next piece. Raises ConnectionResetError where the sender is gone: half a body is none."""
        if self._ahead or not self.more:
            piece, self._ahead = bytes(self._ahead), bytearray()
            return {"type": "http.request", "body": piece, "more_body": self.more}
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError("The sender broke off.")
        self.more = message.get("more_body", False)
        return message


class _Sending:
    """Sends an answer; after an error the rest is dropped, because a thread would wait for it for ever."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._broken = False

    async def send(self, message: Message) -> None:
        """Send a piece of the answer, unless an earlier one could not be sent."""
        if self._broken:
            return
        try:
            await self._send(message)
        except Exception:
            self._broken = True
            logger.warning("an answer could not be sent", exc_info=True)
