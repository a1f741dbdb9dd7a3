"""Search for lists that people choose from while they type: a few rows of thousands, in one query each."""

from __future__ import annotations

import re

from django.db.models import BooleanField, Case, Q, QuerySet, TextField, Value, When
from django.db.models.functions import Cast

from approvals.models import ModelVersion, RegisteredModel
from approvals.wording import clean_text

MOST = 100
_NUMBER = re.compile(r"[vV]?([0-9]{1,9})")


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
