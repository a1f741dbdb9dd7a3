"""Real Chromium on pages that pytest-django's ``live_server`` gives out, for tests in ``test_…_in_browser.py``:

    from tests.web.browsing import Windows

    def test_…(committed_world: World, windows: Windows) -> None:
        page = windows.open("bob", "/inbox/")

Use ``committed_world``: the server reads in connections of its own.

Playwright's synchronous API keeps an event loop running in the test's thread, and Django's ORM refuses to block
a running loop. Here that loop is idle while the test itself runs, so :func:`chromium` lifts Django's check for
as long as the module's browser is open, and no longer: tests may use the ORM and the verbs between two looks.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from pytest_django.live_server_helper import LiveServer

from approvals.models import Person
from tests.stack.desk import ARGUMENTS

SIZES: dict[str, Any] = {
    "desktop": {"width": 1280, "height": 900},
    "phone": {"width": 390, "height": 844},
}
WCAG = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]}}


class Windows:
    """Windows of one test, and what went wrong in them: ``errors`` of the console and uncaught ones of scripts."""

    def __init__(self, chromium: Browser, address: str) -> None:
        self.chromium, self.address = chromium, address
        self.errors: list[str] = []
        self._contexts: list[BrowserContext] = []

    def open(
        self,
        username: str,
        path: str = "/",
        *,
        size: str = "desktop",
        theme: Any = "light",
        script: bool = True,
        zone: str = "UTC",
    ) -> Page:
        """A window of its own, signed in as the person, at this path."""
        client = Client(HTTP_USER_AGENT="Chrome of a test on Linux")
        client.force_login(Person.objects.get(username=username))
        context = self.chromium.new_context(
            viewport=SIZES[size],
            color_scheme=theme,
            java_script_enabled=script,
            timezone_id=zone,
            reduced_motion="reduce",
        )
        self._contexts.append(context)
        name = settings.SESSION_COOKIE_NAME
        context.add_cookies(
            [{"name": name, "value": client.cookies[name].value, "url": self.address}]
        )
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on(
            "console",
            lambda said: self.errors.append(said.text) if said.type == "error" else None,
        )
        page.goto(self.address + path)
        return page

    def close(self) -> None:
        """Every window; a page that still refreshes would hold on to rows that are to be deleted."""
        for context in self._contexts:
            context.close()


def violations(page: Page, within: str | None = None) -> list[str]:
    """What axe-core finds against WCAG 2.2 AA on the page as it stands, or ``within`` an element: a line each."""
    found = Axe().run(page, context=within, options=WCAG).response["violations"]
    return [
        f"{each['id']}: {node['target']} {node.get('failureSummary', '')}"
        for each in found
        for node in each["nodes"]
    ]


def is_too_wide(page: Page) -> bool:
    """Whether the page scrolls sideways."""
    return bool(
        page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    )


@pytest.fixture(scope="module")
def chromium(chromium_path: Path) -> Iterator[Browser]:
    """One browser for the module; see above for what it lifts meanwhile."""
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        browser = playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def windows(
    chromium: Browser, transactional_db: None, request: pytest.FixtureRequest
) -> Iterator[Windows]:
    """Windows on the product's server; afterwards no console may have shown an error."""
    # Only now, when the settings of tests/conftest.py hold: the server looks for static files as it starts.
    server: LiveServer = request.getfixturevalue("live_server")
    found = Windows(chromium, server.url)
    yield found
    found.close()
    assert found.errors == []
