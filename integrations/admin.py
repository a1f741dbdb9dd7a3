"""Administration of the adapters' rows: to look at, and to unlink somebody's Slack account."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from approvals.admin import LookOnly
from integrations import models
from integrations.slack import identities


@admin.register(models.Poll)
class PollAdmin(LookOnly):
    """What is looked at, how it went, and when next."""

    list_display = ("kind", "key", "due_at", "succeeded_at", "failures", "last_error", "remaining")
    list_filter = ("kind",)


@admin.register(models.RateLimit)
class RateLimitAdmin(LookOnly):
    """What GitHub still allows."""

    list_display = ("credential", "remaining", "limit", "resets_at", "paused_until", "reason")


@admin.register(models.Heartbeat)
class HeartbeatAdmin(LookOnly):
    """When a worker was last seen."""

    list_display = ("name", "at")


@admin.register(models.SlackMessage)
class SlackMessageAdmin(LookOnly):
    """Which message belongs to which promotion."""

    list_display = ("promotion_id", "channel", "ts", "updated_at")


@admin.register(models.SentMail)
class SentMailAdmin(LookOnly):
    """Who was sent what, and when."""

    list_display = ("effect_id", "person", "at", "refusal")


@admin.register(models.SlackWorkspace)
class SlackWorkspaceAdmin(LookOnly):
    """Where the app is installed. No token is shown, not even encrypted."""

    list_display = (
        "name",
        "team_id",
        "is_active",
        "problem",
        "expires_at",
        "installed_by",
        "installed_at",
    )
    list_filter = ("is_active",)
    exclude = ("token", "refresh_token")


@admin.register(models.SlackIdentity)
class SlackIdentityAdmin(LookOnly):
    """Who is who. Deleting a row unlinks that person, and is recorded."""

    list_display = ("person", "team_id", "user_id", "name", "standing", "checked_at", "linked_at")
    list_filter = ("standing",)
    search_fields = ("person__username", "user_id")
    actions = None

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Administrators may unlink."""
        return bool(getattr(request.user, "is_superuser", False))

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Through the verb, so that the history names who did it."""
        identities.unlink(actor=request.user, person=obj.person)  # type: ignore[arg-type]
