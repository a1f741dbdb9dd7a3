"""What there is: registered models, versions, environments, targets, workflow runs."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.urls import reverse
from django.utils import timezone

from approvals.states import WorkflowKind


class Repository(models.Model):
    """A GitHub repository whose workflow runs are followed."""

    name = models.CharField(max_length=255, unique=True, help_text="owner/name on GitHub.")
    workflows: models.JSONField[dict[str, str], dict[str, str]] = models.JSONField(
        default=dict, help_text="Workflow file → kind (ci, train, validate, deploy)."
    )
    is_active = models.BooleanField(default=True)
    followed_since = models.DateTimeField(
        default=timezone.now, help_text="Runs that began before are nobody's out-of-band change."
    )

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "repositories"

    def __str__(self) -> str:
        return self.name


class RegisteredModel(models.Model):
    """A registered model of MLflow that the configuration names."""

    name = models.CharField(max_length=255, unique=True, help_text="The name in Countersign.")
    registry_name = models.CharField(max_length=255, help_text="The name in MLflow.")
    description = models.TextField(blank=True)
    tags = models.JSONField(default=dict, blank=True)
    repository = models.CharField(max_length=255, help_text="owner/name on GitHub.")
    # A list, because PostgreSQL's jsonb does not keep the order of an object's keys.
    metrics: models.JSONField[list[list[str]], list[list[str]]] = models.JSONField(
        default=list,
        help_text="[[metric, 'higher' or 'lower': which is better]], the headline first.",
    )
    evidence: models.JSONField[list[dict[str, str]], list[dict[str, str]]] = models.JSONField(
        default=list,
        blank=True,
        help_text="[{name, job, tag or metric, environment}]: what GitHub and MLflow hold as evidence.",
    )
    group = models.CharField(
        max_length=100, blank=True, help_text="Under which heading the overview shows it."
    )
    is_active = models.BooleanField(default=True, help_text="Still named by the configuration.")
    is_registered = models.BooleanField(default=False, help_text="MLflow has it.")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """The model's page."""
        return reverse("model", args=[self.name])


