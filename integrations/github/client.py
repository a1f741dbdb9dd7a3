"""One way to speak to GitHub: PyGithub's requester for authentication and transport, no retries, and the
answer's status for us to judge.

Why not PyGithub's objects: its default client retries POST (one dispatch became eleven), a 307 counts
as success, lists send no ETags and 429 is not a rate limit. The requester gives status and headers.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import requests
from django.conf import settings
from django.utils import timezone
from django.utils.crypto import salted_hmac
from github import Auth, Github, GithubException
from github.Requester import Requester

from approvals.wording import clean_text
from integrations import pace
from integrations.errors import Limited, Rejected, Unavailable, outside_transaction, why

API_VERSION = "2022-11-28"  # pinned: 2026-03-10 drops return_run_details
TIMEOUT_SECONDS = 15
MAX_RETRY_AFTER = 3600.0


class NoAnswer(Exception):
    """The connection broke or timed out: whether GitHub acted is unknown."""


@dataclass(frozen=True)
class Answer:
    """What GitHub said. ``data`` is the decoded body, None where there is none."""

    status: int
    headers: dict[str, Any]
    data: Any

    @property
    def etag(self) -> str:
        """For the next conditional request."""
        return str(self.headers.get("etag", ""))

    @property
    def remaining(self) -> int | None:
        """Calls left in this hour, where GitHub says so."""
        return self._number("x-ratelimit-remaining")

    @property
    def budget(self) -> pace.Budget | None:
        """The credential's limit as told with this answer; None where GitHub tells none."""
        limit, remaining = self._number("x-ratelimit-limit"), self.remaining
        reset = self._number("x-ratelimit-reset")
        resource = self.headers.get("x-ratelimit-resource", "core")
        if not limit or remaining is None or reset is None or resource != "core":
            return None
        return pace.Budget(limit, remaining, datetime.fromtimestamp(reset, UTC))

    def _number(self, header: str) -> int | None:
        value = str(self.headers.get(header, ""))
        return int(value) if value.isdigit() else None

    @property
    def message(self) -> str:
        """GitHub's own words, or the status."""
        said = self.data.get("message") if isinstance(self.data, dict) else None
        # It ends up in rows, where PostgreSQL takes no NUL, and on pages.
        text = clean_text(str(said))[:500] if said else ""
        return f"{text} (HTTP {self.status})" if text else f"HTTP {self.status}"

    @property
    def is_limited(self) -> bool:
        """A primary or secondary rate limit, as GitHub tells it."""
        return self.status == 429 or (
            self.status == 403
            and (
                "retry-after" in self.headers
                or self.remaining == 0
                or "rate limit" in self.message.lower()
            )
        )

    @property
    def wait(self) -> float:
        """Seconds to leave GitHub alone after a limit."""
        after = self._number("retry-after")
        if after is not None:
            return min(float(after), MAX_RETRY_AFTER)
        reset = self._number("x-ratelimit-reset")
        if self.remaining == 0 and reset is not None:
            return min(max(float(reset) - time.time(), 1.0), MAX_RETRY_AFTER)
        return 60.0


# Of this thread: PyGithub is not thread-safe.
_mine = threading.local()


def credential() -> str:
    """Names what we authenticate with, so that limits are kept apart; nothing can be learned from it."""
    if settings.GITHUB_APP_ID:
        who = f"app {settings.GITHUB_APP_ID}, installation {settings.GITHUB_APP_INSTALLATION_ID}"
    else:
        who = f"token {salted_hmac('github', settings.GITHUB_TOKEN).hexdigest()[:12]}"
    return f"{who} at {settings.GITHUB_API_URL}"[:300]


