"""What is in force, and what another file would have asked."""

from __future__ import annotations

from itertools import groupby

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from approvals.selectors import policies


@require_GET
def policy(request: HttpRequest) -> HttpResponse:
    """Every target's policy in words."""
    told = policies.table(timezone.now())
    models = [(name, list(rows)) for name, rows in groupby(told, key=lambda each: each.model)]
    return render(request, "web/policy.html", {"models": models})
