"""Slack's Web API without the library's retries: the outbox decides, so that nothing is posted twice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from urllib.error import URLError

from django.conf import settings
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from integrations.errors import Rejected, Unavailable, outside_transaction, why
from integrations.slack.health import refused_token, took_token
from integrations.slack.workspaces import token_of

TOKEN_ERRORS = {"invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive"}
# What an administrator mends in Slack or in the configuration; the message is then still wanted.
CHANNEL_ERRORS = {"channel_not_found", "not_in_channel", "is_archived", "missing_scope"}
LATER_ERRORS = {
    "ratelimited",
    "rate_limited",
    "internal_error",
    "fatal_error",
    "service_unavailable",
}


@contextmanager
def slack(timeout: int = 10, *, team: str = "") -> Iterator[WebClient]:
    """The client of a workspace, the default one where none is named; inside the block Slack's errors become
    Unavailable or Rejected. Whether the workspace takes our token is kept."""
    try:
        with speaking(token_of(team), timeout) as client:
            yield client
    except (Unavailable, Rejected) as error:
        if (code := code_of(error.__cause__)) in TOKEN_ERRORS:
            refused_token(team, code)
        raise
    else:
        took_token(team)


@contextmanager
def speaking(token: str | None, timeout: int = 10) -> Iterator[WebClient]:
    """The client with this token, or with none where Slack is asked for one."""
    outside_transaction()
    try:
        yield WebClient(
            token=token,
            base_url=settings.SLACK_API_URL,
            timeout=timeout,
            retry_handlers=[],
        )
    except SlackApiError as error:
        raise translated(error) from error
    except (SlackClientError, URLError, OSError, HTTPException, ValueError) as error:
        raise Unavailable(f"Slack could not be reached ({why(error)}).") from error


def code_of(error: BaseException | None) -> str:
    """Slack's error code, such as ``channel_not_found``; empty when the answer was not Slack's JSON, or it is no
    error of Slack's."""
    if not isinstance(error, SlackApiError):
        return ""
    code = str(error.response.get("error", "")) if error.response is not None else ""
    return code if re.fullmatch(r"[a-z0-9_]{1,60}", code) else ""


def translated(error: SlackApiError) -> Exception:
    """Slack's error in our two words."""
    code = code_of(error)
    status = getattr(error.response, "status_code", 0)
    if status == 429 or code in LATER_ERRORS or status >= 500:
        after = str(error.response.headers.get("Retry-After", "")) if status == 429 else ""
        return Unavailable(
            f"Slack asked us to wait or failed ({code or status}).",
            after=float(after) if after.isdigit() else None,
        )
    if code in TOKEN_ERRORS:
        return Unavailable(f"Slack refused the token ({code}). Check SLACK_BOT_TOKEN.")
    if code in CHANNEL_ERRORS:
        return Unavailable(
            f"Slack will not let us write there ({code}). Check the channel in the configuration, that "
            "the app was invited to it, and the app's scopes."
        )
    return Rejected(f"Slack said no: {code or status}.")
