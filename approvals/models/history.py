"""The append-only history."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models

from approvals.models.catalogue import Target
from approvals.models.decisions import Promotion
from approvals.states import Via


class Event(models.Model):
    """One line of the history. A trigger refuses UPDATE, DELETE and TRUNCATE; each line carries the hash of
    the one before (``approvals.services.events`` writes it, ``approvals.audit`` verifies it).

    ``data`` holds only text, whole numbers, booleans, lists and objects, so that its canonical
    JSON is the same before and after PostgreSQL.
    """

    at = models.DateTimeField(db_index=True)
    kind = models.CharField(max_length=60, db_index=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="events",
    )
    via = models.CharField(max_length=10, choices=Via.choices)
    target = models.ForeignKey(
        Target, null=True, blank=True, on_delete=models.PROTECT, related_name="events"
    )
    promotion = models.ForeignKey(
        Promotion, null=True, blank=True, on_delete=models.PROTECT, related_name="events"
    )
    data: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
    previous_hash = models.CharField(max_length=64, blank=True)
    hash = models.CharField(max_length=64, unique=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            # The events of a target around a moment.
            models.Index(fields=["target", "-at"], name="event_by_target"),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.kind}"
