"""How deciding and delivering go: the four DORA figures and what is around them."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET


@require_GET
def insights(request: HttpRequest) -> HttpResponse:
    """How deciding and delivering go: the four DORA figures and what is around them."""
    return render(request, "web/insights.html")
