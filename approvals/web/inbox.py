"""The inbox and the timeline."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from approvals import services
from approvals.compare import compare_metrics
from approvals.models import Environment, Person, Promotion, RegisteredModel
from approvals.selectors.decisions import inbox_of
from approvals.selectors.timeline import GROUPS, page_of_history
from approvals.states import Verdict, Via
from approvals.web.live import live_page
from approvals.web.pages import number_in, person_of

FILTERS = ("model", "environment", "person", "kind")


@require_GET
def inbox(request: HttpRequest) -> HttpResponse:
    """What waits for me, what I asked for, what was decided lately."""
    box = inbox_of(person_of(request))
    waiting = [
        (
            each,
            compare_metrics(
                each.promotion.version.metrics,
                each.promotion.replaces.metrics if each.promotion.replaces else {},
                each.promotion.target.model.metrics,
            )[:4],
        )
        for each in box.waiting
    ]
    return live_page(
        request,
        "web/inbox.html",
        {"box": box, "waiting": waiting},
        parts={"inbox": "web/parts/inbox.html"},
        seconds=10,
    )


@require_POST
def decide(request: HttpRequest) -> HttpResponse:
    """Decide several at once: each by its own policy, each with its own answer."""
    chosen = {
        int(each): request.POST.get(f"seal-{each}", "")
        for each in request.POST.getlist("promotion")
        if each.isascii() and each.isdigit() and len(each) <= 18
    }
    verdict = request.POST.get("action", "")
    if not chosen or verdict not in Verdict.values:
        messages.error(request, "Choose what to decide, and how.")
        return redirect("inbox")
    answers = services.review_many(
        actor=person_of(request),
        via=Via.BROWSER,
        verdict=verdict,
        items=chosen,
        comment=request.POST.get("text", ""),
    )
    titles = {
        each.pk: f"{each.version} to {each.target.environment}"
        for each in Promotion.objects.filter(pk__in=chosen).select_related(
            "version__model", "target__environment"
        )
    }
    done = "approved" if verdict == Verdict.APPROVE else "rejected"
    for answer in answers:
        title = titles.get(answer.promotion_id, f"Promotion {answer.promotion_id}")
        if answer.refused is None:
            messages.success(request, f"{title}: {done}.")
        else:
            messages.error(request, f"{title}: {answer.refused.sentence}")
    return redirect("inbox")


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
