"""Reads ``countersign.yaml``; every error names file, line, key and what is expected."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from approvals.configuration.limits import too_large
from approvals.configuration.problems import problems_of
from approvals.configuration.schema import Configuration

MAX_BYTES = 1_000_000
SHOWN = 100  # problems of one file
MOST_VALUES = 60_000
LONGEST_VALUE = 2000  # characters; the longest that the file needs is 255


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
    name: str = ""
    root: yaml.Node | None = field(default=None, compare=False, repr=False)

    def problem(self, path: tuple[Any, ...], sentence: str) -> str:
        """``file:line: key: sentence``, for what only shows once the rows are looked at."""
        return _problem(self.name, self.root, path, sentence)


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


class _Guarded(_Loader):
    """For text that anybody may send: what grows while it is read is refused, not followed."""

    composed = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(
                None, None, "aliases (*name) are not read here; write it out", event.start_mark
            )
        node: yaml.Node | None = super().compose_node(parent, index)
        self.composed += 1
        if self.composed > MOST_VALUES and node is not None:
            raise yaml.composer.ComposerError(
                None, None, f"there are more than {MOST_VALUES} values", node.start_mark
            )
        if isinstance(node, yaml.ScalarNode) and len(node.value) > LONGEST_VALUE:
            raise yaml.composer.ComposerError(
                None, None, f"a value is longer than {LONGEST_VALUE} characters", node.start_mark
            )
        return node


def load(path: Path) -> Loaded:
    """Read and validate the file. Raises :class:`ConfigurationError`."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            [f"{path}: cannot be read ({error.strerror}); set COUNTERSIGN_CONFIG to your file"]
        ) from None
    return _load(raw, str(path), _Loader)


def load_text(text: str | bytes, name: str) -> Loaded:
    """Validate what somebody sent; ``name`` stands for the file in the problems. Raises
    :class:`ConfigurationError`, also for aliases and for more of anything than a company has."""
    return _load(text.encode(errors="replace") if isinstance(text, str) else text, name, _Guarded)


def _load(raw: bytes, name: str, loader: type[_Loader]) -> Loaded:
    if len(raw) > MAX_BYTES:
        raise ConfigurationError([f"{name}: larger than a megabyte; is it the right file?"])
    root, data = _read(raw, name, loader)
    if not isinstance(data, dict):
        raise ConfigurationError(
            [f"{name}:1: a mapping with environments, teams and models is expected"]
        )
    if loader is _Guarded and (large := too_large(data)):
        raise ConfigurationError([_problem(name, root, loc, text) for loc, text in large])
    found: list[tuple[tuple[Any, ...], str]]
    try:
        configuration = Configuration.model_validate(data)
        found = list(islice(problems_of(configuration), SHOWN))
    except ValidationError as error:
        found = [(each["loc"], _sentence(dict(each))) for each in error.errors()[:SHOWN]]
    except RecursionError:
        found = [((), "it asks for more people than can be worked out")]
    if found:
        problems = [_problem(name, root, loc, text) for loc, text in found]
        raise ConfigurationError(list(dict.fromkeys(problems)))
    return Loaded(configuration, hashlib.sha256(raw).hexdigest(), name, root)


def _read(raw: bytes, name: str, kind: type[_Loader]) -> tuple[yaml.Node | None, Any]:
    """The nodes, which know their lines, and the values."""
    try:
        loader = kind(raw.decode())
        root = loader.get_single_node()
        return root, loader.construct_document(root) if root is not None else None
    except UnicodeDecodeError:
        raise ConfigurationError([f"{name}: not UTF-8 text"]) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"{mark.line + 1}" if mark else "1"
        what = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigurationError([_clean(f"{name}:{line}: not valid YAML: {what}")]) from None
    except RecursionError:
        raise ConfigurationError([f"{name}:1: nested too deeply"]) from None
    # What PyYAML itself trips over: !!int '', !!bool x, 2026-99-99, numbers of thousands of digits.
    except (ValueError, LookupError, AttributeError, TypeError, OverflowError) as error:
        problem = f"{name}:1: not valid YAML: a value cannot be read ({_cut(str(error))})"
        raise ConfigurationError([_clean(problem)]) from None


def _problem(name: str, root: yaml.Node | None, loc: tuple[Any, ...], sentence: str) -> str:
    key, line = _place(root, loc)
    return _clean(f"{name}:{line}: {_cut(key) or 'the file'}: {sentence}")


def _clean(text: str) -> str:
    """Text that a page and a terminal can show: half a character, as "\\ud800" makes one, is spelt out."""
    return text.encode(errors="backslashreplace").decode()


def _cut(text: str) -> str:
    return text if len(text) <= 300 else f"{text[:299]}…"


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
        return f"{_cut(repr(given))} does not have the expected form ({context.get('pattern')})"
    if kind in {"literal_error", "enum"}:
        return f"{_cut(repr(given))} is not allowed; expected {context.get('expected')}"
    if kind == "value_error":
        return _cut(str(context.get("error", error["msg"])))
    return f"{error['msg'][:1].lower()}{error['msg'][1:]}"
