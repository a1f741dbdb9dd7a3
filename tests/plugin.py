"""Loaded first (``-p tests.plugin``): the environment of the tests, and real PostgreSQL and Redis servers.

The controlling process starts the servers; pytest-xdist's workers inherit their addresses. Where
DATABASE_URL or REDIS_URL is set, those are used.
"""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

ENVIRONMENT = {
    "SANDBOX": "1",
    "SECRET_KEY": "only-for-tests-" + "x" * 50,
    "BASE_URL": "http://127.0.0.1:8000",
    "ALLOWED_HOSTS": "127.0.0.1,localhost,testserver",
    "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
    "GITHUB_API_URL": "http://127.0.0.1:9",
    "GITHUB_TOKEN": "test-github-token",
    "GITHUB_WEBHOOK_SECRET": "test-webhook-secret",
    "SLACK_API_URL": "http://127.0.0.1:9/api/",
    "SLACK_BOT_TOKEN": "xoxb-test-token",
    "SLACK_SIGNING_SECRET": "test-signing-secret",
    "SLACK_TEAM_ID": "T0ACME",
    "EMAIL_HOST": "",  # whatever the shell says, no test writes to anybody
    "COUNTERSIGN_CONFIG": str(ROOT / "examples" / "countersign.yaml"),
    "EFFECT_LEASE_SECONDS": "3",
    "SLACK_POST_SECONDS": "0.000001",
    "LOG_LEVEL": "ERROR",
}
# PostgreSQL's trigger lets only a session that says so empty the history between tests.
TEST_DATABASE = "options=-c%20countersign.test_database%3Don"


def _never_wait_for_the_disk(url: str) -> None:
    """These tests' data need not survive a power cut; emptying tables is much quicker so."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(f"ALTER SYSTEM SET {setting} = off")
        connection.execute("SELECT pg_reload_conf()")


def _prepare() -> None:
    if os.environ.get("COUNTERSIGN_TEST_READY"):
        return
    os.environ.update(ENVIRONMENT)
    var = Path(tempfile.mkdtemp(prefix="countersign-tests-"))
    os.environ["COUNTERSIGN_VAR"] = str(var)
    from config import embedded

    if not os.environ.get("DATABASE_URL"):
        os.environ["DATABASE_URL"] = embedded.postgres_url(var)
        _never_wait_for_the_disk(os.environ["DATABASE_URL"])
    if not os.environ.get("REDIS_URL"):
        os.environ["REDIS_URL"] = embedded.redis_url(var)
    url = os.environ["DATABASE_URL"]
    os.environ["DATABASE_URL"] = f"{url}{'&' if '?' in url else '?'}{TEST_DATABASE}"
    os.environ["COUNTERSIGN_TEST_READY"] = "1"

    def clean_up() -> None:
        embedded.stop()
        shutil.rmtree(var, ignore_errors=True)

    atexit.register(clean_up)


_prepare()
# Looking for garbage every 700 objects took a tenth of the time.
gc.set_threshold(100_000, 50, 50)
