"""``manage.py verify_history``: is the history the one that was written?"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from approvals.audit import verify_history


class Command(BaseCommand):
    """Walks the hash chain; exits 1 and names the first line that does not verify."""

    help = "Verify the hash chain of the history."

    def handle(self, *args: Any, **options: Any) -> None:
        """Report the number of events, or where the chain breaks."""
        result = verify_history()
        if result.broken_at is not None:
            raise CommandError(
                f"The history does not verify: event {result.broken_at} was changed."
            )
        self.stdout.write(f"The history verifies: {result.events} events.")
