"""The web process's entry point."""

import os
import sys

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
try:
    application = get_wsgi_application()
    # A web server runs no checks by itself; a sandbox on a public address must not even start.
    # It also imports every page and door, so that the first request does not wait for that.
    call_command("check")
except (ImproperlyConfigured, SystemCheckError) as error:
    sys.exit(f"Countersign cannot start: {error}")

if settings.SLACK_SIGNING_SECRET:
    from integrations.slack.listeners import bolt_app

    # Making it takes a third of a second, and people who press at once would each make one.
    bolt_app()
