"""Which version serves whom: the same answer for the same key, and a share that is what the step says."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from approvals import services
from approvals.models import Deployment
from approvals.rollouts import gets_the_new_one, share_of
from approvals.selectors.routes import route
from approvals.states import Via
from tests.approvals.signal_world import CANARY, next_step, roll_out, step, two_live
from tests.web.caller import refuses
from tests.web.conftest import Api
from tests.world import World

PATH = "targets/fraud-detector/production/route"
KEYS = 100_000


class TestTheSplit:
    """Pure: no rows, no clock."""

    def test_it_is_what_the_step_says_and_no_key_moves_back(self) -> None:
        for salt in ("cs-0123456789ab", "cs-ba9876543210"):
            shares = [share_of(f"user-{index}", salt) for index in range(KEYS)]
            assert all(0 <= each < 100 for each in shares)
            before: set[int] = set()
            for percent in (0, 1, 10, 50, 99, 100):
                served = {index for index, each in enumerate(shares) if each < percent}
                assert abs(100 * len(served) / KEYS - percent) < 0.5
                assert before <= served
                before = served
            assert len(before) == KEYS

    def test_another_rollout_begins_with_other_users(self) -> None:
        keys = [f"user-{index}" for index in range(10_000)]
        first, second = (
            {each for each in keys if gets_the_new_one(each, salt, 10)}
            for salt in ("cs-0123456789ab", "cs-ba9876543210")
        )
        assert len(first & second) < 200  # 1 % of them, not 10

    def test_any_script(self) -> None:
        for key in ("Ä", "田中", "🙂", "\ud800", " ", "\x00", "x" * 1000):
            assert share_of(key, "s") == share_of(key, "s")
            assert gets_the_new_one(key, "s", 100) and not gets_the_new_one(key, "s", 0)


class TestTheEndpoint:
    def test_from_step_to_step(self, world: World, api_of: Api) -> None:
        two_live(world)
        ci = api_of("ci")
        status, said = ci("GET", f"{PATH}?key=u1")
        assert (status, said) == (
            200,
            {
                "model": "fraud-detector",
                "environment": "production",
                "version": 2,
                "split": [{"version": 2, "percent": 100}],
                "strategy": "all-at-once",
                "shadow": None,
            },
        )
        deployment = roll_out(world)
        assert ci("GET", PATH)[1]["split"] == [{"version": 2, "percent": 100}]
        deployment = step(world, deployment, 900)
        keys = [f"user-{index}" for index in range(60)]
        token = deployment.promotion.token
        served: dict[int, set[str]] = {}
        for percent in (10, 50):
            status, said = ci("GET", PATH)
            assert (said["version"], said["strategy"], said["split"]) == (
                None,
                "canary",
                [{"version": 2, "percent": 100 - percent}, {"version": 3, "percent": percent}],
            )
            answers = {key: route("fraud-detector", "production", key).version for key in keys}
            assert set(answers.values()) == {2, 3}
            for key, version in answers.items():
                assert (version == 3) == gets_the_new_one(key, token, percent)
            served[percent] = {key for key, version in answers.items() if version == 3}
            status, said = ci("GET", f"{PATH}?key=user-7")
            assert said["version"] == answers["user-7"]
            if percent == 10:
                next_step(deployment)
                deployment = step(world, deployment, 901)
        assert served[10] < served[50]
        next_step(deployment)
        step(world, deployment, 902)
        assert route("fraud-detector", "production", "u1").split == [(3, 100)]

    def test_while_it_goes_back_the_split_stays(self, world: World) -> None:
        two_live(world)
        deployment = step(world, roll_out(world), 900)
        services.abort(
            actor=world.person("bob"),
            via=Via.BROWSER,
            deployment_id=deployment.pk,
            reason="Errors.",
        )
        split = [(2, 90), (3, 10)]
        assert route("fraud-detector", "production").split == split
        deployment = step(world, deployment, 901, ends=False)
        assert route("fraud-detector", "production").split == split
        services.record_run(
            facts=world.run_facts(deployment, 901, title=f"Deploy [{deployment.step.token}]")  # type: ignore[union-attr]
        )
        assert Deployment.objects.get(pk=deployment.pk).status == "cancelled"
        assert route("fraud-detector", "production").split == [(2, 100)]

    @pytest.mark.parametrize("kind", ["shadow", "blue-green"])
    def test_beside_it(self, world: World, kind: str) -> None:
        two_live(world)
        first = {**CANARY["steps"][0], "percent": 0}  # type: ignore[dict-item]
        deployment = roll_out(world, {"kind": kind, "steps": [first, CANARY["steps"][2]]})
        assert route("fraud-detector", "production", "u").shadow is None
        deployment = step(world, deployment, 900)
        found = route("fraud-detector", "production", "u")
        assert (found.version, found.split, found.strategy) == (2, [(2, 100)], kind)
        assert found.shadow == (3 if kind == "shadow" else None)

    def test_it_costs_little_and_says_for_how_long_it_holds(
        self, world: World, api_of: Api
    ) -> None:
        two_live(world)
        step(world, roll_out(world), 900)
        with CaptureQueriesContext(connection) as captured:
            route("fraud-detector", "production", "u1")
        assert len(captured) == 2
        ci = api_of("ci")
        ci("GET", PATH)
        with CaptureQueriesContext(connection) as captured:
            answer = ci.raw("GET", f"{PATH}?key=u1")
        # The token and its person's teams are the other two.
        assert len(captured) <= 4, [each["sql"][:90] for each in captured]
        assert answer.headers["Cache-Control"] == "private, max-age=5"
        assert "Authorization" in answer.headers["Vary"]
        refused = ci.raw("GET", f"{PATH}?key=")
        assert refused.headers["Cache-Control"] == "no-store"

    def test_keys(self, world: World, api_of: Api) -> None:
        two_live(world)
        step(world, roll_out(world), 900)
        ci = api_of("ci")
        for key in ("x" * 1000, "田" * 1000, "🙂", "a&b=c", "\x00", " "):
            answer = ci.raw("GET", f"{PATH}?key={quote(key)}")
            assert answer.status_code == 200, answer.content
            version = route("fraud-detector", "production", key).version
            assert json.loads(answer.content)["version"] == version
        for address in (f"{PATH}?key=", f"{PATH}?key={'x' * 1001}"):
            refuses(lambda address=address: ci("GET", address), 422, "bad_key", "key")  # type: ignore[misc]
        refuses(lambda: ci("GET", f"{PATH}?kye=u1"), 422, "malformed", "kye")

    def test_nothing_live_unknown_and_nobody(self, world: World, api_of: Api) -> None:
        ci = api_of("ci")
        message = refuses(lambda: ci("GET", f"{PATH}?key=u1"), 409, "nothing_live")
        assert message == "Nothing is live in production yet."
        refuses(lambda: ci("GET", "targets/nope/production/route"), 404, "unknown_target")
        refuses(lambda: ci("GET", "targets/fraud-detector/moon/route"), 404, "unknown_target")
        ci.secret = "cs_no"
        refuses(lambda: ci("GET", PATH), 401, "token_unknown")
