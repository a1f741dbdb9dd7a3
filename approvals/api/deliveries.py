"""Steering a delivery: one address for each verb, and the queue of a target."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from ninja import Router

from approvals import services
from approvals.api import schemas, shapes
from approvals.api.auth import caller
from approvals.api.errors import REFUSALS
from approvals.models import Deployment, Promotion, Target
from approvals.selectors import named
from approvals.selectors.decisions import promotion_or_404
from approvals.services import Refused
from approvals.services.queueing import queue_of
from approvals.states import Via

router = Router()

# The last part of the address → the verb, and what of the body it takes.
VERBS: dict[str, tuple[Callable[..., Deployment], tuple[str, ...]]] = {
    "call-off": (services.call_off, ("reason",)),
    "confirm": (services.confirm, ("seal", "reason")),
    "advance": (services.advance, ("reason",)),
    "pause": (services.hold_rollout, ("reason",)),
    "abort": (services.abort, ("reason",)),
    "look-again": (services.look_again, ()),
    "dispatch-again": (services.dispatch_again, ("reason",)),
    "give-up": (services.give_up, ("reason",)),
}


@router.post(
    "promotions/{int:promotion_id}/deployment/{action}",
    response={200: schemas.PromotionOut, **REFUSALS},
    url_name="steer",
)
def steer(
    request: HttpRequest, promotion_id: int, action: str, body: schemas.SteerIn | None = None
) -> schemas.PromotionOut:
    """Do one of VERBS to the promotion's deployment."""
    if action not in VERBS:
        raise Refused("unknown_action", f"There is no {action!r}; there are {', '.join(VERBS)}.")
    given = body or schemas.SteerIn()
    found = promotion_id <= schemas.HIGHEST_ID and (
        Deployment.objects.filter(promotion_id=promotion_id).values_list("pk", flat=True).first()
    )
    if not found:
        if not Promotion.objects.filter(pk=min(promotion_id, schemas.HIGHEST_ID)).exists():
            raise Refused("unknown_promotion", f"There is no promotion {promotion_id}.")
        raise Refused("unknown_deployment", f"Promotion {promotion_id} has no deployment (yet).")
    verb, takes = VERBS[action]
    more: dict[str, Any] = {name: getattr(given, name) for name in takes}
    verb(actor=caller(request), via=Via.API, deployment_id=found, **more)
    return shapes.promotion_out(promotion_or_404(promotion_id), caller(request))


@router.get(
    "targets/{model}/{environment}/queue",
    response={200: schemas.QueueOut, **REFUSALS},
    url_name="queue",
)
def show_queue(request: HttpRequest, model: str, environment: str) -> schemas.QueueOut:
    """What is approved and not begun, in the order in which it goes."""
    return _queue(named.target_named(model, environment))


@router.put(
    "targets/{model}/{environment}/queue",
    response={200: schemas.QueueOut, **REFUSALS},
    url_name="queue",
)
def reorder(
    request: HttpRequest, model: str, environment: str, body: schemas.QueueIn
) -> schemas.QueueOut:
    """Set the order: the promotions named go first, the others keep theirs behind them."""
    target = named.target_named(model, environment)
    by_promotion = {each.promotion_id: each.pk for each in queue_of(target)}
    services.reorder(
        actor=caller(request),
        via=Via.API,
        target_id=target.pk,
        # What is not queued (any more) is refused by the verb: 0 is nobody's number.
        deployment_ids=[by_promotion.get(each, 0) for each in body.promotions],
    )
    return _queue(named.target_named(model, environment))


def _queue(target: Target) -> schemas.QueueOut:
    return schemas.QueueOut(
        queue=[
            schemas.QueuedOut(
                promotion=each.promotion_id,
                version=each.version.number,
                kind=each.promotion.kind,
                run_at=each.promotion.run_at,
                asks_to_confirm=each.asks_to_confirm,
            )
            for each in queue_of(target)
        ]
    )
