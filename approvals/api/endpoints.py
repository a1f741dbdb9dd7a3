"""The addresses: each calls one verb, or reads through selectors."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import NinjaAPI, Query, Status
from ninja.errors import ValidationError

from approvals import services
from approvals.api import errors, schemas, shapes
from approvals.api.auth import Token, caller
from approvals.api.errors import REFUSALS
from approvals.models import Promotion
from approvals.selectors import named
from approvals.selectors.decisions import promotion_or_404
from approvals.selectors.standing import with_everything
from approvals.services import Refused
from approvals.states import PromotionKind, Via

PAGE = 50

# Not even a page of documentation: it would load scripts from elsewhere.
api = NinjaAPI(
    title="Countersign",
    version="1",
    description="Report evidence; ask for, decide and follow promotions.",
    auth=Token(),
    docs_url=None,
    urls_namespace="api",
)
errors.install(api)


@api.post(
    "evidence",
    response={200: schemas.EvidenceOut, 201: schemas.EvidenceOut, **REFUSALS},
    url_name="evidence",
)
def report_evidence(request: HttpRequest, body: schemas.EvidenceIn) -> Status[schemas.EvidenceOut]:
    """Report a result of validation. 201 when it is new, 200 when this key has said the same before."""
    person = caller(request)
    version = named.version_named(body.model, body.version)
    environment = named.environment_named(body.environment) if body.environment else None
    evidence, new = services.record_evidence(
        actor=person,
        via=Via.API,
        version_id=version.pk,
        environment_id=environment.pk if environment else None,
        name=body.name,
        verdict=body.verdict,
        numbers=body.numbers,
        link=body.link,
        source=body.source,
        key=body.key,
        produced_at=body.produced_at,
    )
    return Status(201 if new else 200, shapes.evidence_out(evidence))


@api.get("promotions", response={200: schemas.PromotionsOut, **REFUSALS}, url_name="promotions")
def list_promotions(
    request: HttpRequest, query: Query[schemas.PromotionsQuery]
) -> schemas.PromotionsOut:
    """Promotions, the newest first, 50 at a time."""
    unknown = sorted(request.GET.keys() - schemas.PromotionsQuery.model_fields.keys())
    if unknown:  # a misspelt filter must not list everything
        raise ValidationError([{"loc": ("query", unknown[0]), "msg": "is not known here"}])
    rows = with_everything(Promotion.objects.filter(pk__lt=query.before)).order_by("-pk")
    if query.status is not None:
        rows = rows.filter(status=query.status)
    found = list(rows[: PAGE + 1])
    return schemas.PromotionsOut(
        promotions=[shapes.promotion_line(each) for each in found[:PAGE]],
        older=found[PAGE - 1].pk if len(found) > PAGE else None,
    )


@api.post("promotions", response={201: schemas.PromotionOut, **REFUSALS}, url_name="promotions")
def ask(request: HttpRequest, body: schemas.PromotionIn) -> Status[schemas.PromotionOut]:
    """Ask that a version go live, or (``rollback``) go live again."""
    target = named.target_named(body.model, body.environment)
    number = body.version
    chosen = None if number is None else named.version_named(body.model, number).pk
    asked: dict[str, Any] = {
        "actor": caller(request),
        "via": Via.API,
        "target_id": target.pk,
        "version_id": chosen,
        "reason": body.reason,
    }
    if body.kind == PromotionKind.ROLLBACK:
        promotion = services.request_rollback(**asked)
    elif chosen is None:
        missing = "is missing; only a rollback may leave it out"
        raise ValidationError([{"loc": ("body", "body", "version"), "msg": missing}])
    else:
        promotion = services.request_promotion(**asked)
    return Status(201, _whole(request, promotion.pk))


@api.get(
    "promotions/{int:promotion_id}",
    response={200: schemas.PromotionOut, **REFUSALS},
    url_name="promotion",
)
def show(request: HttpRequest, promotion_id: int) -> schemas.PromotionOut:
    """A promotion, with its facts and why it stands as it does."""
    return _whole(request, promotion_id)


@api.post(
    "promotions/{int:promotion_id}/reviews",
    response={201: schemas.PromotionOut, **REFUSALS},
    url_name="review",
)
def review(
    request: HttpRequest, promotion_id: int, body: schemas.ReviewIn
) -> Status[schemas.PromotionOut]:
    """Approve or reject the facts of this very seal."""
    services.review(
        actor=caller(request),
        via=Via.API,
        promotion_id=promotion_id,
        verdict=body.verdict,
        seal=body.seal,
        comment=body.comment,
        ticked=body.ticked,
    )
    return Status(201, _whole(request, promotion_id))


@api.post(
    "promotions/{int:promotion_id}/comments",
    response={201: schemas.PromotionOut, **REFUSALS},
    url_name="comment",
)
def comment(
    request: HttpRequest, promotion_id: int, body: schemas.CommentIn
) -> Status[schemas.PromotionOut]:
    """Say something about it, before or after it was decided."""
    services.comment(actor=caller(request), via=Via.API, promotion_id=promotion_id, text=body.text)
    return Status(201, _whole(request, promotion_id))


@api.post(
    "promotions/{int:promotion_id}/override",
    response={200: schemas.PromotionOut, **REFUSALS},
    url_name="override",
)
def override(
    request: HttpRequest, promotion_id: int, body: schemas.OverrideIn
) -> schemas.PromotionOut:
    """Break the glass: approve alone, where the policy names one's team for that."""
    services.override(
        actor=caller(request),
        via=Via.API,
        promotion_id=promotion_id,
        seal=body.seal,
        reason=body.reason,
    )
    return _whole(request, promotion_id)


