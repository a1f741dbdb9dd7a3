"""The status page: whether the services, the workers and the outbox are well."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET


@require_GET
def status(request: HttpRequest) -> HttpResponse:
    """Whether the services, the workers and the outbox are well."""
    return render(request, "web/status.html")
