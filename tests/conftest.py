"""Fixtures for all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import TransactionTestCase
from hypothesis import HealthCheck, settings
from pytest_django.fixtures import Settings
from xdist.scheduler import LoadScopeScheduling

from tests.world import World

# How fast this machine is right now says nothing about a property.
settings.register_profile("any", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any")

# Files that share something costly run in one process; the first named start first, so that the
# processes end together. Everything else is handed out by the file, in the usual order.
TOGETHER = {
    "tests/stack/test_demo_world.py": "the running product",
    "tests/stack/test_six_steps.py": "the running product",
    "tests/stack/test_slack_on_a_phone.py": "the running product",
    # Its processes are a world of their own, and keep both cores busy for a while.
    "tests/chaos/test_chaos.py": "the chaos suite",
    "tests/integrations/test_killed_worker.py": "an MLflow server",
    "tests/integrations/test_dispatch.py": "an MLflow server",
    "tests/integrations/test_mlflow_registry.py": "an MLflow server",
}


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
    """By the file, but what shares something costly is one piece."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        return TOGETHER.get(file, file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    config.option.loadscopereorder = False  # which would start with the most tests, not the slowest
    return Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {file: place for place, file in enumerate(TOGETHER)}
    items.sort(key=lambda item: places.get(item.nodeid.split("::", 1)[0], len(places)))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Over which ways Slack's tests run, where their module names any (tests/integrations/slack_fixtures.py)."""
    transports = getattr(metafunc.module, "SLACK_TRANSPORTS", None)
    if transports and "slack" in metafunc.fixturenames:
        if metafunc.definition.get_closest_marker("http_only"):
            transports = ("http",)
        metafunc.parametrize("slack", transports, indirect=True)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """With REQUIRE_ALL=1 (continuous integration) a skipped test is a failed one."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if not report.skipped:
        return
    if os.environ.get("REQUIRE_ALL") == "1":
        report.outcome = "failed"
        report.longrepr = f"skipped, but everything is required here: {report.longrepr}"
    else:  # no place, so that the summary has one line for one reason
        report.longrepr = (str(item.config.rootpath / "tests"), None, report.longrepr[2])


# What migrations wrote and no test changes.
LASTING = {"django_migrations", "django_content_type", "auth_permission"}


def empty_the_tables(_case: TransactionTestCase | None = None) -> None:
    """After a test that committed. Django's own way, one TRUNCATE of every table, takes eight times as long.

    Rows go in any order because Django's foreign keys are checked at the commit; only the append-only
    history lets itself be emptied by nothing but a TRUNCATE.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        tables = set(connection.introspection.table_names(cursor)) - LASTING - {"approvals_event"}
        names = map(connection.ops.quote_name, tables)
        deletions = "".join(f"DELETE FROM {name};" for name in names)  # noqa: S608
        cursor.execute(f"TRUNCATE approvals_event; {deletions}")


@pytest.fixture(scope="session", autouse=True)
def quickly_emptied_tables() -> None:
    TransactionTestCase._fixture_teardown = empty_the_tables  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def plain_static_files(settings: Settings, tmp_path: Path) -> None:
    """No manifest is collected for tests; whitenoise warns about a missing folder."""
    settings.STATIC_ROOT = tmp_path
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }


@pytest.fixture
def world(db: None) -> World:
    """The demo's configuration applied, its people active, no model versions yet."""
    return World()


@pytest.fixture
def committed_world(transactional_db: None) -> World:
    """The same world, in committed transactions: for threads, adapters and on-commit effects."""
    return World()


@pytest.fixture(scope="session")
def chromium_path() -> Path:
    """Where Chromium is. Without it the tests in a browser are skipped, and one line says so."""
    path = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
    if not path.exists():
        pytest.skip(
            f"no Chromium at {path}: install Debian's package chromium to run the tests in a browser"
        )
    return path


@pytest.fixture
def root() -> Path:
    """The repository's folder."""
    return Path(__file__).resolve().parent.parent
