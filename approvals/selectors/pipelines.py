"""Workflow runs: a page of them with what they belong to, and how each workflow has been doing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet

from approvals.models import ModelVersion, Promotion, Step, WorkflowRun
from approvals.selectors.insights.measuring import Measure
from approvals.selectors.insights.period import Period
from approvals.states import WorkflowKind

PAGE = 40
FILTERS = ("kind", "workflow", "repository", "branch", "conclusion", "q")
# What the filter "conclusion" offers: GitHub's own words, and one for what has not ended.
CONCLUSIONS = {
    "success": "passed",
    "failure": "failed",
    "cancelled": "cancelled",
    "timed_out": "timed out",
    "startup_failure": "could not start",
    "open": "not ended",
}
# More workflows than this in one table help nobody; the filters find the others.
MOST_WORKFLOWS = 40
_NAMED = re.compile(r"(?:^|[^\w.-])([\w.-]+) v([0-9]{1,9})(?![\w]|[.-]\w)")


@dataclass
class Run:
    """A run, the versions of its commit or title, and the promotions whose steps it delivered."""

    run: WorkflowRun
    versions: list[ModelVersion] = field(default_factory=list)
    promotions: list[Promotion] = field(default_factory=list)


@dataclass(frozen=True)
class RunPage:
    """One page, newest first; ``older`` is the id to go on from, 0 at the end."""

    runs: list[Run]
    older: int


def page_of_runs(filters: Mapping[str, str], before: int | None = None) -> RunPage:
    """The runs that match, older than run ``before``. Keyset paging; four queries whatever is shown."""
    rows = _filtered(WorkflowRun.objects.defer("jobs", "steps", "log_tail"), filters)
    if before is not None:
        last = WorkflowRun.objects.filter(pk=before).values_list("created_at", "pk").first()
        if last is not None:
            rows = rows.filter(
                Q(created_at__lt=last[0]) | Q(created_at=last[0], pk__lt=last[1]),
                created_at__lte=last[0],
            )
    found = list(rows.order_by("-created_at", "-pk")[: PAGE + 1])
    shown = [Run(run) for run in found[:PAGE]]
    _join_versions(shown)
    _join_promotions(shown)
    return RunPage(shown, shown[-1].run.pk if len(found) > PAGE else 0)


def _filtered(rows: QuerySet[WorkflowRun], filters: Mapping[str, str]) -> QuerySet[WorkflowRun]:
    for name, column in (
        ("kind", "kind"),
        ("workflow", "workflow"),
        ("repository", "repository"),
        ("branch", "head_branch"),
    ):
        if filters.get(name):
            rows = rows.filter(**{column: filters[name]})
    if filters.get("conclusion") == "open":
        rows = rows.exclude(status="completed")
    elif filters.get("conclusion"):
        rows = rows.filter(conclusion=filters["conclusion"], status="completed")
    if words := filters.get("q"):
        rows = rows.filter(
            Q(title__icontains=words) | Q(head_sha__startswith=words.lower()) | Q(actor=words)
        )
    return rows


def _join_versions(runs: Sequence[Run]) -> None:
    """By the commit, except for deployments, which run on the branch's own; and by a name in the title."""
    commits = {
        each.run.head_sha
        for each in runs
        if each.run.head_sha and each.run.kind != WorkflowKind.DEPLOY
    }
    named = {each.run.pk: _names_in(each.run.title) for each in runs}
    names = {name for pairs in named.values() for name, _ in pairs}
    numbers = {number for pairs in named.values() for _, number in pairs}
    if not commits and not names:
        return
    versions = (
        ModelVersion.objects.filter(
            Q(git_commit__in=commits)
            | Q(model__registry_name__in=names, number__in=numbers, deleted_at=None)
        )
        .select_related("model")
        .only("number", "git_commit", "model__name", "model__registry_name", "model__repository")
        .order_by("model__name", "-number")[: 10 * PAGE]
    )
    by_commit: dict[tuple[str, str], list[ModelVersion]] = {}
    by_name: dict[tuple[str, str, int], ModelVersion] = {}
    for version in versions:
        repository = version.model.repository
        if version.git_commit:
            by_commit.setdefault((repository, version.git_commit), []).append(version)
        by_name[repository, version.model.registry_name, version.number] = version
    for each in runs:
        run = each.run
        found = [
            by_name[run.repository, name, number]
            for name, number in named[run.pk]
            if (run.repository, name, number) in by_name
        ]
        if not found and run.head_sha and run.kind != WorkflowKind.DEPLOY:
            found = by_commit.get((run.repository, run.head_sha), [])
        each.versions = list(dict.fromkeys(found))[:3]


def _names_in(title: str) -> list[tuple[str, int]]:
    """``Train fraud-detector v3`` → [("fraud-detector", 3)], as whole words."""
    return [(name, int(number)) for name, number in _NAMED.findall(title) if int(number) < 2**31]


