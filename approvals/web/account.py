"""Sign-in rules, and the sessions that one is signed in with."""

from __future__ import annotations

from time import time
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.internal.httpkit import get_client_ip
from allauth.usersessions.models import UserSession
from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils import timezone

from approvals.models import Person


class ClosedSignup(DefaultAccountAdapter):  # type: ignore[misc]
    """Accounts come from the configuration or an administrator, never from a sign-up form."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Never."""
        return False

    def is_safe_url(self, url: str | None) -> bool:
        """Where one may be led after signing in: a path of ours. A bare word would lead beside this page."""
        return bool(url and url.startswith("/") and super().is_safe_url(url))


def remember_session(request: HttpRequest, person: Person) -> None:
    """Write down that this session is in use, from where and with which browser. ``0.0.0.0``: a proxy that tells
    no address."""
    if not request.session.session_key:
        request.session.save()
    UserSession.objects.update_or_create(
        session_key=request.session.session_key,
        defaults={
            "user": person,
            "ip": get_client_ip(request) or "0.0.0.0",  # noqa: S104 - no address is opened
            "user_agent": request.META.get("HTTP_USER_AGENT", "")[:200],
            "last_seen_at": timezone.now(),
        },
    )
    request.session["seen"] = int(time())


@receiver(user_logged_in)
def _signed_in(request: HttpRequest | None, user: Person, **_: Any) -> None:
    if request is not None and hasattr(request, "session"):
        remember_session(request, user)
