"""The kinds of values in ``countersign.yaml``: each checks itself and says what it expects."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from approvals.compare import number
from approvals.states import EVIDENCE_NAME

Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,49}$")]
EvidenceName = Annotated[str, Field(pattern=f"^{EVIDENCE_NAME.pattern}$")]
Username = Annotated[str, Field(pattern=r"^[\w.@+-]{1,150}$")]


# FACTS of MLflow: names of aliases are [\w-]{1,255}, not "latest" and not "v<digits>".
def _alias(value: str) -> str:
    if (
        value == "latest"
        or not re.fullmatch(r"[\w-]{1,255}", value)
        or re.fullmatch(r"v\d+", value)
    ):
        raise ValueError(
            f"{value!r} cannot be an alias in MLflow: letters, digits, _ and -, not 'latest' nor 'v1'"
        )
    return value


Alias = Annotated[str, AfterValidator(_alias)]
Repository = Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$", max_length=255)]
WorkflowFile = Annotated[str, Field(pattern=r"^[\w.-]+\.ya?ml$", max_length=255)]


# Lengths are the database's; control characters would break pages, messages and PostgreSQL itself.
PLAIN = r"^[^\x00-\x1f\x7f]*$"
Name = Annotated[str, Field(pattern=PLAIN, max_length=150)]
Group = Annotated[str, Field(pattern=PLAIN, max_length=100)]
Label = Annotated[str, Field(pattern=PLAIN, max_length=200)]
Line = Annotated[str, Field(pattern=PLAIN, max_length=255)]
# A model's name is part of addresses; MLflow refuses / and : as well.
ModelName = Annotated[str, Field(pattern=r"^[^/:\x00-\x1f\x7f]{1,255}$")]


def _copy_name(value: str) -> str:
    # MLflow's search, which finds the copies again, quotes names.
    plain = value.replace("{model}", "m")
    if not re.fullmatch(r"[^/:{}'\"`\\\x00-\x1f\x7f]{1,200}", plain):
        raise ValueError(
            "the name of a registered model is expected, such as prod.fraud, or prod.{model} for the model's own "
            "name; without / : quotes and other braces"
        )
    return value


CopyName = Annotated[str, AfterValidator(_copy_name)]
# A channel's id or name; in one of several workspaces, behind the workspace's id (T012ABCDEF/C012ABCDEF).
Channel = Annotated[str, Field(pattern=r"^([TE][A-Z0-9]{2,18}/)?#?[\w.-]{1,80}$")]
# What Countersign itself passes to the workflow (integrations.github.dispatch).
OWN_INPUTS = frozenset(
    {
        "model",
        "version",
        "environment",
        "artifact_digest",
        "countersign",
        # Of rollouts alone.
        "strategy",
        "percent",
    }
)


def _inputs(value: dict[str, str]) -> dict[str, str]:
    taken = sorted(OWN_INPUTS & value.keys())
    if taken:
        raise ValueError(f"Countersign itself fills in {', '.join(taken)}; leave it out here")
    return value


def _address(value: str) -> str:
    try:
        parts = urlsplit(value)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        usable = False
    if not usable or parts.username or parts.password:
        raise ValueError(
            "an address such as http://fraud.internal:8080/health is expected, without a password"
        )
    return value


# A password in it would stand in the file, in the database and in logs.
Address = Annotated[
    str, Field(pattern=r"^[^\x00-\x20\x7f]*$", max_length=500), AfterValidator(_address)
]

# GitHub allows 25 inputs; seven are ours.
Inputs = Annotated[dict[str, str], Field(max_length=18), AfterValidator(_inputs)]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def _duration(value: Any) -> Any:
    """``90s``, ``30m``, ``12h``, ``3d`` or ``2w`` to a timedelta."""
    match = re.fullmatch(r"(\d{1,4})\s*([smhdw])", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("a duration such as 30m, 12h or 3d is expected")
    seconds = int(match[1]) * _UNITS[match[2]]
    if seconds == 0:
        raise ValueError("a duration longer than nothing is expected")
    return timedelta(seconds=seconds)


Duration = Annotated[timedelta, BeforeValidator(_duration)]


def _decimal(value: Any) -> Any:
    """A number as the file has it, to exact decimal text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("a number is expected")
    if number(str(value)) is None:
        raise ValueError("a number is expected")
    return str(value)


Number = Annotated[str, BeforeValidator(_decimal)]


def _change(value: Any) -> Any:
    """``0.01``, or ``2%`` of the live value; neither may be negative."""
    text = str(value).strip()
    amount = number(text.removesuffix("%").strip())
    if isinstance(value, bool) or amount is None or amount < 0:
        raise ValueError("a number such as 0.01, or a share such as 2%, is expected")
    return text.replace(" ", "")


Change = Annotated[str, BeforeValidator(_change)]


class Strict(BaseModel):
    """Unknown keys are errors: a misspelt rule must not be a missing rule."""

    model_config = ConfigDict(extra="forbid", frozen=True)
