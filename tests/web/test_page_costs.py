"""What every page costs, whatever lies in the database: statements, bytes, and the headers that keep it safe."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.db import connection, transaction
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from approvals.made_history import Size, make
from approvals.models import Person, Promotion, RegisteredModel
from approvals.states import PromotionKind, PromotionStatus
from benchmarks.pages import LINKS, pages
from tests.web.conftest import Browser
from tests.world import World

pytestmark = pytest.mark.django_db

SMALL = Size(models=4, versions=40, promotions=120, days=40)
LARGER = Size(models=30, versions=300, promotions=400, days=40)
# Compressed, the first visit: the page with its styles, scripts and pictures.
MOST_BYTES = 100_000
# Rows of a kind on a page: longer lists go on on another page. A year of the pipelines has the most: a plot for
# each kind's success and duration, each with a table of its 53 weeks.
MOST_ROWS = 600
SIMPLE = {
    each: each
    for each in (
        *(
            "/",
            "/inbox/",
            "/timeline/",
            "/timeline/lanes/",
            "/insights/",
            "/pipelines/",
            "/policy/",
        ),
        *("/freezes/", "/people/", "/search/?q=fraud", "/status/", "/profile/", "/help/keys/"),
    )
}
# How often more a statement may be asked.
FEW = 3
# What a statement is, whatever it is asked of.
VALUES = re.compile(r"IN \([^()]*\)|'(?:[^']|'')*'|\b\d+\b")


class Costs:
    """What a page took."""

    def __init__(self, client: Client, address: str) -> None:
        with CaptureQueriesContext(connection) as queries:
            self.answer = client.get(address)
        assert self.answer.status_code == 200, address
        self.statements = [each["sql"] for each in queries.captured_queries]
        self.shapes = Counter(VALUES.sub("?", each) for each in self.statements)
        packed = self.answer.content
        assert self.answer.headers["Content-Encoding"] == "gzip", address
        self.html = gzip.decompress(packed).decode()
        self.weight = len(packed) + sum(_weight(each) for each in set(LINKS.findall(self.html)))


def _weight(address: str) -> int:
    if not address.startswith("/static/"):
        return 1000  # the drawn icon
    # With the hash in its name, as the manifest has it, or without.
    name = re.sub(r"\.[0-9a-f]{12}(?=\.)", "", address.removeprefix("/static/"))
    found = finders.find(name)
    assert isinstance(found, str), address
    return len(gzip.compress(Path(found).read_bytes()))


def _costs(size: Size) -> dict[str, Costs]:
    make(size)
    _wait(size.models)
    lead = Person.objects.filter(teams__slug="leads").order_by("pk")[0]
    client = Client(headers={"accept-encoding": "gzip"})
    client.force_login(lead)
    client.get("/")  # the first page of a session writes when it was seen
    return {name: Costs(client, address) for name, address in pages().items()}


def _wait(most: int) -> None:
    """Something waits for people, more of it in the larger history."""
    ended = [PromotionStatus.CANCELLED, PromotionStatus.EXPIRED]
    waits = Promotion.objects.filter(status=PromotionStatus.PENDING).values("target")
    rows = Promotion.objects.filter(status__in=ended, kind=PromotionKind.PROMOTE)
    rows = rows.exclude(target__in=waits)  # one pending promotion at a target
    chosen = rows.order_by("target_id", "-pk").distinct("target_id").values_list("pk", flat=True)
    waiting = Promotion.objects.filter(pk__in=list(chosen[:most]))
    later = timezone.now() + timedelta(days=1)
    assert waiting.update(status=PromotionStatus.PENDING, decided_at=None, expires_at=later) > 2


def _of(size: Size) -> dict[str, Costs]:
    """Measured in a database that is as it was afterwards."""
    with transaction.atomic():
        found = _costs(size)
        transaction.set_rollback(True)
    return found


def test_no_page_costs_more_for_a_longer_history() -> None:
    few, many = _of(SMALL), _of(LARGER)
    assert few.keys() == many.keys()
    for name, page in many.items():
        # A statement for each row would come dozens of times more. A few more there may be: what the newest
        # promotion or version has to show is another in each history that is made up.
        less = few[name].shapes
        more = {each: times for each, times in page.shapes.items() if times > less[each] + FEW}
        assert not more, (name, more)
        assert len(page.shapes - less) <= len(less) // 2, name
        assert page.weight < MOST_BYTES, (name, page.weight)
        for tag in ("<tr", "<li", "<option", "<article"):
            assert page.html.count(tag) <= MOST_ROWS, (name, tag, page.html.count(tag))


def test_every_page_says_how_it_may_be_used(world: World, browser: Browser) -> None:
    world.request()
    client = browser("bob")
    for name, address in {**SIMPLE, "sign-in": "/accounts/login/"}.items():
        who = Client() if name == "sign-in" else client
        with override_settings(SECURE_HSTS_SECONDS=3600):
            answer = who.get(address, secure=True)
        assert answer.status_code == 200, name
        policy = answer.headers["Content-Security-Policy"]
        assert "unsafe" not in policy and "default-src 'none'" in policy, name
        assert "frame-ancestors 'none'" in policy and "script-src 'self';" in policy, name
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Strict-Transport-Security"].startswith("max-age=3600")
        # What is somebody's is kept by no cache: neither a proxy's nor a shared browser's.
        assert "no-store" in answer.headers["Cache-Control"], name


def test_https_alone_promises_https() -> None:
    """HSTS on http would lock people out of an installation that has no certificate."""
    said = {}
    for base in ("https://countersign.example", "http://countersign.example"):
        code = "from config import settings; print(settings.SECURE_HSTS_SECONDS, settings.SESSION_COOKIE_SECURE)"
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "BASE_URL": base},
            capture_output=True,
            text=True,
            check=True,
        )
        said[base.partition(":")[0]] = done.stdout.split()
    assert said == {"https": ["31536000", "True"], "http": ["0", "False"]}


def test_pages_are_compressed_and_nothing_else(world: World, browser: Browser) -> None:
    world.request()
    client = browser("bob")
    packed = client.get("/policy/", headers={"accept-encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in packed.headers["Vary"]
    plain = client.get("/policy/")
    assert "Content-Encoding" not in plain.headers
    assert b"<h1>Policy</h1>" in gzip.decompress(packed.content)
    assert len(packed.content) < len(plain.content) / 3
    # An export begins at once and never waits for a compressor; what is small stays as it is.
    for address in ("/timeline/export.csv", "/healthz", "/favicon.svg"):
        answer = client.get(address, headers={"accept-encoding": "gzip"})
        assert answer.status_code in {200, 503}, address
        assert "Content-Encoding" not in answer.headers, address


def test_the_policies_are_found_by_search_and_by_page(
    world: World, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("approvals.web.policy.MODELS", 1)
    client = browser("alice")
    first = client.get("/policy/").content.decode()
    names = list(RegisteredModel.objects.order_by("name").values_list("name", flat=True))
    assert len(names) > 1
    assert f'data-model="{names[0]}"' in first and f'data-model="{names[1]}"' not in first
    assert 'href="?page=2"' in first
    second = client.get("/policy/?page=2").content.decode()
    assert f'data-model="{names[1]}"' in second and f'data-model="{names[0]}"' not in second
    for query in (f"model={names[1]}", f"q={names[1][2:]}"):
        found = client.get(f"/policy/?{query}").content.decode()
        assert f'data-model="{names[1]}"' in found and f'data-model="{names[0]}"' not in found
    nothing = client.get("/policy/?q=<b>nobody").content.decode()
    assert "No model is called so" in nothing and "<b>nobody" not in nothing
    assert client.get("/policy/?page=x&page=-1").status_code == 200
    # The model's own page leads to its own policies.
    assert (
        f'href="/policy/?model={names[1]}"' in client.get(f"/models/{names[1]}/").content.decode()
    )
