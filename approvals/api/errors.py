"""Every refusal as JSON, with the status that programs expect for it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError

from approvals.api.auth import Unauthorized
from approvals.api.guard import refusal
from approvals.api.schemas import RefusalOut
from approvals.services import Refused
from approvals.wording import clean_text

# What every address may answer beside what it is for.
REFUSALS = dict.fromkeys((400, 401, 403, 404, 409, 413, 422), RefusalOut)
# This person may not, whatever they send.
FORBIDDEN = {"inactive", "machine", "requester", "trainer", "not_in_team", "no_override"}
# What was sent cannot be meant: code → its field.
MALFORMED = {
    "bad_key": "key",
    "bad_link": "link",
    "bad_name": "name",
    "bad_number": "numbers",
    "bad_time": "produced_at",
    "bad_verdict": "verdict",
    "comment_missing": "text",
    "in_the_future": "produced_at",
    "reason_missing": "reason",
    "reason_too_long": "reason",
    "source_too_long": "source",
    "too_many_numbers": "numbers",
    "unknown_verdict": "verdict",
}


def status_of(code: str) -> int:
    """403 for who may not, 404 for what there is not, 422 for what is malformed, else 409: not as things stand."""
    if code in MALFORMED:
        return 422
    if code in FORBIDDEN or code.startswith("may_not"):
        return 403
    return 404 if code.startswith("unknown_") else 409


def refused(request: HttpRequest, error: Refused) -> HttpResponse:
    """The verb would not, and wrote nothing."""
    field = MALFORMED.get(error.code, "")
    at = request.resolver_match
    if field == "reason" and at is not None:
        field = {"review": "comment", "comment": "text"}.get(at.url_name or "", field)
    if field == "produced_at" and at is not None and at.url_name == "schedule":
        field = "run_at"
    return refusal(status_of(error.code), error.code, error.sentence, field)


def malformed(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """The first thing that is wrong with the body or the address. What was sent is not repeated."""
    first: dict[str, Any] = error.errors[0]
    # The beginning says where: body, and the name of our own parameter.
    place = ".".join(str(each) for each in first.get("loc", ())[2:] or first.get("loc", ())[1:])
    field = clean_text(place)[:100]
    said = str(first["msg"]).removeprefix("Value error, ")
    return refusal(422, "malformed", f"{field}: {said}" if field else said, field)


def unauthorized(request: HttpRequest, error: Unauthorized) -> HttpResponse:
    """No token, or one that opens nothing."""
    response = refusal(401, error.code, error.sentence)
    response.headers["WWW-Authenticate"] = "Bearer"
    return response


def unreadable(request: HttpRequest, error: HttpError) -> HttpResponse:
    """The body is not JSON."""
    return refusal(error.status_code, "not_json", "The body is not JSON.")


def install(api: NinjaAPI) -> None:
    """Let the API answer with these."""
    handlers: list[tuple[type[Exception], Any]] = [
        (Refused, refused),
        (ValidationError, malformed),
        (Unauthorized, unauthorized),
        (HttpError, unreadable),
    ]
    for kind, handler in handlers:
        api.add_exception_handler(kind, handler)
