"""Who uses which server: the first to ask starts it, the last to leave stops it.

Every process that asked holds a shared lock on a file beside the server's folder. A crashed process
loses its lock with its life, so nothing has to be counted.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from config.embedded.server import EmbeddedServerError, Server

REVIVE_SECONDS = 20


@dataclass(frozen=True)
class _Attached:
    server: Server
    url: str
    users: IO[Any]
    owner: int


_attached: dict[Path, _Attached] = {}


def attach(server: Server) -> str:
    """The address of `server`, started if need be, and kept until this process leaves."""
    known = _attached.get(server.folder)
    if known is not None:
        return known.url
    try:
        server.folder.mkdir(parents=True, exist_ok=True)
        with _starting(server):
            users = _users_file(server).open("a")
            try:
                fcntl.flock(users, fcntl.LOCK_SH)
                if not server.answers():
                    server.start()
                    server.wait_until_it_answers()
                url = server.url()
            except BaseException:
                users.close()
                raise
    except PermissionError as error:
        raise EmbeddedServerError(
            f"The data in {server.folder} belongs to another user ({error.strerror}: "
            f"{error.filename}). Run as that user, or remove the folder to start over."
        ) from error
    if not _attached:
        atexit.register(leave_all)
    _attached[server.folder] = _Attached(server, url, users, os.getpid())
    return url


def revive_all() -> list[str]:
    """Start again what this process uses and somebody killed; names it. Raises EmbeddedServerError."""
    revived = []
    for attached in list(_attached.values()):
        server = attached.server
        if attached.owner == os.getpid() and not server.answers():
            with _starting(server):
                if not server.answers():
                    _start_patiently(server)
                    revived.append(server.name)
    return revived


def _start_patiently(server: Server) -> None:
    """A killed server's children may hold its lock files for some seconds more."""
    until = time.monotonic() + REVIVE_SECONDS
    while True:
        try:
            server.start()
            server.wait_until_it_answers()
            return
        except EmbeddedServerError:
            if time.monotonic() > until:
                raise
            time.sleep(1)


def leave_all() -> None:
    """Let go of every server that this process uses."""
    for attached in list(_attached.values()):
        if attached.owner == os.getpid():  # a forked child leaves its parent's servers alone
            _leave(attached)


def stop_if_unused(server: Server) -> bool:
    """Stop a server that a killed process left behind. False when another process uses it."""
    if not server.folder.is_dir():
        return True
    with _starting(server), _users_file(server).open("a") as users:
        return _stop_if_last(server, users)


def _leave(attached: _Attached) -> None:
    del _attached[attached.server.folder]
    with attached.users as users:
        if attached.server.folder.is_dir():
            with _starting(attached.server):
                _stop_if_last(attached.server, users)


def _stop_if_last(server: Server, users: IO[Any]) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False  # another process still needs it, and will stop it
    server.stop()
    return True


@contextmanager
def _starting(server: Server) -> Iterator[None]:
    """Held while a server is looked for, started or stopped: one process at a time."""
    with server.folder.with_name(f".{server.folder.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _users_file(server: Server) -> Path:
    return server.folder.with_name(f".{server.folder.name}.users")
