"""Everybody, and signing in to the sandbox."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from approvals.models import Person
from approvals.selectors.people import everybody
from approvals.web.context import SANDBOX_PEOPLE
from approvals.web.pages import back_to


@login_not_required
@require_POST
def sandbox_sign_in(request: HttpRequest, username: str) -> HttpResponse:
    """Sign in as one of the demo's people with one click. It does not exist outside of the sandbox."""
    if not settings.SANDBOX or username not in {name for name, _, _ in SANDBOX_PEOPLE}:
        raise Http404("There is no such way in.")
    person = get_object_or_404(Person, username=username, is_active=True)
    login(request, person, backend=settings.AUTHENTICATION_BACKENDS[0])
    return back_to(request, "overview")


@require_GET
def people(request: HttpRequest) -> HttpResponse:
    """Everybody by team, what each team may decide, and who decides for whom."""
    text = request.GET.get("q", "").strip()
    page = everybody(text, timezone.now())
    return render(request, "web/people.html", {"everybody": page, "q": text})
