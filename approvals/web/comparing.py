"""Two or several versions of a model side by side."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.http import urlencode
from django.views.decorators.http import require_GET

from approvals.models import RegisteredModel
from approvals.selectors import catalogue
from approvals.selectors.side_by_side import MOST, PLOTS, chosen_versions, side_by_side

BIGGEST = 2**31 - 1


@require_GET
def compare(request: HttpRequest, name: str) -> HttpResponse:
    """The versions that the address names: ``?v=3&v=4``, or ``?v=3,4``; ``base`` is what changes count from."""
    registered = get_object_or_404(RegisteredModel, name=name)
    wanted = _numbers(request.GET.getlist("v"))
    versions = chosen_versions(registered, wanted[:MOST])
    named = {each.number: each for each in versions}
    base = next(
        (named[each] for each in _numbers(request.GET.getlist("base")) if each in named), None
    )
    shown = side_by_side(versions, base or versions[0]) if len(versions) > 1 else None
    targets = catalogue.targets_of(registered)
    live = {each.live_version_id for each in targets if each.live_version_id}
    newest = registered.versions.filter(deleted_at=None).order_by("-number")
    return render(
        request,
        "web/compare.html",
        {
            "model": registered,
            "shown": shown,
            "versions": versions,
            "missing": [each for each in wanted[:MOST] if each not in named],
            "left_out": wanted[MOST:],
            "most": MOST,
            "live": live,
            "based": urlencode([("v", number) for number in named]),
            "more": [
                number
                for number in newest.values_list("number", flat=True)[:40]
                if number not in named
            ],
            "plots": shown.plots[:PLOTS] if shown else [],
            "more_plots": shown.plots[PLOTS:60] if shown else [],
        },
    )


def _numbers(texts: list[str]) -> list[int]:
    """The version numbers of the address, each once, in their order."""
    found = [
        int(text)
        for each in texts
        for text in (part.strip().removeprefix("v") for part in each.split(",")[:50])
        if text.isascii() and text.isdigit() and len(text) < 11
    ]
    return [each for each in dict.fromkeys(found) if each <= BIGGEST]
