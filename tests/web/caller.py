"""Calls the API with somebody's token, and looks whether a refusal left a trace."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django.test import Client

from approvals import services
from approvals.models import Effect, Event, Evidence, Promotion, Review
from approvals.states import Via
from tests.world import World


def token_of(world: World, username: str, **more: Any) -> str:
    _, secret = services.create_token(
        actor=None, via=Via.COMMAND, person_id=world.person(username).pk, name="test", **more
    )
    return secret


class Caller:
    """Somebody's token and a client without any session."""

    def __init__(self, secret: str) -> None:
        self.secret = secret
        # A real browser's client checks CSRF too; this one must not need it.
        self.client = Client(enforce_csrf_checks=True)

    def raw(self, method: str, path: str, data: bytes | str = b"", **headers: str) -> Any:
        given = {"Authorization": f"Bearer {self.secret}", **headers}
        return self.client.generic(
            method, f"/api/v1/{path}", data, content_type="application/json", headers=given
        )

    def __call__(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        answer = self.raw(method, path, "" if body is None else json.dumps(body))
        return answer.status_code, answer.json()


def rows() -> tuple[Any, ...]:
    counted = tuple(each.objects.count() for each in (Promotion, Review, Evidence, Effect, Event))
    return counted, list(Promotion.objects.order_by("pk").values_list("status", "seal"))


def refuses(answer: Callable[[], Any], status: int, code: str, field: str | None = None) -> str:
    """``answer`` is refused so, and nothing is written; returns the message."""
    before = rows()
    said = answer()
    found, body = said if isinstance(said, tuple) else (said.status_code, said.json())
    assert (found, body["code"]) == (status, code), body
    assert body.get("field") == field, body
    assert rows() == before
    assert body["message"]
    return str(body["message"])
