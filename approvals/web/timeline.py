"""The timeline: the history, newest first."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from approvals.models import Environment, Person, RegisteredModel
from approvals.selectors.timeline import GROUPS, page_of_history
from approvals.web.pages import number_in

FILTERS = ("model", "environment", "person", "kind")


@require_GET
def timeline(request: HttpRequest) -> HttpResponse:
    """The history, newest first; the filters live in the address."""
    filters = {name: request.GET.get(name, "").replace("\x00", "") for name in FILTERS}
    query = request.GET.copy()
    query.pop("before", None)
    before = number_in(request, "before")
    today = timezone.now().date()
    return render(
        request,
        "web/timeline.html",
        {
            "page": page_of_history(filters, before),
            "filters": filters,
            "filtered": any(filters.values()),
            "query": query.urlencode(),
            "before": before,
            "today": today,
            "models": RegisteredModel.objects.values_list("name", flat=True),
            "environments": Environment.objects.values_list("name", flat=True),
            "people": Person.objects.filter(events__isnull=False).distinct().order_by("first_name"),
            "groups": [(key, name) for key, (name, _) in GROUPS.items()],
        },
    )
