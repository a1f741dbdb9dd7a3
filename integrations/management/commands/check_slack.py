"""``manage.py check_slack``: is the app that is installed the one that ``slack-manifest.yaml`` describes?"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from integrations.slack.inspection import inspect
from integrations.slack.workspaces import is_configured


class Command(BaseCommand):
    """Asks Slack about the app; changes nothing, and posts nothing."""

    help = "Check the installed Slack app: tokens, scopes, channels, settings. Ends with 1 if anything is missing."

    def handle(self, *args: Any, **options: Any) -> None:
        """Say what was found; raises CommandError when anything is wrong."""
        if not is_configured() and not settings.SLACK_APP_TOKEN:
            raise CommandError("Slack is not set up: SLACK_BOT_TOKEN is not set (docs/install.md).")
        report = inspect()
        for mark, sentences in (
            ("ok   ", report.well),
            ("note ", report.notes),
            ("WRONG", report.wrong),
        ):
            for sentence in sentences:
                self.stdout.write(f"{mark}  {sentence}")
        if report.wrong:
            raise CommandError(f"{len(report.wrong)} to mend.")
