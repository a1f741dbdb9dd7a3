"""The API over real requests: what it does, what it refuses, and that a refusal leaves no trace."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from approvals import services
from approvals.api import errors
from approvals.api.endpoints import api
from approvals.api.guard import MAX_BODY
from approvals.models import ApiToken, Evidence, Person
from approvals.states import Via
from tests.web.caller import Caller, refuses, rows, token_of
from tests.web.conftest import Api, Browser
from tests.world import World

EVIDENCE = {
    "model": "fraud-detector",
    "version": 2,
    "environment": "production",
    "name": "load-test",
    "verdict": "pass",
    "numbers": {"p95_ms": "212.50"},
    "link": "https://ci.example/runs/7",
    "source": "load-test run 7",
    "key": "run-7",
    "produced_at": "2026-11-20T14:05:00+01:00",
}


class TestWhoComes:
    def test_only_a_token_opens(self, world: World, browser: Browser, api_of: Api) -> None:
        signed_in = browser("bob")
        answer = signed_in.get("/api/v1/promotions")
        assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
        assert api_of("bob")("GET", "promotions") == (200, {"promotions": [], "older": None})
        answer = api_of("bob").raw("GET", "promotions")
        assert answer["Cache-Control"] == "no-store"
        assert not answer.cookies

    @pytest.mark.parametrize(
        "header",
        [
            "",
            "Bearer",
            "Bearer ",
            "Bearer cs_x",
            "Basic Ym9iOng=",
            "Bearer \x00",
            "Bearer é",
            "x" * 5000,
        ],
    )
    def test_a_wrong_token(self, world: World, header: str) -> None:
        world.version()
        stranger = Caller("")
        refuses(
            lambda: stranger.raw("POST", "evidence", json.dumps(EVIDENCE), Authorization=header),
            401,
            "token_unknown",
        )

    def test_a_token_that_opens_no_more(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        world.version()
        secret = token_of(world, "ci", days=1)
        ci = Caller(secret)

        def report() -> Any:
            return ci("POST", "evidence", EVIDENCE)

        ApiToken.objects.update(expires_at=timezone.now())
        refuses(report, 401, "token_expired")
        ApiToken.objects.update(expires_at=timezone.now() + timedelta(days=1))
        Person.objects.filter(username="ci").update(is_active=False)
        refuses(report, 401, "inactive")
        Person.objects.filter(username="ci").update(is_active=True)
        assert report()[0] == 201
        services.revoke_token(
            actor=None, via=Via.COMMAND, token_id=ApiToken.objects.values_list("pk", flat=True)[0]
        )
        refuses(report, 401, "token_revoked")
        assert secret not in caplog.text


class TestEvidence:
    def test_reported_once_and_repeated(self, world: World, api_of: Api) -> None:
        world.version()
        ci = api_of("ci")
        status, first = ci("POST", "evidence", EVIDENCE)
        assert status == 201
        kept = Evidence.objects.get()
        assert first == {
            **EVIDENCE,
            "id": kept.pk,
            "recorded_by": "ci",
            "produced_at": "2026-11-20T13:05:00Z",
            "recorded_at": first["recorded_at"],
        }
        assert (kept.via, kept.recorded_by) == ("api", world.person("ci"))
        before = rows()
        assert ci("POST", "evidence", EVIDENCE) == (200, first)
        assert rows() == before
        refuses(
            lambda: ci("POST", "evidence", {**EVIDENCE, "verdict": "fail"}), 409, "evidence_differs"
        )

    def test_the_least_that_is_needed(self, world: World, api_of: Api) -> None:
        world.version()
        least = {key: EVIDENCE[key] for key in ("model", "version", "name", "verdict")}
        status, body = api_of("alice")("POST", "evidence", least)
        assert (status, body["environment"], body["numbers"]) == (201, None, {})

    @pytest.mark.parametrize(
        ("change", "status", "code", "field"),
        [
            ({"model": "nobody"}, 404, "unknown_model", None),
            ({"model": "a\x00b"}, 404, "unknown_model", None),
            ({"version": 99}, 404, "unknown_version", None),
            ({"environment": "moon"}, 404, "unknown_environment", None),
            ({"environment": "\x00"}, 404, "unknown_environment", None),
            ({"name": "Load test"}, 422, "bad_name", "name"),
            ({"name": "\x00"}, 422, "bad_name", "name"),
            ({"numbers": {"p95": "NaN"}}, 422, "bad_number", "numbers"),
            ({"numbers": {"p\x0095": "1"}}, 422, "bad_number", "numbers"),
            ({"numbers": {str(n): "1" for n in range(101)}}, 422, "too_many_numbers", "numbers"),
            ({"link": "javascript:alert(1)"}, 422, "bad_link", "link"),
            ({"source": "x" * 201}, 422, "source_too_long", "source"),
            ({"key": "\x00"}, 422, "bad_key", "key"),
            ({"produced_at": "2099-01-01T00:00:00Z"}, 422, "in_the_future", "produced_at"),
            ({"produced_at": "2026-11-20T14:05:00"}, 422, "malformed", "produced_at"),
            ({"produced_at": "0001-01-01T00:00:00+14:00"}, 422, "bad_time", "produced_at"),
            ({"produced_at": "9999-12-31T23:59:59-14:00"}, 422, "in_the_future", "produced_at"),
            ({"produced_at": 1e308}, 422, "malformed", "produced_at"),
            ({"produced_at": 1763647500}, 422, "malformed", "produced_at"),
            ({"numbers": {"\ud800": "1"}}, 422, "bad_number", "numbers"),
            ({"produced_at": "soon"}, 422, "malformed", "produced_at"),
            ({"verdict": "maybe"}, 422, "malformed", "verdict"),
            ({"version": "2"}, 422, "malformed", "version"),
            ({"version": True}, 422, "malformed", "version"),
            ({"version": 2**40}, 422, "malformed", "version"),
            ({"version": -1}, 422, "malformed", "version"),
            ({"model": None}, 422, "malformed", "model"),
            ({"model": "x" * 300}, 422, "malformed", "model"),
            ({"numbers": {"p95": 212.5}}, 422, "malformed", "numbers.p95"),
            ({"numbers": ["1"]}, 422, "malformed", "numbers"),
            ({"source": "\ud800"}, 422, "malformed", "source"),
            ({"enviroment": "staging"}, 422, "malformed", "enviroment"),
        ],
    )
    def test_refused(
        self,
        world: World,
        api_of: Api,
        change: dict[str, Any],
        status: int,
        code: str,
        field: str | None,
    ) -> None:
        world.version()
        ci = api_of("ci")
        refuses(lambda: ci("POST", "evidence", {**EVIDENCE, **change}), status, code, field)

    def test_who_is_in_no_team_may_not(self, world: World, api_of: Api) -> None:
        world.version()
        mallory = api_of("mallory")
        refuses(lambda: mallory("POST", "evidence", EVIDENCE), 403, "may_not_report")

    def test_a_deleted_version(self, world: World, api_of: Api) -> None:
        world.version()
        services.record_absent_versions(present={"fraud-detector": set()})
        ci = api_of("ci")
        refuses(lambda: ci("POST", "evidence", EVIDENCE), 409, "version_deleted")

    @pytest.mark.parametrize(
        ("body", "status", "code", "field"),
        [
            (b"{", 400, "not_json", None),
            (b"\xff\xfe\x00", 400, "not_json", None),
            (b"[" * 60_000, 400, "not_json", None),
            (b'{"version": ' + b"9" * 5000 + b"}", 400, "not_json", None),
            (b"", 422, "malformed", "body"),
            (b"null", 422, "malformed", "body"),
            (b"[]", 422, "malformed", "body"),
            (b'"text"', 422, "malformed", "body"),
            (b'{"version": NaN}', 422, "malformed", None),
            (b'{"\\ud800": 1}', 422, "malformed", None),
            (b" " * (MAX_BODY + 1), 413, "too_large", None),
            (b" " * 3_000_000, 413, "too_large", None),
        ],
    )
    def test_odd_bodies(
        self,
        world: World,
        api_of: Api,
        body: bytes,
        status: int,
        code: str,
        field: str | None,
    ) -> None:
        ci = api_of("ci")
        before = rows()
        answer = ci.raw("POST", "evidence", body)
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.content
        assert field is None or answer.json()["field"] == field
        assert rows() == before

    def test_what_just_fits_is_read(self, world: World, api_of: Api) -> None:
        world.version()
        body = json.dumps(EVIDENCE).ljust(MAX_BODY)
        assert api_of("ci").raw("POST", "evidence", body).status_code == 201


def test_the_description_is_open_and_complete(world: World, client: Client) -> None:
    answer = client.get("/api/v1/openapi.json")
    assert answer.status_code == 200
    described = answer.json()
    assert set(described["paths"]) == {
        "/api/v1/evidence",
        "/api/v1/promotions",
        "/api/v1/promotions/{promotion_id}",
        "/api/v1/promotions/{promotion_id}/reviews",
        "/api/v1/promotions/{promotion_id}/reviews/mine",
        "/api/v1/promotions/{promotion_id}/cancel",
        "/api/v1/promotions/{promotion_id}/comments",
        "/api/v1/promotions/{promotion_id}/override",
        "/api/v1/promotions/{promotion_id}/schedule",
        "/api/v1/promotions/{promotion_id}/deployment/{action}",
        "/api/v1/targets/{model}/{environment}",
        "/api/v1/targets/{model}/{environment}/queue",
        "/api/v1/targets/{model}/{environment}/route",
        "/api/v1/signals",
        "/api/v1/changes",
        "/api/v1/changes/{change_id}/ignore",
        "/api/v1/changes/{change_id}/put-back",
        "/api/v1/changes/{change_id}/adopt",
    }
    assert described["components"]["securitySchemes"]["Token"]["scheme"] == "bearer"
    assert api.docs_url is None
    for nothing in ("", "docs", "docs/", "nope", "promotions/x", "%00"):
        missing = client.get(f"/api/v1/{nothing}")
        assert (missing.status_code, missing.json()["code"]) == (404, "unknown_address"), nothing


def test_the_wrong_method_is_said(world: World, client: Client) -> None:
    answer = client.put("/api/v1/promotions")
    assert (answer.status_code, answer.json()["code"]) == (405, "unknown_method")
    assert answer["Allow"] in {"GET, POST", "POST, GET"}


def test_the_documentation_names_what_the_api_says(root: Path) -> None:
    text = (root / "docs" / "api.md").read_text()
    for code in (*errors.MALFORMED, *errors.FORBIDDEN):
        assert f"`{code}`" in text, code
    assert {errors.status_of(each) for each in errors.FORBIDDEN} == {403}
    assert (errors.status_of("stale"), errors.status_of("unknown_target")) == (409, 404)
