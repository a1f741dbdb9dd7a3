"""Small pure helpers for text that people wrote or read."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime

_TURNING = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)])


def clean_text(text: str) -> str:
    """What a person wrote, without control characters; new lines stay."""
    kept = "".join(
        char for char in text if char in "\n\t" or unicodedata.category(char) not in {"Cc", "Cs"}
    )
    return kept.strip()


def straight(text: str) -> str:
    """Without the marks that turn the direction of the text after them: a name could disguise what follows."""
    return text.translate(_TURNING)


def one_line(text: str, limit: int) -> str:
    """One line of at most ``limit`` characters, fit for a heading or a header."""
    line = " ".join(clean_text(straight(text)).split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def day_and_time(moment: datetime) -> str:
    """``20 Nov 2026, 14:05 UTC``: exact and the same for everybody."""
    utc = moment.astimezone(UTC)
    return f"{utc.day} {utc:%b %Y, %H:%M} UTC"


def listed(items: list[str], last: str = "and") -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {last} {items[-1]}"


def time_words(seconds: int) -> str:
    """``45 s``, ``5 min``, ``2 h 30 min``, ``3 d 4 h``: the two largest units, rounded up so that a wait is
    never said shorter than it is."""
    if seconds < 60:
        return f"{seconds} s"
    minutes = -(-seconds // 60)
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [(days, "d"), (hours, "h"), (minutes, "min")]
    first = next(index for index, (count, _) in enumerate(parts) if count)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count)
