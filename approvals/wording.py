"""Small pure helpers for text that people wrote or read."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime


def clean_text(text: str) -> str:
    """What a person wrote, without control characters; new lines stay."""
    kept = "".join(
        char for char in text if char in "\n\t" or unicodedata.category(char) not in {"Cc", "Cs"}
    )
    return kept.strip()


def day_and_time(moment: datetime) -> str:
    """``20 Nov 2026, 14:05 UTC``: exact and the same for everybody."""
    utc = moment.astimezone(UTC)
    return f"{utc.day} {utc:%b %Y, %H:%M} UTC"


def listed(items: list[str], last: str = "and") -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {last} {items[-1]}"
