"""Deployments: the delivery of a grant, one firing of the workflow for each of its steps."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.postgres.indexes import GistIndex
from django.db import models
from django.db.models import F, Q

from approvals.models.catalogue import ModelVersion, Target, WorkflowRun
from approvals.models.decisions import Promotion
from approvals.models.periods import Period
from approvals.states import ACTIVE_DEPLOYMENT, OPEN_DEPLOYMENT, DeploymentStatus, StepOutcome


class Deployment(models.Model):
    """The delivery of one approved promotion. The one-to-one relation is the outer guard of
    "exactly one deployment per approval"; the status walk of the step in hand is the inner one."""

    promotion = models.OneToOneField(Promotion, on_delete=models.PROTECT, related_name="deployment")
    target = models.ForeignKey(Target, on_delete=models.PROTECT, related_name="deployments")
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="deployments")
    previous = models.ForeignKey(
        ModelVersion, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    status = models.CharField(
        max_length=12, choices=DeploymentStatus.choices, default=DeploymentStatus.QUEUED
    )
    step = models.OneToOneField(
        "Step",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="The step in hand, or the last one.",
    )
    strategy: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(
        default=dict, blank=True, help_text="The approved rollout; {}: all at once."
    )
    percent = models.PositiveSmallIntegerField(
        default=0, help_text="The share of requests that this version serves, as far as we know."
    )
    place = models.BigIntegerField(
        default=0, help_text="Order in the target's queue: lower goes first."
    )
    waits_until = models.DateTimeField(
        null=True, blank=True, help_text="Between two steps: when the next one is judged."
    )
    paused = models.TextField(
        blank=True, help_text="Why a person has to say how the rollout goes on."
    )
    aborting = models.TextField(
        blank=True, help_text="Why it goes back to the former version; empty: it does not."
    )
    ends_as = models.CharField(
        max_length=12,
        choices=StepOutcome.choices,
        blank=True,
        help_text="The status once it has gone back.",
    )
    confirmed_seal = models.CharField(
        max_length=64,
        blank=True,
        help_text="The seal of facts that differ in what is replaced alone, confirmed by a person.",
    )
    confirmed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    asks_to_confirm = models.TextField(
        blank=True, help_text="What a person has to confirm before it is started."
    )
    asked_seal = models.CharField(
        max_length=64, blank=True, help_text="The seal of the facts that would be confirmed."
    )
    detail = models.TextField(blank=True, help_text="What happened, in one sentence.")
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["target"],
                condition=Q(status__in=ACTIVE_DEPLOYMENT),
                name="one_active_deployment_per_target",
            ),
        ]
        indexes = [
            # What ended in a period.
            models.Index(fields=["finished_at"], name="deployment_by_end"),
            # What was live, and what ended last, at a target and a moment: the newest end before it.
            models.Index(
                F("target"),
                F("finished_at").desc(),
                F("id").desc(),
                name="deployment_by_target_end",
                condition=Q(finished_at__isnull=False),
            ),
            # What had not ended at a moment.
            GistIndex(Period("created_at", "finished_at"), name="deployment_period"),
            # What has not ended now: the constraint above leaves out what is queued.
            models.Index(
                fields=["target"],
                name="deployment_open",
                condition=Q(status__in=OPEN_DEPLOYMENT),
            ),
            models.Index(
                fields=["finished_at"],
                name="deployment_failed",
                condition=Q(status=DeploymentStatus.FAILED),
            ),
        ]

    def __str__(self) -> str:
        return f"Deployment {self.pk} of {self.version} ({self.status})"

    @property
    def is_open(self) -> bool:
        """Something may still happen."""
        return self.status in OPEN_DEPLOYMENT

    @property
    def run_id(self) -> int | None:
        """GitHub's id of the run in hand."""
        return self.step.run_id if self.step else None

    @property
    def run_url(self) -> str:
        """Where people see the run in hand."""
        return self.step.run_url if self.step else ""

    @property
    def workflow_run(self) -> WorkflowRun | None:
        """The run in hand, as last read."""
        return self.step.workflow_run if self.step else None

    @property
    def dispatches(self) -> int:
        """How often a dispatch of the step in hand was begun."""
        return self.step.dispatches if self.step else 0

    @property
    def has_begun(self) -> bool:
        """A dispatch was begun at least once."""
        return self.step is not None and (self.step.ordinal > 1 or self.step.dispatches > 0)


class Step(models.Model):
    """One firing of the workflow: the whole deployment where it goes all at once, else one step of its rollout
    or the way back."""

    deployment = models.ForeignKey(Deployment, on_delete=models.PROTECT, related_name="steps")
    ordinal = models.PositiveSmallIntegerField(help_text="1, 2, 3 … in the order of dispatch.")
    index = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="Which step of the strategy; none: back to the former."
    )
    percent = models.PositiveSmallIntegerField(
        default=100, help_text="The share of requests once it has succeeded."
    )
    token = models.CharField(max_length=40, unique=True, help_text="Shown in the run's title.")
    outcome = models.CharField(max_length=10, choices=StepOutcome.choices, blank=True)
    run_id = models.BigIntegerField(null=True, blank=True, help_text="GitHub's id of the run.")
    run_url = models.URLField(max_length=500, blank=True)
    workflow_run = models.ForeignKey(
        WorkflowRun, null=True, blank=True, on_delete=models.PROTECT, related_name="steps_delivered"
    )
    attempt = models.PositiveIntegerField(
        default=0, help_text="The run's attempt that decided the outcome; 0: none yet."
    )
    dispatches = models.PositiveIntegerField(
        default=0, help_text="How often a dispatch was begun; above 1 only on a person's order."
    )
    detail = models.TextField(blank=True)
    began_at = models.DateTimeField(null=True, blank=True, help_text="When the dispatch was begun.")
    dispatched_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["deployment", "ordinal"]
        constraints = [
            models.UniqueConstraint(fields=["deployment", "ordinal"], name="step_once"),
            models.CheckConstraint(condition=Q(percent__lte=100), name="step_at_most_100_percent"),
        ]
        # For the insights, without reading the rows: what ended in a period, and when a deployment began.
        indexes = [
            models.Index(
                fields=["finished_at"],
                include=["deployment", "outcome", "workflow_run"],
                name="step_by_end",
            ),
            models.Index(
                fields=["deployment"],
                include=["began_at"],
                condition=Q(ordinal=1),
                name="step_first",
            ),
        ]

    def __str__(self) -> str:
        return f"Step {self.ordinal} of deployment {self.deployment_id}"

    @property
    def goes_back(self) -> bool:
        """It takes the version out of service again."""
        return self.index is None
