"""Promotions and targets over the API: the same rules as everywhere, and a refusal leaves no trace."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from approvals import services
from approvals.explain import explain
from approvals.models import Promotion, Review
from approvals.states import PromotionStatus, Via
from tests.web.caller import refuses
from tests.web.conftest import Api
from tests.world import World

ASK = {
    "model": "fraud-detector",
    "version": 2,
    "environment": "production",
    "reason": "It catches more fraud.",
}


class TestPromotions:
    def test_from_the_request_to_the_grant(self, world: World, api_of: Api) -> None:
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
    def test_whose_vote_never_counts(self, world: World, api_of: Api, who: str, code: str) -> None:
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

    def test_a_stale_seal(self, world: World, api_of: Api) -> None:
        promotion = world.request(world.version(metrics={"accuracy": "0.913"}))
        seen = promotion.seal
        world.seal(promotion, metrics={"accuracy": "0.871"})
        bob = api_of("bob")
        vote = {"verdict": "approve", "seal": seen}
        message = refuses(
            lambda: bob("POST", f"promotions/{promotion.pk}/reviews", vote), 409, "stale"
        )
        assert "accuracy was 0.913 and is 0.871 now" in message

    def test_what_is_missing_or_malformed(self, world: World, api_of: Api) -> None:
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

    def test_requests_that_cannot_be_made(self, world: World, api_of: Api) -> None:
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

    def test_a_rollback(self, world: World, api_of: Api) -> None:
        world.make_live(world.version(1))
        world.make_live(world.version(2), run_id=78)
        back = {**ASK, "version": 1, "kind": "rollback"}
        status, body = api_of("bob")("POST", "promotions", back)
        assert (status, body["kind"], body["replaces"]) == (201, "rollback", 2)

    def test_cancelling_with_and_without_a_reason(self, world: World, api_of: Api) -> None:
        alice = api_of("alice")
        for number, body in ((2, None), (3, {"reason": "Not today."})):
            promotion = world.request(world.version(number))
            status, seen = alice("POST", f"promotions/{promotion.pk}/cancel", body)
            assert (status, seen["status"]) == (200, "cancelled")
            assert seen["decision_reason"] == (body or {"reason": ""})["reason"]

    @pytest.mark.parametrize(
        ("method", "end"),
        [
            ("GET", ""),
            ("POST", "/reviews"),
            ("DELETE", "/reviews/mine"),
            ("POST", "/cancel"),
            ("POST", "/comments"),
        ],
    )
    @pytest.mark.parametrize("number", [10**9, 10**30])
    def test_there_is_no_such_promotion(
        self, world: World, api_of: Api, method: str, end: str, number: int
    ) -> None:
        bob = api_of("bob")
        body = {
            "/reviews": {"verdict": "approve", "seal": "0" * 64},
            "/comments": {"text": "Hello?"},
        }.get(end)
        refuses(lambda: bob(method, f"promotions/{number}{end}", body), 404, "unknown_promotion")

    def test_the_list(self, world: World, api_of: Api) -> None:
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

    def test_the_list_is_paged_in_few_queries(self, world: World, api_of: Api) -> None:
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
    def test_what_is_live_and_who_decides(self, world: World, api_of: Api) -> None:
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
            "promotion": "1 of ml-leads and 1 of risk",
            "rollback": "1 of ml-leads or risk or platform",
        }
        assert "is locked by Bob Brandt" in body["closed"]

    @pytest.mark.parametrize("path", ["targets/no/production", "targets/a%00b/c", "targets/é/☃"])
    def test_unknown(self, api_of: Api, path: str) -> None:
        bob = api_of("bob")
        refuses(lambda: bob("GET", path), 404, "unknown_target")
