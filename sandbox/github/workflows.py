"""Workflow files: reading them, what starts them, and what a dispatch may pass in."""

import re
from dataclasses import dataclass
from typing import Any

import yaml

from sandbox.github.expressions import to_text

FOLDER = ".github/workflows"
MAX_INPUTS = 25  # GitHub's OpenAPI description: inputs, maxProperties
_BOOL, _TIME = "tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp"


class InvalidError(Exception):
    """GitHub would refuse this with 422; the message is what it would say."""


class _Loader(yaml.SafeLoader):
    """YAML 1.2's idea of a boolean, as GitHub has it, so that ``on:`` stays the word "on"."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in (_BOOL, _TIME)]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOL, re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), "tTfF")


@dataclass(frozen=True)
class WorkflowFile:
    """A workflow file as read at one commit."""

    path: str
    body: dict[str, Any]

    @property
    def name(self) -> str:
        """Its display name; the path when it has none."""
        return str(self.body.get("name") or self.path)

    @property
    def triggers(self) -> dict[str, Any]:
        """The events that start it, each with its settings."""
        on = self.body.get("on")
        if isinstance(on, dict):
            return {str(event): settings or {} for event, settings in on.items()}
        return {str(event): {} for event in (on if isinstance(on, list) else [on])}

    @property
    def dispatch_inputs(self) -> dict[str, dict[str, Any]]:
        """The inputs that ``workflow_dispatch`` declares."""
        declared = self.triggers.get("workflow_dispatch", {}).get("inputs") or {}
        return {str(name): settings or {} for name, settings in declared.items()}

    @property
    def jobs(self) -> dict[str, dict[str, Any]]:
        """The jobs by key, in the file's order."""
        return dict(self.body["jobs"])

    def accept_inputs(self, given: dict[str, Any]) -> dict[str, Any]:
        """The inputs a dispatch runs with, defaults filled in.

        Raises InvalidError in GitHub's words: not dispatchable, too many, unexpected, missing,
        or not of the declared type.
        """
        if "workflow_dispatch" not in self.triggers:
            raise InvalidError("Workflow does not have 'workflow_dispatch' trigger")
        if len(given) > MAX_INPUTS:
            raise InvalidError(
                f"Invalid request.\n\nNo more than {MAX_INPUTS} properties are allowed; "
                f"{len(given)} were supplied."
            )
        declared = self.dispatch_inputs
        if unexpected := [name for name in given if name not in declared]:
            raise InvalidError(f"Unexpected inputs provided: {to_text(unexpected)}")
        accepted: dict[str, Any] = {}
        for name, settings in declared.items():
            text = to_text(given.get(name, settings.get("default")))
            if settings.get("required") and not text:
                raise InvalidError(f"Required input '{name}' not provided")
            accepted[name] = _typed(name, text, settings)
        return accepted


def _typed(name: str, text: str, settings: dict[str, Any]) -> Any:
    """The input's value by its declared type; booleans and numbers are real in ``inputs``."""
    kind = settings.get("type", "string")
    if kind == "choice" and text and text not in map(to_text, settings.get("options") or []):
        raise InvalidError(
            f"Provided value '{text}' for input '{name}' not in the list of allowed values"
        )
    if kind == "boolean":
        if text not in ("true", "false", ""):
            raise InvalidError(f"Provided value '{text}' for input '{name}' is not a boolean")
        return text == "true"
    if kind == "number" and text:
        try:
            return float(text)
        except ValueError:
            raise InvalidError(
                f"Provided value '{text}' for input '{name}' is not a number"
            ) from None
    return text


def read(path: str, text: str) -> WorkflowFile:
    """The workflow in ``text``. Raises InvalidError when it is not one."""
    try:
        body = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise InvalidError(f"Invalid workflow file: {path}: {error}") from None
    if not isinstance(body, dict) or "on" not in body or not isinstance(body.get("jobs"), dict):
        raise InvalidError(f"Invalid workflow file: {path}: it needs 'on' and 'jobs'")
    return WorkflowFile(path, body)
