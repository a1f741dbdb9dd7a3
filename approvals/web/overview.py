"""The overview: models × environments."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from approvals.selectors.overview import matrix
from approvals.web.live import live_page


@require_GET
def overview(request: HttpRequest) -> HttpResponse:
    """Which version is live where, and what is on its way."""
    return live_page(
        request,
        "web/overview.html",
        {"matrix": matrix()},
        parts={"matrix": "web/parts/matrix.html"},
        seconds=5,
    )
