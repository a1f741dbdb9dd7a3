"""A web process with a past, and windows on it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, Request

from tests.stack.product import ROOT, free_ports

if TYPE_CHECKING:
    from tests.browser.states import Everything

START_SECONDS = 60
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
PEOPLE = ("alice", "bob", "carol", "dave", "mallory")
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}


@dataclass
class Site:
    """Where it answers, each person's cookie, the address of one page of every sort, and the verbs."""

    url: str
    cookie: str
    sessions: dict[str, str]
    pages: dict[str, str]
    world: Everything


@dataclass
class Window:
    """A person's window: its page, and what went wrong in it."""

    context: BrowserContext
    page: Page
    site: Site
    errors: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    def go(self, page: str) -> int:
        """Open a page by its name or address; its status."""
        answer = self.page.goto(self.site.url + self.site.pages.get(page, page))
        assert answer is not None
        return answer.status

    @property
    def too_wide(self) -> int:
        """By how many pixels the page can be scrolled sideways."""
        return int(
            self.page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
        )

    def shot(self, name: str) -> None:
        """With SHOTS=<folder>: what it looks like."""
        if folder := os.environ.get("SHOTS"):
            self.page.evaluate("scrollTo(0, 0)")
            # Hiding the caret would inject a style, which the Content-Security-Policy rightly refuses.
            self.page.screenshot(path=Path(folder) / f"{name}.png", full_page=True, caret="initial")


def violations(
    opened: Window, within: str | None = None, rules: list[str] | None = None
) -> list[str]:
    """What axe-core finds on the page as it stands, or ``within`` an element: a line each."""
    only = {"type": "rule", "values": rules} if rules else {"type": "tag", "values": TAGS}
    options = {"runOnly": only, "resultTypes": ["violations"]}
    found = Axe().run(opened.page, context=within, options=options)
    return [
        f"{each['id']}: {node['html'][:160]} {node.get('failureSummary', '')[:300]}"
        for each in found.response["violations"]
        for node in each["nodes"][:3]
    ]


@contextmanager
def window(
    chromium: Browser,
    site: Site,
    person: str = "",
    size: str = "desktop",
    *,
    theme: Any = "light",
    zone: str = "Europe/Zurich",
    scripts: bool = True,
) -> Iterator[Window]:
    """Somebody's window (nobody's without a name), with or without JavaScript."""
    width, height = SIZES[size]
    context = chromium.new_context(
        viewport={"width": width, "height": height},
        reduced_motion="reduce",
        java_script_enabled=scripts,
        color_scheme=theme,
        timezone_id=zone,
        locale="en-GB",
    )
    if person:
        context.add_cookies(
            [{"name": site.cookie, "value": site.sessions[person], "url": site.url}]
        )
    page = context.new_page()
    page.set_default_timeout(15_000)
    opened = Window(context, page, site)

    def asked(request: Request) -> None:
        if not request.url.startswith((site.url, "data:")):
            opened.elsewhere.append(request.url)

    page.on("request", asked)
    page.on("pageerror", lambda error: opened.errors.append(str(error)))
    page.on(
        "console",
        lambda said: (
            opened.errors.append(f"{said.text} {said.location}") if said.type == "error" else None
        ),
    )
    try:
        yield opened
    finally:
        context.close()


@contextmanager
def built(folder: Path) -> Iterator[Site]:
    """The rows committed, the web process of `make run` started on them; all gone afterwards."""
    from django.conf import settings
    from django.db import connection

    from tests.browser.states import Everything
    from tests.conftest import empty_the_tables

    name = connection.settings_dict["NAME"]
    database = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()
    port = free_ports(1)[0]
    url = f"http://127.0.0.1:{port}"
    try:
        world = Everything()
        world.build()
        sessions = {person: _session(world, person) for person in PEOPLE}
        site = Site(url, settings.SESSION_COOKIE_NAME, sessions, _pages(), world)
        environment = {
            **os.environ,
            "DATABASE_URL": database,
            "BASE_URL": url,
            "PORT": str(port),
            "COUNTERSIGN_VAR": str(folder),
        }
        subprocess.run(
            [sys.executable, "manage.py", "collectstatic", "--no-input", "-v0"],
            cwd=ROOT, env=environment, check=True,
        )  # fmt: skip
        process = subprocess.Popen(_web(environment), cwd=ROOT, env=environment)
        try:
            _wait(process, url)
            yield site
        finally:
            process.terminate()
            process.wait(timeout=20)
    finally:
        connection.close()
        with connection.cursor() as cursor:
            # Whatever the web process still held open would keep the database from being removed.
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        empty_the_tables()
        connection.close()


