"""Known good and known bad: what is rolled back to, and what never is."""

from __future__ import annotations

import pytest

from approvals import services
from approvals.explain import explain
from approvals.models import Event, Mark, ModelVersion, Promotion
from approvals.narrative import kind_of, sentence_of
from approvals.selectors.catalogue import rollback_choices
from approvals.services import Refused
from approvals.services.marks import known_good, newest_mark
from approvals.states import MarkKind, Via
from tests.web.caller import refuses
from tests.web.conftest import Api, Browser, api_of, browser  # noqa: F401
from tests.world import World


def mark(world: World, version: ModelVersion, kind: str, who: str = "bob", **more: str) -> Mark:
    return services.mark(
        actor=world.person(who),
        via=Via.BROWSER,
        target_id=world.target().pk,
        version_id=version.pk,
        kind=kind,
        reason=more.get("reason", "Seen in the logs."),
    )


def numbers(world: World) -> list[int]:
    return [each.number for each in known_good(world.target())]


def roll_back(world: World, version: ModelVersion | None = None) -> Promotion:
    promotion = services.request_rollback(
        actor=world.person("dave"),
        via=Via.BROWSER,
        target_id=world.target().pk,
        version_id=version.pk if version else None,
        reason="Complaints doubled.",
    )
    return world.seal(promotion)


def refused(code: str) -> pytest.RaisesExc[Refused]:
    return pytest.raises(Refused, check=lambda each: each.code == code)


class TestKnownGood:
    def test_the_last_one_first_and_the_live_one_never(self, world: World) -> None:
        assert numbers(world) == []
        for number in (1, 2, 3):
            world.make_live(world.version(number))
        assert numbers(world) == [2, 1]

    def test_rolling_back_twice_never_lands_on_the_broken_one(self, world: World) -> None:
        world.make_live(world.version(1))
        world.make_live(world.version(2))
        first = roll_back(world)
        assert first.version.number == 1
        world.deploy(world.approve(first), 5001)
        assert world.target().live_version_id == first.version_id
        before = Promotion.objects.count()
        with refused("no_known_good"):
            roll_back(world)
        with refused("marked_bad"):
            roll_back(world, world.version(2))
        assert Promotion.objects.count() == before

    def test_it_goes_further_back_past_the_broken_one(self, world: World) -> None:
        for number in (1, 2, 3):
            world.make_live(world.version(number))
        world.deploy(world.approve(roll_back(world)), 5001)
        second = roll_back(world)
        assert second.version.number == 1

    def test_without_what_is_bad_quarantined_or_deleted(self, world: World) -> None:
        versions = [world.version(number) for number in (1, 2, 3, 4, 5)]
        for each in versions:
            world.make_live(each)
        assert numbers(world) == [4, 3, 2, 1]
        mark(world, versions[3], MarkKind.BAD)
        services.quarantine(
            actor=world.person("bob"), via=Via.BROWSER, version_id=versions[2].pk, reason="Leaks."
        )
        services.record_absent_versions(present={"fraud-detector": {1, 3, 4, 5}})
        assert numbers(world) == [1]
        mark(world, versions[3], MarkKind.GOOD, reason="It was the network.")
        services.release(
            actor=world.person("bob"), via=Via.BROWSER, version_id=versions[2].pk, reason="Fine."
        )
        assert numbers(world) == [4, 3, 1]

    def test_what_failed_there_was_never_good(self, world: World) -> None:
        world.make_live(world.version(1))
        failed = world.approve(world.request(world.version(2)))
        services.begin_dispatch(deployment_id=failed.pk, observed=world.observed(failed.version))
        services.record_dispatched(deployment_id=failed.pk, run_id=8, url="http://127.0.0.1:9/8")
        services.record_run(facts=world.run_facts(failed, 8, conclusion="failure"))
        assert numbers(world) == []

    def test_another_environment_knows_nothing_of_it(self, world: World) -> None:
        world.make_live(world.version(1), "staging")
        world.make_live(world.version(2))
        assert numbers(world) == []

    def test_it_is_what_pages_and_slack_offer_first(self, world: World) -> None:
        versions = [world.version(number) for number in (1, 2, 3)]
        for each in versions:
            world.make_live(each)
        mark(world, versions[1], MarkKind.BAD)
        choices = rollback_choices(world.person("dave"), world.target())
        assert [(each.version.number, bool(each.why_not)) for each in choices] == [
            (1, False),
            (2, True),
        ]
        assert "was marked as bad in production by Bob Brandt" in choices[1].why_not


