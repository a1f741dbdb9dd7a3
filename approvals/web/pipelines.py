"""The workflow runs, by kind."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET


@require_GET
def pipelines(request: HttpRequest) -> HttpResponse:
    """The workflow runs, by kind."""
    return render(request, "web/pipelines.html")