def _web(environment: dict[str, str]) -> list[str]:
    """The web process's own command line."""
    from sandbox.programs import inside_world

    return next(each.command for each in inside_world(environment) if each.name == "web")


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        assert process.poll() is None and time.monotonic() < until, "the web process does not start"
        try:
            if requests.get(f"{url}/healthz", timeout=2).ok:
                return
        except requests.RequestException:
            time.sleep(0.1)


def _session(world: object, username: str) -> str:
    """A session of somebody who has signed in."""
    from django.test import Client

    from approvals.models import Person

    client = Client()
    client.force_login(Person.objects.get(username=username))
    return next(iter(client.cookies.values())).value


def _pages() -> dict[str, str]:
    """One page of every sort, by a name. The test that no page is missing is in test_every_page."""
    from django.urls import reverse
    from django.utils import timezone

    from approvals.models import OutOfBandChange, Promotion, Target
    from approvals.states import DeploymentStatus, PromotionStatus

    def promotion(**lookup: object) -> str:
        found = Promotion.objects.filter(**lookup).order_by("-id").first()
        assert found is not None, lookup
        return found.get_absolute_url()

    change = OutOfBandChange.objects.exclude(declared_at=None).get(ended_at=None)
    pending = promotion(version__model__name="fraud-detector", status="pending", problem="",
                        target__environment__name="production")  # fmt: skip
    back = Target.objects.get(model__name="stock-alarm", environment__name="production")
    then = (timezone.now() - timedelta(days=4)).strftime("%Y-%m-%dT%H:%M")
    model, lists = reverse("model", args=["fraud-detector"]), reverse("counted")
    return {
        "overview": reverse("overview"),
        "overview, nothing found": f"{reverse('overview')}?q=nowhere",
        "time travel": f"{reverse('overview')}?at={then}",
        "inbox": reverse("inbox"),
        "promotion, pending": pending,
        "promotion, blocked": promotion(problem__gt=""),
        "promotion, hostile": promotion(status=PromotionStatus.REJECTED, version__number=9),
        "promotion, under way": promotion(version__model__name="demand-forecast", version__number=2),
        "promotion, rolling out": promotion(version__model__name="basket-ranker", version__number=2),
        "promotion, broken glass": promotion(version__model__name="delivery-time", version__number=2),
        "promotion, rollback": promotion(version__model__name="stock-alarm", status="pending"),
        "promotion, rolled back": promotion(kind="rollback", status="approved"),
        "promotion, unconfirmed": promotion(deployment__status=DeploymentStatus.UNCONFIRMED),
        "promotion, live": promotion(version__model__name="fraud-detector", version__number=2,
                                     target__environment__name="production"),
        "sealed facts": f"{pending}facts/",
        "rollback": reverse("rollback", args=[back.pk]),
        "change": change.get_absolute_url(),
        "model": model,
        "compare": f"{model}compare/?v=1&v=2&v=3&v=4&v=9",
        "version": reverse("version", args=["fraud-detector", 4]),
        "version, hostile": reverse("version", args=["fraud-detector", 9]),
        "timeline": reverse("timeline"),
        "lanes": reverse("lanes"),
        "insights": reverse("insights"),
        "counted": f"{lists}?figure=frequency",
        "pipelines": reverse("pipelines"),
        "policy": reverse("policy"),
        "freezes": reverse("freezes"),
        "people": reverse("people"),
        "search": f"{reverse('search')}?q=fraud",
        "keys": reverse("keys"),
        "status": reverse("status"),
        "profile": reverse("profile"),
        "slack workspaces": reverse("slack_workspaces"),
        "sign in": reverse("account_login"),
        "not found": "/models/nobody/",
    }  # fmt: skip
