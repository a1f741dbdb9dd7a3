"""The product's web process with two more addresses: a bolt listener that does nothing but acknowledge, and what
this process has spent."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import cache
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from slack_bolt import Ack, App
from slack_bolt.adapter.django import SlackRequestHandler
from slack_bolt.authorization import AuthorizeResult

settings.ROOT_URLCONF = __name__
django.setup()
_statements = 0


@cache
def _app() -> App:
    def authorize(**_: Any) -> AuthorizeResult:
        return AuthorizeResult(enterprise_id=None, team_id=None, bot_token="x", bot_user_id="U0")  # noqa: S106

    app = App(
        signing_secret=settings.SLACK_SIGNING_SECRET,
        authorize=authorize,
        process_before_response=True,
        token_verification_enabled=False,
    )

    def empty(ack: Ack) -> None:
        ack()

    app.action("approve")(empty)
    return app


@csrf_exempt
@login_not_required
def empty(request: HttpRequest) -> HttpResponse:
    """Verify the signature, acknowledge."""
    return SlackRequestHandler(_app()).handle(request)


def _counted(execute: Callable[..., Any], *statement: Any) -> Any:
    global _statements
    _statements += 1
    return execute(*statement)


@receiver(connection_created)
def _count(connection: BaseDatabaseWrapper, **_: Any) -> None:
    if _counted not in connection.execute_wrappers:  # it is told of every reconnection
        connection.execute_wrappers.append(_counted)


@csrf_exempt
@login_not_required
def spent(request: HttpRequest) -> JsonResponse:
    """Seconds of CPU and statements, of this process so far."""
    return JsonResponse({"cpu": time.process_time(), "statements": _statements})


urlpatterns = [
    path("benchmark/empty", empty),
    path("benchmark/spent", spent),
    path("", include("config.urls")),
]
_app()
# As the product starts: checked, and with everything imported.
from config.asgi import application  # noqa: E402, F401
