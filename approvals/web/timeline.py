"""The timeline: the history, newest first, and its exports."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from approvals.exports import FORMATS, file_name
from approvals.models import Environment, Person, RegisteredModel
from approvals.selectors.exporting import exported
from approvals.selectors.filters import GROUPS, Filters
from approvals.selectors.timeline import MOST_NEWS, news_since, page_of_history
from approvals.services.feeds import feed_key_of
from approvals.web.feeds import guarded, unknown
from approvals.web.live import live_page
from approvals.web.pages import number_in, person_of

# The server tells of events at once; this is for browsers that it cannot reach.
POLL_SECONDS = 30
# So many names are suggested in a field; every other can be written.
SUGGESTED = 200
WORDS = {"q": "words", "since": "since", "until": "until"}


@dataclass(frozen=True)
class Chip:
    """One filter in force, and the address without it."""

    name: str
    value: str
    without: str


@require_GET
def timeline(request: HttpRequest) -> HttpResponse:
    """The history, newest first; filters and place live in the address."""
    filters = Filters.of(request.GET)
    address = _address(filters)
    top = number_in(request, "top")
    if getattr(request, "htmx", False) and top is not None:
        return _news(request, filters, address, top, {})
    places = {name: number_in(request, name) for name in ("before", "after", "event")}
    picked = places["event"]
    page = page_of_history(
        # Every event has its place, also those that are left out of what is shown first.
        Filters(kind="all") if picked else filters,
        places["before"],
        after=places["after"],
        around=picked,
    )
    query = urlencode(filters.pairs)
    context = {
        "page": page,
        "filters": filters,
        "chips": _chips(filters),
        "query": f"&{query}" if query else "",
        "newest": address,
        "is_newest": not any(places.values()),
        "picked": picked,
        "today": timezone.localdate(),
        "models": RegisteredModel.objects.values_list("name", flat=True)[:SUGGESTED],
        "environments": Environment.objects.values_list("name", flat=True),
        "people": Person.objects.order_by("-is_active", "first_name", "username")[:SUGGESTED],
        "groups": list(GROUPS.items()),
        "feed_key": feed_key_of(person_of(request)),
        "zone": timezone.get_current_timezone_name(),
    }
    if context["is_newest"] and page.top:
        return _news(request, filters, address, page.top, context)
    return render(request, "web/timeline.html", context)


def _news(
    request: HttpRequest, filters: Filters, address: str, top: int, context: dict[str, object]
) -> HttpResponse:
    """The newest page; a poll of it is told only how much is newer than what it shows."""
    polled = f"{address}{'&' if '?' in address else '?'}top={top}"
    news = news_since(filters, top) if getattr(request, "htmx", False) else 0
    return live_page(
        request,
        "web/timeline.html",
        {**context, "news": news, "most_news": news == MOST_NEWS, "newest": address},
        parts={"news": "web/parts/news.html"},
        seconds=POLL_SECONDS,
        address=polled,
    )


@login_not_required
@require_GET
def export(request: HttpRequest, suffix: str) -> StreamingHttpResponse | HttpResponse:
    """What the filters leave, oldest first, as a file; for a session or an API token."""
    if guarded(request) is None:
        return unknown(request)
    filters = Filters.of(request.GET, event=number_in(request, "event"))
    kind, lines = FORMATS[suffix]
    answer = StreamingHttpResponse(lines(exported(filters)), content_type=kind)
    answer.headers["Content-Disposition"] = f'attachment; filename="{file_name(filters, suffix)}"'
    answer.headers["Cache-Control"] = "private, no-store"
    answer.headers["X-Accel-Buffering"] = "no"
    return answer


def _address(filters: Filters) -> str:
    query = urlencode(filters.pairs)
    return f"{reverse('timeline')}{'?' if query else ''}{query}"


def _chips(filters: Filters) -> list[Chip]:
    return [
        Chip(
            WORDS.get(name, name),
            GROUPS.get(value, value) if name == "kind" else value,
            _address(filters.without(name)),
        )
        for name, value in filters.pairs
    ]
