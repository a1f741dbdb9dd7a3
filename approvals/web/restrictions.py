"""Locking and unlocking a target, quarantining and releasing a version."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from approvals import services
from approvals.models import ModelVersion, Target
from approvals.services import Refused
from approvals.states import Via
from approvals.web.pages import person_of

# action: the verb, what it is about, and what the person is told.
ACTIONS: dict[str, tuple[Callable[..., Any], type[Target] | type[ModelVersion], str]] = {
    "lock": (
        services.lock,
        Target,
        "Locked. Nothing is approved or started here until it is unlocked.",
    ),
    "unlock": (services.unlock, Target, "Unlocked."),
    "resume": (services.resume, Target, "The hold is over: gates may approve by themselves again."),
    "quarantine": (services.quarantine, ModelVersion, "Quarantined: it cannot go live anywhere."),
    "release": (services.release, ModelVersion, "Released from quarantine."),
}


@require_POST
def restrict(request: HttpRequest, action: str, pk: int) -> HttpResponse:
    """Do one of them, and go back to where the button was."""
    if action not in ACTIONS:
        raise Http404(f"There is no {action!r}.")
    verb, kind, done = ACTIONS[action]
    subject = kind.objects.select_related("model").filter(pk=pk).first()
    if subject is None:
        raise Http404("There is no such thing to close.")
    name = "target_id" if kind is Target else "version_id"
    try:
        verb(
            actor=person_of(request),
            via=Via.BROWSER,
            reason=request.POST.get("reason", ""),
            **{name: pk},
        )
    except Refused as refused:
        messages.error(request, refused.sentence)
    else:
        messages.success(request, done)
    back = subject.model if isinstance(subject, Target) else subject
    return redirect(back.get_absolute_url())
