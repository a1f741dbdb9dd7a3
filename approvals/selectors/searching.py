"""Search for lists that people choose from while they type: a few rows of thousands, in one query each.

Only small tables (models, people) are read through for a text. In versions, promotions and runs, which grow for
ever, just those are looked up that an index finds: by number, token or commit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from django.db.models import BooleanField, Case, Q, QuerySet, TextField, Value, When
from django.db.models.functions import Cast

from approvals.models import (
    Environment,
    ModelVersion,
    Person,
    Promotion,
    RegisteredModel,
    Repository,
    Target,
    WorkflowRun,
)
from approvals.rules import Policy
from approvals.selectors.people import find_people
from approvals.services.cases import NOT_A_POLICY
from approvals.services.promotions import may_request
from approvals.services.restrictions import may_restrict
from approvals.wording import clean_text

MOST = 100
# Of each kind, in the search of everything: who sees more does not read more, but types on.
FEW = 6
LONGEST = 200
LARGEST = 2**31 - 1
_NUMBER = re.compile(r"[vV]?([0-9]{1,9})")
_VERSION = re.compile(
    r"(?P<model>.*\S)(?:\s+|\s*[:/]\s*)(?:version\s+)?[vV]?(?P<number>[0-9]{1,9})"
)
_PROMOTION = re.compile(r"(?:(?:promotion|rollback)\s+)?#?\s*([0-9]{1,18})", re.IGNORECASE)
_RUN = re.compile(r"(?:run\s+)?#?\s*([0-9]{1,18})", re.IGNORECASE)
_TOKEN = re.compile(r"cs-[0-9a-f]{1,12}")
_COMMIT = re.compile(r"[0-9a-f]{7,64}")


def find_models(text: str, most: int = MOST) -> QuerySet[RegisteredModel]:
    """The active models whose name or description holds ``text``, those that begin with it first."""
    models = RegisteredModel.objects.filter(is_active=True).only("name", "description")
    wanted = clean_text(text)
    if not wanted:
        return models.order_by("name")[:most]
    about = Q(name__icontains=wanted) | Q(registry_name__icontains=wanted)
    first = _first(Q(name__istartswith=wanted))
    return (
        models.filter(about | Q(description__icontains=wanted))
        .annotate(first=first)
        .order_by("-first", "name")[:most]
    )


def find_versions(model: RegisteredModel, text: str, most: int = MOST) -> QuerySet[ModelVersion]:
    """The model's versions that ``text`` may mean, the newest first: by number (``12``, ``v12``; the exact one
    first), run name, alias, tag or description.

    The rows of one model are found by the index of ``version_once_per_number``, newest first; only those are read.
    """
    versions = model.versions.filter(deleted_at=None).only(*SHOWN).select_related("model")
    wanted = clean_text(text)
    if not wanted:
        return versions.order_by("-number")[:most]
    versions = versions.annotate(
        tags_text=Cast("tags", TextField()), aliases_text=Cast("aliases", TextField())
    )
    about = (
        Q(run_name__icontains=wanted)
        | Q(description__icontains=wanted)
        | Q(tags_text__icontains=wanted)
        | Q(aliases_text__icontains=wanted)
    )
    first = Q(run_name__iexact=wanted)
    if number := _NUMBER.fullmatch(wanted):
        versions = versions.annotate(digits=Cast("number", TextField()))
        about |= Q(digits__startswith=str(int(number[1])))
        first = Q(number=int(number[1]))
    return versions.filter(about).annotate(first=_first(first)).order_by("-first", "-number")[:most]


SHOWN = (
    "number",
    "run_name",
    "description",
    "aliases",
    "status",
    "run_status",
    "registered_at",
    "model__name",
)


def _first(those: Q) -> Case:
    return Case(When(those, then=Value(True)), default=Value(False), output_field=BooleanField())


@dataclass
class Found:
    """What a text may mean, the likeliest of each kind first.

    ``freezable``: environments that this person may freeze; ``going_back``: targets where they may ask for a
    rollback; both only where the text asks for it. ``by_number``: the text named a version.
    """

    models: list[RegisteredModel] = field(default_factory=list)
    versions: list[ModelVersion] = field(default_factory=list)
    promotions: list[Promotion] = field(default_factory=list)
    people: list[Person] = field(default_factory=list)
    runs: list[WorkflowRun] = field(default_factory=list)
    freezable: list[Environment] = field(default_factory=list)
    going_back: list[Target] = field(default_factory=list)
    by_number: bool = False


def find_everything(person: Person, text: str) -> Found:
    """Models, versions, promotions, people and runs that ``text`` may mean, and what this person may start so.
    At most a dozen queries, whatever the number of rows; nothing for an empty text."""
    wanted = clean_text(text)[:LONGEST]
    if not wanted:
        return Found()
    version = _VERSION.fullmatch(wanted)
    models = list(find_models(version["model"] if version else wanted, FEW))
    if version and not models:  # a name may end in a number
        version, models = None, list(find_models(wanted, FEW))
    return Found(
        models=models,
        versions=_versions(wanted, models, int(version["number"]) if version else None),
        promotions=_promotions(wanted),
        people=list(
            Person.objects.filter(find_people(wanted)).order_by(
                "-is_active", "first_name", "username"
            )[:FEW]
        ),
        runs=_runs(wanted),
        freezable=_freezable(person, wanted),
        going_back=_going_back(person, wanted),
        by_number=version is not None,
    )


def _versions(wanted: str, models: list[RegisteredModel], number: int | None) -> list[ModelVersion]:
    """Those with this number of the models, else of this commit, else the newest of the likeliest model."""
    found = ModelVersion.objects.filter(deleted_at=None).only(*SHOWN).select_related("model")
    if number is not None:
        if number > LARGEST:
            return []
        by_name = {model.pk: place for place, model in enumerate(models)}
        rows = found.filter(model__in=by_name, number=number)
        return sorted(rows, key=lambda each: by_name[each.model_id])
    if _COMMIT.fullmatch(wanted) and not wanted.isdigit():
        return list(found.filter(git_commit__startswith=wanted).order_by("-id")[:FEW])
    return list(found.filter(model=models[0]).order_by("-number")[:3]) if models else []


def _promotions(wanted: str) -> list[Promotion]:
    about = None
    if number := _PROMOTION.fullmatch(wanted):
        about = Q(pk=int(number[1]))
    elif _TOKEN.fullmatch(wanted.lower()):
        about = Q(token__startswith=wanted.lower())
    if about is None:
        return []
    return list(
        Promotion.objects.filter(about)
        .select_related("version__model", "target__environment", "requester")
        .order_by("-id")[:FEW]
    )


def _runs(wanted: str) -> list[WorkflowRun]:
    """By the number that people see on GitHub, the newest first, or by the id in its address."""
    match = _RUN.fullmatch(wanted)
    if match is None:
        return []
    number = int(match[1])
    by = Q(run_id=number, repository__in=Repository.objects.values("name"))
    if number <= LARGEST:
        by |= Q(number=number)
    return list(
        WorkflowRun.objects.filter(by)
        .defer("steps", "jobs", "log_tail")
        .order_by("-created_at")[:FEW]
    )


def _begins(wanted: str, *verbs: str) -> str | None:
    """What follows one of the verbs, which may be typed in part from three letters on; None without a verb."""
    lowered = " ".join(wanted.lower().split())
    for verb in verbs:
        if lowered == verb or lowered.startswith(f"{verb} "):
            return lowered[len(verb) :].strip()
        if len(lowered) >= 3 and verb.startswith(lowered):
            return ""
    return None


def _freezable(person: Person, wanted: str) -> list[Environment]:
    rest = _begins(wanted, "freeze", "frozen")
    if rest is None:
        return []
    targets = Target.objects.filter(
        is_active=True, environment__is_active=True, environment__name__startswith=rest
    ).select_related("environment")
    by_environment: dict[Environment, list[Target]] = {}
    for target in targets.only("policy", "environment").order_by("environment__position"):
        by_environment.setdefault(target.environment, []).append(target)
    return [each for each, those in by_environment.items() if may_restrict(person, those)]


def _going_back(person: Person, wanted: str) -> list[Target]:
    rest = _begins(wanted, "roll back", "rollback", "roll", "undo")
    if rest is None:
        return []
    model, _, environment = rest.partition(" in ")
    targets = (
        Target.objects.filter(
            is_active=True,
            model__is_active=True,
            model__name__icontains=model.strip(),
            environment__name__startswith=environment.strip(),
            live_deployment__previous__isnull=False,
        )
        .select_related("model", "environment", "live_version__model")
        .order_by("-environment__position", "model__name")
    )
    return [each for each in targets[: FEW * 3] if _may_ask(person, each)][:FEW]


def _may_ask(person: Person, target: Target) -> bool:
    try:
        return may_request(person, Policy.from_data(target.policy))
    except NOT_A_POLICY:
        return False
