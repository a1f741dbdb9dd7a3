"""The pages as people see them: the product's own web process on rows of the test's database, in real Chromium.

No worker, no service: what the pages show was put there by the verbs (tests/web/scene.py), hostile words included.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from pytest_django.plugin import DjangoDbBlocker

from tests.browser.site import Site, built
from tests.stack.desk import ARGUMENTS


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """pytest-django makes the database where a test says that it needs one."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.django_db)


@pytest.fixture
def _django_db_helper() -> None:
    """No transaction around these tests: the site's rows are committed, and Playwright's loop runs."""


@pytest.fixture(scope="module")
def site(
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """Built once for a file: the rows, everybody's session, the server."""
    with django_db_blocker.unblock(), built(tmp_path_factory.mktemp("site")) as site:
        yield site


# By the module and after the site: while Playwright's loop runs, Django refuses to ask the database.
@pytest.fixture(scope="module")
def chromium(site: Site, chromium_path: Path) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        yield browser
        browser.close()
