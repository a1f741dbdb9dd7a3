"""Serving the stand-in: in this process for good, or in a thread while a test runs."""

import socket
import threading
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from sandbox.github.app import create_app
from sandbox.github.http import TRANSPORT
from sandbox.github.settings import Settings


class CuttableProtocol(H11Protocol):
    """HTTP/1.1 that lets the application cut the connection without an answer."""

    def connection_made(self, transport: Any) -> None:
        """Put the connection into every request's scope, and send small answers at once."""
        super().connection_made(transport)
        # asyncio does this only for sockets that say IPPROTO_TCP; one bound beforehand does not,
        # and every answer on a kept connection then waits some 40 ms (uvicorn#3149).
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        inner = self.app

        async def app(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
            await inner({**scope, TRANSPORT: transport}, receive, send)

        self.app = app


def _server(settings: Settings) -> uvicorn.Server:
    config = uvicorn.Config(
        create_app(settings),
        http=CuttableProtocol,
        ws="none",
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=2,
        timeout_keep_alive=75,
    )
    return uvicorn.Server(config)


def serve(settings: Settings, port: int) -> None:
    """Serve on 127.0.0.1 until SIGTERM or SIGINT."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        _server(settings).run(sockets=[listener])


class Server:
    """The stand-in on a free port, in a thread: ``with Server(settings) as server: server.url``."""

    def __init__(self, settings: Settings, port: int = 0) -> None:
        """Bind a port at once (0: a free one), so that ``url`` is known."""
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self.url = settings.public_url = f"http://127.0.0.1:{self.port}"
        self.settings = settings
        self._server = _server(settings)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._listener]}, daemon=True
        )

    def __enter__(self) -> "Server":
        """Start; requests are accepted from now on (the port already listens)."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop, ending what still runs."""
        self._server.should_exit = True
        self._thread.join(timeout=20)
        self._listener.close()