def _join_promotions(runs: Sequence[Run]) -> None:
    steps = (
        Step.objects.filter(workflow_run__in=[each.run.pk for each in runs])
        .select_related(
            "deployment__promotion__version__model", "deployment__promotion__target__environment"
        )
        .order_by("pk")
    )
    by_run: dict[int, list[Promotion]] = {}
    for step in steps:
        if step.workflow_run_id is not None:
            mine = by_run.setdefault(step.workflow_run_id, [])
            if step.deployment.promotion not in mine:
                mine.append(step.deployment.promotion)
    for each in runs:
        each.promotions = by_run.get(each.run.pk, [])


@dataclass
class Workflow:
    """How one workflow, or one kind of them, has been doing. ``success`` counts those that passed of those that
    passed or failed; ``times`` are the lengths of those that passed; ``flaky`` of ``commits`` are flaky; ``weeks``
    are the lengths by bucket and ``outcomes`` the successes by bucket."""

    repository: str
    workflow: str
    kind: str
    runs: int = 0
    success: Measure = field(default_factory=Measure)
    times: Measure = field(default_factory=Measure)
    flaky: int = 0
    commits: int = 0
    weeks: dict[date, Measure] = field(default_factory=dict)
    outcomes: dict[date, Measure] = field(default_factory=dict)

    @property
    def flakiness(self) -> Measure:
        """Flaky commits of all that had a run that ended."""
        return Measure(self.commits, self.flaky)


# The runs of the period, and by commit whether the workflow both passed and failed for it or was tried again.
# A deployment runs on the branch's newest commit whatever it deploys, so there each run stands for itself. Whole
# workflows, whole kinds and their buckets come from one pass over the runs.
_DOING = """
WITH chosen AS (
  SELECT run.repository, run.workflow, run.kind, run.head_sha, run.attempt, run.run_id,
    run.status = 'completed' AND run.conclusion = 'success' AS passed,
    run.status = 'completed' AND run.conclusion IN ('failure', 'timed_out', 'startup_failure') AS failed,
    extract(epoch FROM run.updated_at - run.started_at)::float8 AS took,
    date_trunc(%(unit)s, run.created_at AT TIME ZONE %(zone)s)::date AS bucket
  FROM approvals_workflowrun run
  WHERE run.created_at >= %(begin)s AND run.created_at < %(end)s
    AND (%(kind)s = '' OR run.kind = %(kind)s)
    AND (%(workflow)s = '' OR run.workflow = %(workflow)s)
    AND (%(repository)s = '' OR run.repository = %(repository)s)
    AND (%(branch)s = '' OR run.head_branch = %(branch)s)
)
SELECT repository, workflow, kind, bucket,
  count(*), count(*) FILTER (WHERE passed OR failed), count(*) FILTER (WHERE passed),
  count(*) FILTER (WHERE passed AND took IS NOT NULL),
  percentile_cont(ARRAY[0.25, 0.5, 0.75, 0.9]) WITHIN GROUP (ORDER BY took) FILTER (WHERE passed),
  NULL::bigint, NULL::bigint
FROM chosen
GROUP BY GROUPING SETS ((kind), (kind, bucket), (repository, workflow, kind), (repository, workflow, kind, bucket))
UNION ALL
SELECT repository, workflow, kind, NULL, NULL, NULL, NULL, NULL, NULL,
  count(*), count(*) FILTER (WHERE flaky)
FROM (
  SELECT repository, workflow, kind,
    bool_or(attempt > 1 AND passed) OR (bool_or(passed) AND bool_or(failed)) AS flaky
  FROM chosen WHERE passed OR failed
  GROUP BY repository, workflow, kind,
    CASE WHEN kind = 'deploy' OR head_sha = '' THEN run_id::text ELSE head_sha END
) AS commits
GROUP BY GROUPING SETS ((kind), (repository, workflow, kind))
"""


def how_they_do(
    filters: Mapping[str, str], period: Period
) -> tuple[dict[str, Workflow], list[Workflow], bool]:
    """(by kind, by workflow with the busiest first, whether there are more workflows). One query."""
    given: dict[str, Any] = {name: filters.get(name, "") for name in FILTERS}
    given |= {
        "begin": period.begin,
        "end": period.end,
        "unit": period.unit,
        "zone": str(period.zone),
    }
    found: dict[tuple[str | None, str | None, str], Workflow] = {}
    with connection.cursor() as cursor:
        cursor.execute(_DOING, given)
        for repository, workflow, kind, bucket, *values in cursor.fetchall():
            key = repository, workflow, kind
            mine = found.setdefault(key, Workflow(repository or "", workflow or "", kind))
            runs, ended, passed, timed, percentiles, commits, flaky = values
            if commits is not None:
                mine.commits, mine.flaky = commits, flaky
                continue
            success = Measure(ended, passed)
            times = Measure(timed, 0, passed - timed, *(percentiles or [None] * 4))
            if bucket is not None:
                mine.weeks[bucket], mine.outcomes[bucket] = times, success
            else:
                mine.runs, mine.success, mine.times = runs, success, times
    kinds = {kind: each for (repository, _, kind), each in found.items() if repository is None}
    workflows = [each for (repository, _, _), each in found.items() if repository is not None]
    workflows.sort(key=lambda each: (-each.runs, each.repository, each.workflow))
    return kinds, workflows[:MOST_WORKFLOWS], len(workflows) > MOST_WORKFLOWS
