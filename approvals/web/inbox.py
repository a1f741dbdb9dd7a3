"""The inbox."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_POST

from approvals import services
from approvals.compare import compare_metrics
from approvals.models import Promotion
from approvals.selectors.decisions import inbox_of
from approvals.states import Verdict, Via
from approvals.web.live import live_page
from approvals.web.pages import person_of


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
