"""The web process's entry point: the pages on threads, and the stream of changes beside them (docs/adr/0011).

``python -m config.serve`` runs it. Pages stay a WSGI application, with its persistent connections to the database;
only ``/live/`` is asynchronous, because many browsers wait there at once.
"""

from __future__ import annotations

from config.environment import read
from config.start import pages

_pages = pages()

# Both need Django set up.
from approvals.web.stream import HUB  # noqa: E402
from config.web import Web  # noqa: E402

application = Web(_pages, HUB, threads=int(read("WEB_THREADS", "8")))
