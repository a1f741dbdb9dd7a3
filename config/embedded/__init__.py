"""Real PostgreSQL and Redis servers, started from wheels when no address is configured.

`postgres_url(data)` and `redis_url(data)` start the server that keeps its data in `data/postgres`
or `data/redis`, or attach to the one that another process of this project already started there,
and return an address. The last process to leave (at its end, or by `stop()`) stops the server. The
packages are looked up only when a server is really needed.
"""

from __future__ import annotations

from pathlib import Path

from config.embedded.postgres import Postgres
from config.embedded.redis import Redis
from config.embedded.server import EmbeddedServerError
from config.embedded.shared import attach, leave_all, revive_all, stop_if_unused

__all__ = ["EmbeddedServerError", "postgres_url", "redis_url", "revive", "stop", "stop_unused"]


def postgres_url(data: Path) -> str:
    """Address of the PostgreSQL server whose data is in `data/postgres`, started if need be.

    Raises EmbeddedServerError with a sentence for the user.
    """
    return attach(_postgres(data))


def redis_url(data: Path) -> str:
    """Address of the Redis server whose data is in `data/redis`, started if need be.

    Raises EmbeddedServerError with a sentence for the user.
    """
    return attach(_redis(data))


def revive() -> list[str]:
    """Start again, at the same address, what this process uses and somebody killed; names it.

    Raises EmbeddedServerError with a sentence for the user.
    """
    return revive_all()


def stop() -> None:
    """Let go of every server that this process uses; the last process to do so stops them."""
    leave_all()


def stop_unused(data: Path) -> list[str]:
    """Stop servers in `data` that a killed process left behind; names those still in use."""
    servers = (_postgres(data), _redis(data))
    return [server.name for server in servers if not stop_if_unused(server)]


def _postgres(data: Path) -> Postgres:
    return Postgres(data.resolve() / "postgres")


def _redis(data: Path) -> Redis:
    return Redis(data.resolve() / "redis")
