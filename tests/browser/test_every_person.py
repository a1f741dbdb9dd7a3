"""Everybody reads every page that is theirs, on a phone: nothing too wide, broken or forbidden."""

from __future__ import annotations

import pytest

from tests.browser.conftest import Windows
from tests.browser.site import Site

FORBIDDEN = {"slack workspaces"}


@pytest.mark.parametrize("person", ["alice", "dave", "mallory"])
def test_everybody_reads_every_page(windows: Windows, site: Site, person: str) -> None:
    opened = windows(person, size="phone")
    for name in site.pages:
        status = opened.go(name)
        expected = (
            404 if name == "not found" else 403 if name in FORBIDDEN and person != "dave" else 200
        )
        assert status == expected, name
        assert opened.too_wide == 0, name
        assert opened.page.locator("h1").count() == 1, name
        if expected == 403:
            opened.shot("forbidden-phone-light")
    assert not opened.page.evaluate("'pwned' in window")
    opened.errors = [each for each in opened.errors if "40" not in each]  # the answers above
