"""What the timeline, its exports and its feeds are filtered by: read from an address, made into one condition."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db.models import Value
from django.db.models.functions import Concat
from django.utils import timezone

from approvals.models import Environment, Person, RegisteredModel

NAMES = ("model", "environment", "person", "kind", "since", "until", "q")
# Key in the address → what it is called. "all" and "small" are about what is left out unless asked for.
GROUPS: dict[str, str] = {
    "promotions": "Promotions and reviews",
    "deployments": "Deployments",
    "rollbacks": "Rollbacks",
    "overrides": "Broken glass",
    "watching": "Signals and out-of-band changes",
    "evidence": "Evidence",
    "restrictions": "Freezes, locks, quarantines",
    "configuration": "Configuration and accounts",
    "small": "Small things only",
    "all": "Everything, also what is small",
}
_CONDITIONS = {
    "": "topic <> 'small'",
    "all": "true",
    "rollbacks": "is_rollback",
    "overrides": "is_override",
}
# As in the trigger (migration 0016): words end at white space and at every ASCII punctuation mark.
_BETWEEN = re.compile(r"[\s!-/:-@\[-`{-~]+")
MOST_WORDS, LONGEST_WORD = 8, 60
# Beyond these nothing happens, and neither Python nor PostgreSQL can reckon in every zone.
_FIRST, _LAST = date(1970, 1, 1), date(9000, 1, 1)


@dataclass(frozen=True)
class Filters:
    """The filters as they stand in an address; empty means "any". ``event`` picks one event alone."""

    model: str = ""
    environment: str = ""
    person: str = ""
    kind: str = ""
    since: str = ""
    until: str = ""
    q: str = ""
    event: int | None = None

    @classmethod
    def of(cls, query: Mapping[str, str], event: int | None = None) -> Filters:
        """From the parameters of an address; anything that is no filter is left alone."""
        found = {name: query.get(name, "").replace("\x00", "").strip()[:200] for name in NAMES}
        return cls(**found, event=event)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Name and value of what is really asked for, in the order of NAMES."""
        return [(name, value) for name in NAMES if (value := getattr(self, name))]

    def without(self, name: str) -> Filters:
        """All the others."""
        return Filters(**{key: value for key, value in self.pairs if key != name}, event=self.event)


@dataclass(frozen=True)
class Condition:
    """Filters as SQL over ``approvals_evententry``. ``words`` is a tsquery, empty for no search; ``problem`` a
    sentence where a filter names nothing that exists: then nothing matches."""

    sql: str
    params: tuple[Any, ...] = ()
    words: str = ""
    problem: str = ""
    begins: datetime | None = None
    ends: datetime | None = None


def condition_of(filters: Filters) -> Condition:
    """At most one query for each of model, environment and person. Days are those of the current time zone."""
    if filters.event is not None:
        return Condition("event_id = %s", (filters.event,))
    if filters.kind and filters.kind not in GROUPS:
        return _nothing(f"There is no kind of event called “{filters.kind}”.")
    clauses = [_CONDITIONS.get(filters.kind, f"topic = '{filters.kind}'")]
    params: list[int | datetime] = []
    for column, name, found in (
        ("model_id", filters.model, _model),
        ("environment_id", filters.environment, _environment),
        ("actor_id", filters.person, _person),
    ):
        if name:
            key = found(name)
            if key is None:
                what = {"model_id": "model", "environment_id": "environment"}.get(column, "person")
                return _nothing(f"There is no {what} called “{name}”.")
            clauses.append(f"{column} = %s")
            params.append(key)
    begins, ends = None, None
    try:
        if filters.since:
            begins = _midnight(filters.since)
            clauses.append("at >= %s")
            params.append(begins)
        if filters.until:
            ends = _midnight(filters.until, later=1)
            clauses.append("at < %s")
            params.append(ends)
    except ValueError:
        return _nothing("A day is written like 2026-11-20.")
    words = tsquery(filters.q)
    if filters.q and not words:
        return _nothing("Search for a word: letters or digits.")
    return Condition(" AND ".join(clauses), tuple(params), words, "", begins, ends)


def tsquery(text: str) -> str:
    """A tsquery that asks for every word of the text, or words that begin so; empty where there is none."""
    words = [word[:LONGEST_WORD] for word in _BETWEEN.split(text) if word]
    return " & ".join(_either(word) for word in words[:MOST_WORDS])


def _either(word: str) -> str:
    """The word in every case: in the locale "C", which many databases have, only ASCII is put in lower case."""
    forms = dict.fromkeys((word, word.lower(), word.upper(), word.capitalize()))
    return (
        "(" + " | ".join(f"'{form}':*" for form in forms) + ")"
        if not word.isascii()
        else f"'{word}':*"
    )


def _nothing(problem: str) -> Condition:
    return Condition("false", problem=problem)


def _model(name: str) -> int | None:
    return RegisteredModel.objects.filter(name=name).values_list("pk", flat=True).first()


def _environment(name: str) -> int | None:
    return Environment.objects.filter(name=name).values_list("pk", flat=True).first()


def _person(name: str) -> int | None:
    """By the account's name or, where that is no account, by the person's."""
    named = Person.objects.annotate(full=Concat("first_name", Value(" "), "last_name"))
    rows = named.filter(username=name) | named.filter(full__iexact=name)
    found = sorted(rows.values_list("username", "pk"), key=lambda row: row[0] != name)
    return found[0][1] if found else None


def _midnight(text: str, later: int = 0) -> datetime:
    """The beginning of a day, ``later`` days on. Raises ValueError."""
    day = min(max(date.fromisoformat(text), _FIRST), _LAST) + timedelta(days=later)
    zone = timezone.get_current_timezone()
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
