"""Everybody, and signing in to the sandbox."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_POST

from approvals.models import Person
from approvals.selectors.people import everybody
from approvals.web.context import SANDBOX_PEOPLE


@login_not_required
@require_POST
def sandbox_sign_in(request: HttpRequest, username: str) -> HttpResponse:
    """Sign in as one of the demo's people with one click. It does not exist outside of the sandbox."""
    if not settings.SANDBOX or username not in {name for name, _, _ in SANDBOX_PEOPLE}:
        raise Http404("There is no such way in.")
    person = get_object_or_404(Person, username=username, is_active=True)
    login(request, person, backend=settings.AUTHENTICATION_BACKENDS[0])
    there = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(
        there, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return redirect(there if there and safe else "overview")


@require_GET
def people(request: HttpRequest) -> HttpResponse:
    """Everybody by team, what each team may decide, and who decides for whom."""
    text = request.GET.get("q", "").strip()
    page = everybody(text, timezone.now())
    return render(request, "web/people.html", {"everybody": page, "q": text})
