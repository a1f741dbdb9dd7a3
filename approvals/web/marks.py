"""Marking a version as good or bad at a target."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.http import urlencode
from django.views.decorators.http import require_POST

from approvals import services
from approvals.models import ModelVersion, Target
from approvals.services import Refused
from approvals.states import MarkKind, Via
from approvals.web.pages import person_of


@require_POST
def mark(request: HttpRequest, pk: int, version: int) -> HttpResponse:
    """Do it, and go back to the version's page."""
    target = get_object_or_404(Target.objects.select_related("environment"), pk=pk)
    about = get_object_or_404(
        ModelVersion.objects.select_related("model"), pk=version, model=target.model_id
    )
    kind = request.POST.get("kind", "")
    try:
        services.mark(
            actor=person_of(request),
            via=Via.BROWSER,
            target_id=target.pk,
            version_id=about.pk,
            kind=kind,
            reason=request.POST.get("reason", ""),
        )
    except Refused as refused:
        messages.error(request, refused.sentence)
    else:
        bad = kind == MarkKind.BAD
        again = "Nothing is rolled back to it" if bad else "It may be rolled back to"
        messages.success(request, f"Marked as {kind}. {again} in {target.environment}.")
    query = urlencode({"environment": target.environment.name})
    return redirect(f"{about.get_absolute_url()}?{query}")
