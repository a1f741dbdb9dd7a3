"""Where a request came from, beside the door: for the history, which names it in everything it records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

_ORIGIN: ContextVar[Mapping[str, str] | None] = ContextVar("origin", default=None)


@contextmanager
def coming_from(**place: str) -> Iterator[None]:
    """Whatever is recorded inside the block came from there: ``team``, ``channel``, ``user`` of a chat, by
    their ids. A door says so once, so that no verb has to pass it on; what is empty is left out."""
    token = _ORIGIN.set({name: value for name, value in place.items() if value} or None)
    try:
        yield
    finally:
        _ORIGIN.reset(token)


def origin() -> dict[str, str]:
    """Where it came from; empty where no door said."""
    return dict(_ORIGIN.get() or {})
