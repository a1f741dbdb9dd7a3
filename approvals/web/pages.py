"""What the views share."""

from __future__ import annotations

from datetime import datetime
from typing import cast

from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from approvals.calendar import parse_local
from approvals.models import Person
from approvals.services import Refused


def person_of(request: HttpRequest) -> Person:
    """Who asks; every page but the sign-in stands behind LoginRequiredMiddleware."""
    return cast(Person, request.user)


def back_to(request: HttpRequest, otherwise: str) -> HttpResponseRedirect:
    """Back to the page that a form names in ``next``, where it is an address of ours; else to this one."""
    there = request.POST.get("next", "")
    # A word without a slash would be taken for a view's name, or for a page beside this one.
    ours = there.startswith("/") and url_has_allowed_host_and_scheme(
        there, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return HttpResponseRedirect(there if ours else reverse(otherwise))


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
