"""``manage.py apply_configuration``: make the rows say what countersign.yaml says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from approvals import services
from approvals.configuration import ConfigurationError, load
from approvals.configuration.loader import Loaded
from approvals.services.configuration import refuse_unknown_metrics
from approvals.states import Via


class Command(BaseCommand):
    """Validates the file, then applies it in one transaction; the file in force stays when it is bad."""

    help = "Validate and apply countersign.yaml (COUNTERSIGN_CONFIG)."

    def add_arguments(self, parser: CommandParser) -> None:
        """``--check`` validates only; ``--file`` names another file."""
        parser.add_argument("--file", type=Path, default=settings.COUNTERSIGN_CONFIG)
        parser.add_argument("--check", action="store_true", help="validate, apply nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Exit 1 with one line per problem, or apply and say what changed."""
        try:
            loaded = load(options["file"])
            if options["check"]:
                self._check(loaded)
                return
            changes = services.apply_configuration(loaded=loaded, via=Via.COMMAND)
        except ConfigurationError as error:
            raise CommandError(f"the configuration cannot be used:\n{error}") from None
        for change in changes:
            self.stdout.write(f"- {change}")
        self.stdout.write(f"The configuration is in force ({len(changes)} changes).")

    def _check(self, loaded: Loaded) -> None:
        """Also where there is no database yet: then metrics are not compared with those of the registry."""
        try:
            refuse_unknown_metrics(loaded)
        except DatabaseError:
            self.stdout.write("The database was not asked, so metrics were not compared.")
        self.stdout.write("The configuration is valid.")
