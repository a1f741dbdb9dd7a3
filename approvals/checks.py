"""System checks: what must never be so in production."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, register


@register()
def sandbox_stays_at_home(
    app_configs: Sequence[AppConfig] | None, **kwargs: object
) -> list[CheckMessage]:
    """One-click sign-in exists only in the sandbox, and the sandbox only on this very machine."""
    if not settings.SANDBOX:
        return []
    hosts = {
        "BASE_URL": urlsplit(settings.BASE_URL).hostname,
        "GITHUB_API_URL": urlsplit(settings.GITHUB_API_URL).hostname,
        "SLACK_API_URL": urlsplit(settings.SLACK_API_URL).hostname,
    }
    if settings.EMAIL_HOST:
        hosts["EMAIL_HOST"] = settings.EMAIL_HOST
    return [
        Error(
            f"SANDBOX is set, which lets anybody sign in as anybody, but {name} points to {host}.",
            hint="Unset SANDBOX, or use the sandbox with its own stand-ins on 127.0.0.1.",
            id="approvals.E001",
        )
        for name, host in hosts.items()
        if host not in {"127.0.0.1", "localhost", "::1"}
    ]
