"""Promotions and reviews: what is asked and who said what."""

from __future__ import annotations

import secrets
from typing import Any

from django.conf import settings
from django.contrib.postgres.indexes import GistIndex
from django.db import models
from django.db.models import Q
from django.urls import reverse

from approvals.models.catalogue import ModelVersion, Target
from approvals.models.periods import Period
from approvals.states import PromotionKind, PromotionStatus, Verdict, Via


def new_token() -> str:
    """A promotion's correlation token: 48 random bits, shown in the workflow run's name."""
    return f"cs-{secrets.token_hex(6)}"


class Promotion(models.Model):
    """A request that a version go live at a target."""

    target = models.ForeignKey(Target, on_delete=models.PROTECT, related_name="promotions")
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="promotions")
    kind = models.CharField(max_length=10, choices=PromotionKind.choices)
    status = models.CharField(
        max_length=12, choices=PromotionStatus.choices, default=PromotionStatus.PENDING
    )
    token = models.CharField(max_length=32, unique=True, default=new_token, editable=False)
    requester = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="requests"
    )
    via = models.CharField(max_length=10, choices=Via.choices)
    reason = models.TextField()
    requested_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True, blank=True)
    decision_reason = models.TextField(blank=True)
    replaces = models.ForeignKey(
        ModelVersion,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="The version that was live when the facts were sealed.",
    )
    superseded_by = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="supersedes"
    )
    policy = models.JSONField(default=dict, help_text="The policy in force when it was asked.")
    facts: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(
        default=dict, blank=True, help_text="The sealed facts."
    )
    seal = models.CharField(
        max_length=64, blank=True, help_text="SHA-256 of the facts; empty until known."
    )
    sealed_at = models.DateTimeField(null=True, blank=True)
    problem = models.TextField(
        blank=True, help_text="Why the facts could not be gathered, or fail."
    )
    grant_lapses_at = models.DateTimeField(null=True, blank=True)
    grant_spent_at = models.DateTimeField(null=True, blank=True)
    run_at = models.DateTimeField(
        null=True, blank=True, help_text="Not dispatched before; none: as soon as approved."
    )
    run_zone = models.CharField(
        max_length=64, blank=True, help_text="The time zone in which people speak of run_at."
    )
    overridden_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="overrides",
        help_text="Who broke the glass, for ever.",
    )
    override_reason = models.TextField(blank=True)
    retroactive = models.BooleanField(
        default=False,
        help_text="Adopts what went live without a promotion: once approved, nothing is fired.",
    )
    rolls_back = models.OneToOneField(
        "Deployment",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="rolled_back_by",
        help_text="The deployment that monitoring signals had rolled back; once each.",
    )
    reminded_at = models.DateTimeField(null=True, blank=True)
    escalated_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-requested_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["target", "kind"],
                condition=Q(status=PromotionStatus.PENDING),
                name="one_pending_per_target_and_kind",
            ),
            models.CheckConstraint(
                condition=Q(status=PromotionStatus.PENDING, decided_at=None)
                | (~Q(status=PromotionStatus.PENDING) & Q(decided_at__isnull=False)),
                name="decided_at_exactly_when_decided",
            ),
            models.CheckConstraint(
                condition=~Q(status=PromotionStatus.APPROVED) | ~Q(seal=""),
                name="approved_only_when_sealed",
            ),
            models.CheckConstraint(
                condition=Q(overridden_by=None, override_reason="")
                | (
                    Q(overridden_by__isnull=False, status=PromotionStatus.APPROVED)
                    & ~Q(override_reason="")
                ),
                name="override_has_a_person_and_a_reason",
            ),
            models.CheckConstraint(
                condition=Q(rolls_back=None) | Q(kind=PromotionKind.ROLLBACK, via=Via.SYSTEM),
                name="only_countersign_rolls_back_by_itself",
            ),
            models.CheckConstraint(
                condition=Q(retroactive=False)
                | ~Q(status=PromotionStatus.APPROVED)
                | Q(facts__policy__automatic__isnull=True),
                name="retroactive_is_approved_by_people",
            ),
        ]
        indexes = [
            models.Index(fields=["status", "expires_at"], name="promotion_due"),
            # The newest at a target, for a model's page.
            models.Index(
                fields=["target", "-requested_at", "-id"], name="promotion_newest_of_target"
            ),
            # The insights look at what was decided in a period, and find failures from the few rollbacks.
            # They read thousands of promotions: all that they ask for is in the index, so that the wide rows with
            # their sealed facts stay unread.
            models.Index(
                fields=["decided_at"],
                include=[
                    "id",
                    "target",
                    "requester",
                    "status",
                    "overridden_by",
                    "retroactive",
                    "requested_at",
                ],
                name="promotion_by_decision",
            ),
            models.Index(
                fields=["id"],
                include=[
                    "target",
                    "kind",
                    "retroactive",
                    "requester",
                    "requested_at",
                    "decided_at",
                    "run_at",
                ],
                name="promotion_narrow",
            ),
            models.Index(
                fields=["id"],
                condition=Q(kind=PromotionKind.ROLLBACK),
                name="promotion_rollbacks",
            ),
            # What waited at a moment, of any age, without reading what was decided before or asked after.
            GistIndex(Period("requested_at", "decided_at"), name="promotion_period"),
        ]

    def __str__(self) -> str:
        return (
            f"{self.get_kind_display()} {self.pk}: {self.version} to {self.target.environment.name}"
        )

    def get_absolute_url(self) -> str:
        """The promotion's page."""
        return reverse("promotion", args=[self.pk])

    @property
    def is_pending(self) -> bool:
        """Nobody has settled it yet."""
        return self.status == PromotionStatus.PENDING

    @property
    def is_rollback(self) -> bool:
        """It asks for a version that was live before."""
        return self.kind == PromotionKind.ROLLBACK

    @property
    def short_seal(self) -> str:
        """The first ten hex digits, for people to compare by eye."""
        return self.seal[:10]


