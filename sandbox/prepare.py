"""What stands before the first request: the schema, the static files, the configuration.

One process for all three, because starting Django three times takes longer than the work.
"""

from __future__ import annotations

import sys

import django
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command

COMMANDS: dict[str, list[str]] = {
    "migrate": ["--no-input", "-v0"],
    "collectstatic": ["--no-input", "-v0"],
    "apply_configuration": [],
}


def main() -> None:
    """Run every command; exits with a sentence when one cannot."""
    try:
        django.setup()
        for name, arguments in COMMANDS.items():
            call_command(name, *arguments)
    except (CommandError, ImproperlyConfigured) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
