"""What the benchmarks share: a database of their own, and a GitHub that only counts."""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import tests.plugin  # noqa: F401 - starts the servers and sets the environment

ETAG = 'W/"unchanged"'


@contextmanager
def database() -> Iterator[None]:
    """Django, with an empty database that is dropped afterwards."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    from django.test.utils import setup_databases, teardown_databases

    databases = setup_databases(verbosity=0, interactive=False)
    try:
        yield
    finally:
        teardown_databases(databases, verbosity=0)


class Counting:
    """A server on a free port that answers every list of runs with nothing and every known ETag with 304,
    and counts both: ``requests``, and ``points`` of the rate limit."""

    def __init__(self) -> None:
        self.requests = self.points = 0
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        counting = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                known = self.headers.get("If-None-Match") == ETAG
                body = b"" if known else json.dumps({"workflow_runs": []}).encode()
                with counting._lock:
                    counting.requests += 1
                    counting.points += not known
                self.send_response(304 if known else 200)
                self.send_header("ETag", ETAG)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("X-RateLimit-Limit", "5000")
                self.send_header("X-RateLimit-Remaining", str(5000 - counting.points))
                self.send_header("X-RateLimit-Reset", "4102444800")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler

    def __enter__(self) -> Counting:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def percentiles(samples: list[float]) -> str:
    """``p50 12 ms, p95 20 ms, p99 31 ms (100 samples)`` of milliseconds: each a sample that was measured."""
    ordered = sorted(samples)

    def at(share: float) -> float:
        return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]

    return f"p50 {at(0.5):.0f} ms, p95 {at(0.95):.0f} ms, p99 {at(0.99):.0f} ms ({len(ordered)} samples)"
