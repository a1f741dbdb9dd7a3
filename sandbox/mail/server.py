"""Serving the stand-in: in this process for good, or in a thread while a test runs."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType

import uvicorn
from starlette.applications import Starlette

from sandbox.mail.mailbox import Mailbox
from sandbox.mail.pages import Pages
from sandbox.mail.smtp import protocol

START_SECONDS = 10.0


def create_app(mailbox: Mailbox, smtp: socket.socket) -> Starlette:
    """The page; while it is served, SMTP is spoken on the listening socket ``smtp``, in the same loop."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(protocol(mailbox, loop), sock=smtp)
        try:
            yield
        finally:
            server.close()

    return Starlette(routes=Pages(mailbox).routes(), lifespan=lifespan)


def _server(app: Starlette) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


def serve(port: int, smtp_port: int) -> None:
    """Serve both on 127.0.0.1 until SIGTERM or SIGINT."""
    with (
        socket.create_server(("127.0.0.1", port)) as page,
        socket.create_server(("127.0.0.1", smtp_port)) as smtp,
    ):
        _server(create_app(Mailbox(), smtp)).run(sockets=[page])


class Server:
    """The stand-in on free ports, in a thread: ``with Server() as server: server.url, server.smtp_port``."""

    def __init__(self, smtp_port: int = 0) -> None:
        """Bind the ports at once (0: a free one), so that they are known."""
        self.mailbox = Mailbox()
        self._page = socket.create_server(("127.0.0.1", 0))
        self._smtp = socket.create_server(("127.0.0.1", smtp_port))
        self.url = f"http://127.0.0.1:{self._page.getsockname()[1]}"
        self.smtp_port: int = self._smtp.getsockname()[1]
        self._server = _server(create_app(self.mailbox, self._smtp))
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._page]}, daemon=True
        )

    def __enter__(self) -> Server:
        """Start; returns when both answer."""
        self._thread.start()
        until = time.monotonic() + START_SECONDS
        while not self._server.started:
            if time.monotonic() > until or not self._thread.is_alive():
                raise RuntimeError("the mail stand-in did not start")
            time.sleep(0.005)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop both."""
        self._server.should_exit = True
        self._thread.join(START_SECONDS)
        self._page.close()
        self._smtp.close()
