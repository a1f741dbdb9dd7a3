"""Socket Mode: WebSockets that the product opens, by which it gets what would else be HTTP requests.

As documented: an address for one use, `hello`, envelopes that are acknowledged within three seconds, at most
ten connections of which each envelope goes to one, `disconnect` shortly before a connection ends, retries of
events. As others saw it: frames of more than 20,480 bytes end the connection.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from sandbox.slack.delivery import Answer
from sandbox.slack.workspace import Workspace
from sandbox.slack.world import APP_ID, JSON

TICKET_SECONDS = 30.0
MOST_CONNECTIONS = 10
MOST_FRAME = 20_480
# From the warning to the end of a connection.
WARNING_SECONDS = 10.0
# Of interactions, these take an answer with the acknowledgement.
ANSWERED = ("view_submission", "block_suggestion")


@dataclass(eq=False)
class Connection:
    """One WebSocket of the product."""

    socket: WebSocket
    number: int
    sent: int = 0
    ending: bool = False


@dataclass
class Sockets:
    """The product's connections, and the envelopes that wait for their acknowledgement."""

    space: Workspace
    app_token: str
    limit_seconds: float
    tickets: dict[str, float] = field(default_factory=dict)
    open: list[Connection] = field(default_factory=list)
    waiting: dict[str, asyncio.Future[JSON | None]] = field(default_factory=dict)
    last: JSON | None = None
    # How many of the next acknowledgements get lost on their way.
    losing: int = 0
    opened: int = 0
    strays: list[JSON] = field(default_factory=list)

    @property
    def is_connected(self) -> bool:
        return any(not each.ending for each in self.open)

    async def deliver(self, what: str, kind: str, payload: JSON, **retry: Any) -> Answer:
        """One envelope to one connection, each in turn; the answer as HTTP would give it."""
        envelope = {
            "envelope_id": secrets.token_hex(16),
            "type": kind,
            "payload": payload,
            "accepts_response_payload": kind == "slash_commands" or payload.get("type") in ANSWERED,
            **retry,
        }
        return await self.send(what, envelope)

    async def send(self, what: str, envelope: JSON) -> Answer:
        """Send an envelope, perhaps one that was sent before."""
        self.last = envelope
        started, key = time.monotonic(), str(envelope["envelope_id"])
        answer = Answer(error="dispatch_failed")
        ready = [each for each in self.open if not each.ending]
        if ready:
            chosen = min(ready, key=lambda each: (each.sent, each.number))
            chosen.sent += 1
            said: asyncio.Future[JSON | None] = asyncio.get_running_loop().create_future()
            self.waiting[key] = said
            try:
                await chosen.socket.send_text(json.dumps(envelope))
                payload = await asyncio.wait_for(said, self.limit_seconds)
                body = "" if payload is None else json.dumps(payload)
                answer = Answer(200, body)
            except (TimeoutError, RuntimeError, WebSocketDisconnect):
                answer = Answer(error="operation_timeout")
            finally:
                self.waiting.pop(key, None)
        self.space.deliveries.append(
            {
                "what": what,
                "status": answer.status,
                "error": answer.error,
                "seconds": round(time.monotonic() - started, 3),
                "retry": str(envelope["retry_attempt"]) if envelope.get("retry_attempt") else None,
            }
        )
        return answer

    def heard(self, text: str) -> None:
        """An acknowledgement; later ones, and those of nothing, are noted."""
        said: JSON = json.loads(text)
        if self.losing > 0:
            self.losing -= 1
            return
        waits = self.waiting.get(str(said.get("envelope_id")))
        if waits is None or waits.done():
            self.strays.append(said)
        else:
            waits.set_result(said.get("payload"))

    async def end(self, connection: Connection, reason: str, seconds: float) -> None:
        """Say that the connection ends; nothing is sent by it any more; then close it."""
        connection.ending = True
        await connection.socket.send_text(
            json.dumps({"type": "disconnect", "reason": reason, "debug_info": {"host": "stand-in"}})
        )
        await asyncio.sleep(seconds)
        if connection in self.open:
            await connection.socket.close()


