"""Feeds that are read by programs: Atom of the timeline, iCalendar of deployments and freezes."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, tzinfo
from functools import wraps
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils import timezone
from django.utils.cache import get_conditional_response
from django.utils.http import http_date, quote_etag
from django.views.decorators.http import require_POST, require_safe

from approvals import services
from approvals.calendar_feed import calendar_of
from approvals.feed import atom_of
from approvals.models import Person
from approvals.selectors.filters import Filters
from approvals.selectors.happenings import happenings
from approvals.selectors.preferences import preferences_of
from approvals.selectors.timeline import page_of_history
from approvals.services import Refused
from approvals.states import Via
from approvals.web.pages import back_to, person_of

Feed = Callable[[HttpRequest], tuple[bytes, datetime | None]]


def guarded(request: HttpRequest) -> Person | None:
    """Who reads: the person of the session, else of an API token (as Bearer, or as the password of Basic)."""
    if isinstance(request.user, Person) and request.user.is_active:
        return request.user
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            given = base64.b64decode(given.strip(), validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return None
    elif scheme.lower() != "bearer":
        return None
    with suppress(Refused):
        return services.person_of_token(secret=given.strip())
    return None


def unknown(request: HttpRequest) -> HttpResponse:
    """For somebody who did not say who they are: a browser may sign in, a program is told how to."""
    if "text/html" in request.headers.get("Accept", "") and "Authorization" not in request.headers:
        return redirect_to_login(request.get_full_path())
    answer = HttpResponse(
        "Sign in, or send an API token (Authorization: Bearer cs_…, or as the password of Basic).\n",
        content_type="text/plain; charset=utf-8",
        status=401,
    )
    answer.headers["WWW-Authenticate"] = 'Basic realm="Countersign", charset="UTF-8"'
    return answer


def _feed(kind: str) -> Callable[[Feed], Callable[..., HttpResponseBase]]:
    """A view of what the feed says, for whoever may read, on their clocks; nothing when it did not change."""

    def decorate(make: Feed) -> Callable[..., HttpResponseBase]:
        @login_not_required
        @require_safe
        @wraps(make)
        def view(request: HttpRequest, key: str = "") -> HttpResponseBase:
            try:
                person = services.person_of_feed_key(key=key) if key else guarded(request)
            except Refused as refused:
                answer = HttpResponse(f"{refused.sentence}\n", "text/plain; charset=utf-8", 404)
                return _private(answer)
            if person is None:
                return unknown(request)
            with timezone.override(_zone(person)):
                body, modified = make(request)
            etag = quote_etag(hashlib.sha256(body).hexdigest()[:32])
            seconds = int(modified.timestamp()) if modified else None
            answer = HttpResponse(body, content_type=kind)
            if seconds:
                answer.headers["Last-Modified"] = http_date(seconds)
            answer.headers["ETag"] = etag
            # By the tag alone: two states may be of the same second.
            found = get_conditional_response(request, etag, None, answer)
            return _private(found or answer)

        return view

    return decorate


@_feed("application/atom+xml; charset=utf-8")
def atom(request: HttpRequest) -> tuple[bytes, datetime | None]:
    """The newest 50 events that the filters leave."""
    filters = Filters.of(request.GET)
    page = page_of_history(filters)
    events = [event for _, day in page.days for event in day]
    return atom_of(events, filters), events[0].at if events else None


@_feed("text/calendar; charset=utf-8")
def calendar(request: HttpRequest) -> tuple[bytes, datetime | None]:
    """Deployments, what is planned, and freezes; of one model or environment where the filters say so."""
    found = happenings(Filters.of(request.GET), timezone.now())
    return calendar_of(found), max((each.changed for each in found), default=None)


@require_POST
def addresses(request: HttpRequest) -> HttpResponse:
    """Make, renew or switch off the private addresses of my feeds."""
    who = person_of(request)
    try:
        if request.POST.get("action") == "end":
            services.end_feeds(actor=who, via=Via.BROWSER)
            messages.success(request, "Switched off: the private addresses open nothing any more.")
        else:
            services.renew_feed_key(actor=who, via=Via.BROWSER)
            messages.success(request, "These are your private addresses; former ones are dead.")
    except Refused as refused:
        messages.error(request, refused.sentence)
    return back_to(request, "timeline")


def _zone(person: Person) -> tzinfo:
    try:
        return ZoneInfo(preferences_of(person).zone or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def _private(answer: HttpResponseBase) -> HttpResponseBase:
    """Kept by nobody on the way, and its address told to nobody."""
    answer.headers["Cache-Control"] = "private, no-cache"
    answer.headers["Referrer-Policy"] = "no-referrer"
    answer.headers["X-Robots-Tag"] = "noindex"
    return answer
