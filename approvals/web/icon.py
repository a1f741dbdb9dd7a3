"""The tab's icon, with how much waits."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

DAY = 86_400


@login_not_required
@require_safe
def favicon(request: HttpRequest) -> HttpResponse:
    """The logo; with ``?n=3`` a dot with the number. It says what its address says, so it may be kept."""
    text = request.GET.get("n", "")
    count = int(text) if text.isascii() and text.isdigit() and len(text) <= 6 else 0
    label = "9+" if count > 9 else str(count) if count else ""
    answer = render(request, "web/favicon.svg", {"label": label}, content_type="image/svg+xml")
    answer.headers["Cache-Control"] = f"public, max-age={DAY}"
    return answer
