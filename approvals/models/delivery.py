"""Deployments: one firing of the workflow for a grant, and its outcome."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from approvals.models.catalogue import ModelVersion, Target, WorkflowRun
from approvals.models.decisions import Promotion
from approvals.states import ACTIVE_DEPLOYMENT, OPEN_DEPLOYMENT, DeploymentStatus


class Deployment(models.Model):
    """The delivery of one approved promotion. The one-to-one relation is the outer guard of
    "exactly one deployment per approval"; the status walk is the inner one."""

    promotion = models.OneToOneField(Promotion, on_delete=models.PROTECT, related_name="deployment")
    target = models.ForeignKey(Target, on_delete=models.PROTECT, related_name="deployments")
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="deployments")
    previous = models.ForeignKey(
        ModelVersion, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    status = models.CharField(
        max_length=12, choices=DeploymentStatus.choices, default=DeploymentStatus.QUEUED
    )
    workflow_run = models.ForeignKey(
        WorkflowRun, null=True, blank=True, on_delete=models.PROTECT, related_name="deployments"
    )
    run_id = models.BigIntegerField(null=True, blank=True, help_text="GitHub's id of the run.")
    run_url = models.URLField(max_length=500, blank=True)
    dispatches = models.PositiveIntegerField(
        default=0, help_text="How often a dispatch was begun; above 1 only on a person's order."
    )
    detail = models.TextField(blank=True, help_text="What happened, in one sentence.")
    created_at = models.DateTimeField()
    dispatch_began_at = models.DateTimeField(null=True, blank=True)
    dispatched_at = models.DateTimeField(null=True, blank=True)
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

    def __str__(self) -> str:
        return f"Deployment {self.pk} of {self.version} ({self.status})"

    @property
    def is_open(self) -> bool:
        """Something may still happen."""
        return self.status in OPEN_DEPLOYMENT
