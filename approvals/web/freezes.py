"""Freezes: what is closed and when; placing and lifting one."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from approvals import services
from approvals.selectors.freezes import freezes
from approvals.services import Refused
from approvals.states import Via
from approvals.web.pages import moment_in, number_in, person_of


@require_http_methods(["GET", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    """The freezes of every environment; a POST places or lifts one."""
    form: dict[str, Any] = {}
    if request.method == "POST":
        answer = _act(request, form)
        if answer is not None:
            return answer
    rows = freezes(person_of(request), timezone.now())
    zones = dict.fromkeys([*(each.zone for row in rows for each in row.recurring), "UTC"])
    return render(
        request,
        "web/freezes.html",
        {"rows": rows, "form": form, "zones": list(zones)},
        status=409 if form else 200,
    )


def _act(request: HttpRequest, form: dict[str, Any]) -> HttpResponse | None:
    """Place or lift; None when refused, with ``form`` holding what was typed and why."""
    reason = request.POST.get("reason", "")
    who: dict[str, Any] = {"actor": person_of(request), "via": Via.BROWSER, "reason": reason}
    try:
        if request.POST.get("action") == "unfreeze":
            services.unfreeze(**who, freeze_id=number_in(request, "freeze") or 0)
            messages.success(request, "The freeze is lifted.")
        else:
            services.freeze(
                **who,
                environment_id=number_in(request, "environment") or 0,
                begins_at=_optional(request, "begins"),
                ends_at=_optional(request, "ends"),
            )
            messages.success(request, "Frozen. Nothing is started there meanwhile but rollbacks.")
    except Refused as refused:
        names = ("environment", "begins", "ends", "zone")
        form.update({name: request.POST.get(name, "") for name in names})
        form.update(reason=reason, error=refused.sentence)
        return None
    return redirect("freezes")


def _optional(request: HttpRequest, name: str) -> datetime | None:
    return moment_in(request, name) if request.POST.get(name, "").strip() else None
