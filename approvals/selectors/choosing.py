"""Which models the overview shows: searched, filtered, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Case, IntegerField, Q, QuerySet, Value, When

from approvals.models import Person, RegisteredModel, Target
from approvals.selectors.needed import needed_of
from approvals.selectors.states_now import Now

# Rows of one page: as many as people scan without reading.
PAGE = 25
MINE, MOVING = "mine", "moving"


@dataclass(frozen=True)
class Choice:
    """What a person asked to see: a text in the name or group, one group, what needs them or moves; the page
    after or before the model of this name."""

    q: str = ""
    group: str | None = None
    show: str = ""
    after: str = ""
    before: str = ""


@dataclass(frozen=True)
class Chosen:
    """One page of models; ``after`` and ``before`` name where the pages beside it begin, empty where there are
    none. ``matching`` of ``total`` models."""

    models: Sequence[RegisteredModel]
    matching: int
    total: int
    after: str
    before: str


def groups_of(reading: Now) -> list[str]:
    """The names of the groups, in their order."""
    named = reading.models().exclude(group="").order_by("group")
    return list(named.values_list("group", flat=True).distinct())


def choose(reading: Now, choice: Choice, person: Person) -> Chosen:
    """The page that was asked for. Models of a group stand together, those of none at the end."""
    every = reading.models()
    rows = _chosen(reading, every, choice, person)
    matching, total = rows.count(), every.count()
    rows = rows.annotate(
        last=Case(When(group="", then=Value(1)), default=Value(0), output_field=IntegerField())
    )
    order = ["last", "group", "name"]
    backwards = bool(choice.before) and not choice.after
    start = _place_of(choice.before if backwards else choice.after)
    if start is not None:
        rows = rows.filter(_beyond(start, "lt" if backwards else "gt"))
    if backwards and start is not None:
        found = list(rows.order_by(*(f"-{each}" for each in order))[: PAGE + 1])
        more, found = len(found) > PAGE, found[:PAGE][::-1]
        after, before = (found[-1].name if found else ""), (found[0].name if more else "")
    else:
        found = list(rows.order_by(*order)[: PAGE + 1])
        more, found = len(found) > PAGE, found[:PAGE]
        after = found[-1].name if more else ""
        before = found[0].name if found and start is not None else ""
    return Chosen(found, matching, total, after, before)


def _chosen(
    reading: Now, rows: QuerySet[RegisteredModel], choice: Choice, person: Person
) -> QuerySet[RegisteredModel]:
    if choice.show == MOVING:
        rows = rows.filter(pk__in=reading.moving().values("pk"))
    elif choice.show == MINE and not reading.is_past:
        targets = Target.objects.filter(pk__in=set(needed_of(person).values()))
        rows = rows.filter(pk__in=targets.values("model"))
    for word in choice.q.split():
        rows = rows.filter(
            Q(name__icontains=word) | Q(registry_name__icontains=word) | Q(group__icontains=word)
        )
    return rows if choice.group is None else rows.filter(group=choice.group)


def _place_of(name: str) -> tuple[int, str, str] | None:
    """Where the model of this name stands in the order; None where there is no such model."""
    group = RegisteredModel.objects.filter(name=name).values_list("group", flat=True).first()
    return None if not name or group is None else (int(group == ""), group, name)


def _beyond(start: tuple[int, str, str], than: str) -> Q:
    last, group, name = start

    def past(column: str, value: Any) -> Q:
        return Q(**{f"{column}__{than}": value})

    return (
        past("last", last)
        | Q(last=last) & past("group", group)
        | Q(last=last, group=group) & past("name", name)
    )
