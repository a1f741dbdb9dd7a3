"""The workflow runs, by kind."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_GET

from approvals.charts import sparkline
from approvals.models import Repository
from approvals.plots import Plot
from approvals.selectors.insights.figures import Figure
from approvals.selectors.insights.period import CHOICES, Period, period_of
from approvals.selectors.pipelines import (
    CONCLUSIONS,
    FILTERS,
    Workflow,
    how_they_do,
    page_of_runs,
)
from approvals.states import WorkflowKind
from approvals.web.insight_parts import plotted
from approvals.web.live import live_page
from approvals.web.pages import number_in

SECONDS = 10
DURATION = Figure("run_times", "Duration", "", "", "", "runs that passed", seconds="took")
OUTCOMES = Figure(
    "run_outcomes",
    "Runs",
    "",
    "",
    "",
    "runs",
    better="higher",
    counted="failed",
    hit_words="failed",
    rest_words="passed",
)


@require_GET
def pipelines(request: HttpRequest) -> HttpResponse:
    """The workflow runs, by kind: how they have been doing, and each of them with what it belongs to."""
    filters = {name: request.GET.get(name, "").replace("\x00", "").strip() for name in FILTERS}
    if filters["kind"] not in WorkflowKind.values:
        filters["kind"] = ""
    before = number_in(request, "before")
    period = period_of(request.GET, timezone.now(), timezone.get_current_timezone())
    kept = {name: value for name, value in filters.items() if value}
    context: dict[str, Any] = {
        "filters": filters,
        "filtered": bool(kept),
        "period": period,
        "periods": [(days, urlencode({**kept, "days": days})) for days in CHOICES],
        "query": urlencode({**kept, **period.query}),
        "before": before,
        "page": page_of_runs(filters, before),
        "repositories": Repository.objects.values_list("name", flat=True),
        "conclusions": list(CONCLUSIONS.items()),
        "kinds": WorkflowKind.choices,
    }
    everything = {name: filters[name] for name in ("workflow", "repository", "branch")}
    kinds, workflows, more = how_they_do(everything, period)
    shown = [each for each in workflows if filters["kind"] in {"", each.kind}]
    context |= {
        "cards": [
            _card(kind, name, kinds.get(kind), kept, period) for kind, name in WorkflowKind.choices
        ],
        "workflows": [(each, _spark(each, period), _narrowed(each, period)) for each in shown],
        "workflow_names": sorted({each.workflow for each in workflows}),
        "more_workflows": more,
        "plots": _plots(filters, kinds, shown, period),
    }
    return live_page(
        request,
        "web/pipelines.html",
        context,
        parts={"pipelines": "web/parts/pipelines.html"},
        seconds=0 if before else SECONDS,
    )


def _card(
    kind: str, name: str, each: Workflow | None, kept: dict[str, str], period: Period
) -> dict[str, Any]:
    """One kind: its figures, and the address that shows it alone, or all again where it is shown alone."""
    chosen = kept.get("kind") == kind
    others = {key: value for key, value in kept.items() if key not in {"kind", "workflow"}}
    return {
        "kind": kind,
        "name": name,
        "doing": each or Workflow("", "", kind),
        "spark": _spark(each, period) if each else None,
        "chosen": chosen,
        "query": urlencode({**others, **({} if chosen else {"kind": kind}), **period.query}),
    }


def _spark(each: Workflow, period: Period) -> Any:
    medians = [
        each.weeks[first].median if first in each.weeks else None for first in period.buckets
    ]
    return sparkline(medians, 104, 26)


def _narrowed(each: Workflow, period: Period) -> str:
    chosen = {"kind": each.kind, "workflow": each.workflow, "repository": each.repository}
    return urlencode({**chosen, **period.query})


def _plots(
    filters: dict[str, str], kinds: dict[str, Workflow], shown: list[Workflow], period: Period
) -> list[tuple[str, list[Plot]]]:
    """Duration and outcomes over time: of one workflow where one is chosen, else of each kind that ran."""
    if filters["workflow"] and len(shown) == 1:
        chosen = [(shown[0].workflow, shown[0])]
    else:
        chosen = [
            (name, kinds[kind])
            for kind, name in WorkflowKind.choices
            if kind in kinds and filters["kind"] in {"", kind}
        ]
    return [(name, _both(each, period)) for name, each in chosen]


def _both(each: Workflow, period: Period) -> list[Plot]:
    firsts = period.buckets
    failures = {
        first: type(measure)(measure.n, measure.n - measure.hits)
        for first, measure in each.outcomes.items()
    }
    return [
        plotted(DURATION, each.weeks, firsts, period),
        plotted(OUTCOMES, failures, firsts, period),
    ]
