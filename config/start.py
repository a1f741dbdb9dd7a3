"""What happens before a web process answers anybody, whichever server runs it."""

from __future__ import annotations

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.core.wsgi import get_wsgi_application


def pages() -> WSGIHandler:
    """Everything but the stream of changes, checked and ready. Ends the process with a sentence where it may not
    start."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    try:
        handler = get_wsgi_application()
        # A web server runs no checks by itself; a sandbox on a public address must not even start.
        # It also imports every page and door, so that the first request does not wait for that.
        call_command("check")
    except (ImproperlyConfigured, SystemCheckError) as error:
        sys.exit(f"Countersign cannot start: {error}")
    from django.conf import settings

    if settings.SLACK_SIGNING_SECRET:
        from integrations.slack.listeners import bolt_app

        # Making it takes a third of a second, and people who press at once would each make one.
        bolt_app()
    return handler
