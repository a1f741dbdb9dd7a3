"""The API over real requests: what it does, what it refuses, and that a refusal leaves no trace."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from approvals import services
from approvals.api import errors
from approvals.api.endpoints import api
from approvals.api.guard import MAX_BODY
from approvals.explain import explain
from approvals.models import ApiToken, Effect, Event, Evidence, Person, Promotion, Review
from approvals.states import PromotionStatus, Via
from tests.web.conftest import Browser
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
ASK = {
    "model": "fraud-detector",
    "version": 2,
    "environment": "production",
    "reason": "It catches more fraud.",
}


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


@pytest.fixture
def api_of(world: World) -> Callable[[str], Caller]:
    return lambda username: Caller(token_of(world, username))


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


class TestWhoComes:
    def test_only_a_token_opens(
        self, world: World, browser: Browser, api_of: Callable[[str], Caller]
    ) -> None:
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
    def test_reported_once_and_repeated(
        self, world: World, api_of: Callable[[str], Caller]
    ) -> None:
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

    def test_the_least_that_is_needed(self, world: World, api_of: Callable[[str], Caller]) -> None:
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
        api_of: Callable[[str], Caller],
        change: dict[str, Any],
        status: int,
        code: str,
        field: str | None,
    ) -> None:
        world.version()
        ci = api_of("ci")
        refuses(lambda: ci("POST", "evidence", {**EVIDENCE, **change}), status, code, field)

    def test_who_is_in_no_team_may_not(self, world: World, api_of: Callable[[str], Caller]) -> None:
        world.version()
        mallory = api_of("mallory")
        refuses(lambda: mallory("POST", "evidence", EVIDENCE), 403, "may_not_report")

    def test_a_deleted_version(self, world: World, api_of: Callable[[str], Caller]) -> None:
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
        api_of: Callable[[str], Caller],
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

    def test_what_just_fits_is_read(self, world: World, api_of: Callable[[str], Caller]) -> None:
        world.version()
        body = json.dumps(EVIDENCE).ljust(MAX_BODY)
        assert api_of("ci").raw("POST", "evidence", body).status_code == 201


class TestPromotions:
    def test_from_the_request_to_the_grant(
        self, world: World, api_of: Callable[[str], Caller]
    ) -> None:
        world.version()
        status, asked = api_of("alice")("POST", "promotions", ASK)
        assert (status, asked["status"], asked["requester"]) == (201, "pending", "alice")
        promotion = Promotion.objects.get()
        assert (promotion.via, asked["why_not"]) == (
            "api",
            "You may not, because you asked for it; somebody else has to decide.",
        )
        seal = world.seal(promotion).seal
        bob, carol = api_of("bob"), api_of("carol")
        path = f"promotions/{promotion.pk}"
        status, seen = bob("GET", path)
        promotion.refresh_from_db()
        assert (status, seen["seal"], seen["may_act"]) == (200, seal, True)
        assert seen["facts"] == promotion.facts
        assert seen["sentences"] == explain(promotion, world.person("bob")).sentences
        assert seen["page"].endswith(promotion.get_absolute_url())

        vote = {"verdict": "approve", "seal": seal}
        status, seen = bob("POST", f"{path}/reviews", vote)
        assert (status, seen["may_act"]) == (201, False)
        assert bob("DELETE", f"{path}/reviews/mine")[0] == 200
        refuses(lambda: bob("DELETE", f"{path}/reviews/mine"), 409, "nothing_to_withdraw")
        assert bob("POST", f"{path}/reviews", vote)[0] == 201
        refuses(lambda: bob("POST", f"{path}/reviews", vote), 409, "already_reviewed")
        status, seen = carol("POST", f"{path}/reviews", {**vote, "comment": "Fine.\x00"})
        assert (status, seen["status"], seen["deployment"]["status"]) == (
            201,
            "approved",
            "queued",
        )
        assert set(Review.objects.values_list("via", flat=True)) == {"api"}
        refuses(lambda: carol("POST", f"{path}/cancel"), 409, "already_decided")

    @pytest.mark.parametrize(
        ("who", "code"),
        [("alice", "requester"), ("ci", "machine"), ("mallory", "not_in_team")],
    )
    def test_whose_vote_never_counts(
        self, world: World, api_of: Callable[[str], Caller], who: str, code: str
    ) -> None:
        promotion = world.request()
        caller = api_of(who)
        for verdict in ("approve", "reject"):
            vote = {"verdict": verdict, "seal": promotion.seal, "comment": "x"}
            message = refuses(
                lambda vote=vote: caller("POST", f"promotions/{promotion.pk}/reviews", vote),  # type: ignore[misc]
                403,
                code,
            )
            assert message.startswith("You may not, because")

    def test_a_stale_seal(self, world: World, api_of: Callable[[str], Caller]) -> None:
        promotion = world.request(world.version(metrics={"accuracy": "0.913"}))
        seen = promotion.seal
        world.seal(promotion, metrics={"accuracy": "0.871"})
        bob = api_of("bob")
        vote = {"verdict": "approve", "seal": seen}
        message = refuses(
            lambda: bob("POST", f"promotions/{promotion.pk}/reviews", vote), 409, "stale"
        )
        assert "accuracy was 0.913 and is 0.871 now" in message

    def test_what_is_missing_or_malformed(
        self, world: World, api_of: Callable[[str], Caller]
    ) -> None:
        promotion = world.request()
        bob, path = api_of("bob"), f"promotions/{promotion.pk}"
        for body, code, field in (
            ({"verdict": "reject", "seal": promotion.seal}, "reason_missing", "comment"),
            (
                {"verdict": "reject", "seal": promotion.seal, "comment": "x" * 2001},
                "reason_too_long",
                "comment",
            ),
            ({"verdict": "approve", "seal": ""}, "malformed", "seal"),
            ({"verdict": "approve", "seal": promotion.seal[:10]}, "malformed", "seal"),
            ({"verdict": "approve"}, "malformed", "seal"),
            ({"verdict": "maybe", "seal": promotion.seal}, "malformed", "verdict"),
        ):
            refuses(lambda body=body: bob("POST", f"{path}/reviews", body), 422, code, field)  # type: ignore[misc]
        alice = api_of("alice")
        for change, code, field in (
            ({"version": 3, "reason": "\x00 "}, "reason_missing", "reason"),
            ({"kind": "deploy"}, "malformed", "kind"),
        ):
            world.version(3)
            asked = {**ASK, **change}
            refuses(lambda body=asked: alice("POST", "promotions", body), 422, code, field)  # type: ignore[misc]

    def test_requests_that_cannot_be_made(
        self, world: World, api_of: Callable[[str], Caller]
    ) -> None:
        promotion = world.request()
        alice, mallory = api_of("alice"), api_of("mallory")
        refuses(lambda: alice("POST", "promotions", ASK), 409, "already_pending")
        refuses(
            lambda: alice("POST", "promotions", {**ASK, "environment": "moon"}),
            404,
            "unknown_target",
        )
        refuses(lambda: alice("POST", "promotions", {**ASK, "version": 9}), 404, "unknown_version")
        bob = api_of("bob")
        refuses(lambda: bob("POST", "promotions", {**ASK, "kind": "rollback"}), 409, "never_live")
        refuses(lambda: mallory("POST", "promotions", ASK), 403, "may_not_request")
        refuses(lambda: mallory("POST", f"promotions/{promotion.pk}/cancel"), 403, "may_not_cancel")

    def test_a_rollback(self, world: World, api_of: Callable[[str], Caller]) -> None:
        world.make_live(world.version(1))
        world.make_live(world.version(2), run_id=78)
        back = {**ASK, "version": 1, "kind": "rollback"}
        status, body = api_of("bob")("POST", "promotions", back)
        assert (status, body["kind"], body["replaces"]) == (201, "rollback", 2)

    def test_cancelling_with_and_without_a_reason(
        self, world: World, api_of: Callable[[str], Caller]
    ) -> None:
        alice = api_of("alice")
        for number, body in ((2, None), (3, {"reason": "Not today."})):
            promotion = world.request(world.version(number))
            status, seen = alice("POST", f"promotions/{promotion.pk}/cancel", body)
            assert (status, seen["status"]) == (200, "cancelled")
            assert seen["decision_reason"] == (body or {"reason": ""})["reason"]

    @pytest.mark.parametrize(
        ("method", "end"),
        [("GET", ""), ("POST", "/reviews"), ("DELETE", "/reviews/mine"), ("POST", "/cancel")],
    )
    @pytest.mark.parametrize("number", [10**9, 10**30])
    def test_there_is_no_such_promotion(
        self, world: World, api_of: Callable[[str], Caller], method: str, end: str, number: int
    ) -> None:
        bob = api_of("bob")
        body = {"verdict": "approve", "seal": "0" * 64} if end == "/reviews" else None
        refuses(lambda: bob(method, f"promotions/{number}{end}", body), 404, "unknown_promotion")

    def test_the_list(self, world: World, api_of: Callable[[str], Caller]) -> None:
        bob = api_of("bob")
        for number in range(2, 5):
            world.request(world.version(number))
        status, body = bob("GET", "promotions?status=pending")
        assert status == 200
        assert [each["version"] for each in body["promotions"]] == [4]
        _, body = bob("GET", "promotions")
        assert [each["status"] for each in body["promotions"]] == [
            "pending",
            "superseded",
            "superseded",
        ]
        oldest = body["promotions"][-1]["id"]
        assert bob("GET", f"promotions?before={oldest}")[1] == {"promotions": [], "older": None}
        refuses(lambda: bob("GET", "promotions?state=pending"), 422, "malformed", "state")
        refuses(lambda: bob("GET", "promotions?status=no"), 422, "malformed", "status")
        refuses(lambda: bob("GET", "promotions?status=%00"), 422, "malformed", "status")
        refuses(lambda: bob("GET", "promotions?before=x"), 422, "malformed", "before")
        refuses(lambda: bob("GET", f"promotions?before={10**30}"), 422, "malformed", "before")

    def test_the_list_is_paged_in_few_queries(
        self, world: World, api_of: Callable[[str], Caller]
    ) -> None:
        bob = api_of("bob")
        promotion = world.request()
        services.cancel(actor=world.person("alice"), via=Via.API, promotion_id=promotion.pk)

        def queries() -> int:
            with CaptureQueriesContext(connection) as captured:
                assert bob("GET", "promotions")[0] == 200
            return len(captured)

        queries()
        few = queries()
        Promotion.objects.bulk_create(
            Promotion(
                **{
                    field.attname: getattr(promotion, field.attname)
                    for field in Promotion._meta.concrete_fields
                    if field.attname not in {"id", "token", "status", "decided_at"}
                },
                status=PromotionStatus.CANCELLED,
                decided_at=timezone.now(),
            )
            for _ in range(60)
        )
        assert queries() == few
        _, first = bob("GET", "promotions")
        _, second = bob("GET", f"promotions?before={first['older']}")
        assert (len(first["promotions"]), len(second["promotions"])) == (50, 11)
        assert second["older"] is None


class TestTargets:
    def test_what_is_live_and_who_decides(
        self, world: World, api_of: Callable[[str], Caller]
    ) -> None:
        mallory = api_of("mallory")
        path = "targets/fraud-detector/production"
        assert mallory("GET", path)[1]["live"] is None
        deployment = world.make_live(world.version(2))
        target = world.target()
        services.lock(
            actor=world.person("bob"), via=Via.BROWSER, target_id=target.pk, reason="Audit."
        )
        status, body = mallory("GET", path)
        assert status == 200
        assert body["live"]["version"] == 2
        assert body["live"]["promotion"] == deployment.promotion_id
        assert body["policy"] == {
            "promotion": "ml-leads × 1 and risk × 1",
            "rollback": "ml-leads or risk or platform × 1",
        }
        assert "is locked by Bob Brandt" in body["closed"]

    @pytest.mark.parametrize("path", ["targets/no/production", "targets/a%00b/c", "targets/é/☃"])
    def test_unknown(self, api_of: Callable[[str], Caller], path: str) -> None:
        bob = api_of("bob")
        refuses(lambda: bob("GET", path), 404, "unknown_target")


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
        "/api/v1/targets/{model}/{environment}",
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
