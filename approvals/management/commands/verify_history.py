"""``manage.py verify_history``: is the history the one that was written?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from approvals.audit import verify_export, verify_history


class Command(BaseCommand):
    """Walks the hash chain; exits 1 and names the first line that does not verify."""

    help = "Verify the hash chain of the history, or of an export of it as JSON Lines."

    def add_arguments(self, parser: CommandParser) -> None:
        """An export to verify instead."""
        parser.add_argument(
            "--file", type=Path, help="an export as JSON Lines; no database is asked"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Report the number of events, or where the chain breaks."""
        if options["file"]:
            self._file(options["file"])
            return
        result = verify_history()
        if result.broken_at is not None:
            raise CommandError(
                f"The history does not verify: event {result.broken_at} was changed."
            )
        if result.hidden:
            raise CommandError(
                f"The history verifies, but the timeline does not find {result.hidden} of its "
                f"{result.events} events: their rows in approvals_evententry are missing."
            )
        self.stdout.write(f"The history verifies: {result.events} events.")

    def _file(self, path: Path) -> None:
        try:
            with path.open(encoding="utf-8") as lines:
                result = verify_export(lines)
        except (OSError, ValueError) as error:
            raise CommandError(str(error)) from error
        if result.broken_at is not None:
            raise CommandError(f"The export does not verify: event {result.broken_at} was changed.")
        if result.gaps:
            self.stdout.write(
                f"Each of the {result.events} events is as it was written, but the chain has "
                f"{result.gaps} gaps: the export was filtered, or events are missing."
            )
        else:
            self.stdout.write(
                f"The export verifies: {result.events} events without a gap. The last hash is {result.last}"
            )