class ModelVersion(models.Model):
    """One version as MLflow tells of it. Its identity is (name, version, creation time, source):
    a model that was deleted and made again starts at version 1 once more."""

    model = models.ForeignKey(RegisteredModel, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    registered_at = models.DateTimeField(help_text="creation_timestamp in MLflow.")
    updated_at = models.DateTimeField(help_text="last_updated_timestamp in MLflow.")
    source = models.TextField(blank=True)
    status = models.CharField(max_length=40, help_text="MLflow's: READY, PENDING_REGISTRATION, …")
    description = models.TextField(blank=True)
    tags = models.JSONField(default=dict, blank=True)
    aliases = models.JSONField(default=list, blank=True)
    run_id = models.CharField(max_length=64, blank=True)
    experiment_id = models.CharField(max_length=64, blank=True)
    run_status = models.CharField(
        max_length=40, blank=True, help_text="FINISHED, RUNNING, FAILED, …"
    )
    run_name = models.CharField(max_length=250, blank=True)
    trained_by = models.CharField(max_length=250, blank=True, help_text="As far as MLflow knows.")
    run_started_at = models.DateTimeField(null=True, blank=True)
    run_ended_at = models.DateTimeField(null=True, blank=True)
    metrics: models.JSONField[dict[str, str], dict[str, str]] = models.JSONField(
        default=dict, blank=True, help_text="Name → decimal text, exact."
    )
    parameters = models.JSONField(default=dict, blank=True)
    datasets: models.JSONField[list[dict[str, Any]], list[dict[str, Any]]] = models.JSONField(
        default=list, blank=True, help_text="[{name, digest, source, context}]"
    )
    git_commit = models.CharField(max_length=64, blank=True, db_index=True)
    git_branch = models.CharField(max_length=250, blank=True)
    signature: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(
        default=dict,
        blank=True,
        help_text="{inputs, outputs: [{name, type, required}]}; empty while it is not known.",
    )
    artifact_digest = models.CharField(max_length=80, blank=True)
    artifact_bytes = models.BigIntegerField(null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(
                fields=["model", "number"],
                condition=models.Q(deleted_at=None),
                name="version_once_per_number",
            ),
            models.UniqueConstraint(
                fields=["model", "number", "registered_at", "source"], name="version_identity"
            ),
        ]
        indexes = [
            # Lead times of thousands of deployments, without reading metrics and parameters.
            models.Index(
                fields=["id"], include=["registered_at", "run_started_at"], name="version_times"
            )
        ]

    def __str__(self) -> str:
        return f"{self.model.name} v{self.number}"

    def get_absolute_url(self) -> str:
        """The version's page."""
        return reverse("version", args=[self.model.name, self.number])

    @property
    def is_finished(self) -> bool:
        """Registered whole, and its run (if it has one) came to a good end."""
        return self.status == "READY" and self.run_status in {"", "FINISHED"}


class Environment(models.Model):
    """A place to deploy to; ``position`` orders the chain (staging before production)."""

    name = models.SlugField(unique=True)
    position = models.PositiveIntegerField()
    confirm = models.BooleanField(
        default=False, help_text="A press that decides here is asked about once more."
    )
    is_active = models.BooleanField(default=True)

    class Meta:
        ordering = ["position"]

    def __str__(self) -> str:
        return self.name


class Target(models.Model):
    """One model in one environment: where a version is live. Every verb locks this row first."""

    model = models.ForeignKey(RegisteredModel, on_delete=models.PROTECT, related_name="targets")
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="targets")
    workflow = models.CharField(max_length=255, help_text="File name in .github/workflows.")
    ref = models.CharField(max_length=255, help_text="Branch or tag that the workflow runs on.")
    inputs = models.JSONField(default=dict, blank=True)
    alias = models.CharField(
        max_length=255, blank=True, help_text="MLflow alias of the live version."
    )
    channel = models.CharField(
        max_length=100,
        blank=True,
        help_text="Channel id, after the workspace's where there are several.",
    )
    fallback_channel = models.CharField(
        max_length=100, blank=True, help_text="Where messages go that their channel does not take."
    )
    policy = models.JSONField(default=dict, help_text="approvals.rules.Policy as data.")
    freezes: models.JSONField[list[dict[str, Any]], list[dict[str, Any]]] = models.JSONField(
        default=list, blank=True, help_text="Recurring freezes: approvals.calendar.Window as data."
    )
    strategy: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(
        default=dict, blank=True, help_text="approvals.rollouts.Strategy as data; {}: all at once."
    )
    signals: models.JSONField[list[dict[str, Any]], list[dict[str, Any]]] = models.JSONField(
        default=list, blank=True, help_text="approvals.monitoring.SignalRule as data."
    )
    write_back: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(
        default=dict,
        blank=True,
        help_text="What else is written to the registry: {previous_alias, tags, stage, copy_to}.",
    )
    health_url = models.URLField(
        max_length=500, blank=True, help_text="Where the serving layer reports its version."
    )
    is_active = models.BooleanField(default=True)
    live_version = models.ForeignKey(
        ModelVersion, null=True, blank=True, on_delete=models.PROTECT, related_name="live_at"
    )
    live_since = models.DateTimeField(null=True, blank=True)
    live_deployment = models.ForeignKey(
        "Deployment", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        ordering = ["model__name", "environment__position"]
        constraints = [
            models.UniqueConstraint(fields=["model", "environment"], name="target_once"),
        ]

    def __str__(self) -> str:
        return f"{self.model.name} in {self.environment.name}"


class WorkflowRun(models.Model):
    """A GitHub Actions run, as last read. Its state moves only forward."""

    repository = models.CharField(max_length=255)
    run_id = models.BigIntegerField()
    attempt = models.PositiveIntegerField(default=1)
    number = models.PositiveIntegerField(default=0)
    workflow = models.CharField(max_length=255, help_text="File name in .github/workflows.")
    kind = models.CharField(max_length=20, choices=WorkflowKind.choices)
    title = models.CharField(max_length=500, blank=True)
    status = models.CharField(max_length=30)
    conclusion = models.CharField(max_length=30, blank=True)
    event = models.CharField(max_length=50, blank=True)
    actor = models.CharField(max_length=255, blank=True)
    head_sha = models.CharField(max_length=64, blank=True, db_index=True)
    head_branch = models.CharField(max_length=255, blank=True)
    url = models.URLField(max_length=500, blank=True)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField()
    began = models.BooleanField(default=False, help_text="It was seen at work, not only waiting.")
    steps: models.JSONField[list[dict[str, Any]], list[dict[str, Any]]] = models.JSONField(
        default=list, blank=True, help_text="[{name, status, conclusion}] of the run's jobs."
    )

    jobs: models.JSONField[list[dict[str, Any]], list[dict[str, Any]]] = models.JSONField(
        default=list, blank=True, help_text="[{name, conclusion, url}], where evidence needs them."
    )
    log_tail = models.TextField(
        blank=True, help_text="The last lines of a deployment's log, once GitHub has them."
    )
    log_attempt = models.PositiveIntegerField(
        default=0, help_text="The attempt whose log was read, or found to be gone; 0 for none."
    )
    jobs_attempt = models.PositiveIntegerField(
        default=0, help_text="The attempt whose jobs were read; 0 for none."
    )

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["repository", "run_id"], name="workflow_run_once"),
        ]
        indexes = [
            models.Index(fields=["repository", "-created_at"], name="run_by_repository"),
            # The pages of runs, of all kinds or of one.
            models.Index(fields=["-created_at", "-id"], name="run_newest"),
            models.Index(fields=["kind", "-created_at", "-id"], name="run_newest_of_kind"),
            # People know a run by its number, "run 42": the search finds the newest of that number.
            models.Index(fields=["number", "-created_at"], name="run_by_number"),
            # How long the runs of thousands of steps took, without reading their jobs.
            models.Index(
                fields=["id"], include=["status", "started_at", "updated_at"], name="run_times"
            ),
            # The few deployments' runs whose log is still to be read, looked for every ten seconds.
            models.Index(
                fields=["updated_at"],
                condition=models.Q(
                    kind=WorkflowKind.DEPLOY,
                    status="completed",
                    log_attempt__lt=models.F("attempt"),
                ),
                name="run_log_unread",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.title or self.workflow} (run {self.run_id})"

    @property
    def is_completed(self) -> bool:
        """GitHub says that nothing more will happen in this attempt."""
        return self.status == "completed"


class CodeComparison(models.Model):
    """What lies between two commits, as GitHub's compare tells. Commits never change, so it is read once."""

    repository = models.CharField(max_length=255)
    base = models.CharField(max_length=64, help_text="The commit of the version that is live.")
    head = models.CharField(max_length=64, help_text="The commit of the candidate.")
    status = models.CharField(
        max_length=20, blank=True, help_text="ahead, behind, diverged or identical; empty: unread."
    )
    ahead_by = models.PositiveIntegerField(default=0)
    behind_by = models.PositiveIntegerField(default=0)
    commits: models.JSONField[list[dict[str, str]], list[dict[str, str]]] = models.JSONField(
        default=list, blank=True, help_text="[{sha, title, author, at}], newest first, not all."
    )
    files: models.JSONField[list[dict[str, Any]], list[dict[str, Any]]] = models.JSONField(
        default=list, blank=True, help_text="[{name, status, additions, deletions}], not all."
    )
    file_count = models.PositiveIntegerField(
        default=0, help_text="Files that differ; GitHub names 300 at the most."
    )
    additions = models.PositiveIntegerField(default=0, help_text="Lines, in all those files.")
    deletions = models.PositiveIntegerField(default=0, help_text="Lines, in all those files.")
    problem = models.TextField(blank=True, help_text="Why it could not be read.")
    read_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["repository", "base", "head"], name="compared_once"),
        ]

    def __str__(self) -> str:
        return f"{self.repository} {self.base[:10]}…{self.head[:10]}"
