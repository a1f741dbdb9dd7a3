"""The append-only history."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models import Q

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


class EventEntry(models.Model):
    """What the timeline finds an event by: one row for each event, written by a trigger in the event's own
    transaction, never by Python. It is an index and nothing else: no fact is read from it, and it can be
    made anew from the events at any time.

    The history itself cannot serve: half of what people ask for (model, environment, words of names) stands
    in other tables, and nothing can be added to a line that nobody may change.
    """

    event = models.OneToOneField(
        Event,
        primary_key=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="entry",
    )
    at = models.DateTimeField()
    actor_id = models.BigIntegerField(null=True)
    model_id = models.BigIntegerField(null=True)
    environment_id = models.BigIntegerField(null=True)
    topic = models.CharField(
        max_length=20, help_text="What it is about, as selectors.filters.GROUPS."
    )
    is_rollback = models.BooleanField()
    is_override = models.BooleanField()
    words = SearchVectorField()

    class Meta:
        ordering = ["-at", "-event_id"]
        # Each list is read newest first and ends after a page, so each ends with (at, event).
        indexes = [
            models.Index(fields=["at", "event"], name="entry_all"),
            models.Index(fields=["at", "event"], name="entry_news", condition=~Q(topic="small")),
            models.Index(fields=["topic", "at", "event"], name="entry_topic"),
            models.Index(fields=["model_id", "at", "event"], name="entry_model"),
            models.Index(fields=["model_id", "topic", "at", "event"], name="entry_model_topic"),
            models.Index(
                fields=["model_id", "environment_id", "at", "event"], name="entry_model_environment"
            ),
            models.Index(fields=["environment_id", "at", "event"], name="entry_environment"),
            models.Index(
                fields=["environment_id", "topic", "at", "event"], name="entry_environment_topic"
            ),
            models.Index(fields=["actor_id", "at", "event"], name="entry_actor"),
            models.Index(fields=["actor_id", "topic", "at", "event"], name="entry_actor_topic"),
            # Few of a million, and what one looks for in an emergency.
            models.Index(
                fields=["at", "event"], name="entry_rollback", condition=Q(is_rollback=True)
            ),
            models.Index(
                fields=["at", "event"], name="entry_override", condition=Q(is_override=True)
            ),
            # A short list of what is not sorted in yet: every search goes through all of it.
            GinIndex(fields=["words"], name="entry_words", gin_pending_list_limit=256),
        ]
        verbose_name_plural = "event entries"

    def __str__(self) -> str:
        return f"entry of event {self.event_id}"
