"""My profile: how I am told, how pages look, my sessions and tokens, and who decides for me."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_GET, require_POST

from approvals import services
from approvals.models import ApiToken, Person
from approvals.selectors.preferences import my_preferences
from approvals.selectors.sessions import sessions_of
from approvals.services import Refused
from approvals.services.cases import delegations_at
from approvals.services.delegations import open_delegation
from approvals.services.feeds import feed_key_of
from approvals.states import MailWish, Theme, Via
from approvals.web.pages import back_to, moment_in, number_in, person_of

# Tokens that open nothing any more are shown too, the newest of them: a list of what was possible.
MOST_TOKENS = 50


def _me(request: HttpRequest) -> dict[str, Any]:
    return {"actor": person_of(request), "via": Via.BROWSER}


def _back(request: HttpRequest, section: str) -> HttpResponse:
    return redirect(f"{reverse('profile')}#{section}")


def _done(request: HttpRequest, section: str, act: Callable[[], str]) -> HttpResponse:
    """Do it, tell the outcome or the refusal, and go back to the section of the profile."""
    try:
        messages.success(request, act())
    except Refused as refused:
        messages.error(request, refused.sentence)
    return _back(request, section)


@require_POST
def delegation(request: HttpRequest) -> HttpResponse:
    """Hand my approvals to a colleague, or take them back."""

    def act() -> str:
        if request.POST.get("action") == "end":
            services.end_delegation(**_me(request))
            return "You decide for yourself again."
        made = services.delegate(
            **_me(request),
            delegate_id=number_in(request, "delegate") or 0,
            until=moment_in(request, "until"),
            reason=request.POST.get("reason", ""),
        )
        return f"{made.delegate} may now approve for you."

    return _done(request, "delegation", act)


@require_POST
def preferences(request: HttpRequest) -> HttpResponse:
    """How I am told, from the form of my profile: a box that is not ticked is a no."""

    def act() -> str:
        services.set_preferences(
            **_me(request),
            direct="direct" in request.POST,
            reminders="reminders" in request.POST,
            notify="notify" in request.POST,
            mail=request.POST.get("mail", ""),
        )
        return "Saved: this is how you are told from now on."

    return _done(request, "told", act)


@require_POST
def looks(request: HttpRequest) -> HttpResponse:
    """How the pages look to me, from the form of my profile."""

    def act() -> str:
        services.set_preferences(
            **_me(request),
            theme=request.POST.get("theme", ""),
            zone=request.POST.get("zone", "").strip(),
            shortcuts="shortcuts" in request.POST,
        )
        return "Saved."

    return _done(request, "looks", act)


@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """The quick switch of the menu: that one wish, and back to the page it was pressed on."""
    try:
        services.set_preferences(**_me(request), theme=request.POST.get("theme", ""))
    except Refused as refused:
        messages.error(request, refused.sentence)
    return back_to(request, "profile")


@require_POST
def end_sessions(request: HttpRequest) -> HttpResponse:
    """End one of my sessions, or all but this one."""

    def act() -> str:
        count = services.end_sessions(
            **_me(request),
            keep=request.session.session_key or "",
            session_id=number_in(request, "session"),
        )
        return f"{count} session{'s' if count != 1 else ''} ended."

    return _done(request, "sessions", act)


@require_POST
@never_cache
@sensitive_variables("secret")
def make_token(request: HttpRequest) -> HttpResponse:
    """A new token of mine. Its secret is in this answer and nowhere else, so it is no redirect."""
    name, days = request.POST.get("name", ""), request.POST.get("days", "").strip()
    try:
        if days and number_in(request, "days") is None:
            raise Refused("bad_days", "Say for how many days, in digits.")
        token, secret = services.create_token(
            **_me(request),
            person_id=person_of(request).pk,
            name=name,
            days=number_in(request, "days") if days else None,
        )
    except Refused as refused:
        form = {"name": name, "days": days, "error": refused.sentence}
        return _page(request, {"token_form": form}, status=409)
    return _page(request, {"new_token": token, "secret": secret})


@require_POST
def revoke_token(request: HttpRequest) -> HttpResponse:
    """Revoke a token of mine; an administrator revokes others' in the administration."""

    def act() -> str:
        mine = ApiToken.objects.filter(
            person=person_of(request), pk=number_in(request, "token") or 0
        )
        token = services.revoke_token(**_me(request), token_id=getattr(mine.first(), "pk", 0))
        return f"{token.prefix}… opens nothing from now on."

    return _done(request, "tokens", act)


@require_GET
def profile(request: HttpRequest) -> HttpResponse:
    """My teams, linked accounts, wishes, sessions and tokens."""
    return _page(request, {})


def _page(request: HttpRequest, more: dict[str, Any], status: int = 200) -> HttpResponse:
    person, now = person_of(request), timezone.now()
    try:
        unlink = reverse("slack_unlink")
    except NoReverseMatch:
        unlink = ""
    sessions = sessions_of(person, request.session.session_key)
    context = {
        "teams": person.teams.prefetch_related("members"),
        "slack": getattr(person, "slack_identity", None),
        "unlink": unlink,
        "wishes": my_preferences(request),
        "mail_wishes": MailWish.choices,
        "themes": Theme.choices,
        "given": open_delegation(person, now),
        "held": delegations_at(now, delegate=person),
        "colleagues": Person.objects.filter(is_active=True, is_machine=False)
        .exclude(pk=person.pk)
        .order_by("first_name", "username"),
        "sessions": sessions,
        "elsewhere": [each for each in sessions if not each.here],
        "tokens": person.api_tokens.order_by("-created_at", "-id")[:MOST_TOKENS],
        "feed_key": feed_key_of(person),
        "now": now,
        **more,
    }
    return render(request, "web/profile.html", context, status=status)
