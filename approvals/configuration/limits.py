"""How much a file that anybody may send can hold: more than a company has, less than a computer chokes on.

The installation's own file, which its operator wrote, is not held to this.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# How many of each. Every model goes to every environment unless it names its own.
MOST = {
    "environments": 30,
    "models": 400,
    "teams": 100,
    "people": 2000,
    "repositories": 400,
    "rules": 100,
    "freezes": 50,
}
TARGETS = 1000
MEMBERS = 2000  # of all teams together, a person once for each
ROWS = 20  # of one list of approvals, gates or items
PLACES = 60  # approvals that one list asks for in all
# Whether enough people are left for rows is a matching: members × places², for each list with all the rules'.
# So much of it takes a few seconds.
WORK = 200_000_000


def too_large(data: Mapping[Any, Any]) -> list[tuple[tuple[str, ...], str]]:
    """(path, sentence) of each. ``data`` is as YAML has it, of any shape: what is not a list or a mapping here is
    for the schema to refuse."""
    found: list[tuple[tuple[str, ...], str]] = [
        ((key,), f"at most {most} can be tried here")
        for key, most in MOST.items()
        if _length(data.get(key)) > most
    ]
    if _length(data.get("models")) * _length(data.get("environments")) > TARGETS:
        found.append((("models",), f"at most {TARGETS} models × environments can be tried here"))
    teams = data.get("teams")
    if isinstance(teams, dict) and sum(map(_members, teams.values())) > MEMBERS:
        found.append((("teams",), f"at most {MEMBERS} members can be tried here"))
    for key in ("environments", "models", "rules"):
        if any(_too_long(each) for each in _lists(data.get(key))):
            found.append(
                ((key,), f"a list has more than {ROWS} rows, or asks for more than {PLACES} people")
            )
    return found or _too_much_work(data)


def _too_much_work(data: Mapping[Any, Any]) -> list[tuple[tuple[str, ...], str]]:
    teams = data.get("teams")
    members = sum(map(_members, teams.values())) if isinstance(teams, dict) else 0
    rules = sum(map(_places, _lists(data.get("rules"))))
    places = [_places(each) for key in ("environments", "models") for each in _lists(data.get(key))]
    if members * sum((each + rules) ** 2 for each in places) > WORK:
        return [(("teams",), "there are too many members and rows together to be tried here")]
    return []


def _length(value: Any) -> int:
    return len(value) if isinstance(value, list | dict) else 0


def _members(team: Any) -> int:
    return _length(team.get("members")) if isinstance(team, dict) else 0


def _lists(value: Any) -> Iterator[list[Any]]:
    """The lists of approvals, gates and items below."""
    if isinstance(value, dict):
        for key, each in value.items():
            if isinstance(each, list) and key in {"approvals", "gates", "checklist", "signals"}:
                yield each
            else:
                yield from _lists(each)
    elif isinstance(value, list):
        for each in value:
            yield from _lists(each)


def _too_long(rows: list[Any]) -> bool:
    return len(rows) > ROWS or _places(rows) > PLACES


def _places(rows: list[Any]) -> int:
    """How many approvals a list asks for; an item of another kind asks for one at most."""
    counts = [each.get("count", 1) if isinstance(each, dict) else 1 for each in rows]
    return sum(max(each, 1) for each in counts if type(each) is int)
