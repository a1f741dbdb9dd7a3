"""Small servers between the product and MLflow, or in its place."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass
class CountingProxy:
    """Passes requests on and remembers their paths. ``refused`` are ends of paths whose POSTs it hangs up on,
    ``unanswered`` those whose POSTs it passes on, once, without giving the answer back, ``forbidden`` those whose
    POSTs it answers with 403."""

    url: str = ""
    paths: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    unanswered: set[str] = field(default_factory=set)
    forbidden: set[str] = field(default_factory=set)
    posts: list[str] = field(default_factory=list)
    # Called with the end of the path before a POST is passed on.
    before: Callable[[str], object] = field(default=lambda end: None)


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The handler on a free port of 127.0.0.1."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def counting_proxy(upstream: str) -> Iterator[CountingProxy]:
    """A proxy in front of MLflow."""
    proxy = CountingProxy()

    class Handler(BaseHTTPRequestHandler):
        def _pass_on(self) -> None:
            path = urlsplit(self.path).path
            end = path.rsplit("/", 2)[-2] + "/" + path.rsplit("/", 2)[-1]
            proxy.paths.append(path)
            length = int(self.headers.get("Content-Length") or 0)
            if self.command != "GET":
                proxy.posts.append(end)
                proxy.before(end)
                if end in proxy.forbidden:
                    self.rfile.read(length)
                    _answer(self, 403, b"Permission denied", "text/plain")
                    return
                if end in proxy.refused:
                    self.close_connection = True
                    return
            request = urllib.request.Request(
                f"{upstream}{self.path}",
                data=self.rfile.read(length) if length else None,
                method=self.command,
                headers={"Content-Type": self.headers.get("Content-Type") or "application/json"},
            )
            try:
                with urllib.request.urlopen(request, timeout=20) as answer:
                    status, body = answer.status, answer.read()
            except urllib.error.HTTPError as error:
                with error:
                    status, body = error.code, error.read()
            if self.command != "GET" and end in proxy.unanswered:
                proxy.unanswered.remove(end)
                self.close_connection = True
                return
            _answer(self, status, body)

        do_GET = do_POST = do_DELETE = do_PATCH = _pass_on  # noqa: N815 - the library's names

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    with serving(Handler) as url:
        proxy.url = url
        yield proxy


@contextmanager
def answering(status: int, body: bytes, content_type: str = "application/json") -> Iterator[str]:
    """A server that gives everybody this answer."""

    class Handler(BaseHTTPRequestHandler):
        def _give(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            _answer(self, status, body, content_type)

        do_GET = do_POST = _give  # noqa: N815 - the library's names

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    with serving(Handler) as url:
        yield url


def _answer(
    handler: BaseHTTPRequestHandler, status: int, body: bytes, kind: str = "application/json"
) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
