"""The API's addresses, under ``/api/v1/``."""

from __future__ import annotations

from django.urls import path

from approvals.api.changes import router as changes
from approvals.api.endpoints import api
from approvals.api.guard import guard, unknown_address

api.add_router("", changes)
_found, app_name, _namespace = api.urls
urlpatterns = guard([*_found, path("<path:rest>", unknown_address)])  # type: ignore[list-item]
