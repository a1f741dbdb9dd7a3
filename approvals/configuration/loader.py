"""Reads ``countersign.yaml``; every error names file, line, key and what is expected."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from approvals.configuration.problems import problems_of
from approvals.configuration.schema import Configuration

MAX_BYTES = 1_000_000


class ConfigurationError(Exception):
    """The file cannot be used. ``str()`` is one line per problem: ``file:line: key: sentence``."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Loaded:
    """A valid configuration and the SHA-256 of the file's bytes, 64 hex digits."""

    configuration: Configuration
    digest: str


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice, which plain YAML would silently overwrite."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key must be plain text", key.start_mark
                )
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} stands twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def load(path: Path) -> Loaded:
    """Read and validate the file. Raises :class:`ConfigurationError`."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            [f"{path}: cannot be read ({error.strerror}); set COUNTERSIGN_CONFIG to your file"]
        ) from None
    if len(raw) > MAX_BYTES:
        raise ConfigurationError([f"{path}: larger than a megabyte; is it the right file?"])
    try:
        text = raw.decode()
        root = yaml.compose(text, Loader=_Loader)
        data = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except UnicodeDecodeError:
        raise ConfigurationError([f"{path}: not UTF-8 text"]) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"{mark.line + 1}" if mark else "1"
        what = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigurationError([f"{path}:{line}: not valid YAML: {what}"]) from None
    except RecursionError:
        raise ConfigurationError([f"{path}:1: nested too deeply"]) from None
    if not isinstance(data, dict):
        raise ConfigurationError(
            [f"{path}:1: a mapping with environments, teams and models is expected"]
        )
    try:
        configuration = Configuration.model_validate(data)
    except ValidationError as error:
        problems = [
            _problem(path, root, each["loc"], _sentence(dict(each))) for each in error.errors()
        ]
    else:
        problems = [_problem(path, root, loc, text) for loc, text in problems_of(configuration)]
    if problems:
        raise ConfigurationError(list(dict.fromkeys(problems)))
    return Loaded(configuration, hashlib.sha256(raw).hexdigest())


def _problem(path: Path, root: yaml.Node | None, loc: tuple[Any, ...], sentence: str) -> str:
    key, line = _place(root, loc)
    return f"{path}:{line}: {key or 'the file'}: {sentence}"


def _place(root: yaml.Node | None, loc: tuple[Any, ...]) -> tuple[str, int]:
    """The dotted key and 1-based line of a place; steps that pydantic adds for itself are left out."""
    node, line, keys = root, (root.start_mark.line + 1 if root else 1), []
    for step in loc:
        if step == "[key]":  # pydantic's word for "the key itself"
            continue
        found: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(step):
                    found, line = value, key.start_mark.line + 1
        elif (
            isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value)
        ):
            found = node.value[step]
            line = found.start_mark.line + 1
        if found is None and step == loc[-1] and isinstance(step, str):
            keys.append(step)  # a missing key: named, at its parent's line
        elif found is not None:
            keys.append(str(step))
            node = found
    return ".".join(keys), line


def _sentence(error: dict[str, Any]) -> str:
    """Pydantic's message in the words of somebody who edits YAML."""
    kind, context = error["type"], error.get("ctx", {})
    given = error.get("input")
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return "is not a known key here; check the spelling"
    if kind == "string_pattern_mismatch":
        return f"{given!r} does not have the expected form ({context.get('pattern')})"
    if kind in {"literal_error", "enum"}:
        return f"{given!r} is not allowed; expected {context.get('expected')}"
    if kind == "value_error":
        return str(context.get("error", error["msg"]))
    return f"{error['msg'][:1].lower()}{error['msg'][1:]}"
