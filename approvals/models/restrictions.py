"""Locks, holds and quarantines close a target or bar a version until somebody lifts them; freezes close an
environment for a time."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from approvals.models.catalogue import Environment, ModelVersion, Target
from approvals.states import RestrictionKind
from approvals.wording import day_and_time


class Restriction(models.Model):
    """While one is open (not lifted), nothing it covers can be approved or dispatched, rollbacks included.

    A hold covers less: after a rollback nothing is approved *automatically* at the target; people may.
    """

    kind = models.CharField(max_length=12, choices=RestrictionKind.choices)
    target = models.ForeignKey(
        Target, null=True, blank=True, on_delete=models.PROTECT, related_name="restrictions"
    )
    version = models.ForeignKey(
        ModelVersion, null=True, blank=True, on_delete=models.PROTECT, related_name="restrictions"
    )
    reason = models.TextField()
    placed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    placed_at = models.DateTimeField()
    lifted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    lifted_at = models.DateTimeField(null=True, blank=True)
    lifted_reason = models.TextField(blank=True)

    class Meta:
        ordering = ["-placed_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["target", "kind"],
                condition=Q(lifted_at=None),
                name="one_open_lock_or_hold_per_target",
            ),
            models.UniqueConstraint(
                fields=["version"],
                condition=Q(lifted_at=None),
                name="one_open_quarantine_per_version",
            ),
            models.CheckConstraint(
                condition=Q(
                    kind__in=[RestrictionKind.LOCK, RestrictionKind.HOLD],
                    target__isnull=False,
                    version=None,
                )
                | Q(kind=RestrictionKind.QUARANTINE, target=None, version__isnull=False),
                name="restriction_covers_what_its_kind_says",
            ),
            models.CheckConstraint(
                condition=Q(lifted_at=None, lifted_by=None)
                | Q(lifted_at__isnull=False, lifted_by__isnull=False),
                name="lifted_by_somebody",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.target or self.version}"

    @property
    def sentence(self) -> str:
        """``fraud-detector in production is locked by Dave Diaz since …: reason``."""
        done = {"lock": "locked", "hold": "on hold", "quarantine": "quarantined"}[self.kind]
        return (
            f"{self.target or self.version} is {done} by {self.placed_by} since "
            f"{day_and_time(self.placed_at)}: {self.reason}"
        )


class Freeze(models.Model):
    """An environment closed for promotions from ``begins_at`` until ``ends_at`` (none: until it is lifted).

    The recurring freezes of the configuration are not rows: they are ``Target.freezes``.
    """

    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="freezes")
    begins_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)
    reason = models.TextField()
    placed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    placed_at = models.DateTimeField()
    lifted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    lifted_at = models.DateTimeField(null=True, blank=True)
    lifted_reason = models.TextField(blank=True)

    class Meta:
        ordering = ["-begins_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(ends_at=None) | Q(ends_at__gt=models.F("begins_at")),
                name="freeze_ends_after_it_begins",
            ),
        ]

    def __str__(self) -> str:
        return f"Freeze of {self.environment} from {day_and_time(self.begins_at)}"

    @property
    def sentence(self) -> str:
        """``production is frozen by Dave Diaz until …: reason``."""
        until = day_and_time(self.ends_at) if self.ends_at else "it is lifted"
        return (
            f"{self.environment} is frozen by {self.placed_by} from {day_and_time(self.begins_at)} until "
            f"{until}: {self.reason}"
        )
