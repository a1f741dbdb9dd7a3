"""The stand-in's records and the SQLite file that keeps them across restarts.

Everything lives in memory for reading; each change is written through as one JSON row. One
re-entrant lock guards both, and the engine's decisions with them.
"""

import json
import sqlite3
import threading
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

FIRST_ID = 7_000_000_000  # beyond 32 bits, as GitHub's ids are: a client must cope


def now() -> str:
    """The time now as GitHub writes it: UTC, whole seconds, ``Z``."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Step:
    """One step of a job; ``log`` names its log file relative to the data folder."""

    number: int
    name: str
    log: str
    status: str = "queued"
    conclusion: str | None = None
    started_at: str | None = None
    completed_at: str | None = None


@dataclass
class Job:
    """One job of one attempt of a run."""

    id: int
    run_id: int
    attempt: int
    key: str
    name: str
    labels: list[str] = field(default_factory=list)
    status: str = "queued"
    conclusion: str | None = None
    created_at: str = field(default_factory=now)
    started_at: str | None = None
    completed_at: str | None = None
    steps: list[Step] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Turn the steps of a row read back into steps again."""
        self.steps = [s if isinstance(s, Step) else Step(**s) for s in self.steps]


@dataclass
class Run:
    """One workflow run, as its newest attempt stands.

    ``group`` is its concurrency group, ``held`` that a fault keeps it from ever starting,
    ``listed_after`` the Unix time before which lists do not show it, ``position`` its place in
    the queue (a re-run goes to the end).
    """

    id: int
    number: int
    workflow_id: int
    path: str
    name: str
    title: str
    event: str
    ref: str
    head_branch: str | None
    head_sha: str
    actor: str
    triggering_actor: str
    inputs: dict[str, Any]
    position: int
    group: str | None = None
    status: str = "queued"
    conclusion: str | None = None
    attempt: int = 1
    held: bool = False
    listed_after: float = 0.0
    created_at: str = field(default_factory=now)
    started_at: str = field(default_factory=now)
    updated_at: str = field(default_factory=now)

    @property
    def done(self) -> bool:
        """Whether this attempt is over."""
        return self.status == "completed"


@dataclass
class PastAttempt:
    """An earlier attempt of a run, kept when a re-run begins; ``id`` is run id and attempt."""

    id: str
    run: dict[str, Any]


@dataclass
class Workflow:
    """A workflow file's identity: GitHub gives each path a number that never changes."""

    id: int
    path: str
    created_at: str = field(default_factory=now)
    runs: int = 0


@dataclass
class Environment:
    """A deployment environment of the repository, and what protects it: the logins of its required
    reviewers, and whether the App's custom deployment protection rule is on."""

    id: int
    name: str
    created_at: str = field(default_factory=now)
    reviewers: list[str] = field(default_factory=list)
    rule: bool = False


@dataclass
class Gate:
    """One protection rule that an attempt of a run has met: its state and what was said.

    ``kind`` is ``reviewers`` or ``rule``; ``reports`` are all of the App's answers, newest last.
    """

    id: int
    run_id: int
    attempt: int
    environment: str
    kind: str
    state: str = "pending"
    by: str = ""
    comment: str = ""
    reports: list[str] = field(default_factory=list)
    created_at: str = field(default_factory=now)


@dataclass
class Deployment:
    """A record of the Deployments API."""

    id: int
    ref: str
    sha: str
    environment: str
    creator: str
    task: str = "deploy"
    payload: Any = ""
    description: str | None = None
    production: bool = False
    transient: bool = False
    created_at: str = field(default_factory=now)
    updated_at: str = field(default_factory=now)


@dataclass
class DeploymentStatus:
    """One status of a deployment, newest last."""

    id: int
    deployment_id: int
    state: str
    creator: str
    environment: str
    description: str = ""
    target_url: str = ""
    environment_url: str = ""
    created_at: str = field(default_factory=now)


@dataclass
class Token:
    """An installation token that was handed out; ``id`` is its SHA-256, ``expires`` Unix time."""

    id: str
    expires: float = field(default_factory=lambda: time.time() + 3600)


Record = TypeVar(
    "Record",
    Run,
    Job,
    PastAttempt,
    Workflow,
    Environment,
    Gate,
    Deployment,
    DeploymentStatus,
    Token,
)
KINDS: tuple[type[Any], ...] = (
    Run,
    Job,
    PastAttempt,
    Workflow,
    Environment,
    Gate,
    Deployment,
    DeploymentStatus,
    Token,
)


class Store:
    """All records by kind and id, written through to ``path``."""

    def __init__(self, path: Path) -> None:
        """Open (or create) the file and read every record."""
        self.lock = threading.RLock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=OFF")  # a sandbox: a power cut may lose a second
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS records (kind TEXT, id TEXT, body TEXT, "
            "PRIMARY KEY (kind, id))"
        )
        self._kinds: dict[str, dict[int | str, Any]] = {kind.__name__: {} for kind in KINDS}
        by_name = {kind.__name__: kind for kind in KINDS}
        for kind, body in self._db.execute("SELECT kind, body FROM records ORDER BY rowid"):
            record = by_name[kind](**json.loads(body))
            self._kinds[kind][record.id] = record
        ids = [i for records in self._kinds.values() for i in records if isinstance(i, int)]
        self._last = max(ids, default=FIRST_ID)

    def next_id(self) -> int:
        """A number not used before; ids rise with time over all kinds."""
        with self.lock:
            self._last += 1
            return self._last

    def save(self, record: Record) -> Record:
        """Keep a new or changed record and return it."""
        kind = type(record).__name__
        with self.lock:
            self._kinds[kind][record.id] = record
            self._db.execute(
                "INSERT INTO records VALUES (?, ?, ?) "
                "ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body",
                (kind, str(record.id), json.dumps(asdict(record))),
            )
        return record

    def get(self, kind: type[Record], key: int | str) -> Record | None:
        """The record of that kind and id, or None."""
        found: Record | None = self._kinds[kind.__name__].get(key)
        return found

    def all(self, kind: type[Record]) -> list[Record]:
        """Every record of a kind, oldest first."""
        with self.lock:
            return list(self._kinds[kind.__name__].values())

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            self._db.close()
