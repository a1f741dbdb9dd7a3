"""Which version serves whom, for the serving layer."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router
from ninja.errors import ValidationError

from approvals.api import schemas
from approvals.selectors.routes import route

# Seconds for which an answer may be used again: a step takes effect that much later at most.
FRESH = 5
router = Router()


@router.get(
    "targets/{model}/{environment}/route",
    response={
        200: schemas.RouteOut,
        **dict.fromkeys((401, 403, 404, 409, 422), schemas.RefusalOut),
    },
    url_name="route",
)
def show_route(
    request: HttpRequest,
    response: HttpResponse,
    model: str,
    environment: str,
    query: Query[schemas.RouteQuery],
) -> schemas.RouteOut:
    """The split in force, and with ``key`` the version that serves it: the same for the same key and split."""
    unknown = sorted(request.GET.keys() - schemas.RouteQuery.model_fields.keys())
    if unknown:  # a misspelt key must not be no key
        raise ValidationError([{"loc": ("query", unknown[0]), "msg": "is not known here"}])
    found = route(model, environment, query.key)
    response.headers["Cache-Control"] = f"private, max-age={FRESH}"
    response.headers["Vary"] = "Authorization"
    return schemas.RouteOut(
        model=model,
        environment=environment,
        version=found.version,
        split=[schemas.ShareOut(version=each, percent=share) for each, share in found.split],
        strategy=found.strategy,
        shadow=found.shadow,
    )
