"""The inbox: what waits for me, decided on the spot or several at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from approvals import services
from approvals.models import Promotion
from approvals.selectors.inbox import URGENT_FIRST, inbox_of
from approvals.services import Refused
from approvals.states import Verdict, Via
from approvals.web.live import live_page
from approvals.web.pages import person_of

DONE = {Verdict.APPROVE: "approved", Verdict.REJECT: "rejected"}
AGAIN = "Choose what to decide, and how."


@require_GET
def inbox(request: HttpRequest) -> HttpResponse:
    """What waits for me, what I asked for, what was decided lately."""
    return _page(request)


@require_POST
def decide_one(request: HttpRequest, pk: int) -> HttpResponse:
    """Decide one request on the spot; a refusal is shown where it stands, with what was typed."""
    verdict = request.POST.get("action", "")
    if verdict not in Verdict.values:
        return _page(request, refused={pk: AGAIN})
    try:
        services.review(
            actor=person_of(request),
            via=Via.BROWSER,
            promotion_id=pk,
            verdict=verdict,
            seal=request.POST.get(f"seal-{pk}", ""),
            comment=request.POST.get(f"text-{pk}", ""),
            ticked=request.POST.getlist(f"ticked-{pk}"),
        )
    except Refused as refused:
        title = _titles([pk]).get(pk, f"Promotion {pk}")
        return _page(
            request, refused={pk: refused.sentence}, results=[(pk, title, refused.sentence)]
        )
    messages.success(request, f"{_titles([pk])[pk]}: {DONE[Verdict(verdict)]}.")
    return redirect("inbox")


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
        messages.error(request, AGAIN)
        return redirect("inbox")
    answers = services.review_many(
        actor=person_of(request),
        via=Via.BROWSER,
        verdict=verdict,
        items=chosen,
        comment=request.POST.get("text", ""),
    )
    titles = _titles(chosen)
    done = f"{DONE[Verdict(verdict)]}."
    results = [
        (
            answer.promotion_id,
            titles.get(answer.promotion_id, f"Promotion {answer.promotion_id}"),
            answer.refused.sentence if answer.refused else "",
        )
        for answer in answers
    ]
    refused = {pk: sentence for pk, _, sentence in results if sentence}
    if not refused:
        for _, title, _ in results:
            messages.success(request, f"{title}: {done}")
        return redirect("inbox")
    return _page(request, refused=refused, results=results, done=done)


def _titles(pks: Any) -> dict[int, str]:
    """What each is about, in a few words."""
    rows = Promotion.objects.filter(pk__in=pks).select_related(
        "version__model", "target__environment"
    )
    return {each.pk: f"{each.version} to {each.target.environment}" for each in rows}


def _page(
    request: HttpRequest,
    *,
    refused: Mapping[int, str] | None = None,
    results: list[tuple[int, str, str]] | None = None,
    done: str = "",
) -> HttpResponse:
    """The page; after a refusal with what became of each, and everything that was typed and chosen."""
    box = inbox_of(person_of(request))
    form = request.POST if request.method == "POST" else {}
    again = [
        {
            "ask": ask,
            "refused": (refused or {}).get(ask.promotion.pk, ""),
            "text": form.get(f"text-{ask.promotion.pk}", ""),
            "ticked": request.POST.getlist(f"ticked-{ask.promotion.pk}"),
            "chosen": str(ask.promotion.pk) in request.POST.getlist("promotion"),
        }
        for ask in box.asks
    ]
    return live_page(
        request,
        "web/inbox.html",
        {
            "box": box,
            "asks": again,
            "choosable": len([ask for ask in box.asks if not ask.blockers]) > 1,
            "order": URGENT_FIRST,
            "results": results or [],
            "done": done,
            "text": form.get("text", ""),
        },
        parts={"inbox": "web/parts/inbox.html"},
        seconds=10,
        address=reverse("inbox"),
        status=409 if refused else 200,
    )
