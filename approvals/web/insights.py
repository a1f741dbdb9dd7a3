"""How deciding and delivering go: the four DORA figures and what is around them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from approvals.models import Environment, RegisteredModel, Team
from approvals.selectors.insights.counted import PARTS, counted, figure_named
from approvals.selectors.insights.figures import FOUR, OTHERS
from approvals.selectors.insights.measuring import (
    DIMENSIONS,
    REQUIREMENT,
    Measure,
    Scope,
    latency_by_team,
    measure_all,
    scope_of,
)
from approvals.selectors.insights.period import CHOICES, Period, period_of
from approvals.web.insight_parts import plot_of, say

# In the address; an environment's name is a slug, so this is none.
EVERYWHERE = "*"
PLOTS = ("frequency", "change_failure", "lead_time", "restore", "queue", "duration")


@require_GET
def insights(request: HttpRequest) -> HttpResponse:
    """How deciding and delivering go: the four DORA figures and what is around them."""
    scope, period, context = _looked_at(request)
    by = request.GET.get("by", "")
    by = by if by in DIMENSIONS else "model"
    lists = f"{reverse('counted')}?{context['address']}"
    found = measure_all(scope, period, by)
    measured = found.figures
    said = {key: say(each, period, lists) for key, each in measured.items()}
    teams = latency_by_team(scope, period)
    context |= {
        "four": [said[key] for key in FOUR],
        "others": [said[key] for key in OTHERS if key != "approval"],
        "approval": said["approval"],
        "approval_plot": plot_of(measured["approval"], period),
        "plots": [(said[key], plot_of(measured[key], period)) for key in PLOTS],
        "by": by,
        "dimensions": [(key, name) for key, (name, _, _) in DIMENSIONS.items()],
        "lines": [
            (
                line,
                _narrowed(context, by, line.label),
                say_line(line.measures["frequency"], period),
            )
            for line in found.lines
        ],
        "more_lines": found.more,
        "teams": teams,
        "team_definition": REQUIREMENT.definition,
        "lists": lists,
        "anything": any(each.now.n or each.before.n for each in measured.values()),
    }
    return render(request, "web/insights.html", context)


@require_GET
def counted_rows(request: HttpRequest) -> HttpResponse:
    """Exactly the promotions or changes that one figure counts."""
    figure = figure_named(request.GET.get("figure", ""))
    if figure is None:
        raise Http404
    scope, period, context = _looked_at(request)
    part = request.GET.get("part", "")
    part = part if part in PARTS else "counted"
    team = request.GET.get("approvers", "").replace("\x00", "")
    before = request.GET.get("before", "")
    page = counted(figure, scope, period, part=part, team=team, before=before)
    query = request.GET.copy()
    query.pop("before", None)
    context |= {
        "figure": figure,
        "part": part,
        "approvers": team,
        "page": page,
        "query": query.urlencode(),
        "before": before,
        "back": f"{reverse('insights')}?{context['address']}",
    }
    return render(request, "web/counted.html", context)


def say_line(measure: Measure, period: Period) -> str:
    """How often per week, for a line of the breakdown."""
    return f"{measure.n / (period.length / 7):.1f}" if measure.n else "–"


def _looked_at(request: HttpRequest) -> tuple[Scope, Period, dict[str, Any]]:
    """What the address chooses, and what both pages show of it. Without an environment it is the last of the
    chain, which is where changes matter."""
    given = {
        name: request.GET.get(name, "").replace("\x00", "").strip()
        for name in ("model", "group", "environment", "team")
    }
    environments = list(Environment.objects.filter(is_active=True).values_list("name", flat=True))
    chosen = given["environment"] or (environments[-1] if environments else EVERYWHERE)
    scope = scope_of(
        model=given["model"],
        group=given["group"],
        environment="" if chosen == EVERYWHERE else chosen,
        team=given["team"],
    )
    zone = timezone.get_current_timezone()
    period = period_of(request.GET, timezone.now(), zone)
    kept = {name: value for name, value in given.items() if value}
    return (
        scope,
        period,
        {
            "filters": {**given, "environment": chosen},
            "filtered": bool(kept),
            "period": period,
            "zone": str(zone),
            "address": urlencode({**kept, **period.query}),
            "kept": kept,
            "periods": [(days, urlencode({**kept, "days": days})) for days in CHOICES],
            "environments": environments,
            "everywhere": EVERYWHERE,
            "groups": RegisteredModel.objects.exclude(group="")
            .order_by("group")
            .values_list("group", flat=True)
            .distinct(),
            "teams_known": Team.objects.values_list("slug", flat=True),
            "models": RegisteredModel.objects.values_list("name", flat=True),
        },
    )


def _narrowed(context: dict[str, Any], by: str, label: str) -> str:
    """The address of this page about one line of the breakdown alone; empty where it has no name."""
    if not label:
        return ""
    return urlencode({**context["kept"], by: label, **context["period"].query})