def _auth() -> Auth.Auth:
    """An App's installation token is good for an hour and costs a call, so the thread keeps it."""
    if not settings.GITHUB_APP_ID:
        return Auth.Token(settings.GITHUB_TOKEN)
    wanted = (credential(), settings.GITHUB_APP_PRIVATE_KEY)
    if getattr(_mine, "app", None) != wanted:
        app = Auth.AppAuth(settings.GITHUB_APP_ID, settings.GITHUB_APP_PRIVATE_KEY)
        _mine.auth = app.get_installation_auth(int(settings.GITHUB_APP_INSTALLATION_ID))
        _mine.app = wanted
    kept: Auth.Auth = _mine.auth
    return kept


@contextmanager
def kept_open() -> Iterator[None]:
    """Within it, this thread's calls share one connection: for many short readings one after another."""
    _mine.open, _mine.requester = True, None
    try:
        yield
    finally:
        made, _mine.open, _mine.requester = _mine.requester, False, None
        if made is not None:
            made.close()


def _shared() -> Requester:
    if not getattr(_mine, "open", False):
        return requester()
    if _mine.requester is None:
        _mine.requester = requester()
    made: Requester = _mine.requester
    return made


def requester() -> Requester:
    """A fresh, authenticated requester: PyGithub is not thread-safe, so one per task.

    Raises Unavailable when GitHub would not give the App a token; nothing was asked for by then.
    """
    made = Github(
        auth=_auth(),
        base_url=settings.GITHUB_API_URL,
        timeout=TIMEOUT_SECONDS,
        retry=None,
        seconds_between_requests=0,
        seconds_between_writes=0,
    ).requester
    try:
        # An App's token is fetched here, where a failure is clear, not inside a dispatch.
        _ = made.auth.token if made.auth else ""
    except Exception as error:  # a bad key, a refusal, a broken line: nothing was asked for by then
        raise Unavailable(
            f"GitHub gave the App no token ({type(error).__name__}). Check GITHUB_APP_ID, its private "
            "key and GITHUB_APP_INSTALLATION_ID."
        ) from error
    return made


def call(
    method: str,
    path: str,
    *,
    body: dict[str, Any] | None = None,
    etag: str = "",
    by: Requester | None = None,
) -> Answer:
    """One request, never repeated. Raises :class:`NoAnswer`; every status is an :class:`Answer`."""
    outside_transaction()
    headers = {"X-GitHub-Api-Version": API_VERSION}
    if etag:
        headers["If-None-Match"] = etag
    try:
        status, got, text = (by or _shared()).requestJson(method, path, headers=headers, input=body)
    except (requests.RequestException, GithubException, OSError) as error:
        _mine.requester = None
        raise NoAnswer(why(error)) from error
    try:
        data = json.loads(text) if text else None
    except ValueError:
        data = None
    return Answer(status, {key.lower(): value for key, value in got.items()}, data)


def read(path: str, *, etag: str = "", redirects: bool = False) -> Answer:
    """A GET whose answer is 200 or 304; with ``redirects`` 302, for the caller to follow without our credentials.
    Raises Unavailable (later) or Rejected (a clear no)."""
    try:
        answer = call("GET", path, etag=etag)
    except NoAnswer as error:
        raise Unavailable(f"GitHub could not be reached ({error}).") from error
    if answer.status in {200, 304} or (redirects and answer.status == 302):
        return answer
    if answer.is_limited:
        until = timezone.now() + timedelta(seconds=answer.wait)
        pace.pause(credential(), until, answer.message)
        raise Limited(f"GitHub's rate limit: {answer.message}.", after=answer.wait)
    if answer.status >= 500:
        raise Unavailable(f"GitHub failed: {answer.message}.")
    if answer.status == 401:
        _mine.app = _mine.requester = None  # a token that was taken back is not used again
        raise Unavailable(
            "GitHub refused the credentials (401). Check GITHUB_TOKEN or the App's key."
        )
    if 300 <= answer.status < 400:
        raise Rejected(
            f"The repository was renamed or moved ({answer.message}); configure its new name."
        )
    raise Rejected(
        f"GitHub said no to {urlsplit(path).path}: {answer.message}.", code=answer.status
    )


def moment(text: str | None) -> datetime | None:
    """GitHub's ISO times as aware times."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None
