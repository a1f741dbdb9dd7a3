"""What the views share."""

from __future__ import annotations

from datetime import datetime
from typing import cast

from django.http import HttpRequest

from approvals.calendar import parse_local
from approvals.models import Person
from approvals.services import Refused


def person_of(request: HttpRequest) -> Person:
    """Who asks; every page but the sign-in stands behind LoginRequiredMiddleware."""
    return cast(Person, request.user)


def number_in(request: HttpRequest, name: str) -> int | None:
    """A whole number of the address or form that fits a row's id, else None."""
    text = request.GET.get(name) or request.POST.get(name) or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def zone_in(request: HttpRequest) -> str:
    """The time zone of a form; the verb or :func:`moment_in` refuses one that does not exist."""
    return request.POST.get("zone", "").strip() or "UTC"


def moment_in(request: HttpRequest, name: str) -> datetime:
    """The moment that a form names on the clocks of its zone. Raises Refused("bad_time")."""
    text = request.POST.get(name, "").strip()
    if not text:
        raise Refused("bad_time", "Choose a day and a time.")
    try:
        return parse_local(text, zone_in(request))
    except ValueError as error:
        raise Refused("bad_time", str(error)) from None
