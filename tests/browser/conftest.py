"""The pages as people see them: the product's own web process on rows of the test's database, in real Chromium.

No worker, no service: what the pages show was put there by the verbs (tests/web/scene.py), hostile words included.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright
from pytest_django.plugin import DjangoDbBlocker

from tests.browser.site import Site, Window, built, window
from tests.stack.desk import ARGUMENTS


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """pytest-django makes the database where a test says that it needs one."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.django_db)


@pytest.fixture
def _django_db_helper() -> None:
    """No transaction around these tests: the site's rows are committed, and Playwright's loop runs."""


@pytest.fixture(scope="package")
def site(
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """Built once for a process: the rows, everybody's session, the server."""
    with django_db_blocker.unblock(), built(tmp_path_factory.mktemp("site")) as site:
        yield site


# After the site, and gone with it. Playwright keeps an event loop running in the test's thread, and Django refuses
# to block a running loop; this one is idle while a test runs, so the check is lifted for as long as it runs.
@pytest.fixture(scope="package")
def chromium(site: Site, chromium_path: Path) -> Iterator[Browser]:
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        browser = playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        yield browser
        browser.close()


class Windows:
    """Windows of one test, in which nothing may go wrong; call it to open one more."""

    def __init__(self, chromium: Browser, site: Site, stack: ExitStack) -> None:
        self.chromium, self.site, self.stack = chromium, site, stack
        self.all: list[Window] = []

    def __call__(self, person: str = "", page: str = "overview", **how: Any) -> Window:
        """Somebody's new window on a page, by its name or address."""
        opened = self.stack.enter_context(window(self.chromium, self.site, person, **how))
        self.all.append(opened)
        opened.go(page)
        return opened


@pytest.fixture
def windows(chromium: Browser, site: Site) -> Iterator[Windows]:
    with ExitStack() as stack:
        opened = Windows(chromium, site, stack)
        yield opened
        assert [(each.errors, each.elsewhere) for each in opened.all] == [([], [])] * len(
            opened.all
        )
