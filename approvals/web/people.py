"""Signing in to the sandbox, and my profile."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_POST

from approvals import services
from approvals.models import Person
from approvals.selectors.preferences import preferences_of
from approvals.services import Refused
from approvals.services.cases import delegations_at
from approvals.services.delegations import open_delegation
from approvals.states import MailWish, Via
from approvals.web.context import SANDBOX_PEOPLE
from approvals.web.pages import moment_in, number_in, person_of


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


@require_POST
def delegation(request: HttpRequest) -> HttpResponse:
    """Hand my approvals to a colleague, or take them back."""
    who: dict[str, Any] = {"actor": person_of(request), "via": Via.BROWSER}
    try:
        if request.POST.get("action") == "end":
            services.end_delegation(**who)
            messages.success(request, "You decide for yourself again.")
        else:
            made = services.delegate(
                **who,
                delegate_id=number_in(request, "delegate") or 0,
                until=moment_in(request, "until"),
                reason=request.POST.get("reason", ""),
            )
            messages.success(request, f"{made.delegate} may now approve for you.")
    except Refused as refused:
        messages.error(request, refused.sentence)
    return redirect("profile")


@require_POST
def preferences(request: HttpRequest) -> HttpResponse:
    """How I am told, from the form of my profile: a box that is not ticked is a no."""
    try:
        services.set_preferences(
            actor=person_of(request),
            via=Via.BROWSER,
            direct="direct" in request.POST,
            reminders="reminders" in request.POST,
            mail=request.POST.get("mail", ""),
        )
        messages.success(request, "Saved: this is how you are told from now on.")
    except Refused as refused:
        messages.error(request, refused.sentence)
    return redirect("profile")


@require_GET
def profile(request: HttpRequest) -> HttpResponse:
    """My teams and linked accounts."""
    person, now = person_of(request), timezone.now()
    try:
        unlink = reverse("slack_unlink")
    except NoReverseMatch:
        unlink = ""
    return render(
        request,
        "web/profile.html",
        {
            "teams": person.teams.prefetch_related("members"),
            "slack": getattr(person, "slack_identity", None),
            "unlink": unlink,
            "wishes": preferences_of(person),
            "mail_wishes": MailWish.choices,
            "given": open_delegation(person, now),
            "held": delegations_at(now, delegate=person),
            "colleagues": Person.objects.filter(is_active=True, is_machine=False)
            .exclude(pk=person.pk)
            .order_by("first_name", "username"),
        },
    )


@require_GET
def people(request: HttpRequest) -> HttpResponse:
    """Everybody, their teams, and who decides for whom."""
    return render(request, "web/people.html")
