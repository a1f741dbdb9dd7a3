"""``manage.py runslack``: Slack over connections that we open (Socket Mode), where it cannot reach us."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from integrations.slack.socket_mode import Receiver


class Command(BaseCommand):
    """Receives Slack's presses, commands and events until SIGTERM or SIGINT."""

    help = "Receive from Slack over Socket Mode, with no public address. Needs SLACK_APP_TOKEN."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run; what was received when the signal comes is finished first."""
        if not settings.SLACK_APP_TOKEN:
            raise CommandError(
                "SLACK_APP_TOKEN is not set. Make an app-level token with the scope connections:write "
                "(docs/install.md, Slack), or let Slack send requests and do without this command."
            )
        receiver = Receiver()

        def stop(number: int, frame: FrameType | None) -> None:
            receiver.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        receiver.run()
