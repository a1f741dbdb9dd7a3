"""What the stand-in remembers: one SQLite table of JSON documents, written through."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path

from sandbox.slack.world import JSON


class Store:
    """JSON documents by kind and id, kept over restarts.

    Used from the server's event loop only, so it needs no lock. `revision` rises with every
    change that a page may want to show.
    """

    def __init__(self, folder: Path | None) -> None:
        """Open (or create) `slack.sqlite3` in `folder`; without a folder, in memory."""
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        path = str(folder / "slack.sqlite3") if folder else ":memory:"
        # One loop's thread at a time; tests build the app in one thread and serve it in another.
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS documents"
            " (kind TEXT, id TEXT, body TEXT NOT NULL, PRIMARY KEY (kind, id))"
        )
        self.revision = 0
        row = self._db.execute("SELECT body FROM documents WHERE kind='clock'").fetchone()
        self._last_us = int(json.loads(row[0])["us"]) if row else 0

    def close(self) -> None:
        self._db.close()

    def put(self, kind: str, key: str, body: JSON) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO documents VALUES (?, ?, ?)", (kind, key, json.dumps(body))
        )
        self.revision += 1

    def get(self, kind: str, key: str) -> JSON | None:
        row = self._db.execute(
            "SELECT body FROM documents WHERE kind=? AND id=?", (kind, key)
        ).fetchone()
        return json.loads(row[0]) if row else None

    def all(self, kind: str, prefix: str = "") -> list[JSON]:
        """Every document of a kind whose id starts with `prefix`, in the order of their ids."""
        rows = self._db.execute(
            "SELECT body FROM documents WHERE kind=? AND substr(id, 1, ?)=? ORDER BY id",
            (kind, len(prefix), prefix),
        )
        return [json.loads(body) for (body,) in rows]

    def delete(self, kind: str, key: str) -> None:
        self._db.execute("DELETE FROM documents WHERE kind=? AND id=?", (kind, key))
        self.revision += 1

    def clear(self) -> None:
        """Forget everything but the clock: a message's ts is never given twice."""
        self._db.execute("DELETE FROM documents WHERE kind<>'clock'")
        self.revision += 1

    def next_ts(self) -> str:
        """A message timestamp as Slack writes it: seconds with six decimals, never repeated."""
        self._last_us = max(self._last_us + 1, int(time.time() * 1_000_000))
        self.put("clock", "last", {"us": self._last_us})
        return f"{self._last_us // 1_000_000}.{self._last_us % 1_000_000:06d}"
