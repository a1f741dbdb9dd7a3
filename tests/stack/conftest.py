"""The running product."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

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
