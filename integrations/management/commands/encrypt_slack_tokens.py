"""``manage.py encrypt_slack_tokens``: after SECRET_KEY or SLACK_TOKEN_KEY was changed."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from integrations.slack.installations import encrypt_anew


class Command(BaseCommand):
    """Encrypts Slack's tokens with the key in force; exits 1 and names those that no key can read."""

    help = "Encrypt Slack's tokens anew, with the key in force."

    def handle(self, *args: Any, **options: Any) -> None:
        """Report how many workspaces were written."""
        written, failed = encrypt_anew()
        self.stdout.write(f"Encrypted anew: the tokens of {written} workspaces.")
        if failed:
            raise CommandError("\n".join(failed))