class Review(models.Model):
    """One person's approve or reject, with the seal they saw and the door they came by."""

    promotion = models.ForeignKey(Promotion, on_delete=models.PROTECT, related_name="reviews")
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="reviews"
    )
    verdict = models.CharField(max_length=10, choices=Verdict.choices)
    seal = models.CharField(max_length=64)
    via = models.CharField(max_length=10, choices=Via.choices)
    comment = models.TextField(blank=True)
    on_behalf_of = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="reviews_by_delegates",
        help_text="The colleague whose approval this is, by delegation.",
    )
    ticked: models.JSONField[list[str], list[str]] = models.JSONField(
        default=list, blank=True, help_text="The items of the checklist that the person ticked."
    )
    created_at = models.DateTimeField()
    voided_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when it no longer counts."
    )
    withdrawn = models.BooleanField(
        default=False,
        help_text="Void because its author took it back, not because the facts changed.",
    )

    class Meta:
        ordering = ["created_at", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["promotion", "person"],
                condition=Q(voided_at=None),
                name="one_counting_review_per_person",
            ),
            models.UniqueConstraint(
                fields=["promotion", "on_behalf_of"],
                condition=Q(voided_at=None, on_behalf_of__isnull=False),
                name="one_counting_review_on_behalf_of_a_person",
            ),
        ]
        indexes = [
            # When the approvals that count were given, for the insights, without reading the comments.
            models.Index(
                fields=["promotion", "created_at", "id"],
                include=["person", "on_behalf_of"],
                condition=Q(verdict=Verdict.APPROVE, voided_at=None),
                name="review_approving",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.person}: {self.verdict} on promotion {self.promotion_id}"

    @property
    def by(self) -> str:
        """``Dave Diaz``, or ``Dave Diaz for Bob Brandt``."""
        return f"{self.person} for {self.on_behalf_of}" if self.on_behalf_of else str(self.person)
