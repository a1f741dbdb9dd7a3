"""Who comes: a bearer token, and nothing else."""

from __future__ import annotations

from typing import cast

from django.http import HttpRequest
from ninja.security import HttpBearer

from approvals import services
from approvals.models import Person


class Unauthorized(Exception):
    """Nobody came whom the API knows. ``code`` and ``sentence`` are those of the refusal."""

    def __init__(self, refused: services.Refused) -> None:
        super().__init__(refused.sentence)
        self.code = refused.code
        self.sentence = refused.sentence


class Token(HttpBearer):
    """``Authorization: Bearer cs_…``."""

    def __call__(self, request: HttpRequest) -> Person:
        """Who comes with this request. Raises Unauthorized. The header is never logged, whatever it holds."""
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        return self.authenticate(request, secret if scheme.lower() == "bearer" else "")

    def authenticate(self, request: HttpRequest, token: str) -> Person:
        """Whose token it is. Raises Unauthorized."""
        try:
            return services.person_of_token(secret=token.strip())
        except services.Refused as refused:
            raise Unauthorized(refused) from None


def caller(request: HttpRequest) -> Person:
    """The person whose token came with the request."""
    return cast(Person, request.auth)  # type: ignore[attr-defined]
