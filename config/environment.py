"""Reads settings from the environment: ``NAME`` or, for secrets kept in files, ``NAME_FILE``.

Every problem is a :class:`Misconfigured` with one sentence that says which variable is meant and
what to put there, so that a start-up never ends in a traceback about a missing key.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from approvals.wording import listed


class Misconfigured(ImproperlyConfigured):
    """A variable of the environment is missing or cannot be used."""


def read(name: str, default: str | None = None) -> str:
    """The value of ``name``, or the content of the file that ``name_FILE`` points to.

    Raises :class:`Misconfigured` when both are set, when the file cannot be read or is empty, or when
    neither is set and there is no default.
    """
    value = os.environ.get(name, "").strip()
    file = os.environ.get(f"{name}_FILE", "").strip()
    if value and file:
        raise Misconfigured(f"Both {name} and {name}_FILE are set. Keep one of them.")
    if file:
        try:
            value = Path(file).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise Misconfigured(
                f"{name}_FILE points to {file}, which cannot be read ({error.strerror})."
            ) from None
        except UnicodeDecodeError:
            raise Misconfigured(f"{name}_FILE points to {file}, which is not UTF-8 text.") from None
        if not value:
            raise Misconfigured(f"{name}_FILE points to {file}, which is empty.")
    if value:
        return value
    if default is None:
        raise Misconfigured(
            f"{name} is not set. Set {name}, or {name}_FILE to a file that holds it; "
            "docs/install.md lists every variable."
        )
    return default


def read_bool(name: str) -> bool:
    """True for 1/true/yes/on, False for 0/false/no/off or unset; anything else is an error."""
    value = read(name, "").lower()
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"", "0", "false", "no", "off"}:
        return False
    raise Misconfigured(f"{name} is {value!r}. Use 1 or 0.")


def read_list(name: str, default: str = "") -> list[str]:
    """A comma-separated list, without empty items."""
    return [item.strip() for item in read(name, default).split(",") if item.strip()]


def read_choice(name: str, choices: Sequence[str]) -> str:
    """One of ``choices``; the first one where nothing is set."""
    value = read(name, choices[0]).lower()
    if value not in choices:
        raise Misconfigured(f"{name} is {value!r}. Use {listed(list(choices), 'or')}.")
    return value


def read_port(name: str, default: int) -> int:
    """A port, from 1 to 65535."""
    text = read(name, str(default))
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
        raise Misconfigured(f"{name} is {text!r}. Use a port, a number from 1 to 65535.")
    return int(text)


def read_seconds(name: str, default: float) -> float:
    """A duration in seconds, more than nothing and at most a day."""
    text = read(name, str(default))
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 86_400:
        raise Misconfigured(f"{name} is {text!r}. Use a number of seconds, such as {default:g}.")
    return seconds