@api.post(
    "promotions/{int:promotion_id}/schedule",
    response={200: schemas.PromotionOut, **REFUSALS},
    url_name="schedule",
)
def schedule(
    request: HttpRequest, promotion_id: int, body: schemas.ScheduleIn
) -> schemas.PromotionOut:
    """Set the time before which it is not dispatched, or take it back."""
    services.schedule(
        actor=caller(request),
        via=Via.API,
        promotion_id=promotion_id,
        run_at=body.run_at,
        zone=body.time_zone,
    )
    return _whole(request, promotion_id)


@api.delete(
    "promotions/{int:promotion_id}/reviews/mine",
    response={200: schemas.PromotionOut, **REFUSALS},
    url_name="withdraw",
)
def withdraw(request: HttpRequest, promotion_id: int) -> schemas.PromotionOut:
    """Take one's own review back while nothing is settled."""
    services.withdraw_review(actor=caller(request), via=Via.API, promotion_id=promotion_id)
    return _whole(request, promotion_id)


@api.post(
    "promotions/{int:promotion_id}/cancel",
    response={200: schemas.PromotionOut, **REFUSALS},
    url_name="cancel",
)
def cancel(
    request: HttpRequest, promotion_id: int, body: schemas.CancelIn | None = None
) -> schemas.PromotionOut:
    """Take a pending request back."""
    services.cancel(
        actor=caller(request),
        via=Via.API,
        promotion_id=promotion_id,
        reason=body.reason if body else "",
    )
    return _whole(request, promotion_id)


@api.get(
    "targets/{model}/{environment}",
    response={200: schemas.TargetOut, **REFUSALS},
    url_name="target",
)
def show_target(request: HttpRequest, model: str, environment: str) -> schemas.TargetOut:
    """What is live there, since when, and who must approve."""
    return shapes.target_out(named.target_named(model, environment))


def _whole(request: HttpRequest, promotion_id: int) -> schemas.PromotionOut:
    """Read anew: what the verb did is what is shown."""
    if promotion_id > schemas.HIGHEST_ID or not Promotion.objects.filter(pk=promotion_id).exists():
        raise Refused("unknown_promotion", f"There is no promotion {promotion_id}.")
    return shapes.promotion_out(promotion_or_404(promotion_id), caller(request))
