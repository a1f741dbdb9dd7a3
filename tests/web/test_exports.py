"""Exports: exactly what is filtered, harmless in a spreadsheet, and verified by somebody else."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.test import Client

from approvals import exports
from approvals.models import Event
from approvals.selectors import exporting
from approvals.services.history import record
from approvals.states import Via
from tests.web.caller import token_of
from tests.web.conftest import Browser
from tests.world import World


def body(client: Client, address: str, **headers: str) -> bytes:
    response = client.get(address, headers=headers)
    assert response.status_code == 200, address
    return response.getvalue()


def lines(client: Client, query: str = "") -> list[dict[str, Any]]:
    text = body(client, f"/timeline/export.jsonl{query}").decode()
    return [json.loads(line) for line in text.splitlines()]


def table(client: Client, query: str = "") -> list[dict[str, str]]:
    text = body(client, f"/timeline/export.csv{query}").decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.fixture
def reader(world: World, browser: Browser) -> Client:
    for number in range(1, 8):  # more than one page
        world.make_live(world.version(number))
    world.make_live(world.version(1, "churn-predictor"), "staging")
    return browser("mallory")


def test_an_export_is_what_the_pages_show_and_all_of_it(
    reader: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "WINDOW", 7)
    monkeypatch.setattr(exporting, "HELD", 3)
    for query in ("", "&model=fraud-detector&kind=deployments", "&q=approved", "&person=bob"):
        seen: list[int] = []
        page = f"?{query}"
        while page:
            html = reader.get(f"/timeline/{page}").content.decode()
            seen += [int(each) for each in re.findall(r'id="event-(\d+)"', html)]
            older = re.search(r'rel="next" href="(\?before=\d+)', html)
            page = f"{older[1]}{query}" if older else ""
        assert len(seen) > 3
        ids = [each["id"] for each in lines(reader, f"?{query}")]
        assert ids == sorted(seen) == [int(each["id"]) for each in table(reader, f"?{query}")]
    assert lines(reader, "?model=unheard-of") == [] == table(reader, "?since=never")
    assert [each["id"] for each in lines(reader, f"?event={ids[0]}")] == ids[:1]


def test_what_comes_while_it_runs_is_not_in_it(reader: Client, world: World) -> None:
    response = reader.get("/timeline/export.jsonl?kind=all")
    before = Event.objects.count()
    with transaction.atomic():
        record("target.locked", via=Via.SYSTEM, target=world.target())
    assert len(response.getvalue().splitlines()) == before


def test_a_cell_is_never_a_formula(world: World, reader: Client) -> None:
    for text in ("=HYPERLINK(1)", "+1", "-1", "@SUM", "\t=1", 'a "quoted",\nline', "plain"):
        with transaction.atomic():
            record("target.locked", via=Via.SYSTEM, target=world.target(), reason=text)
    raw = body(reader, "/timeline/export.csv?kind=restrictions")
    assert raw.startswith(b"\xef\xbb\xbfid,at,kind,")
    rows = table(reader, "?kind=restrictions")
    said = ["'=HYPERLINK(1)", "'+1", "'-1", "'@SUM", "'\t=1", 'a "quoted",\nline', "plain"]
    assert [row["reason"] for row in rows] == said
    assert not [cell for row in rows for cell in row.values() if cell[:1] in "=+-@\t\r" and cell]
    event = Event.objects.order_by("pk").last()
    assert event is not None
    assert (rows[-1]["hash"], rows[-1]["previous_hash"]) == (event.hash, event.previous_hash)
    assert rows[-1]["at"] == event.at.isoformat(timespec="microseconds")
    assert json.loads(rows[-1]["data"]) == event.data
    assert tuple(rows[0]) == exports.COLUMNS


def test_the_file_is_called_by_its_filters(reader: Client) -> None:
    answer = reader.get(
        '/timeline/export.csv?model=fraud-detector&q=../"é\r\nX: y&since=2026-11-01'
    )
    assert answer["Content-Disposition"] == (
        'attachment; filename="timeline_model-fraud-detector_since-2026-11-01_q-X-y.csv"'
    )


def test_somebody_else_verifies_it(reader: Client, tmp_path: Path, root: Path) -> None:
    file = tmp_path / "export.jsonl"
    file.write_bytes(body(reader, "/timeline/export.jsonl?kind=all"))
    said = io.StringIO()
    call_command("verify_history", file=file, stdout=said)
    newest = Event.objects.order_by("pk").last()
    assert newest is not None
    assert f"{Event.objects.count()} events without a gap. The last hash is {newest.hash}" in (
        said.getvalue()
    )
    # With the program of the documentation, and nothing of ours.
    found = re.search(
        r"```python\n(# verify.py.*?)```", (root / "docs/architecture.md").read_text(), re.S
    )
    assert found
    program = tmp_path / "verify.py"
    program.write_text(found[1])

    def theirs() -> subprocess.CompletedProcess[str]:
        with file.open() as source:
            return subprocess.run(
                [sys.executable, str(program)],
                stdin=source,
                capture_output=True,
                text=True,
                check=False,
            )

    assert newest.hash in theirs().stdout
    # Somebody changes a line, and even mends its own hash.
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    rows[4]["data"]["reason"] = "Nobody said this."
    kept = {
        key: rows[4][key]
        for key in ("actor", "at", "data", "kind", "previous", "promotion", "target", "via")
    }
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(CommandError, match=f"event {rows[4]['id']} was changed"):
        call_command("verify_history", file=file)
    text = json.dumps(kept, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    rows[4]["hash"] = hashlib.sha256(text.encode()).hexdigest()
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert theirs().returncode == 1
    said = io.StringIO()
    call_command("verify_history", file=file, stdout=said)
    assert "has 1 gaps" in said.getvalue()
    file.write_text("no json\n")
    with pytest.raises(CommandError, match="Line 1 is not a line of an export"):
        call_command("verify_history", file=file)


def test_who_may_take_it(world: World, client: Client) -> None:
    world.request()
    assert client.get("/timeline/export.csv").status_code == 401
    as_browser = client.get("/timeline/export.csv?kind=all", headers={"Accept": "text/html"})
    assert (
        as_browser.status_code,
        "next=/timeline/export.csv%3Fkind" in as_browser["Location"],
    ) == (
        302,
        True,
    )
    token = token_of(world, "ci")
    assert body(client, "/timeline/export.csv", Authorization=f"Bearer {token}")
    assert (
        client.get("/timeline/export.csv", headers={"Authorization": "Bearer no"}).status_code
        == 401
    )
