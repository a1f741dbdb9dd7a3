"""Finding a model, a version, a promotion, a person or a page."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET


@require_GET
def search(request: HttpRequest) -> HttpResponse:
    """Finding a model, a version, a promotion, a person or a page."""
    return render(request, "web/search.html")
