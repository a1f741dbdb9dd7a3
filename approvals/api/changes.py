"""Out-of-band changes: read them and answer them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from django.conf import settings
from django.http import HttpRequest
from ninja import Query, Router, Schema
from ninja.errors import ValidationError
from pydantic import Field

from approvals import services
from approvals.api.auth import caller
from approvals.api.endpoints import PAGE
from approvals.api.errors import REFUSALS
from approvals.api.schemas import HIGHEST_ID, Body, Number, Text
from approvals.models import OutOfBandChange
from approvals.selectors import named
from approvals.selectors.changes import change_with_all
from approvals.services import Refused
from approvals.services.out_of_band import declared_changes, under_way
from approvals.states import Via

router = Router()


class ChangesQuery(Body):
    """Which changes: open ones, ended ones (``open=false``), older than one of them."""

    open: bool | None = None
    before: Annotated[int, Field(ge=1, le=HIGHEST_ID)] = HIGHEST_ID


class AnswerIn(Body):
    """Why."""

    reason: Text


class AdoptIn(AnswerIn):
    """Why, and which version where the change tells none."""

    version: Number | None = None


class ChangeOut(Schema):
    """One change. ``version`` is what seems to be live, ``live`` what went live through Countersign."""

    id: int
    model: str
    environment: str
    kind: str
    sentence: str
    live: int | None
    version: int | None
    run_url: str
    first_seen_at: datetime
    seen_at: datetime
    ended_at: datetime | None
    answer: str
    answered_by: str | None
    reason: str
    promotion: int | None
    under_way: str
    page: str


class ChangesOut(Schema):
    """A page of them; ``older`` goes into ``before`` for the next one."""

    changes: list[ChangeOut]
    older: int | None


def change_out(change: OutOfBandChange) -> ChangeOut:
    """One change as programs see it."""
    target, live = change.target, change.target.live_version
    return ChangeOut(
        id=change.pk,
        model=target.model.name,
        environment=target.environment.name,
        kind=change.kind,
        sentence=change.sentence,
        live=live.number if live else None,
        version=change.version.number if change.version else None,
        run_url=change.run.url if change.run else "",
        first_seen_at=change.first_seen_at,
        seen_at=change.seen_at,
        ended_at=change.ended_at,
        answer=change.answer,
        answered_by=change.answered_by.username if change.answered_by else None,
        reason=change.reason,
        promotion=change.promotion_id,
        under_way=under_way(change),
        page=f"{settings.BASE_URL}{change.get_absolute_url()}",
    )


@router.get("changes", response={200: ChangesOut, **REFUSALS}, url_name="changes")
def list_changes(request: HttpRequest, query: Query[ChangesQuery]) -> ChangesOut:
    """Out-of-band changes, the newest first, 50 at a time."""
    unknown = sorted(request.GET.keys() - ChangesQuery.model_fields.keys())
    if unknown:  # a misspelt filter must not list everything
        raise ValidationError([{"loc": ("query", unknown[0]), "msg": "is not known here"}])
    rows = declared_changes().filter(pk__lt=query.before).order_by("-pk")
    if query.open is not None:
        rows = rows.filter(ended_at__isnull=query.open)
    found = list(rows[: PAGE + 1])
    return ChangesOut(
        changes=[change_out(each) for each in found[:PAGE]],
        older=found[PAGE - 1].pk if len(found) > PAGE else None,
    )


@router.post(
    "changes/{int:change_id}/ignore",
    response={200: ChangeOut, **REFUSALS},
    url_name="ignore_change",
)
def ignore(request: HttpRequest, change_id: int, body: AnswerIn) -> ChangeOut:
    """Leave it as it is, with a reason."""
    _known(change_id)
    services.ignore_change(
        actor=caller(request), via=Via.API, change_id=change_id, reason=body.reason
    )
    return change_out(_known(change_id))


@router.post(
    "changes/{int:change_id}/put-back", response={200: ChangeOut, **REFUSALS}, url_name="put_back"
)
def put_back(request: HttpRequest, change_id: int, body: AnswerIn) -> ChangeOut:
    """Have live again what should be: written to the registry at once, or a rollback to be approved."""
    _known(change_id)
    services.put_back(actor=caller(request), via=Via.API, change_id=change_id, reason=body.reason)
    return change_out(_known(change_id))


@router.post(
    "changes/{int:change_id}/adopt", response={200: ChangeOut, **REFUSALS}, url_name="adopt"
)
def adopt(request: HttpRequest, change_id: int, body: AdoptIn) -> ChangeOut:
    """Ask that it be approved in retrospect."""
    change = _known(change_id)
    version = None
    if body.version is not None:
        version = named.version_named(change.target.model.name, body.version).pk
    services.adopt(
        actor=caller(request),
        via=Via.API,
        change_id=change_id,
        reason=body.reason,
        version_id=version,
    )
    return change_out(_known(change_id))


def _known(change_id: int) -> OutOfBandChange:
    """Read anew: what the verb did is what is shown. Raises Refused("unknown_change")."""
    change = change_with_all(change_id) if change_id <= HIGHEST_ID else None
    if change is None:
        raise Refused("unknown_change", f"There is no out-of-band change {change_id}.")
    return change
