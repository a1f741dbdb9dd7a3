"""Evidence: what validation that was done elsewhere found out about a version."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q

from approvals.models.catalogue import Environment, ModelVersion, WorkflowRun
from approvals.states import EvidenceVerdict, Via


class Evidence(models.Model):
    """One result, for one environment or (``environment`` None) for every one. Never changed: a newer
    result of the same name is another row, and the newest by ``produced_at`` is the one that counts."""

    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="evidence")
    environment = models.ForeignKey(
        Environment, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    name = models.CharField(max_length=100)
    verdict = models.CharField(max_length=4, choices=EvidenceVerdict.choices)
    numbers: models.JSONField[dict[str, str], dict[str, str]] = models.JSONField(
        default=dict, blank=True, help_text="Name → decimal text, exact."
    )
    link = models.URLField(max_length=500, blank=True)
    source = models.CharField(
        max_length=200, blank=True, help_text="Who or which run produced it, in words."
    )
    workflow_run = models.ForeignKey(
        WorkflowRun, null=True, blank=True, on_delete=models.PROTECT, related_name="evidence"
    )
    recorded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    via = models.CharField(max_length=10, choices=Via.choices)
    produced_at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    key = models.CharField(
        max_length=200, blank=True, help_text="The reporter's own key: the same one is kept once."
    )

    class Meta:
        ordering = ["-produced_at", "-id"]
        verbose_name_plural = "evidence"
        constraints = [
            models.UniqueConstraint(
                fields=["version", "name", "environment", "via", "key"],
                condition=~Q(key=""),
                nulls_distinct=False,
                name="evidence_once_per_key",
            ),
        ]
        indexes = [
            models.Index(fields=["version", "name", "-produced_at"], name="evidence_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.version}: {self.verdict}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Only ever adds."""
        if not self._state.adding:
            raise RuntimeError("Evidence is not edited; record another result.")
        super().save(*args, **kwargs)

    @property
    def produced_by(self) -> str:
        """Who or what says so: the source as reported, else the run, else whoever reported it."""
        if self.source:
            return self.source
        return str(self.workflow_run or self.recorded_by or "an unnamed source")
