"""Models, versions, and what was live where and when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Prefetch, QuerySet

from approvals.compare import MetricRow, compare_metrics
from approvals.models import (
    Deployment,
    Evidence,
    ModelVersion,
    Person,
    Promotion,
    RegisteredModel,
    Restriction,
    Target,
)
from approvals.rules import Policy, rows_in_words
from approvals.selectors.standing import with_everything
from approvals.services.cases import NOT_A_POLICY
from approvals.services.marks import known_good
from approvals.services.promotions import refuse_request
from approvals.services.queueing import open_here
from approvals.services.refusal import Refused
from approvals.states import DeploymentStatus, PromotionKind
from approvals.wording import day_and_time, listed


@dataclass(frozen=True)
class Stay:
    """One time during which a version was live at a target; ``until`` is None while it is."""

    target: Target
    version: ModelVersion
    deployment: Deployment
    since: datetime
    until: datetime | None


def stays(model: RegisteredModel, target: Target | None = None, limit: int = 300) -> list[Stay]:
    """What was live where and when (or at one target), newest first, in one query. No page goes back further."""
    done = (
        Deployment.objects.filter(
            target__model=model, status=DeploymentStatus.SUCCEEDED, finished_at__isnull=False
        )
        .select_related("target__environment", "target__model", "version__model", "promotion")
        .order_by("-finished_at", "-id")
    )
    if target is not None:
        done = done.filter(target=target)
    found: list[Stay] = []
    until: dict[int, datetime] = {}
    for deployment in done[:limit]:
        since = deployment.finished_at
        if since is None:
            continue
        end = until.get(deployment.target_id)
        found.append(Stay(deployment.target, deployment.version, deployment, since, end))
        until[deployment.target_id] = since
    return found


def policy_words(target: Target, *, rollback: bool = False) -> str:
    """``1 of ml-leads and 1 of risk``; what is unreadable says so."""
    try:
        policy = Policy.from_data(target.policy)
        rows = policy.requirements(rollback=rollback)
    except NOT_A_POLICY:
        return "unreadable: nobody can approve"
    if not rows and policy.automatic and not rollback:
        return "nobody (automatic once every gate passes)"
    return rows_in_words(rows) or "nobody is named"


def open_restrictions(of: str = "") -> Prefetch[str, QuerySet[Restriction], str]:
    """For a target or a version: ``open_restrictions`` holds its lock or its quarantine, if any. ``of`` leads to
    it from other rows: ``live_version__``."""
    still = Restriction.objects.filter(lifted_at=None).select_related(
        "placed_by", "target__model", "target__environment", "version__model"
    )
    return Prefetch(f"{of}restrictions", still, to_attr="open_restrictions")


def targets_of(model: RegisteredModel) -> list[Target]:
    """The model's targets in the order of the chain."""
    return list(
        model.targets.filter(is_active=True, environment__is_active=True)
        .select_related(
            "model",
            "environment",
            "live_version__model",
            "live_deployment__promotion__requester",
            "live_deployment__previous",
        )
        .prefetch_related(open_restrictions(), open_here())
        .order_by("environment__position")
    )


def promotions_of(model: RegisteredModel, limit: int = 10) -> QuerySet[Promotion]:
    """The model's newest promotions: the newest of each target, from the index, and of these the newest."""
    of_each = [
        Promotion.objects.filter(target=pk).order_by("-requested_at", "-id").values("pk")[:limit]
        for pk in model.targets.values_list("pk", flat=True)
    ]
    if not of_each:
        return Promotion.objects.none()
    newest = of_each[0].union(*of_each[1:]) if len(of_each) > 1 else of_each[0]
    found = Promotion.objects.filter(pk__in=[each["pk"] for each in newest])
    return with_everything(found)[:limit]


def evidence_of(version: ModelVersion, limit: int = 30) -> list[Evidence]:
    """What was reported of a version, the newest first, for every environment."""
    rows = version.evidence.select_related("environment", "recorded_by", "workflow_run")
    return list(rows[:limit])


def why_not_ask(
    person: Person,
    target: Target,
    version: ModelVersion,
    kind: PromotionKind,
    *,
    answers: bool = False,
) -> str:
    """Why this cannot be asked now, in the verb's own words; an empty text where it can. ``answers`` as for the
    verb: for an out-of-band change."""
    try:
        refuse_request(actor=person, target=target, version=version, kind=kind, answers=answers)
    except Refused as refused:
        return refused.sentence
    return ""


@dataclass(frozen=True)
class Difference:
    """One parameter or data set of both versions."""

    name: str
    candidate: str
    live: str
    same: bool


def parameter_differences(
    candidate: ModelVersion, live: ModelVersion | None
) -> tuple[list[Difference], list[Difference]]:
    """(those that differ, those that are the same), by name; nothing differs from nothing."""
    old = live.parameters if live else candidate.parameters
    rows = [
        Difference(
            name,
            str(candidate.parameters.get(name, "–")),
            str(old.get(name, "–")),
            candidate.parameters.get(name) == old.get(name),
        )
        for name in sorted(candidate.parameters.keys() | old.keys())
    ]
    return [row for row in rows if not row.same], [row for row in rows if row.same]


def dataset_differences(candidate: ModelVersion, live: ModelVersion | None) -> list[Difference]:
    """The data sets of both versions by name and context, with their digests."""
    new, old = _datasets(candidate), _datasets(live) if live else {}
    return [
        Difference(name, new.get(name, "–"), old.get(name, "–"), new.get(name) == old.get(name))
        for name in sorted(new.keys() | old.keys())
    ]


def _datasets(version: ModelVersion) -> dict[str, str]:
    named = {}
    for each in version.datasets:
        context = f" ({each['context']})" if each.get("context") else ""
        named[f"{each.get('name', '?')}{context}"] = str(each.get("digest", "–"))
    return named


@dataclass(frozen=True)
class RollbackChoice:
    """A version that was live at the target before: how its metrics compare with the live ones, and what was live
    since (``between``, the newest first, the live one included)."""

    version: ModelVersion
    stay: Stay
    metrics: list[MetricRow]
    why_not: str
    between: list[Stay]

    @property
    def sentence(self) -> str:
        """``It was live until 20 Nov 2026, 14:05 UTC; since then v3 and v2 were.``"""
        until = day_and_time(self.stay.until) if self.stay.until else "now"
        numbers = dict.fromkeys(f"v{each.version.number}" for each in self.between)
        return f"It was live until {until}; since then {listed(list(numbers))}."


def rollback_choices(person: Person, target: Target) -> list[RollbackChoice]:
    """The versions that were live here, the last known-good one first, each once; the live one left out."""
    here = stays(target.model, target)
    lived: dict[int, Stay] = {}
    for stay in here:
        if stay.version.pk != target.live_version_id:
            lived.setdefault(stay.version.pk, stay)
    good = [each.pk for each in known_good(target)]
    order = [*(pk for pk in good if pk in lived), *(pk for pk in lived if pk not in good)]
    live = target.live_version
    live_metrics = live.metrics if live else {}
    shown = max(len(target.model.metrics), 1)
    return [
        RollbackChoice(
            stay.version,
            stay,
            compare_metrics(stay.version.metrics, live_metrics, target.model.metrics)[:shown],
            why_not_ask(person, target, stay.version, PromotionKind.ROLLBACK),
            here[: here.index(stay)],
        )
        for stay in (lived[pk] for pk in order[:10])
    ]
