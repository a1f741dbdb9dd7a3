"""``manage.py token``: make, list and revoke the API's tokens."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from approvals import services
from approvals.models import ApiToken, Person
from approvals.states import Via
from approvals.wording import day_and_time


class Command(BaseCommand):
    """The secret is printed once, when it is made."""

    help = "Make (create), list (list) or revoke (revoke) tokens of the API."

    def add_arguments(self, parser: CommandParser) -> None:
        """``create USERNAME NAME [--days N]``, ``list`` or ``revoke PREFIX``."""
        commands = parser.add_subparsers(dest="what", required=True)
        made = commands.add_parser("create", help="make a token that acts as a person")
        made.add_argument("username")
        made.add_argument("name", help="what it is for")
        made.add_argument("--days", type=int, help="how long it lasts; for ever without")
        commands.add_parser("list", help="all tokens, the newest first")
        revoked = commands.add_parser("revoke", help="close a token")
        revoked.add_argument("prefix", help="its beginning, as `token list` shows it")

    def handle(self, *args: Any, **options: Any) -> None:
        """Dispatch to the subcommand; a refusal is the command's error."""
        try:
            if options["what"] == "create":
                self._create(options["username"], options["name"], options["days"])
            elif options["what"] == "revoke":
                self._revoke(options["prefix"])
            else:
                self._list()
        except services.Refused as refused:
            raise CommandError(refused.sentence) from None

    @sensitive_variables("secret")
    def _create(self, username: str, name: str, days: int | None) -> None:
        person = Person.objects.filter(username=username).first()
        if person is None:
            raise CommandError(f"Nobody is called {username!r}.")
        _, secret = services.create_token(
            actor=None, via=Via.COMMAND, person_id=person.pk, name=name, days=days
        )
        self.stderr.write("Keep it now; it is not shown again:")
        self.stdout.write(secret)

    def _revoke(self, prefix: str) -> None:
        token = ApiToken.objects.filter(prefix=prefix).first()
        if token is None:
            raise CommandError(f"No token begins with {prefix!r}; `token list` shows them.")
        services.revoke_token(actor=None, via=Via.COMMAND, token_id=token.pk)
        self.stdout.write(f"{prefix} is revoked.")

    def _list(self) -> None:
        rows = [("TOKEN", "PERSON", "NAME", "STATE", "LAST USED")]
        for token in ApiToken.objects.select_related("person"):
            used = day_and_time(token.last_used_at) if token.last_used_at else "never"
            rows.append((token.prefix, token.person.username, token.name, _state(token), used))
        widths = [max(len(row[column]) for row in rows) for column in range(5)]
        for row in rows:
            line = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
            self.stdout.write(line.rstrip())


def _state(token: ApiToken) -> str:
    if token.revoked_at is not None:
        return f"revoked {day_and_time(token.revoked_at)}"
    if token.expires_at is None:
        return "open" if token.person.is_active else "account inactive"
    done = "expired" if token.expires_at <= timezone.now() else "open until"
    return f"{done} {day_and_time(token.expires_at)}"
