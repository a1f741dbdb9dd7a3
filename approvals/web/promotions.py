"""The promotion's page: it reads as an argument, and what I may do stands in one place."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from approvals.explain import explain
from approvals.models import Deployment, Promotion
from approvals.seals import canonical, flatten, name_of
from approvals.selectors import decisions
from approvals.selectors.argument import (
    argument_of,
    asked_gates,
    evidence_for,
    policy_lines,
)
from approvals.selectors.conversation import conversation_of
from approvals.services.queueing import queue_of
from approvals.states import DeploymentStatus
from approvals.web.acts import box_of, key_of
from approvals.web.claims import claim_of, went_back
from approvals.web.doing import act
from approvals.web.live import live_page
from approvals.web.pages import person_of
from approvals.web.progress import rollout_of, steps_of

PARTS = {
    "summary": "web/parts/summary.html",
    "people": "web/parts/people.html",
    "conversation": "web/parts/conversation.html",
    "standing": "web/parts/standing.html",
    "history": "web/parts/history.html",
}


@require_http_methods(["GET", "POST"])
def promotion(request: HttpRequest, pk: int) -> HttpResponse:
    """Show a promotion; a POST does one thing to it."""
    shown = decisions.promotion_or_404(pk)
    form: dict[str, Any] = {}
    if request.method == "POST":
        answer = act(request, shown, form)
        if answer is not None:
            return answer
        shown = decisions.promotion_or_404(pk)
    elif "decide" in request.GET:  # from a mail, perhaps by way of signing in
        return redirect(f"{shown.get_absolute_url()}#actions")
    context = _context(request, shown)
    context["form"] = form
    context["refused_at"] = context["box"].of(form.get("action", "")) if form else ""
    key = context["actions_key"]
    extra = ""
    held = request.GET.get("actions", key)
    if getattr(request, "htmx", False) and held != key:
        # A box without a form is brought up to date; under typing hands it only says that it is old.
        template = "web/parts/stale.html" if held.startswith("form-") else "web/parts/actions.html"
        extra = render_to_string(template, {**context, "partial": True}, request)
    return live_page(
        request,
        "web/promotion.html",
        context,
        parts=PARTS,
        seconds=context["seconds"],
        address=shown.get_absolute_url(),
        about=[f"promotion-{shown.pk}", f"target-{shown.target_id}"],
        extra=extra,
        status=409 if form else 200,
    )


def _context(request: HttpRequest, shown: Promotion) -> dict[str, Any]:
    person, now = person_of(request), timezone.now()
    deployment = decisions.deployment_of(shown)
    gathering = shown.is_pending and decisions.is_gathering(shown)
    written = decisions.registry_is_written(shown)
    explanation = explain(shown, person, now)
    moving = gathering or written == "waiting" or _is_moving(deployment)
    box = box_of(shown, deployment, person, explanation, now)
    context: dict[str, Any] = {
        "promotion": shown,
        "target": shown.target,
        "model": shown.target.model,
        "deployment": deployment,
        "claim": claim_of(shown, deployment),
        "went_back": went_back(deployment),
        "started": bool(deployment and deployment.has_begun),
        "zones": _zones(shown),
        "explanation": explanation,
        "asked_gates": [] if shown.is_pending else asked_gates(shown),
        "gathering": gathering,
        "steps": steps_of(shown, deployment, written),
        "rollout": rollout_of(deployment),
        "queue": _queue(shown, deployment),
        "troubles": decisions.troubles_of(shown),
        "thread": conversation_of(shown),
        **decisions.history_of(shown),
        "argument": argument_of(shown),
        "beside_is_live": shown.target.live_version_id == shown.replaces_id,
        "evidence": evidence_for(shown),
        "policy_lines": policy_lines(shown),
        "message": getattr(shown, "slack_message", None),
        "box": box,
        "address": f"{settings.BASE_URL}{shown.get_absolute_url()}",
        "now": now,
        "seconds": 2 if moving else 10 if shown.is_pending else 0,
    }
    said = [shown.status, shown.seal, shown.problem, explanation.terms, bool(explanation.blockers)]
    said += [deployment and deployment.asked_seal, deployment and deployment.status]
    digest = hashlib.sha256(repr(key_of(box, said)).encode()).hexdigest()[:12]
    # The box of a rollout moves on under typing hands: hx-preserve keeps what was typed.
    context["actions_key"] = f"{'form' if box.holds_typing else 'box'}-{digest}"
    return context


def _queue(shown: Promotion, deployment: Deployment | None) -> list[Deployment]:
    """The target's queue, where this promotion waits in it beside others."""
    if deployment is None or deployment.status != DeploymentStatus.QUEUED:
        return []
    queued = queue_of(shown.target)
    return queued if len(queued) > 1 else []


def _zones(shown: Promotion) -> list[str]:
    """The time zones offered: the promotion's own, those of the freezes, UTC. Any other can be typed."""
    known = [shown.run_zone, *(str(each.get("zone", "")) for each in shown.target.freezes), "UTC"]
    return [zone for zone in dict.fromkeys(known) if zone]


# For so long after its end a run's last steps may still be read.
STEPS_LATE = timedelta(seconds=30)


def _is_moving(deployment: Deployment | None) -> bool:
    """Something is under way, or the outcome of the run's last steps has not been read yet."""
    if deployment is None or deployment.is_open:
        return deployment is not None
    run, ended = deployment.workflow_run, deployment.finished_at
    behind = run is not None and not (
        run.steps and all(step["status"] == "completed" for step in run.steps)
    )
    return behind and ended is not None and timezone.now() - ended < STEPS_LATE


@require_GET
def facts(request: HttpRequest, pk: int) -> HttpResponse:
    """The sealed facts whole: as a table, and as the canonical text that the seal is the hash of."""
    shown = decisions.promotion_or_404(pk)
    leaves = flatten(shown.facts) if shown.facts else ()
    rows = [
        (" › ".join(path), _other_name(path), value if isinstance(value, str) else canonical(value))
        for path, value in leaves
    ]
    return render(
        request,
        "web/facts.html",
        {
            "promotion": shown,
            "rows": rows,
            "canonical": canonical({"schema": 1, "facts": shown.facts}),
        },
    )


def _other_name(path: tuple[str, ...]) -> str:
    """What a person calls the fact, where its path does not say it already."""
    name = name_of(path)
    return "" if name in {path[-1], " ".join(path).replace("_", " ")} else name
