"""The promotion's page: it reads as an argument, and what I may do stands in one place."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from approvals import services
from approvals.compare import compare_metrics
from approvals.explain import explain
from approvals.models import Deployment, Person, Promotion
from approvals.seals import canonical, flatten, name_of
from approvals.selectors import decisions
from approvals.selectors.catalogue import (
    dataset_differences,
    parameter_differences,
    why_not_ask,
)
from approvals.services import Refused
from approvals.services.interventions import stuck_on_the_way_back, why_not_call_off
from approvals.services.promotions import may_cancel
from approvals.services.queueing import queue_of, why_not_settle
from approvals.services.restrictions import may_restrict
from approvals.services.rollouts import why_not_abort, why_not_advance, why_not_pause
from approvals.services.schedules import next_window, why_no_schedule
from approvals.states import DeploymentStatus, PromotionKind, Verdict, Via
from approvals.web.live import live_page
from approvals.web.pages import moment_in, person_of, zone_in
from approvals.web.progress import rollout_of, steps_of


@require_http_methods(["GET", "POST"])
def promotion(request: HttpRequest, pk: int) -> HttpResponse:
    """Show a promotion; a POST does one thing to it."""
    shown = decisions.promotion_or_404(pk)
    form: dict[str, Any] = {}
    if request.method == "POST":
        answer = _act(request, shown, form)
        if answer is not None:
            return answer
        shown = decisions.promotion_or_404(pk)
    elif "decide" in request.GET:  # from a mail, perhaps by way of signing in
        return redirect(f"{shown.get_absolute_url()}#actions")
    context = _context(request, shown)
    context["form"] = form
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
        parts={
            "standing": "web/parts/standing.html",
            "people": "web/parts/people.html",
            "history": "web/parts/history.html",
        },
        seconds=context["seconds"],
        address=shown.get_absolute_url(),
        about=[f"promotion-{shown.pk}", f"target-{shown.target_id}"],
        extra=extra,
        status=409 if form else 200,
    )


def _context(request: HttpRequest, shown: Promotion) -> dict[str, Any]:
    person = person_of(request)
    deployment = decisions.deployment_of(shown)
    gathering = shown.is_pending and decisions.is_gathering(shown)
    written = decisions.registry_is_written(shown)
    explanation = explain(shown, person)
    moving = gathering or written == "waiting" or _is_moving(deployment)
    differing, equal = parameter_differences(shown.version, shown.replaces)
    context: dict[str, Any] = {
        "promotion": shown,
        "target": shown.target,
        "model": shown.target.model,
        "deployment": deployment,
        "started": bool(deployment and deployment.has_begun),
        "zones": _zones(shown),
        "explanation": explanation,
        "gathering": gathering,
        "steps": steps_of(shown, deployment, written),
        "rollout": rollout_of(deployment),
        "queue": _queue(shown, deployment),
        "troubles": decisions.troubles_of(shown),
        "events": list(decisions.events_of(shown)),
        # What is decided on is what was sealed, whatever MLflow says by now.
        "metrics": compare_metrics(
            shown.facts.get("metrics") or shown.version.metrics,
            shown.replaces.metrics if shown.replaces else {},
            shown.target.model.metrics,
        ),
        "differing": differing,
        "equal": equal,
        "datasets": dataset_differences(shown.version, shown.replaces),
        "message": getattr(shown, "slack_message", None),
        "seconds": 2 if moving else 10 if shown.is_pending else 0,
        **_allowed(shown, person),
    }
    context["actions_key"] = _actions_key(context)
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


def _allowed(shown: Promotion, person: Person) -> dict[str, bool]:
    """Which buttons to show. The verbs decide for themselves; this only spares people a refusal."""
    deployment = decisions.deployment_of(shown)
    unconfirmed = bool(deployment and deployment.status == DeploymentStatus.UNCONFIRMED)
    live_here = bool(deployment and shown.target.live_deployment_id == deployment.pk)
    former = deployment.previous if deployment and live_here else None
    settles = deployment is not None and why_not_settle(deployment, person, timezone.now()) is None
    return {
        "may_cancel": shown.is_pending and may_cancel(shown, person, timezone.now()),
        "may_withdraw": shown.is_pending
        and any(each.person_id == person.pk and not each.voided_at for each in shown.reviews.all()),
        "may_call_off": bool(
            deployment and why_not_call_off(deployment, person, timezone.now()) is None
        ),
        "may_schedule": not why_no_schedule(shown, person, timezone.now()),
        "may_check": shown.is_pending and bool(shown.problem),
        "unconfirmed": unconfirmed,
        "may_dispatch_again": unconfirmed and settles,
        **_steering(deployment, settles=settles),
        "may_go_first": bool(
            deployment
            and (queued := _queue(shown, deployment))
            and queued[0].pk != deployment.pk
            and may_restrict(person, [shown.target])
        ),
        "may_roll_back": former is not None
        and not why_not_ask(person, shown.target, former, PromotionKind.ROLLBACK),
        "may_quarantine": bool(
            deployment
            and live_here
            and shown.is_rollback
            and deployment.previous
            and not deployment.previous.restrictions.filter(lifted_at=None).exists()
            and may_restrict(person, [shown.target])
        ),
        "ended_badly": bool(
            deployment
            and deployment.status in {DeploymentStatus.FAILED, DeploymentStatus.CANCELLED}
        ),
    }


def _steering(deployment: Deployment | None, *, settles: bool) -> dict[str, bool]:
    """What somebody who may settle things can do to a rollout, or to what waits to be confirmed."""
    if deployment is None or not settles:
        return dict.fromkeys(
            ("may_confirm", "may_advance", "may_pause", "may_abort", "may_settle_by_hand"), False
        )
    return {
        "may_confirm": bool(deployment.asks_to_confirm),
        "may_advance": not why_not_advance(deployment),
        "may_pause": not why_not_pause(deployment),
        "may_abort": not why_not_abort(deployment),
        "may_settle_by_hand": stuck_on_the_way_back(deployment),
    }


def _actions_key(context: dict[str, Any]) -> str:
    """What the box of actions depends on; ``form-…`` when somebody may be typing in it."""
    explanation = context["explanation"]
    said = [
        context["promotion"].status,
        context["promotion"].seal,
        context["promotion"].problem,
        explanation.may_act,
        explanation.why_not,
        explanation.may_override,
        explanation.terms,
        bool(explanation.blockers),
        *(context[name] for name in sorted(context) if name.startswith("may_")),
        context["unconfirmed"],
        context["deployment"] and context["deployment"].asked_seal,
    ]
    # The box of a rollout moves on under typing hands: hx-preserve keeps what was typed.
    typed = explanation.may_act or context["may_dispatch_again"]
    digest = hashlib.sha256(repr(said).encode()).hexdigest()[:12]
    return f"{'form' if typed else 'box'}-{digest}"


def _act(request: HttpRequest, shown: Promotion, form: dict[str, Any]) -> HttpResponse | None:
    """Call the one verb that the pressed button names; None when refused, with ``form`` saying why."""
    text = request.POST.get("text", "")
    who: dict[str, Any] = {"actor": person_of(request), "via": Via.BROWSER}
    this = {**who, "promotion_id": shown.pk}
    deployment = decisions.deployment_of(shown)
    delivery = {**who, "deployment_id": deployment.pk if deployment else 0}
    seal, ticked = request.POST.get("seal", ""), request.POST.getlist("ticked")
    verbs: dict[str, tuple[Callable[[], object], str]] = {
        "approve": (
            lambda: services.review(
                **this, verdict=Verdict.APPROVE, seal=seal, comment=text, ticked=ticked
            ),
            "Your approval counts.",
        ),
        "reject": (
            lambda: services.review(**this, verdict=Verdict.REJECT, seal=seal, comment=text),
            "Rejected. The one who asked is told why.",
        ),
        "override": (
            lambda: services.override(**this, seal=seal, reason=text),
            "You broke the glass. Everybody is told.",
        ),
        "schedule": (
            lambda: services.schedule(
                **this, run_at=moment_in(request, "run_at"), zone=zone_in(request)
            ),
            "The time is set; it is dispatched then, once it is approved.",
        ),
        "next_open": (
            lambda: services.schedule(
                **this, run_at=next_window(shown, timezone.now()), zone=zone_in(request)
            ),
            "It runs in the next open window, once it is approved.",
        ),
        "unschedule": (
            lambda: services.schedule(**this, run_at=None),
            "It runs as soon as it is approved.",
        ),
        "withdraw": (
            lambda: services.withdraw_review(**this),
            "Your review is withdrawn; you may decide anew.",
        ),
        "cancel": (lambda: services.cancel(**this, reason=text), "The request is cancelled."),
        "check": (lambda: services.check_again(**this), "The facts are being gathered again."),
        "call_off": (
            lambda: services.call_off(**delivery, reason=text),
            "Called off; nothing is started.",
        ),
        "confirm": (
            lambda: services.confirm(**delivery, seal=seal, reason=text),
            "Confirmed; it is started as soon as it is its turn.",
        ),
        "first": (
            lambda: services.reorder(
                **who, target_id=shown.target_id, deployment_ids=[delivery["deployment_id"]]
            ),
            "It goes first among the promotions; rollbacks go before it.",
        ),
        "advance": (
            lambda: services.advance(**delivery, reason=text),
            "It goes on with the next step.",
        ),
        "pause": (
            lambda: services.hold_rollout(**delivery, reason=text),
            "Paused: the step in hand ends, and no other begins.",
        ),
        "abort": (
            lambda: services.abort(**delivery, reason=text),
            "It goes back to the former version.",
        ),
        "look": (
            lambda: services.look_again(**delivery),
            "Looking for the run on GitHub once more.",
        ),
        "dispatch": (
            lambda: services.dispatch_again(**delivery, reason=text),
            "It is dispatched once more, after one more look for a run.",
        ),
        "give_up": (
            lambda: services.give_up(**delivery, reason=text),
            "Given up; the target is free for the next promotion.",
        ),
    }
    verb, done = verbs.get(request.POST.get("action", ""), (None, ""))
    if verb is None:
        form.update(text=text, error="Choose what to do.")
        return None
    try:
        verb()
    except Refused as refused:
        form.update(
            text=text,
            error=refused.sentence,
            action=request.POST.get("action"),
            ticked=ticked,
            run_at=request.POST.get("run_at", ""),
            zone=request.POST.get("zone", ""),
        )
        return None
    messages.success(request, done)
    return redirect(shown)


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
