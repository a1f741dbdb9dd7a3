"""The ports: effects go out, deliveries come in. ``integrations`` works on these rows."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q

from approvals.models.catalogue import Target
from approvals.models.decisions import Promotion
from approvals.states import EffectStatus


class EffectKind(models.TextChoices):
    """What an effect asks of the outside world, in the product's words, no service named."""

    GATHER_FACTS = "gather_facts", "Gather the facts"
    DISPATCH = "dispatch", "Start the deployment workflow"
    LOOK_UP = "look_up", "Look an unconfirmed workflow run up"
    SET_ALIAS = "set_alias", "Write the live version to the registry"
    ANNOUNCE = "announce", "Bring the message and its thread up to date"
    ALERT = "alert", "Tell the target's channel"
    MAIL = "mail", "Send an e-mail"
    TELL = "tell", "Tell a person directly"
    HOME = "home", "Bring a person's Home view up to date"
    UNFOLD = "unfold", "Show what a pasted address leads to"
    COMPARE = "compare", "Read the commits between two versions"
    ANSWER_GATE = "answer_gate", "Answer GitHub's deployment protection rule"


class Effect(models.Model):
    """An outgoing action, written in the same transaction as the state that causes it.

    Effects of one ``lane`` are delivered in order, one at a time.
    """

    kind = models.CharField(max_length=20, choices=EffectKind.choices)
    dedupe_key = models.CharField(max_length=200, unique=True)
    lane = models.CharField(max_length=100)
    promotion = models.ForeignKey(
        Promotion, null=True, blank=True, on_delete=models.PROTECT, related_name="effects"
    )
    target = models.ForeignKey(
        Target, null=True, blank=True, on_delete=models.PROTECT, related_name="effects"
    )
    payload: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(
        default=dict, blank=True
    )
    status = models.CharField(
        max_length=10, choices=EffectStatus.choices, default=EffectStatus.WAITING
    )
    attempts = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField()
    due_at = models.DateTimeField()
    claimed_until = models.DateTimeField(null=True, blank=True)
    claim = models.CharField(max_length=32, blank=True, help_text="Whose lease it is.")
    last_error = models.TextField(blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(
                fields=["due_at"],
                condition=Q(status__in=[EffectStatus.WAITING, EffectStatus.CLAIMED]),
                name="effect_due",
            ),
            models.Index(
                fields=["lane", "id"],
                condition=Q(status__in=[EffectStatus.WAITING, EffectStatus.CLAIMED]),
                name="effect_lane",
            ),
            # The status page lists what was given up, newest first, among millions that were delivered.
            models.Index(
                fields=["-finished_at"],
                condition=Q(status=EffectStatus.FAILED),
                name="effect_given_up",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} ({self.status})"


class InboundDelivery(models.Model):
    """Something a service sent us, remembered so that a repetition changes nothing."""

    source = models.CharField(max_length=20)
    delivery_id = models.CharField(max_length=100)
    received_at = models.DateTimeField(db_index=True)
    processed_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=200, blank=True)

    class Meta:
        verbose_name_plural = "inbound deliveries"
        constraints = [
            models.UniqueConstraint(fields=["source", "delivery_id"], name="inbound_once"),
        ]

    def __str__(self) -> str:
        return f"{self.source} {self.delivery_id}"
