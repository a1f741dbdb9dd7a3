"""Tells people directly, where they asked for it."""

from __future__ import annotations

from approvals.models import Effect


def deliver(effect: Effect) -> None:
    """Write to each of the effect's people who is linked and wants direct messages."""