async def open_connection(request: Request) -> Response:
    """`apps.connections.open`: with the app-level token, an address for one connection."""
    sockets: Sockets = request.app.state.sockets
    token = request.headers.get("authorization", "").removeprefix("Bearer ")
    fault = sockets.space.faults.take("apps.connections.open")
    answer: JSON = {"ok": False, "error": "invalid_auth"}
    status, headers = 200, {}
    if fault and fault["fault"] == "ratelimited":
        answer, status = {"ok": False, "error": "ratelimited"}, 429
        headers = {"Retry-After": str(fault.get("retry_after", 1))}
    elif fault:
        answer, status = {"ok": False, "error": "internal_error"}, 503
    elif token.startswith("xoxb-"):
        answer["error"] = "not_allowed_token_type"
    elif sockets.app_token and token == sockets.app_token:
        ticket = secrets.token_urlsafe(24)
        sockets.tickets[ticket] = time.monotonic() + TICKET_SECONDS
        host = f"{request.url.hostname}:{request.url.port}"
        answer = {"ok": True, "url": f"ws://{host}/link/?ticket={ticket}&app_id={APP_ID}"}
    sockets.space.requests.append(
        {
            "method": "apps.connections.open",
            "at": time.time(),
            "status": status,
            "ok": answer["ok"],
            "error": answer.get("error"),
            "channel": None,
            "ts": None,
            "user": None,
        }
    )
    return JSONResponse(answer, status_code=status, headers=headers)


async def link(socket: WebSocket) -> None:
    """The WebSocket itself."""
    sockets: Sockets = socket.app.state.sockets
    until = sockets.tickets.pop(socket.query_params.get("ticket", ""), 0.0)
    if time.monotonic() > until:
        await socket.close()  # before it is accepted: 403
        return
    await socket.accept()
    if len(sockets.open) >= MOST_CONNECTIONS:
        await socket.send_json({"type": "disconnect", "reason": "too_many_websockets"})
        await socket.close()
        return
    sockets.opened += 1
    least = min((each.sent for each in sockets.open), default=0)
    connection = Connection(socket, sockets.opened, least)
    sockets.open.append(connection)
    try:
        await socket.send_json(
            {
                "type": "hello",
                "num_connections": len(sockets.open),
                "debug_info": {"host": "stand-in", "approximate_connection_time": 18_060},
                "connection_info": {"app_id": APP_ID},
            }
        )
        while True:
            text = await socket.receive_text()
            if len(text.encode()) > MOST_FRAME:
                await socket.close(1009, f"Max frame length of {MOST_FRAME} has been exceeded.")
                return
            sockets.heard(text)
    except (WebSocketDisconnect, RuntimeError):
        pass
    finally:
        sockets.open.remove(connection)


async def control(request: Request) -> Response:
    """What tests see and do.

    `end` (a reason) says that every connection ends, in `seconds`; `drop` ends them without a word; `again` sends
    the last envelope again; `lose` makes so many of the next acknowledgements disappear.
    """
    sockets: Sockets = request.app.state.sockets
    found: JSON = {}
    if request.method == "POST":
        asked = await request.json()
        if "lose" in asked:
            sockets.losing = int(asked["lose"])
        if "end" in asked:
            seconds = float(asked.get("seconds", WARNING_SECONDS))
            for each in list(sockets.open):
                request.app.state.sender.in_background(sockets.end(each, asked["end"], seconds))
        if asked.get("drop"):
            for each in list(sockets.open):
                await each.socket.close(1011)
        if asked.get("again") and sockets.last is not None:
            answer = await sockets.send("again", sockets.last)
            found = {"status": answer.status, "body": answer.body, "error": answer.error}
    return JSONResponse(
        {
            **found,
            "sockets": [
                {"number": each.number, "sent": each.sent, "ending": each.ending}
                for each in sockets.open
            ],
            "opened": sockets.opened,
            "strays": sockets.strays,
        }
    )


ROUTES = [
    Route("/api/apps.connections.open", open_connection, methods=["POST"]),
    WebSocketRoute("/link/", link),
    Route("/_sandbox/sockets", control, methods=["GET", "POST"]),
]
