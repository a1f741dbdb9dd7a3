"""What is in force, and what another file would have made of the last weeks."""

from __future__ import annotations

from itertools import groupby
from typing import Any
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from approvals.configuration import ConfigurationError, load_text
from approvals.configuration.loader import MAX_BYTES
from approvals.selectors import policies
from approvals.selectors.differences import differences
from approvals.selectors.simulation import (
    DAYS,
    EFFECTS,
    MOST_DAYS,
    Outcome,
    simulate,
)
from approvals.web.pages import number_in
from approvals.wording import one_line

# So many of each are shown; the counts are of all.
SHOWN = 200
# Of so many models the targets are told on one page.
MODELS = 10


@require_GET
def policy(request: HttpRequest) -> HttpResponse:
    """The targets' policies in words, so many models at a time: all, those whose name or group holds ``q``, or
    ``model`` alone."""
    model, text = (one_line(request.GET.get(name, ""), 255) for name in ("model", "q"))
    page = Paginator(policies.models_of_policies(text, model), MODELS).get_page(
        number_in(request, "page") or 1
    )
    told = policies.table(timezone.now(), model__in=list(page.object_list))
    models = [(name, list(rows)) for name, rows in groupby(told, key=lambda each: each.model)]
    query = urlencode({"q": text} if text else {"model": model} if model else {})
    return render(
        request,
        "web/policy.html",
        {
            "models": models,
            "page": page,
            "q": text or model,
            "query": f"&{query}" if query else "",
            "form": {"days": DAYS},
            "most_days": MOST_DAYS,
        },
    )


@require_http_methods(["GET", "POST"])
def policy_simulate(request: HttpRequest) -> HttpResponse:
    """Try a proposed file on the past: nothing of it is stored or applied, and anybody may."""
    if request.method == "GET":
        return redirect("policy")
    raw, name = _proposed(request)
    days = number_in(request, "days") or 0
    shown: dict[str, Any] = {
        "form": {"days": days or DAYS, "text": "" if request.FILES else request.POST.get("text")},
        "most_days": MOST_DAYS,
        "name": name,
    }
    try:
        if not raw.strip():
            raise ConfigurationError(["Choose a file, or paste its text."])
        proposed = load_text(raw, name).configuration
        result = simulate(proposed, days, timezone.now())
    except ConfigurationError as error:
        shown["problems"] = error.problems
    except ValueError as error:
        shown["problems"] = [f"Days: {error}."]
    else:
        changes = differences(proposed)
        shown |= {
            "result": result,
            "changes": changes[:SHOWN],
            "more_changes": max(len(changes) - SHOWN, 0),
            "groups": [_group(effect, result.of(effect)) for effect in EFFECTS],
        }
    return render(request, "web/simulation.html", shown, status=422 if "problems" in shown else 200)


def _proposed(request: HttpRequest) -> tuple[bytes, str]:
    """The bytes and the name that stands in the problems; not more than it takes to see that they are too many."""
    upload = request.FILES.get("file")
    if upload is not None:
        return upload.read(MAX_BYTES + 1), "your file"
    text = request.POST.get("text", "")
    return text.encode(errors="replace"), "your text"


def _group(effect: str, outcomes: list[Outcome]) -> tuple[str, list[Outcome], int]:
    return effect, outcomes[:SHOWN], max(len(outcomes) - SHOWN, 0)
