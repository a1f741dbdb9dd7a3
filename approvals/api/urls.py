"""The API's addresses, under ``/api/v1/``."""

from __future__ import annotations

from django.urls import path

from approvals.api import changes, deliveries, routes, signals
from approvals.api.endpoints import api
from approvals.api.guard import guard, unknown_address

for each in (changes, deliveries, routes, signals):
    api.add_router("", each.router)
_found, app_name, _namespace = api.urls
urlpatterns = guard([*_found, path("<path:rest>", unknown_address)])  # type: ignore[list-item]
