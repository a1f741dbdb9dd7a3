"""What the buttons of a promotion's page do: each names one verb."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from approvals import services
from approvals.models import Promotion
from approvals.selectors.decisions import deployment_of
from approvals.services import Refused
from approvals.services.schedules import next_window
from approvals.states import Verdict, Via
from approvals.web.pages import moment_in, person_of, zone_in

# The verb, and what is said once it is done.
Deed = tuple[Callable[[], object], str]


def act(request: HttpRequest, shown: Promotion, form: dict[str, Any]) -> HttpResponse | None:
    """Call the one verb that the pressed button names; None when refused, with ``form`` saying why."""
    text = request.POST.get("text", "")
    ticked = request.POST.getlist("ticked")
    action = request.POST.get("action", "")
    deeds = {
        **_about_request(request, shown, text, ticked),
        **_about_delivery(request, shown, text),
    }
    verb, done = deeds.get(action, (None, ""))
    if verb is None:
        form.update(text=text, error="Choose what to do.")
        return None
    try:
        verb()
    except Refused as refused:
        form.update(
            text=text,
            error=refused.sentence,
            action=action,
            ticked=ticked,
            run_at=request.POST.get("run_at", ""),
            zone=request.POST.get("zone", ""),
        )
        return None
    if action == "comment":  # it is there to be read
        return redirect(f"{shown.get_absolute_url()}#conversation")
    messages.success(request, done)
    return redirect(shown)


def _about_request(
    request: HttpRequest, shown: Promotion, text: str, ticked: list[str]
) -> dict[str, Deed]:
    this: dict[str, Any] = {
        "actor": person_of(request),
        "via": Via.BROWSER,
        "promotion_id": shown.pk,
    }
    seal = request.POST.get("seal", "")
    return {
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
        "comment": (lambda: services.comment(**this, text=text), ""),
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
    }


def _about_delivery(request: HttpRequest, shown: Promotion, text: str) -> dict[str, Deed]:
    who: dict[str, Any] = {"actor": person_of(request), "via": Via.BROWSER}
    deployment = deployment_of(shown)
    delivery = {**who, "deployment_id": deployment.pk if deployment else 0}
    seal = request.POST.get("seal", "")
    return {
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
