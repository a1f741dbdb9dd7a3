"""The product's web process with one more address: a bolt listener that does nothing but acknowledge."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from slack_bolt import Ack, App
from slack_bolt.adapter.django import SlackRequestHandler
from slack_bolt.authorization import AuthorizeResult

settings.ROOT_URLCONF = __name__
application = get_wsgi_application()


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


urlpatterns = [path("benchmark/empty", empty), path("", include("config.urls"))]
