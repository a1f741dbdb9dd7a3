"""The running product."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.stack.desk import ARGUMENTS, Desk
from tests.stack.product import Product, running


@pytest.fixture(scope="session")
def product() -> Iterator[Product]:
    """Started once; the tests that share it run in one process (tests/conftest.py)."""
    # Not one of pytest's folders: PostgreSQL, which never runs as root, has to get at its data.
    # A space in its name, because people have those.
    with (
        tempfile.TemporaryDirectory(prefix="countersign product ") as folder,
        running(Path(folder) / "var") as product,
    ):
        yield product


# By the module: while Playwright runs, its event loop keeps Django's database from other tests of the process.
@pytest.fixture(scope="module")
def chromium(chromium_path: Path) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def desk(chromium: Browser, product: Product) -> Iterator[Desk]:
    desk = Desk(chromium, product)
    yield desk
    for context in desk.contexts:
        context.close()