class TestMarking:
    def test_it_is_written_with_its_reason(self, world: World) -> None:
        version = world.version(1)
        world.make_live(version)
        mark(world, version, MarkKind.BAD, reason="  Drifts\x00 at night. ")
        found = newest_mark(world.target(), version)
        assert found is not None
        assert (found.kind, found.reason, found.placed_by.username) == (
            "bad",
            "Drifts at night.",
            "bob",
        )
        event = Event.objects.get(kind="mark.placed")
        assert sentence_of(event) == (
            "Bob Brandt marked fraud-detector v1 as bad in production: Drifts at night."
        )
        assert kind_of(event).tone == "bad"

    @pytest.mark.parametrize(
        ("who", "kind", "reason", "code"),
        [
            ("alice", "bad", "x", "may_not_restrict"),
            ("mallory", "bad", "x", "may_not_restrict"),
            ("ci", "bad", "x", "machine"),
            ("bob", "bad", " \x00", "reason_missing"),
            ("bob", "bad", "x" * 2001, "reason_too_long"),
            ("bob", "ugly", "x", "unknown_mark"),
        ],
    )
    def test_refused(self, world: World, who: str, kind: str, reason: str, code: str) -> None:
        version = world.version(1)
        world.make_live(version)
        with refused(code):
            mark(world, version, kind, who, reason=reason)
        assert not Mark.objects.exists()
        assert not Event.objects.filter(kind="mark.placed").exists()

    def test_what_was_never_there_and_what_is_said_already(self, world: World) -> None:
        version, other = world.version(1), world.version(1, "churn-predictor")
        with refused("never_deployed"):
            mark(world, version, MarkKind.BAD)
        with refused("unknown_version"):
            mark(world, other, MarkKind.BAD)
        world.make_live(version)
        mark(world, version, MarkKind.GOOD)
        with refused("already_marked"):
            mark(world, version, MarkKind.GOOD)
        assert Mark.objects.count() == 1

    def test_a_promotion_of_a_bad_one_is_possible_and_says_so(self, world: World) -> None:
        version = world.version(1)
        world.make_live(version)
        world.make_live(world.version(2))
        mark(world, version, MarkKind.BAD, reason="Drifts.")
        promotion = world.request(version)
        [note] = [each for each in explain(promotion).notes if each.startswith("Careful")]
        assert "v1 was marked as bad in production by Bob Brandt" in note
        assert note.endswith(": Drifts.")


class TestDoors:
    def test_the_api_chooses_the_last_known_good(self, world: World, api_of: Api) -> None:  # noqa: F811
        dave = api_of("dave")
        body = {
            "model": "fraud-detector",
            "environment": "production",
            "reason": "Complaints.",
            "kind": "rollback",
        }
        world.make_live(world.version(1))
        message = refuses(lambda: dave("POST", "promotions", body), 409, "no_known_good")
        assert "There is no known-good version" in message
        world.make_live(world.version(2))
        asked = {**body, "kind": "promote"}
        refuses(lambda: dave("POST", "promotions", asked), 422, "malformed", "version")
        status, said = dave("POST", "promotions", body)
        assert (status, said["version"], said["kind"]) == (201, 1, "rollback")

    def test_nobody_says_whom_a_rollback_rolls_back(self, world: World, api_of: Api) -> None:  # noqa: F811
        world.make_live(world.version(1))
        deployment = world.make_live(world.version(2))
        body = {
            "model": "fraud-detector",
            "environment": "production",
            "reason": "Complaints.",
            "kind": "rollback",
            "rolls_back": deployment.pk,
        }
        dave = api_of("dave")
        refuses(lambda: dave("POST", "promotions", body), 422, "malformed", "rolls_back")

    def test_the_page_shows_it_and_takes_it(self, world: World, browser: Browser) -> None:  # noqa: F811
        version = world.version(1)
        world.make_live(version)
        world.make_live(world.version(2))
        page = f"{version.get_absolute_url()}?environment=production"
        bob, alice = browser("bob"), browser("alice")
        assert "Mark as bad" in bob.get(page).content.decode()
        assert "Mark as bad" not in alice.get(page).content.decode()
        form = {"kind": "bad", "reason": "Drifts <b>badly</b>."}
        address = f"/targets/{world.target().pk}/marks/{version.pk}/"
        alice.post(address, form)
        assert not Mark.objects.exists()
        assert bob.post(address, form).headers["Location"] == page
        shown = bob.get(page).content.decode()
        assert "was marked as bad in production" in shown
        assert "Drifts &lt;b&gt;badly&lt;/b&gt;" in shown
        assert "Mark as good" in shown and ">Mark as bad<" not in shown
        assert "Bad in production" in bob.get("/models/fraud-detector/").content.decode()
        chosen = bob.get(f"/targets/{world.target().pk}/rollback/").content.decode()
        assert "checked" not in chosen
