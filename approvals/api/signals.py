"""Monitoring's readings: Prometheus Alertmanager's webhook, or a plain form of our own.

Each reading is taken or refused for itself; the answer says what was done with each.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from ninja import Body, Router, Schema, Status
from ninja.errors import ValidationError
from pydantic import ValidationError as Invalid

from approvals import services
from approvals.api import schemas
from approvals.api.auth import Token, Unauthorized
from approvals.models import Person
from approvals.selectors import named
from approvals.services import Refused
from approvals.services.measurements import Flood
from approvals.services.signals import Recorded
from approvals.states import Via
from approvals.wording import clean_text

SIGNATURE = "X-Countersign-Signature"
ALL_REFUSED = "None of these readings was taken; the results say why."


class Signed:
    """Whoever sent this knows the secret; no person is named."""


class TokenOrSignature(Token):
    """A bearer token, or ``X-Countersign-Signature: sha256=…`` over the body where SIGNALS_SECRET is set."""

    def __call__(self, request: HttpRequest) -> Any:
        """The person, or Signed. Raises Unauthorized."""
        given = request.headers.get(SIGNATURE)
        if given is None:
            return super().__call__(request)
        secret = settings.SIGNALS_SECRET
        wanted = f"sha256={hmac.new(secret.encode(), request.body, hashlib.sha256).hexdigest()}"
        if not secret or not hmac.compare_digest(wanted.encode(), given.strip().encode()):
            raise Unauthorized(
                Refused(
                    "bad_signature",
                    f"{SIGNATURE} is not the signature of this body, or none is taken here.",
                )
            )
        return Signed()


router = Router(auth=TokenOrSignature())


@router.post(
    "signals",
    response={
        200: schemas.SignalsOut,
        422: schemas.SignalsRefusedOut,
        429: schemas.SignalsRefusedOut,
        **dict.fromkeys((400, 401, 403, 413), schemas.RefusalOut),
    },
    url_name="signals",
)
def report_signals(
    request: HttpRequest,
    response: HttpResponse,
    body: Body[dict[str, Any]],
) -> Status[dict[str, Any]]:
    """Report readings: Alertmanager's webhook, one reading, or ``{"signals": [...]}``, at most 100.

    200 when at least one was taken, 422 when all were refused, 429 when there are too many of one target.
    """
    actor = request.auth if isinstance(request.auth, Person) else None  # type: ignore[attr-defined]
    alerts = "alerts" in body
    results: list[dict[str, Any]] = []
    floods: list[Flood] = []
    for item in _items(body):
        try:
            given = _alert(item) if alerts else _plain(item, signed=actor is None)
            results.append(_taken(given, _record(actor, given)))
        except Refused as refused:
            floods += [refused] if isinstance(refused, Flood) else []
            results.append(_refused(item, refused))
    if floods:
        response.headers["Retry-After"] = str(max(each.retry_after for each in floods))
        said = {"code": floods[-1].code, "message": floods[-1].sentence}
        return Status(429, {**said, "results": results})
    if results and all(each["status"] == "refused" for each in results):
        said = {"code": "all_refused", "message": ALL_REFUSED}
        if len(results) == 1:
            said = {name: results[0][name] for name in ("code", "message")}
        return Status(422, {**said, "results": results})
    return Status(200, {"results": results})


def _items(body: dict[str, Any]) -> list[Any]:
    """The readings of any of the three forms. Raises ValidationError where it is none of them."""
    try:
        if "alerts" in body:
            return schemas.AlertmanagerIn.model_validate(body).alerts
        if "signals" in body:
            return schemas.SignalsIn.model_validate(body).signals
    except Invalid as error:
        first = error.errors()[0]
        raise ValidationError(
            [{"loc": ("body", "body", *first["loc"]), "msg": first["msg"]}]
        ) from None
    return [body]


def _valid(form: type[Schema], item: Any) -> Any:
    """The item as this form. Raises Refused("malformed") with the first thing that is wrong."""
    try:
        return form.model_validate(item)
    except Invalid as error:
        first = error.errors()[0]
        place = clean_text(".".join(str(each) for each in first["loc"]))[:100]
        said = str(first["msg"]).removeprefix("Value error, ")
        raise Refused("malformed", f"{place}: {said}" if place else said) from None


def _plain(item: Any, *, signed: bool) -> dict[str, Any]:
    read: schemas.SignalIn = _valid(schemas.SignalIn, item)
    key = read.key
    if signed and not key:
        if read.observed_at is None:
            raise Refused(
                "bad_time",
                "A signed reading says when it was observed or has a key of its own: else the same body sent "
                "again could not be told from a new one.",
            )
        key = f"signed:{hashlib.sha256(json.dumps(item, sort_keys=True).encode()).hexdigest()}"
    return {
        "model": read.model,
        "environment": read.environment,
        "name": read.signal,
        "value": read.value,
        "observed_at": read.observed_at,
        "source": read.source,
        "key": key,
    }


def _alert(item: Any) -> dict[str, Any]:
    """One alert of Alertmanager's. Its annotations are those of its last firing, also once it is resolved."""
    alert: schemas.AlertIn = _valid(schemas.AlertIn, item)
    resolved = alert.status == "resolved"
    ended = alert.endsAt if resolved and alert.endsAt else None
    labels = alert.labels
    return {
        "model": labels.model,
        "environment": labels.environment,
        "name": labels.signal or labels.alertname,
        "value": alert.annotations.value or ("0" if resolved else "1"),
        "observed_at": ended or alert.startsAt,
        "source": "Alertmanager",
        "key": f"{alert.fingerprint}:{alert.startsAt.isoformat()}:{alert.status}",
        "lasting": True,
        "resolved": resolved,
    }


def _record(actor: Person | None, given: dict[str, Any]) -> Recorded:
    told = dict(given)
    target = named.target_named(told.pop("model"), told.pop("environment"))
    return services.record_signal(actor=actor, via=Via.API, target_id=target.pk, **told)


def _taken(given: dict[str, Any], done: Recorded) -> dict[str, Any]:
    return {
        **_about(given["model"], given["environment"], given["name"]),
        "status": "taken" if done.is_new else "repeated",
        "did": done.did,
        "code": "",
        "message": done.sentence,
    }


def _refused(item: Any, refused: Refused) -> dict[str, Any]:
    """What can be told of which reading it was, however odd it is."""
    told = item if isinstance(item, dict) else {}
    labels = told.get("labels")
    told = labels if isinstance(labels, dict) else told
    return {
        **_about(
            told.get("model"), told.get("environment"), told.get("signal") or told.get("alertname")
        ),
        "status": "refused",
        "did": "",
        "code": refused.code,
        "message": refused.sentence,
    }


def _about(model: Any, environment: Any, signal: Any) -> dict[str, str]:
    values = {"model": model, "environment": environment, "signal": signal}
    return {
        name: clean_text(each)[:100] if isinstance(each, str) else ""
        for name, each in values.items()
    }
