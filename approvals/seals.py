"""The seal: SHA-256 over the canonical form of the facts that people approve.

Canonical form: JSON with sorted keys, no white space, UTF-8 (a subset of RFC 8785 that needs no number
formatting, because floats are refused: metrics travel as decimal text).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

SCHEMA = 1


def canonical(data: Any) -> str:
    """The one text of ``data``. Raises TypeError for floats and anything else without a single form."""
    _refuse_floats(data)
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _refuse_floats(data: Any) -> None:
    if isinstance(data, float):
        raise TypeError(f"{data!r} is a float, which has no canonical form; pass decimal text.")
    if isinstance(data, Mapping):
        for key, value in data.items():
            if not isinstance(key, str):
                raise TypeError(f"{key!r} is not a text key.")
            _refuse_floats(value)
    elif isinstance(data, list | tuple):
        for value in data:
            _refuse_floats(value)


def digest(data: Any) -> str:
    """SHA-256 of the canonical form, as 64 hex digits."""
    return hashlib.sha256(canonical(data).encode()).hexdigest()


def seal(facts: Mapping[str, Any]) -> str:
    """The seal of these facts, as 64 hex digits."""
    return digest({"schema": SCHEMA, "facts": facts})


def flatten(facts: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every leaf of the facts with its path; lists count as leaves."""
    if isinstance(facts, Mapping) and facts:
        for key in sorted(facts):
            yield from flatten(facts[key], (*path, key))
    else:
        yield path, facts


# How a path of the facts is called in a sentence.
NAMES: dict[tuple[str, ...], str] = {
    ("version", "name"): "the registered model",
    ("version", "number"): "the version",
    ("version", "registered_at"): "the version's registration",
    ("version", "source"): "the artifact's source",
    ("version", "run_id"): "the source run",
    ("version", "artifact_digest"): "the artifact",
    ("target", "model"): "the model",
    ("target", "environment"): "the environment",
    ("target", "alias"): "the alias",
    ("target", "replaces"): "the version it replaces",
    ("workflow", "repository"): "the repository",
    ("workflow", "file"): "the workflow",
    ("workflow", "ref"): "the workflow's ref",
    ("workflow", "file_digest"): "the workflow file",
    ("workflow", "inputs"): "the workflow's inputs",
    ("strategy", "kind"): "the rollout's strategy",
    ("strategy", "steps"): "the rollout's steps",
    ("retroactive",): "whether it is retroactive",
    ("policy", "requirements"): "who must approve",
    ("policy", "because"): "why the policy asks for more",
    ("policy", "checklist"): "the policy's checklist",
    ("policy", "comment_required"): "whether the policy asks for a comment",
    ("policy", "automatic"): "whether the policy approves automatically",
    ("policy", "gates"): "the policy's gates",
    ("policy", "by_itself"): "why it is rolled back by itself",
}


def name_of(path: tuple[str, ...]) -> str:
    """What a person calls the fact at this path."""
    if path[0] == "metrics":
        return path[1]
    if path[0] == "parameters":
        return f"parameter {path[1]}"
    if path[:2] == ("workflow", "inputs"):
        return f"workflow input {path[2]}" if len(path) > 2 else "the workflow's inputs"
    return NAMES.get(path, " ".join(path).replace("_", " "))


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "nothing"
    text = value if isinstance(value, str) else _rows(value) or canonical(value)
    if text.startswith("sha256:"):
        return text[:17] + "…"
    return text if len(text) <= 60 else text[:57] + "…"


def _rows(value: Any) -> str:
    """Requirements in words; empty for anything else."""
    try:
        return " and ".join(f"{row['count']} of {' or '.join(row['teams'])}" for row in value)
    except (KeyError, TypeError):
        return ""


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What differs, one clause each: "accuracy was 0.913 and is 0.871 now"."""
    old, new = dict(flatten(before)), dict(flatten(after))
    clauses = []
    for path in sorted(old.keys() | new.keys()):
        if path not in new:
            clauses.append(f"{name_of(path)} was {_shown(old[path])} and is gone now")
        elif path not in old:
            clauses.append(f"{name_of(path)} was not there and is {_shown(new[path])} now")
        elif old[path] != new[path]:
            clauses.append(
                f"{name_of(path)} was {_shown(old[path])} and is {_shown(new[path])} now"
            )
    return clauses
