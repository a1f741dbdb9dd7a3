"""What is known of versions after they went live: marks, monitoring signals, out-of-band changes."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse

from approvals.models.catalogue import ModelVersion, Target, WorkflowRun
from approvals.models.decisions import Promotion
from approvals.models.delivery import Deployment
from approvals.states import ChangeAnswer, ChangeKind, MarkKind, Via
from approvals.wording import day_and_time


class Mark(models.Model):
    """Somebody's word that a version is good or bad at a target. The newest one holds."""

    target = models.ForeignKey(Target, on_delete=models.PROTECT, related_name="marks")
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="marks")
    kind = models.CharField(max_length=4, choices=MarkKind.choices)
    reason = models.TextField()
    placed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="marks"
    )
    placed_at = models.DateTimeField()

    class Meta:
        ordering = ["-placed_at", "-id"]
        indexes = [models.Index(fields=["placed_at"], name="mark_by_time")]

    def __str__(self) -> str:
        return f"{self.version} is {self.get_kind_display().lower()} in {self.target.environment}"

    @property
    def sentence(self) -> str:
        """Who says so, since when and why, as people read it everywhere."""
        return (
            f"{self.version} was marked as {self.kind} in {self.target.environment} by {self.placed_by} on "
            f"{day_and_time(self.placed_at)}: {self.reason.rstrip('.')}."
        )


class Signal(models.Model):
    """One reading of monitoring for a target: an error rate, a latency, a drift score, a business metric."""

    target = models.ForeignKey(Target, on_delete=models.PROTECT, related_name="readings")
    deployment = models.ForeignKey(
        Deployment,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="readings",
        help_text="What was rolling out, or else live, when it was observed.",
    )
    name = models.CharField(max_length=100)
    value = models.CharField(max_length=60, help_text="Decimal text, exact.")
    observed_at = models.DateTimeField()
    received_at = models.DateTimeField()
    source = models.CharField(max_length=200, blank=True)
    key = models.CharField(
        max_length=200, blank=True, help_text="The sender's own key: the same one is kept once."
    )
    recorded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    via = models.CharField(max_length=10, choices=Via.choices)
    resolved = models.BooleanField(
        default=False, help_text="The sender says that it is over: it is kept and breaches nothing."
    )
    breached = models.BooleanField(default=False, help_text="A rule's limit was passed.")
    outcome = models.TextField(blank=True, help_text="What was done and why, in words.")

    class Meta:
        ordering = ["-observed_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["target", "key"], condition=~Q(key=""), name="signal_once_per_key"
            ),
        ]
        indexes = [
            models.Index(fields=["target", "name", "-observed_at"], name="signal_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.value} at {self.target}"


class OutOfBandChange(models.Model):
    """A difference between what should be live and what is. Declared once two readings have shown it; ended by
    one of three answers, or because it went away."""

    target = models.ForeignKey(Target, on_delete=models.PROTECT, related_name="changes")
    kind = models.CharField(max_length=10, choices=ChangeKind.choices)
    key = models.CharField(max_length=200, help_text="What was found: another finding is another.")
    sentence = models.TextField(help_text="What should be and what is.")
    version = models.ForeignKey(
        ModelVersion,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="The version that seems to be live, where that is known.",
    )
    run = models.ForeignKey(
        WorkflowRun, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    seen = models.PositiveIntegerField(default=1, help_text="Readings that have shown it.")
    seen_at = models.DateTimeField(help_text="The newest of them.")
    missed = models.PositiveIntegerField(
        default=0, help_text="Readings in a row that no longer showed it."
    )
    first_seen_at = models.DateTimeField()
    declared_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    gone_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When readings no longer showed an ignored one; none: it still holds.",
    )
    answer = models.CharField(max_length=10, choices=ChangeAnswer.choices, blank=True)
    answered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    reason = models.TextField(blank=True)
    promotion = models.ForeignKey(
        Promotion,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="answers",
        help_text="The promotion by which it is adopted or put back.",
    )

    class Meta:
        ordering = ["-first_seen_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["target", "kind", "key"],
                condition=Q(ended_at=None),
                name="one_open_change_per_finding",
            ),
        ]
        indexes = [models.Index(fields=["declared_at"], name="change_by_declaration")]

    def __str__(self) -> str:
        return f"Out-of-band change {self.pk} at {self.target}"

    def get_absolute_url(self) -> str:
        """The change's page."""
        return reverse("change", args=[self.pk])
