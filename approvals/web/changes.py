"""One out-of-band change: what should be live, what is, and the three answers."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from approvals import services
from approvals.models import OutOfBandChange
from approvals.selectors.changes import change_with_all, shown
from approvals.services import Refused
from approvals.states import Via
from approvals.web.pages import number_in, person_of

ANSWERS = {
    "ignore": (services.ignore_change, "Ignored, until something else is found."),
    "put_back": (services.put_back, "It is being put back."),
    "adopt": (services.adopt, "Asked. The people who decide have been told."),
}


@require_http_methods(["GET", "POST"])
def change(request: HttpRequest, pk: int) -> HttpResponse:
    """The change's page; a POST answers it."""
    found = change_with_all(pk)
    if found is None:
        raise Http404(f"There is no out-of-band change {pk}.")
    form: dict[str, Any] = {}
    if request.method == "POST":
        action = str(request.POST.get("action", ""))
        if action not in ANSWERS:
            return HttpResponseBadRequest("The request names no answer.\n")
        answered = _answer(request, found, action, form)
        if answered is not None:
            # What was asked for is decided on its own page.
            return redirect(answered.promotion or answered)
        found = change_with_all(pk) or found
    return render(
        request,
        "web/change.html",
        {
            "change": found,
            "shown": shown(found, person_of(request)),
            "form": form,
            "events": _history(found),
        },
        status=409 if form else 200,
    )


def _answer(
    request: HttpRequest, found: OutOfBandChange, action: str, form: dict[str, Any]
) -> OutOfBandChange | None:
    """The answered change; None when refused, with ``form`` holding what was typed and why."""
    verb, done = ANSWERS[action]
    reason = request.POST.get("reason", "")
    more: dict[str, Any] = (
        {"version_id": number_in(request, "version")} if action == "adopt" else {}
    )
    try:
        answered: OutOfBandChange = verb(
            actor=person_of(request), via=Via.BROWSER, change_id=found.pk, reason=reason, **more
        )
    except Refused as refused:
        form.update(reason=reason, error=refused.sentence, action=action)
        return None
    messages.success(request, done)
    return answered


def _history(found: OutOfBandChange) -> Any:
    events = found.target.events.filter(kind__startswith="out_of_band.", data__change=found.pk)
    return events.select_related("actor", "target__model", "target__environment")
