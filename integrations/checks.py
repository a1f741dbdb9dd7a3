"""System checks: a missing address or secret is a sentence at start-up, not a surprise at night."""

from __future__ import annotations

from collections.abc import Sequence

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.mail.message import sanitize_address


def _together(names: Sequence[str]) -> tuple[list[str], list[str]]:
    have = [name for name in names if getattr(settings, name)]
    return have, [name for name in names if name not in have]


@register()
def services_are_configured(
    app_configs: Sequence[AppConfig] | None, **kwargs: object
) -> list[CheckMessage]:
    """Every service needs its address and its secrets; each also as ``NAME_FILE``."""
    problems = []
    if not settings.MLFLOW_TRACKING_URI:
        problems.append("MLFLOW_TRACKING_URI is not set: where is MLflow?")
    app, app_missing = _together(
        ["GITHUB_APP_ID", "GITHUB_APP_PRIVATE_KEY", "GITHUB_APP_INSTALLATION_ID"]
    )
    if app and app_missing:
        problems.append(f"{', '.join(app_missing)} not set, which a GitHub App needs as well.")
    elif not app and not settings.GITHUB_TOKEN:
        problems.append("Neither GITHUB_TOKEN nor GITHUB_APP_ID and its companions are set.")
    if not settings.GITHUB_WEBHOOK_SECRET:
        problems.append(
            "GITHUB_WEBHOOK_SECRET is not set: GitHub's webhooks could not be verified."
        )
    problems += _slack_problems()
    if settings.EMAIL_HOST:
        try:
            sanitize_address(settings.DEFAULT_FROM_EMAIL, "utf-8")
        except ValueError:
            problems.append("DEFAULT_FROM_EMAIL is not set to an address: whom is mail from?")
        if bool(settings.EMAIL_HOST_USER) != bool(settings.EMAIL_HOST_PASSWORD):
            problems.append("Only one of EMAIL_USER and EMAIL_PASSWORD is set: set both or none.")
    return [
        Error(text, hint="Set it, or NAME_FILE to a file that holds it.", id="integrations.E001")
        for text in problems
    ]


def _slack_problems() -> list[str]:
    """Whom we speak as: one workspace by its bot token, or any number by OAuth; and a way in: Slack's requests, or
    connections that we open."""
    one, one_missing = _together(["SLACK_BOT_TOKEN", "SLACK_TEAM_ID"])
    many, many_missing = _together(["SLACK_CLIENT_ID", "SLACK_CLIENT_SECRET"])
    doors, _ = _together(["SLACK_SIGNING_SECRET", "SLACK_APP_TOKEN"])
    if not one and not many and not doors:
        return []
    problems = []
    if one_missing and (one or not many):
        problems.append(
            f"{' and '.join(one_missing)} not set: Slack needs SLACK_BOT_TOKEN and SLACK_TEAM_ID."
        )
    if many and many_missing:
        problems.append(f"{many_missing[0]} not set, which installing the Slack app needs as well.")
    if not doors:
        problems.append(
            "Neither SLACK_SIGNING_SECRET nor SLACK_APP_TOKEN is set: the first verifies the requests that Slack "
            "sends, the second lets `manage.py runslack` connect to Slack where it cannot reach us."
        )
    if settings.SLACK_APP_TOKEN and not settings.SLACK_APP_TOKEN.startswith("xapp-"):
        problems.append(
            "SLACK_APP_TOKEN is not an app-level token: those begin with xapp- (the bot's with xoxb-)."
        )
    return problems


@register()
def failpoints_are_for_tests(
    app_configs: Sequence[AppConfig] | None, **kwargs: object
) -> list[CheckMessage]:
    """Workers that die on purpose belong to tests, which have SANDBOX on; elsewhere the variable is a mistake."""
    if not settings.FAILPOINTS or settings.SANDBOX:
        return []
    return [
        Error(
            "COUNTERSIGN_FAILPOINTS is set: it makes workers die on purpose, for tests.",
            hint="Remove it from the environment.",
            id="integrations.E002",
        )
    ]
