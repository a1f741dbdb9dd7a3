"""A version's signature, out of its MLmodel file.

FACTS of MLflow 3: ``signature`` holds ``inputs`` and ``outputs``, each null or a JSON text with a list of
columns: ``{"type", "name", "required"}``, for tensors ``{"type": "tensor", "tensor-spec": {"dtype", "shape"}}``.
Names may be missing. Releases before 2.6 wrote ``optional`` in place of ``required``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

# What a hostile or a broken file can make the two parsers raise.
UNREADABLE = (
    yaml.YAMLError,
    OSError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    RecursionError,
)


def signature_in(root: Path) -> dict[str, list[dict[str, Any]]]:
    """``{"inputs": [{"name", "type", "required"}], "outputs": […]}`` of the model in a folder. Empty when
    it has none or it cannot be read: a signature that is not known is no error."""
    try:
        described = yaml.safe_load((root / "MLmodel").read_text(encoding="utf-8"))["signature"]
        found = {side: _columns(side, described.get(f"{side}s")) for side in ("input", "output")}
    except UNREADABLE:
        return {}
    return {f"{side}s": columns for side, columns in found.items()} if any(found.values()) else {}


def _columns(side: str, text: str | None) -> list[dict[str, Any]]:
    """Raises one of UNREADABLE. What is not declared at all has no columns."""
    if text is None:
        return []
    columns = [_column(f"{side} {index}", spec) for index, spec in enumerate(json.loads(text))]
    if len({each["name"] for each in columns}) < len(columns):
        raise ValueError("two columns have the same name")
    return columns


def _column(position: str, spec: dict[str, Any]) -> dict[str, Any]:
    name = spec.get("name")
    required = spec.get("required", not spec.get("optional", False))
    if not isinstance(required, bool):
        raise TypeError("required is true or false")
    return {
        "name": _text(position if name is None else name),
        "type": _text(_type(spec)),
        "required": required,
    }


def _type(spec: dict[str, Any]) -> str:
    """``double``, ``tensor float64 (-1, 4)``, or for what has parts its description as canonical JSON."""
    parts = {key: spec[key] for key in spec if key not in {"name", "required", "optional"}}
    if parts["type"] == "tensor":
        tensor = parts["tensor-spec"]
        shape = ", ".join(str(int(size)) for size in tensor["shape"])
        return f"tensor {tensor['dtype']} ({shape})"
    if parts.keys() == {"type"}:
        return str(parts["type"])
    return json.dumps(parts, sort_keys=True, separators=(",", ":"))


def _text(value: object) -> str:
    """Text that PostgreSQL can keep; raises ValueError for any other."""
    if not isinstance(value, str) or "\x00" in value:
        raise ValueError("a text is expected")
    value.encode()  # no lone surrogates
    return value
