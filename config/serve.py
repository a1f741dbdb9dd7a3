"""Runs the web process: ``python -m config.serve --host 0.0.0.0 --port 8000``. uvicorn, set up in one place.

Headers of proxies are left to Django, which believes them where BEHIND_TLS_PROXY says so and nowhere else.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import socket
import sys
from importlib import import_module
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.supervisors import Multiprocess

# Bytes of a request's line and headers together.
HEAD = 64 * 1024
# Seconds that requests under way have to end; Compose waits ten before it kills.
PATIENCE = 8
# What stands in these addresses is as good as a password, and so may be any query (a code of OAuth's).
_SECRET = re.compile(r"^(/integrations/slack/link/|/feeds/)[^?]+|\?.*$")


class Protocol(H11Protocol):
    """HTTP/1.1 that sends small answers at once, and ends the streams when the process is to end."""

    def connection_made(self, transport: Any) -> None:
        """asyncio sees to it only for sockets that say IPPROTO_TCP, which uvicorn's own do not (uvicorn#3149)."""
        super().connection_made(transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def shutdown(self) -> None:
        """Called for each connection. A stream would never end by itself, and the process waits for it."""
        from approvals.web.stream import HUB

        HUB.end()
        super().shutdown()


class NoSecrets(logging.Filter):
    """Access lines without what could be used by whoever reads them."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep the line, shortened."""
        if isinstance(record.args, tuple) and len(record.args) == 5:
            client, method, path, version, status = record.args
            short = _SECRET.sub(lambda found: f"{found[1] or '?'}…", str(path))
            record.args = (client, method, short, version, status)
        return True


def _log_access() -> None:
    """Access lines go to standard output, everything else to standard error."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    handler.addFilter(NoSecrets())
    access = logging.getLogger("uvicorn.access")
    access.handlers, access.propagate = [handler], False


class Config(uvicorn.Config):
    """uvicorn's, with our access lines in every process."""

    def configure_logging(self) -> None:
        """Called in each process before it serves."""
        super().configure_logging()
        if self.access_log:
            _log_access()


def main(arguments: list[str] | None = None) -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m config.serve", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--threads", type=int, default=8, help="pages rendered at once, a process")
    parser.add_argument("--access-log", action="store_true", help="a line a request")
    parser.add_argument("--app", default="config.asgi:application")
    wanted = parser.parse_args(arguments)
    os.environ["WEB_THREADS"] = str(wanted.threads)
    # What may not start says so here, once; processes that end at once would be started again for ever.
    import_module(wanted.app.partition(":")[0])
    config = Config(
        wanted.app,
        host=wanted.host,
        port=wanted.port,
        workers=wanted.workers,
        http=Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="info" if wanted.access_log else "warning",
        access_log=wanted.access_log,
        proxy_headers=False,
        server_header=False,
        h11_max_incomplete_event_size=HEAD,
        timeout_graceful_shutdown=PATIENCE,
    )
    if wanted.workers > 1:
        Multiprocess(config, sockets=[config.bind_socket()]).run()
    else:
        uvicorn.Server(config).run()


if __name__ == "__main__":
    main()
