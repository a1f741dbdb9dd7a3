"""The history as a file: CSV for spreadsheets, JSON Lines for programs and for checking it elsewhere."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC
from typing import Any

from approvals.audit import hashed_content
from approvals.models import Event
from approvals.narrative import sentence_of
from approvals.selectors.filters import Filters

COLUMNS = (
    "id",
    "at",
    "kind",
    "sentence",
    "actor",
    "actor_name",
    "via",
    "model",
    "environment",
    "version",
    "promotion",
    "reason",
    "comment",
    "data",
    "hash",
    "previous_hash",
)
# A cell that begins so is a formula to a spreadsheet, whoever wrote it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
BOM = "\ufeff"


def as_csv(batches: Iterable[list[Event]]) -> Iterator[bytes]:
    """UTF-8 with a byte order mark, without which spreadsheets read it as something else; lines end as RFC 4180
    says. A cell that a spreadsheet would run as a formula gets an apostrophe in front."""
    yield (BOM + _csv([COLUMNS])).encode()
    for events in batches:
        yield _csv([_row(event) for event in events]).encode()


def as_json_lines(batches: Iterable[list[Event]]) -> Iterator[bytes]:
    """One object a line: what the hash is over, the hash, and the same in words."""
    for events in batches:
        yield "".join(_json(event) + "\n" for event in events).encode()


FORMATS: dict[str, tuple[str, Callable[[Iterable[list[Event]]], Iterator[bytes]]]] = {
    "csv": ("text/csv; charset=utf-8", as_csv),
    "jsonl": ("application/jsonl; charset=utf-8", as_json_lines),
}


def file_name(filters: Filters, suffix: str) -> str:
    """``timeline_model-fraud-detector_since-2026-11-01.csv``: in ASCII, whatever the filters say."""
    parts = [f"event-{filters.event}"] if filters.event is not None else []
    parts += [f"{name}-{value}" for name, value in filters.pairs]
    safe = [re.sub(r"[^A-Za-z0-9]+", "-", part)[:40].strip("-") for part in parts]
    return "_".join(["timeline", *safe])[:150] + f".{suffix}"


def _words(event: Event) -> dict[str, Any]:
    """What an event says to people beside its data."""
    data, promotion = event.data, event.promotion
    target = event.target
    return {
        "sentence": sentence_of(event),
        "actor_username": event.actor.username if event.actor else "",
        "actor_name": str(event.actor) if event.actor else "",
        "model": target.model.name if target else data.get("model", ""),
        "environment": target.environment.name if target else data.get("environment", ""),
        "version": promotion.version.number if promotion else data.get("version", ""),
        "reason": data.get("reason", ""),
        "comment": data.get("comment", ""),
    }


def _row(event: Event) -> list[str]:
    words = _words(event)
    cells = {
        **words,
        "id": event.pk,
        "at": _utc(event),
        "kind": event.kind,
        "actor": words["actor_username"],
        "via": event.via,
        "promotion": event.promotion_id or "",
        "data": json.dumps(event.data, ensure_ascii=False, sort_keys=True),
        "hash": event.hash,
        "previous_hash": event.previous_hash,
    }
    return [_cell(str(cells[name])) for name in COLUMNS]


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def _csv(rows: Iterable[Iterable[str]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _json(event: Event) -> str:
    line = {"id": event.pk, **hashed_content(event), "hash": event.hash, **_words(event)}
    return json.dumps(line, ensure_ascii=False, separators=(",", ":"))


def _utc(event: Event) -> str:
    return event.at.astimezone(UTC).isoformat(timespec="microseconds")
