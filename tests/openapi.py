"""What we send to GitHub and what answers, held against GitHub's own descriptions.

``tests/reference/github-openapi.json`` is OpenAPI 3.0.3 (its ``nullable`` is translated);
``tests/reference/github-webhooks.json`` is JSON Schema by event and action.
"""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError, best_match

REFERENCE = Path(__file__).with_name("reference")
_PREFIX = "/api/v3"  # where a GitHub Enterprise Server has the same API
_FORMATS = FormatChecker()
_BASE = {"$schema": "https://json-schema.org/draft/2020-12/schema"}


def _is_moment(value: Any) -> bool:
    """RFC 3339, with its time zone (jsonschema itself checks it only with one more package)."""
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


def _is_uri(value: Any) -> bool:
    """Absolute: a scheme and a host; or empty, GitHub's answer where there is no link."""
    return not isinstance(value, str) or not value or all(urlsplit(value)[:2])


_FORMATS.checks("date-time", raises=ValueError)(_is_moment)
_FORMATS.checks("uri", raises=ValueError)(_is_uri)


def _translate(schema: Any) -> Any:
    """OpenAPI 3.0's ``nullable`` in JSON Schema's words, at every depth."""
    if isinstance(schema, list):
        return [_translate(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    # Names inside ``properties`` are the API's words, not keywords: only their values are schemas.
    plain = {
        key: {name: _translate(value) for name, value in item.items()}
        if key == "properties"
        else _translate(item)
        for key, item in schema.items()
        if key != "nullable" and not key.startswith("x-") and key not in ("example", "examples")
    }
    if not schema.get("nullable"):
        return plain
    # OpenAPI 3.0.3 lets ``nullable`` widen the type beside it, and GitHub means it for ``enum``,
    # ``oneOf`` and ``$ref`` as well.
    return {"anyOf": [{"type": "null"}, plain]}


@cache
def _github() -> dict[str, Any]:
    described = json.loads((REFERENCE / "github-openapi.json").read_text())
    schemas = {
        name: _translate(schema) for name, schema in described["components"]["schemas"].items()
    }
    return {**described, "components": {**described["components"], "schemas": schemas}}


@cache
def _webhooks() -> dict[str, Any]:
    described: dict[str, Any] = json.loads((REFERENCE / "github-webhooks.json").read_text())
    return described


def _resolve(part: dict[str, Any]) -> dict[str, Any]:
    """The part itself, or what its ``$ref`` into the components names."""
    while "$ref" in part:
        found: Any = _github()
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        part = found
    return part


def _pattern(template: str, operation: dict[str, Any]) -> re.Pattern[str]:
    parameters = [_resolve(parameter) for parameter in operation.get("parameters", [])]
    long = {p["name"] for p in parameters if p["in"] == "path" and p.get("x-multi-segment")}
    pieces = re.split(r"\{([^}]+)\}", template)
    texts = [
        (".+" if piece in long else "[^/]+") if index % 2 else re.escape(piece)
        for index, piece in enumerate(pieces)
    ]
    return re.compile("".join(texts))


def operation(method: str, path: str) -> tuple[str, dict[str, Any]]:
    """The described operation that a request hits, with its path template.

    ``path`` may be a whole URL or have a query. The template with most fixed text wins, so
    ``/commits/{ref}/status`` is not taken for a commit named ``x/status``. Raises AssertionError.
    """
    plain = urlsplit(path).path.removeprefix(_PREFIX)
    found: list[tuple[str, dict[str, Any]]] = []
    for template, operations in _github()["paths"].items():
        described = operations.get(method.lower())
        if described and _pattern(template, described).fullmatch(plain):
            found.append((template, described))
    assert found, f"GitHub describes no {method.upper()} {plain}"
    return max(found, key=lambda pair: len(re.sub(r"\{[^}]+\}", "", pair[0])))


def _check(what: str, schema: dict[str, Any], components: dict[str, Any], value: Any) -> None:
    validator = Draft202012Validator(
        {**_BASE, **schema, "components": components}, format_checker=_FORMATS
    )
    errors = list(validator.iter_errors(value))
    if errors:
        lines = "\n".join(f"  {line}" for line in sorted(set(_explain(errors))))
        raise AssertionError(f"{what} is not as GitHub describes it:\n{lines}")


def _explain(errors: list[ValidationError]) -> Iterator[str]:
    """One line for each error, naming the place and the deepest reason."""
    for error in errors:
        reason = best_match([error]) or error
        place = "".join(f"[{p!r}]" for p in reason.absolute_path) or "(the whole)"
        yield f"{place}: {reason.message[:300]}"


def validate_request(method: str, path: str, body: Any = None) -> None:
    """Assert that GitHub describes this request: its path, its query's names, its body."""
    template, described = operation(method, path)
    what = f"The request {method.upper()} {path}"
    parameters = [_resolve(parameter) for parameter in described.get("parameters", [])]
    names = {p["name"] for p in parameters if p["in"] == "query"}
    asked = {pair.split("=")[0] for pair in urlsplit(path).query.split("&") if pair}
    assert asked <= names, f"{what} has parameters unknown to {template}: {sorted(asked - names)}"
    content = described.get("requestBody")
    if content is None:
        assert body in (None, {}), f"{what} has a body; {template} takes none"
        return
    if body is None and not content.get("required"):
        return
    schema = _translate(_resolve(content)["content"]["application/json"]["schema"])
    _check(what, schema, _github()["components"], body)


def validate_response(method: str, path: str, status: int, body: Any = None) -> None:
    """Assert that GitHub describes this answer to this request: its status and its body.

    Refusals that any operation can meet (401, 403, 404, 422, 429, 5xx, 304, 307) need not be
    described with the operation; they must then be GitHub's ``basic-error`` or have no body.
    """
    template, described = operation(method, path)
    what = f"The {status} answer to {method.upper()} {path}"
    answer = described["responses"].get(str(status))
    if answer is None:
        assert status >= 300, f"{what}: {template} describes no {status}"
        if body is not None:
            schema = {"$ref": "#/components/schemas/basic-error"}
            _check(what, schema, _github()["components"], body)
        return
    content = _resolve(answer).get("content", {})
    if not content:
        assert body is None, f"{what} has a body; {template} describes none"
        return
    schema = _translate(content["application/json"]["schema"])
    _check(what, schema, _github()["components"], body)


def validate_webhook(event_name: str, action: str, payload: Any) -> None:
    """Assert that GitHub describes this webhook payload (``action`` empty when it has none)."""
    words = [word.replace("_", "-") for word in (event_name, action) if word]
    events, key = _webhooks()["events"], "-".join(words)
    assert key in events, f"The reference describes no webhook {key}"
    schema = {"$ref": f"#/components/schemas/{events[key]}"}
    _check(f"The webhook {key}", schema, _webhooks()["components"], payload)
