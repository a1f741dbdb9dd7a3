"""What can go wrong with a service, in the two ways that matter to the outbox."""

from __future__ import annotations

import socket
import ssl

from django.db import connection

# What broke below a library's own error, by the name of its class: what a person mends differs. Named by class
# because the libraries wrap each other's.
_SAID = {
    "NameResolutionError": "the host's name was not found",
    "SSLError": "no trusted certificate",
    "ConnectTimeout": "no answer in time",
    "ReadTimeout": "no answer in time",
    "ConnectTimeoutError": "no answer in time",
    "ReadTimeoutError": "no answer in time",
    "ProxyError": "the proxy refused",
}


class Unavailable(Exception):
    """Down, slow or limited: try again later. ``after`` is the wait in seconds that the service asked for."""

    def __init__(self, sentence: str, after: float | None = None) -> None:
        super().__init__(sentence)
        self.after = after


class Limited(Unavailable):
    """A rate limit, which concerns everything that uses the same credential."""


class Rejected(Exception):
    """A clear no: trying again changes nothing until somebody mends what the sentence names. ``code`` is the
    HTTP status where one was answered, else 0."""

    def __init__(self, sentence: str, code: int = 0) -> None:
        super().__init__(sentence)
        self.code = code


def why(error: BaseException) -> str:
    """What kept a service from being reached: in words where it is known well enough to be mended, else the name
    of the error. Never its own words, which name sockets and addresses."""
    todo: list[object] = [error]
    seen: set[int] = set()
    while todo and len(seen) < 20:
        each = todo.pop(0)
        if not isinstance(each, BaseException) or id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, socket.gaierror):
            return _SAID["NameResolutionError"]
        if isinstance(each, ssl.SSLError):
            return _SAID["SSLError"]
        if isinstance(each, TimeoutError):
            return _SAID["ReadTimeout"]
        if said := _SAID.get(type(each).__name__):
            return said
        # urllib3 keeps what broke in ``reason``, urllib too; requests wraps them as an argument.
        todo += [getattr(each, "reason", None), each.__cause__, each.__context__, *each.args]
    return type(error).__name__


def outside_transaction() -> None:
    """Every client calls this before it speaks: a network call inside a transaction holds locks for as
    long as somebody else's server likes. Raises RuntimeError, which is an error of ours."""
    if connection.in_atomic_block:
        raise RuntimeError("A service was about to be called inside a database transaction.")
