"""What can go wrong with a service, in the two ways that matter to the outbox."""

from __future__ import annotations

from django.db import connection


class Unavailable(Exception):
    """Down, slow or limited: try again later. ``after`` is the wait in seconds that the service asked for."""

    def __init__(self, sentence: str, after: float | None = None) -> None:
        super().__init__(sentence)
        self.after = after


class Limited(Unavailable):
    """A rate limit, which concerns everything that uses the same credential."""


class Rejected(Exception):
    """A clear no: trying again changes nothing until somebody mends what the sentence names. ``status`` is the
    HTTP status where one was answered, else 0."""

    def __init__(self, sentence: str, status: int = 0) -> None:
        super().__init__(sentence)
        self.status = status


def outside_transaction() -> None:
    """Every client calls this before it speaks: a network call inside a transaction holds locks for as
    long as somebody else's server likes. Raises RuntimeError, which is an error of ours."""
    if connection.in_atomic_block:
        raise RuntimeError("A service was about to be called inside a database transaction.")
