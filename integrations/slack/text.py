"""Text for Slack: what people wrote comes out inert, and every value is cut on its own."""

from __future__ import annotations

from datetime import datetime

from approvals.wording import day_and_time


def inert(text: str, limit: int = 600) -> str:
    """Escaped so that ``<!channel>`` or ``<@U…>`` in it is just text; at most ``limit`` characters."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return cut.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def quoted(text: str, limit: int = 600) -> str:
    """As a quotation, each line marked."""
    return "\n".join(f">{line}" for line in inert(text, limit).splitlines() or [""])


def link(url: str, label: str) -> str:
    """A link whose label cannot break out of it."""
    return f"<{url}|{inert(label, 150).replace('|', '¦')}>"


def moment(when: datetime) -> str:
    """Shown in the reader's own time zone, in UTC where that fails."""
    return f"<!date^{int(when.timestamp())}^{{date_short_pretty}} at {{time}}|{day_and_time(when)}>"
