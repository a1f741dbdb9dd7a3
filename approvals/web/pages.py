"""What the views share."""

from __future__ import annotations

from typing import cast

from django.http import HttpRequest

from approvals.models import Person


def person_of(request: HttpRequest) -> Person:
    """Who asks; every page but the sign-in stands behind LoginRequiredMiddleware."""
    return cast(Person, request.user)


def number_in(request: HttpRequest, name: str) -> int | None:
    """A whole number of the address or form that fits a row's id, else None."""
    text = request.GET.get(name) or request.POST.get(name) or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None
