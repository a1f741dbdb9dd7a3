"""A model, a version beside the live one, and rolling back."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from approvals.compare import compare_metrics
from approvals.explain import explain
from approvals.models import ModelVersion, RegisteredModel, Target
from approvals.selectors import catalogue, changes, policies
from approvals.selectors.lanes import lane_targets, succeeded
from approvals.selectors.model_runs import runs_of_model, runs_of_version
from approvals.selectors.signals import watched
from approvals.selectors.standing import standings, with_everything
from approvals.selectors.versions import neighbours, spells_of, version_page
from approvals.services import Refused, request_promotion, request_rollback
from approvals.services.marks import newest_marks
from approvals.services.queueing import open_here
from approvals.services.restrictions import may_restrict
from approvals.states import PromotionKind, Via
from approvals.web.lanes import frame
from approvals.web.live import live_page
from approvals.web.pages import number_in, person_of

SECONDS = 15
VERSION_PARTS = {
    "state": "web/parts/version_state.html",
    "known": "web/parts/version_known.html",
    "evidence": "web/parts/version_evidence.html",
    "runs": "web/parts/version_runs.html",
    "spells": "web/parts/spells.html",
    "promotions": "web/parts/version_promotions.html",
}
# Where it may be asked for; nothing of these can be typed into.
TARGET_PARTS = {
    "beside": "web/parts/version_beside.html",
    "asked": "web/parts/version_asked.html",
}


@require_GET
def model(request: HttpRequest, name: str) -> HttpResponse:
    """One registered model: what is live where and was when, its versions, promotions, runs, policy, signals."""
    registered = get_object_or_404(RegisteredModel, name=name)
    targets = catalogue.targets_of(registered)
    person = person_of(request)
    before = number_in(request, "before")
    rules, unreadable = watched(targets)
    found = changes.open_at(targets, person)
    context = {
        "model": registered,
        "targets": targets,
        "frame": frame(request, list(lane_targets(model=registered.name)), "#lanes"),
        "names": "model",
        "page": version_page(registered, targets, before),
        "before": before,
        "promotions": standings(catalogue.promotions_of(registered), person),
        "runs": runs_of_model(registered),
        "changes": found,
        "policies": policies.table(timezone.now(), model=registered),
        "watched": rules,
        "unreadable": unreadable,
        "may_restrict": {each.pk for each in targets if may_restrict(person, [each])},
    }
    return live_page(
        request,
        "web/model.html",
        context,
        parts={
            "lanes": "web/parts/lanes.html",
            "versions": "web/parts/versions.html",
            "promotions": "web/parts/model_promotions.html",
            "runs": "web/parts/model_runs.html",
            "signals": "web/parts/signals.html",
            "targets": "web/parts/targets.html",
        },
        seconds=SECONDS,
        about=[f"target-{each.pk}" for each in targets],
    )


@require_http_methods(["GET", "POST"])
def version(request: HttpRequest, name: str, number: int) -> HttpResponse:
    """A version compared with the live one; a POST asks for its promotion or for a rollback to it."""
    registered = get_object_or_404(RegisteredModel, name=name)
    # A number may have been used twice: the one that is not deleted, else the newest of them.
    candidate = (
        registered.versions.filter(number=number)
        .select_related("model")
        .prefetch_related(catalogue.open_restrictions())
        .order_by("-deleted_at", "-id")
        .first()
    )
    if candidate is None:
        raise Http404(f"{registered} has no version {number}.")
    targets = catalogue.targets_of(registered)
    target = _target_named(targets, request.GET.get("environment"), registered)
    form: dict[str, Any] = {}
    if request.method == "POST" and target is not None:
        kind = str(request.POST.get("kind", PromotionKind.PROMOTE))
        if "environment" not in request.GET or kind not in PromotionKind.values:
            # A form of ours names both; guessing could ask for the wrong place.
            return HttpResponseBadRequest("The request names no environment, or no such kind.\n")
        answer = _ask(request, target, candidate, kind, form)
        if answer is not None:
            return answer
    spells = spells_of(candidate)
    context = _comparison(request, candidate, target) if target else {}
    previous, following = neighbours(candidate)
    return live_page(
        request,
        "web/version.html",
        {
            "version": candidate,
            "model": registered,
            "targets": targets,
            "target": target,
            "form": form,
            "spells": spells,
            "previous": previous,
            "following": following,
            "promotions": standings(
                with_everything(candidate.promotions.all())[:20], person_of(request)
            ),
            "runs": runs_of_version(candidate),
            "evidence": catalogue.evidence_of(candidate),
            "may_restrict": may_restrict(person_of(request), targets),
            **_marks(request, candidate, targets, target),
            "live_in": [each for each in targets if each.live_version_id == candidate.pk],
            **context,
        },
        parts={**VERSION_PARTS, **(TARGET_PARTS if target else {})},
        seconds=SECONDS,
        about=[f"target-{each.pk}" for each in targets],
        status=409 if form else 200,
    )


def _marks(
    request: HttpRequest, candidate: ModelVersion, targets: list[Target], target: Target | None
) -> dict[str, Any]:
    """What is known of the version everywhere, and whether this person may say so of the target shown."""
    marks = newest_marks([each.pk for each in targets], [candidate.pk])
    here = target and marks.get((target.pk, candidate.pk))
    return {
        "marks": list(marks.values()),
        "marked_here": here.kind if here else "",
        "may_mark": target is not None
        and may_restrict(person_of(request), [target])
        and target.deployments.filter(version=candidate).exists(),
    }


def _target_named(
    targets: list[Target], environment: str | None, registered: RegisteredModel
) -> Target | None:
    """The target in this environment; the last of the chain only where none is named."""
    if environment is None:
        return targets[-1] if targets else None
    for target in targets:
        if target.environment.name == environment:
            return target
    raise Http404(f"{registered} does not go to {environment}.")


def _comparison(request: HttpRequest, candidate: ModelVersion, target: Target) -> dict[str, Any]:
    live = target.live_version if target.live_version_id != candidate.pk else None
    was_live = (
        target.live_version_id != candidate.pk
        and succeeded().filter(target=target, version=candidate).exists()
    )
    kind = PromotionKind.ROLLBACK if was_live else PromotionKind.PROMOTE
    differing, equal = catalogue.parameter_differences(candidate, live)
    return {
        "live": live,
        "is_live_here": target.live_version_id == candidate.pk,
        "metrics": compare_metrics(
            candidate.metrics, live.metrics if live else {}, candidate.model.metrics
        ),
        "differing": differing,
        "equal": equal,
        "datasets": catalogue.dataset_differences(candidate, live),
        "kind": kind,
        "why_not": catalogue.why_not_ask(person_of(request), target, candidate, kind),
        "asked": policies.asked_of(
            candidate, target, timezone.now(), kind, asked_by=person_of(request)
        ),
    }


def _ask(
    request: HttpRequest, target: Target, candidate: ModelVersion, kind: str, form: dict[str, Any]
) -> HttpResponse | None:
    """Ask; None when refused, with ``form`` holding what was typed and why."""
    verb = request_rollback if kind == PromotionKind.ROLLBACK else request_promotion
    reason = request.POST.get("reason", "")
    try:
        promotion = verb(
            actor=person_of(request),
            via=Via.BROWSER,
            target_id=target.pk,
            version_id=candidate.pk,
            reason=reason,
        )
    except Refused as refused:
        form.update(reason=reason, error=refused.sentence)
        return None
    told = (
        "Asked. Nobody has to approve it: it goes live by itself once every gate passes."
        if explain(promotion).terms.automatic
        else "Asked. The people who decide have been told."
    )
    messages.success(request, told)
    return redirect(promotion)


@require_http_methods(["GET", "POST"])
def rollback(request: HttpRequest, pk: int) -> HttpResponse:
    """Choose a version that was live before, and ask for it again."""
    target = get_object_or_404(
        Target.objects.select_related(
            "model", "environment", "live_version__model", "live_deployment__previous"
        ).prefetch_related(open_here()),
        pk=pk,
    )
    choices = catalogue.rollback_choices(person_of(request), target)
    form: dict[str, Any] = {}
    chosen = number_in(request, "version")
    if request.method == "POST":
        picked = next((each.version for each in choices if each.version.pk == chosen), None)
        if picked is None:
            form.update(
                reason=request.POST.get("reason", ""), error="Choose the version to go back to."
            )
        else:
            answer = _ask(request, target, picked, PromotionKind.ROLLBACK, form)
            if answer is not None:
                return answer
    usable = [each.version.pk for each in choices if not each.why_not]
    return render(
        request,
        "web/rollback.html",
        {
            "target": target,
            "model": target.model,
            "choices": choices,
            "chosen": chosen or next(iter(usable), None),
            "usable": bool(usable),
            "form": form,
        },
        status=409 if form else 200,
    )
