"""What stands around every address of the API: its limits, and refusals as JSON."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import URLPattern
from django.views.decorators.csrf import csrf_exempt

MAX_BODY = 64 * 1024
View = Callable[..., HttpResponse]


def refusal(status: int, code: str, message: str, field: str = "") -> JsonResponse:
    """``{"code", "message"}``, and ``field`` where one is meant."""
    said = {"code": code, "message": message, **({"field": field} if field else {})}
    return JsonResponse(said, status=status)


def guarded(view: View) -> View:
    """No session and no cookie counts here, so there is no sign-in page and no forgery to fend off; nothing is
    cached that does not say so itself; and a body that is too large is not even read."""

    @csrf_exempt
    @login_not_required
    @functools.wraps(view)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = _answer(view, request, *args, **kwargs)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    return inner


def _answer(view: View, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
    # A body without a length is an empty one: WSGI reads no further than the length.
    length = str(request.META.get("CONTENT_LENGTH") or "0")
    if length.isascii() and length.isdigit() and (len(length) > 9 or int(length) > MAX_BODY):
        return refusal(413, "too_large", f"A body has at most {MAX_BODY // 1024} KB.")
    try:
        response = view(request, *args, **kwargs)
    except Http404:
        return unknown_address(request)
    if response.status_code != 405:
        return response
    known = refusal(405, "unknown_method", "This address does not know this method.")
    known.headers["Allow"] = response.headers["Allow"]
    return known


def unknown_address(request: HttpRequest, rest: str = "") -> HttpResponse:
    """Programs are told in JSON too that there is nothing here."""
    return refusal(404, "unknown_address", "There is nothing at this address.")


def guard(patterns: list[URLPattern]) -> list[URLPattern]:
    """The same patterns, their views guarded."""
    for pattern in patterns:
        pattern.callback = guarded(pattern.callback)
    return patterns
