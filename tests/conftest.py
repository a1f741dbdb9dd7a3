"""Fixtures for all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from tests.world import World


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slowest first, so that two workers finish together."""
    items.sort(key=lambda item: "stack" not in item.keywords)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """With REQUIRE_ALL=1 (continuous integration) a skipped test is a failed one."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.skipped and os.environ.get("REQUIRE_ALL") == "1":
        report.outcome = "failed"
        report.longrepr = f"skipped, but everything is required here: {report.longrepr}"


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


@pytest.fixture
def root() -> Path:
    """The repository's folder."""
    return Path(__file__).resolve().parent.parent
