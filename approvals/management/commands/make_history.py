"""``manage.py make_history``: years of an invented company in an empty database, to measure with."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from approvals.made_history import Size, make
from approvals.models import Promotion


class Command(BaseCommand):
    """Refuses a database that is in use: what is made up must never stand beside what happened."""

    help = "Fill an EMPTY scratch database with a made-up history, to measure the pages with."

    def add_arguments(self, parser: CommandParser) -> None:
        """The size; as in docs/performance.md when nothing is said."""
        plain = Size()
        for name in ("models", "versions", "promotions", "days", "seed"):
            parser.add_argument(f"--{name}", type=int, default=getattr(plain, name))

    def handle(self, *args: Any, **options: Any) -> None:
        """Exit 1 with a sentence where there are promotions already."""
        if Promotion.objects.exists():
            raise CommandError(
                "there are promotions in this database. Name an empty one with DATABASE_URL and run "
                "`manage.py migrate` there first."
            )
        size = Size(
            **{name: options[name] for name in ("models", "versions", "promotions", "days", "seed")}
        )
        if (
            min(size.models, size.versions, size.promotions, size.days) < 1
            or size.versions < size.models
        ):
            raise CommandError("at least one of each is needed, and a version for every model.")
        make(size, lambda text: self.stdout.write(text))
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
