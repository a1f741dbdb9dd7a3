"""Sign-in rules."""

from __future__ import annotations

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest


class ClosedSignup(DefaultAccountAdapter):  # type: ignore[misc]
    """Accounts come from the configuration or an administrator, never from a sign-up form."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Never."""
        return False
