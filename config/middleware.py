"""Middleware of the composition root."""

from __future__ import annotations

from collections.abc import Callable
from time import time
from urllib.parse import unquote
from zoneinfo import ZoneInfo

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from django.utils import timezone

from approvals.calendar import is_zone
from approvals.selectors.preferences import my_preferences
from approvals.web.account import remember_session
from approvals.web.pages import person_of

# Nothing inline, nothing from elsewhere: what people write can never become a script.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'; manifest-src 'self'"
)
# Django's own admin pages use inline styles.
ADMIN_POLICY = POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")

# For programs, or with clocks of their own; a health check must not need the database for its session.
NO_PAGES = ("/api/", "/admin/", "/healthz", "/readyz")


class ContentSecurityPolicy:
    """Adds the Content-Security-Policy header to every answer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        is_admin = request.path.startswith("/admin/")
        response.headers.setdefault("Content-Security-Policy", ADMIN_POLICY if is_admin else POLICY)
        if settings.SANDBOX:
            response.headers["X-Countersign-Sandbox"] = "1"
        return response


class Pages(GZipMiddleware):
    """What is sent as HTML is compressed from a kilobyte on, and kept by no cache: every page is somebody's.

    Only whole pages: a stream or an export would wait for the compressor. Lengths tell less than they could
    (BREACH): Django adds a random number of bytes to each answer and masks its tokens anew, and the session's
    cookie (SameSite) does not come along when another site asks.
    """

    LEAST = 1024  # bytes; less fits into one packet anyhow

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        """Django's own, for pages alone."""
        if not response.headers.get("Content-Type", "").startswith("text/html"):
            return response
        response.headers.setdefault("Cache-Control", "private, no-store")
        if not isinstance(response, HttpResponse) or len(response.content) < self.LEAST:
            return response
        packed: HttpResponseBase = super().process_response(request, response)
        return packed


class PersonalZone:
    """Pages speak of times on the person's clocks: the zone that they chose, else the browser's, else UTC.

    The browser's comes in the cookie ``zone`` (static/countersign.js), and counts only if there is such a zone.
    What is stored, sent or answered by the API is not touched: it names its zone itself.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path.startswith(NO_PAGES):
            return self.get_response(request)
        zone = my_preferences(request).zone if request.user.is_authenticated else ""
        for name in (zone, unquote(request.COOKIES.get("zone", ""))):
            if is_zone(name):
                with timezone.override(ZoneInfo(name)):
                    return self.get_response(request)
        return self.get_response(request)


class SeenSessions:
    """Keeps true when and from where each session was last seen, for the list in the profile.

    Written at most every few minutes, remembered in the session itself: a page that refreshes costs nothing.
    """

    EVERY = 300  # seconds

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if (
            not request.path.startswith(NO_PAGES)
            and request.user.is_authenticated
            and request.session.get("seen", 0) < time() - self.EVERY
        ):
            remember_session(request, person_of(request))
        return self.get_response(request)
