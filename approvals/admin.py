"""Administration: mostly to look at. What people decided and what happened cannot be edited anywhere.

Teams, models and targets belong to the configuration file; people are activated here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from approvals import models, services
from approvals.states import Via

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Model]
    _UserAdmin = UserAdmin[models.Person]
else:  # the classes are generic to the type checker only
    _ModelAdmin, _UserAdmin = admin.ModelAdmin, UserAdmin


class LookOnly(_ModelAdmin):
    """Shows rows and changes none."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False


# What to show of each: (columns, filters, columns to search, relations to fetch).
SHOWN: dict[type[Model], tuple[list[str], list[str], list[str], list[str]]] = {
    models.Team: (["slug", "name"], [], ["slug", "name"], []),
    models.Environment: (["name", "position", "is_active"], ["is_active"], [], []),
    models.Repository: (["name", "is_active"], ["is_active"], ["name"], []),
    models.RegisteredModel: (
        ["name", "registry_name", "repository", "is_active", "is_registered"],
        ["is_active", "is_registered"],
        ["name", "registry_name"],
        [],
    ),
    models.ModelVersion: (
        ["__str__", "status", "run_status", "registered_at", "deleted_at"],
        ["status", "run_status"],
        ["model__name", "run_id", "git_commit"],
        ["model"],
    ),
    models.Restriction: (
        ["__str__", "placed_by", "placed_at", "lifted_by", "lifted_at"],
        ["kind"],
        ["reason"],
        ["target__model", "target__environment", "version__model", "placed_by", "lifted_by"],
    ),
    models.Target: (
        ["__str__", "live_version", "live_since", "workflow", "alias", "is_active"],
        ["environment", "is_active"],
        ["model__name"],
        ["model", "environment", "live_version__model"],
    ),
    models.Promotion: (
        ["id", "kind", "version", "target", "status", "requester", "requested_at"],
        ["status", "kind", "target__environment"],
        ["version__model__name", "token", "reason"],
        ["version__model", "target__model", "target__environment", "requester"],
    ),
    models.Review: (
        ["id", "promotion_id", "person", "verdict", "via", "created_at", "voided_at"],
        ["verdict", "via"],
        ["person__username"],
        ["person"],
    ),
    models.Deployment: (
        ["id", "version", "target", "status", "run_id", "created_at", "finished_at"],
        ["status", "target__environment"],
        ["version__model__name", "steps__run_id"],
        ["version__model", "target__model", "target__environment", "step"],
    ),
    models.Step: (
        ["id", "deployment_id", "ordinal", "percent", "outcome", "run_id", "began_at"],
        ["outcome"],
        ["token", "run_id"],
        [],
    ),
    models.Mark: (
        ["version", "target", "kind", "placed_by", "placed_at"],
        ["kind", "target__environment"],
        ["version__model__name"],
        ["version__model", "target__model", "target__environment", "placed_by"],
    ),
    models.Signal: (
        ["name", "value", "target", "observed_at", "breached", "outcome"],
        ["breached", "target__environment"],
        ["name", "target__model__name", "source"],
        ["target__model", "target__environment"],
    ),
    models.OutOfBandChange: (
        ["id", "target", "kind", "sentence", "declared_at", "ended_at", "answer"],
        ["kind", "answer", "target__environment"],
        ["target__model__name", "sentence"],
        ["target__model", "target__environment"],
    ),
    models.WorkflowRun: (
        ["run_id", "title", "kind", "status", "conclusion", "created_at"],
        ["kind", "status", "conclusion"],
        ["title", "run_id", "head_sha"],
        [],
    ),
    models.Effect: (
        ["id", "kind", "promotion_id", "status", "attempts", "due_at", "last_error"],
        ["status", "kind"],
        ["dedupe_key"],
        [],
    ),
    models.Evidence: (
        ["name", "version", "environment", "verdict", "produced_by", "via", "produced_at"],
        ["verdict", "via", "environment"],
        ["name", "version__model__name", "source"],
        ["version__model", "environment", "recorded_by", "workflow_run"],
    ),
    models.ApiToken: (
        ["prefix", "person", "name", "created_at", "last_used_at", "expires_at", "revoked_at"],
        [],
        ["prefix", "name", "person__username"],
        ["person"],
    ),
    models.Event: (
        ["id", "at", "kind", "actor", "via", "target"],
        ["kind", "via"],
        ["kind", "actor__username"],
        ["actor", "target__model", "target__environment"],
    ),
}

# What opens a door is shown to nobody, not even as its hash.
HIDDEN: dict[type[Model], tuple[str, ...]] = {models.ApiToken: ("digest",)}

for model, (columns, filters, searched, fetched) in SHOWN.items():
    admin.site.register(
        model,
        type(
            f"{model.__name__}Admin",
            (LookOnly,),
            {
                "list_display": columns,
                "list_filter": filters,
                "search_fields": searched,
                "list_select_related": fetched or False,
                "show_full_result_count": False,
                "exclude": HIDDEN.get(model, ()),
            },
        ),
    )


@admin.action(description="Deliver again what was given up")
def retry(self: Any, request: HttpRequest, queryset: QuerySet[models.Effect]) -> None:
    """Through the verb; each refusal is said."""
    for effect in queryset:
        try:
            services.retry_effect(
                actor=_administrator(request), via=Via.BROWSER, effect_id=effect.pk
            )
        except services.Refused as refused:
            self.message_user(request, f"{effect}: {refused.sentence}", level="ERROR")


def _administrator(request: HttpRequest) -> models.Person:
    assert isinstance(request.user, models.Person)
    return request.user


admin.site._registry[models.Effect].actions = [retry]


@admin.register(models.Person)
class PersonAdmin(_UserAdmin):
    """People are activated here, and get names and passwords; nobody is deleted: history names them."""

    list_display = ("username", "first_name", "last_name", "is_active", "is_machine", "is_staff")
    list_filter = ("is_active", "is_machine", "is_staff", "teams")
    readonly_fields = ("is_machine", "last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Who", {"fields": ("first_name", "last_name", "email", "is_machine")}),
        ("May", {"fields": ("is_active", "is_staff", "is_superuser")}),
        ("When", {"fields": ("last_login", "date_joined")}),
    )

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def save_model(self, request: HttpRequest, obj: models.Person, form: Any, change: bool) -> None:
        """Activation goes through the verb, so that the history names who let whom in."""
        active = obj.is_active
        if change and "is_active" in form.changed_data:
            obj.is_active = not active
        super().save_model(request, obj, form, change)
        if not change:
            return
        try:
            services.set_active(
                actor=_administrator(request), via=Via.BROWSER, person_id=obj.pk, active=active
            )
        except services.Refused as refused:
            self.message_user(request, refused.sentence, level="ERROR")
