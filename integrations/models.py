"""Rows that belong to the adapters: what is polled when, who is who in Slack, which message
is whose, who got which mail."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from approvals.models import Effect, Promotion


class Heartbeat(models.Model):
    """When a worker last said that it is alive."""

    name = models.CharField(max_length=50, unique=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name} at {self.at:%H:%M:%S}"


class Poll(models.Model):
    """Something to look at again and again. Due rows are claimed, so that many workers share them."""

    kind = models.CharField(
        max_length=20, help_text="mlflow, repository, run, jobs, log, serving, artifacts or slack."
    )
    key = models.CharField(max_length=300, blank=True)
    due_at = models.DateTimeField(db_index=True)
    claimed_until = models.DateTimeField(null=True, blank=True)
    etag = models.CharField(max_length=200, blank=True)
    watermark = models.BigIntegerField(default=0, help_text="MLflow: newest update seen, in ms.")
    full_at = models.DateTimeField(null=True, blank=True, help_text="MLflow: last full listing.")
    looked_at = models.DateTimeField(null=True, blank=True, help_text="Last look, well or badly.")
    busy_until = models.DateTimeField(
        null=True, blank=True, help_text="GitHub: something runs there, so look often until then."
    )
    succeeded_at = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveIntegerField(default=0)
    last_error = models.TextField(blank=True)
    remaining = models.IntegerField(
        null=True, blank=True, help_text="GitHub: calls left this hour."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind", "key"], name="poll_once"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}".strip()


class RateLimit(models.Model):
    """What one credential may still ask of GitHub, as its last answer told."""

    credential = models.CharField(
        max_length=300, unique=True, help_text="Names it; holds nothing of it."
    )
    limit = models.PositiveIntegerField(default=0, help_text="Calls an hour; 0: not known.")
    remaining = models.PositiveIntegerField(default=0)
    resets_at = models.DateTimeField(null=True, blank=True)
    paused_until = models.DateTimeField(
        null=True, blank=True, help_text="GitHub asked not to be read before."
    )
    reason = models.TextField(blank=True, help_text="Why, in GitHub's words.")

    def __str__(self) -> str:
        return f"{self.remaining} of {self.limit} left for {self.credential}"


class SlackWorkspace(models.Model):
    """A workspace (or an organisation of Enterprise Grid) that the app is installed in, and how it is going.

    The one that SLACK_BOT_TOKEN belongs to has a row without a token.
    """

    team_id = models.CharField(
        max_length=40, unique=True, help_text="T…, or E… of an organisation."
    )
    enterprise_id = models.CharField(
        max_length=40, blank=True, help_text="E…, where the workspace belongs to an organisation."
    )
    name = models.CharField(max_length=200, blank=True)
    bot_user_id = models.CharField(max_length=40, blank=True)
    token = models.TextField(blank=True, help_text="Encrypted.")
    refresh_token = models.TextField(blank=True, help_text="Encrypted.")
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Where tokens are rotated.")
    scopes: models.JSONField[list[str], list[str]] = models.JSONField(default=list, blank=True)
    installed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    installed_at = models.DateTimeField(null=True, blank=True)
    is_active = models.BooleanField(default=True, help_text="Not uninstalled.")
    succeeded_at = models.DateTimeField(null=True, blank=True, help_text="Slack's last yes.")
    problem = models.TextField(blank=True, help_text="Why nothing can be posted now.")
    problem_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name or self.team_id


class SlackPace(models.Model):
    """When a channel may be written to again: Slack takes about one message a second, and says when to wait."""

    team_id = models.CharField(max_length=40)
    channel = models.CharField(max_length=100)
    free_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["team_id", "channel"], name="slack_pace_once"),
        ]

    def __str__(self) -> str:
        return f"{self.channel} from {self.free_at:%H:%M:%S}"


class SlackStanding(models.TextChoices):
    """What somebody is in their workspace; only members decide."""

    MEMBER = "member", "Member"
    GUEST = "guest", "Guest"
    DEACTIVATED = "deactivated", "Deactivated"
    BOT = "bot", "Bot"
    FOREIGN = "foreign", "Of another organisation"


class SlackIdentity(models.Model):
    """The explicit link between a Slack user and a person. Equal e-mail is never taken as a proof."""

    team_id = models.CharField(max_length=40)
    user_id = models.CharField(max_length=40)
    name = models.CharField(max_length=200, blank=True, help_text="As Slack last said.")
    standing = models.CharField(
        max_length=20, choices=SlackStanding.choices, default=SlackStanding.MEMBER
    )
    checked_at = models.DateTimeField(null=True, blank=True, help_text="When Slack last said so.")
    person = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="slack_identity"
    )
    linked_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "slack identities"
        constraints = [
            models.UniqueConstraint(fields=["team_id", "user_id"], name="slack_user_once"),
        ]

    def __str__(self) -> str:
        return f"{self.person} is {self.user_id}"

    @property
    def workspace(self) -> str:
        """The workspace's name, empty while it is not known."""
        names = SlackWorkspace.objects.filter(team_id=self.team_id).values_list("name", flat=True)
        return names.first() or ""


class SlackMessage(models.Model):
    """The one message of a promotion. It can always be rendered again from the database."""

    promotion = models.OneToOneField(
        Promotion, on_delete=models.PROTECT, related_name="slack_message"
    )
    team_id = models.CharField(max_length=40, blank=True)
    channel = models.CharField(max_length=100)
    ts = models.CharField(max_length=40, blank=True)
    note = models.CharField(
        max_length=500, blank=True, help_text="Why it stands elsewhere than the configuration says."
    )
    told_event = models.BigIntegerField(
        default=0, help_text="The newest event that is written below it."
    )
    permalink = models.URLField(max_length=500, blank=True)
    digest = models.CharField(max_length=64, blank=True, help_text="Of the content last delivered.")
    updated_at = models.DateTimeField(null=True, blank=True)
    looked_at = models.DateTimeField(
        null=True, blank=True, help_text="When it was last compared with what holds."
    )

    def __str__(self) -> str:
        return f"message of promotion {self.promotion_id}"


class SlackHome(models.Model):
    """Somebody's Home view: once they opened it, it is kept fresh."""

    identity = models.OneToOneField(SlackIdentity, on_delete=models.CASCADE, related_name="home")
    opened_at = models.DateTimeField()
    published_at = models.DateTimeField(null=True, blank=True)
    digest = models.CharField(max_length=64, blank=True, help_text="Of the view last published.")
    seen_event = models.BigIntegerField(default=0, help_text="The newest event that it shows.")

    def __str__(self) -> str:
        return f"Home of {self.identity}"


class SentMail(models.Model):
    """One person's copy of a mail: the server took it, or refused it for good. Neither is sent again."""

    effect = models.ForeignKey(Effect, on_delete=models.CASCADE, related_name="mails")
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="mails"
    )
    at = models.DateTimeField()
    refusal = models.CharField(
        max_length=200, blank=True, help_text="Why the server refused; empty: it was sent."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["effect", "person"], name="mail_once_per_person"),
        ]

    def __str__(self) -> str:
        return f"{self.person}: {self.refusal or 'sent'}"
