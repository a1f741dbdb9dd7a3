"""Monitoring's signals: what is refused, what each rule does, and every guard with what did not happen."""

from __future__ import annotations

import ast
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from approvals import services
from approvals.explain import explain
from approvals.models import Deployment, Event, Person, Promotion, Signal
from approvals.models.outbox import EffectKind
from approvals.narrative import sentence_of
from approvals.services import Refused, measurements
from approvals.states import DeploymentStatus, MarkKind, Via
from tests.approvals.signal_world import (
    CANARY,
    ago,
    alerts,
    events,
    live_for,
    next_step,
    outcomes,
    roll_out,
    rule,
    rules,
    send,
    step,
    two_live,
    written,
)
from tests.approvals.test_races import race
from tests.world import World


class TestRefused:
    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"value": "NaN"}, "bad_value"),
            ({"value": "inf"}, "bad_value"),
            ({"value": "-Infinity"}, "bad_value"),
            ({"value": ""}, "bad_value"),
            ({"value": "5 %"}, "bad_value"),
            ({"value": "0x10"}, "bad_value"),
            ({"value": "1e19"}, "bad_value"),
            ({"value": "-1000000000000000001"}, "bad_value"),
            ({"value": "1e999999999"}, "bad_value"),
            ({"value": "0." + "1" * 70}, "bad_value"),
            ({"value": "٣"}, "bad_value"),
            ({"name": ""}, "bad_signal"),
            ({"name": "x" * 101}, "bad_signal"),
            ({"name": "two\nlines"}, "bad_signal"),
            ({"name": " around "}, "bad_signal"),
            ({"name": "nul\x00"}, "bad_signal"),
            ({"source": "x" * 201}, "source_too_long"),
            ({"key": "x" * 201}, "bad_key"),
            ({"key": "k\x00"}, "bad_key"),
            ({"observed_at": timedelta(minutes=-2.1)}, "in_the_future"),
            ({"observed_at": timedelta(minutes=-2.1), "lasting": True}, "in_the_future"),
            ({"observed_at": timedelta(minutes=15.1)}, "too_old"),
            ({"observed_at": timedelta(days=20_000), "lasting": True}, "bad_time"),
            ({"observed_at": datetime.fromisoformat("2026-11-20T14:05")}, "bad_time"),
            ({"target_id": 0}, "unknown_target"),
        ],
    )
    def test_nothing_is_written(self, world: World, change: dict[str, Any], code: str) -> None:
        two_live(world)
        rules(world, rule())
        age = change.get("observed_at")
        if isinstance(age, timedelta):
            change = {**change, "observed_at": timezone.now() - age}
        before = written(), Event.objects.count(), alerts()
        with pytest.raises(Refused) as refused:
            send(world, **change)
        assert refused.value.code == code
        assert (written(), Event.objects.count(), alerts()) == before
        assert not Signal.objects.exists()

    @pytest.mark.parametrize("who", ["mallory", "bob"])
    def test_who_may_not(self, world: World, who: str) -> None:
        two_live(world)
        rules(world, rule())
        if who == "bob":
            Person.objects.filter(username="bob").update(is_active=False)
        with pytest.raises(Refused) as refused:
            send(world, actor=world.person(who))
        assert refused.value.code == {"mallory": "may_not_report", "bob": "inactive"}[who]
        assert not Signal.objects.exists() and Promotion.objects.count() == 2

    def test_a_target_that_is_no_longer_named(self, world: World) -> None:
        two_live(world)
        target = rules(world, rule())
        target.is_active = False
        target.save()
        with pytest.raises(Refused) as refused:
            send(world)
        assert refused.value.code == "inactive_target"
        assert not Signal.objects.exists()

    def test_a_repetition_is_the_same_one(self, world: World) -> None:
        two_live(world)
        rules(world, rule("alert"))
        first = send(world, key="k1")
        before = written(), Event.objects.count(), len(alerts())
        second = send(world, "0.5", key="k1")
        assert (second.is_new, second.did, second.signal.pk) == (False, "", first.signal.pk)
        assert "It was here already" in second.sentence and "people were told" in second.sentence
        assert (written(), Event.objects.count(), len(alerts())) == before
        assert Signal.objects.get().value == "0.09"

    def test_a_flood(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(measurements, "PER_MINUTE", 3)
        two_live(world)
        rules(world, rule(times=4))
        now = timezone.now()
        for index in range(3):
            send(world, now=now + timedelta(seconds=10 * index), key=f"k{index}")
        with pytest.raises(measurements.Flood) as flood:
            send(world, now=now + timedelta(seconds=30))
        assert (flood.value.code, flood.value.retry_after) == ("too_many_signals", 31)
        assert Signal.objects.count() == 3 and Promotion.objects.count() == 2
        assert not send(world, key="k1", now=now + timedelta(seconds=30)).is_new
        assert send(world, "0", now=now + timedelta(seconds=61)).is_new


class TestWhatRulesDo:
    def test_a_plain_reading_is_kept_and_nothing_more(self, world: World) -> None:
        two_live(world)
        rules(world, rule())
        before = written(), Event.objects.count(), alerts()
        done = send(world, "0.05", source="Prometheus")
        assert (done.did, done.signal.breached, done.signal.outcome) == ("", False, "")
        assert done.signal.deployment == world.target().live_deployment
        assert (written(), Event.objects.count(), alerts()) == before

    def test_so_many_in_a_row(self, world: World) -> None:
        two_live(world)
        rules(world, rule("alert", times=3))
        done = [send(world, value).did for value in ("0.09", "0.06", "0.01", "0.07", "0.08")]
        assert done == ["noted", "noted", "", "noted", "noted"]
        assert outcomes()[1].endswith("noted, 2 of 3 so far.")
        assert not alerts() and not events("signal.alerted")
        assert send(world, "0.0501").did == "alerted"
        assert len(alerts()) == len(events("signal.alerted")) == 1

    def test_the_same_trouble_is_told_once(self, world: World) -> None:
        two_live(world)
        rules(world, rule("alert"))
        for _ in range(4):
            assert send(world).did == "alerted"
        assert len(alerts()) == len(events("signal.alerted")) == 1
        send(world, "0.01")
        send(world)
        assert len(alerts()) == len(events("signal.alerted")) == 2

    def test_the_strongest_acts(self, world: World) -> None:
        two_live(world)
        rules(world, rule("note"), rule("alert", above="0.08"), rule("roll_back", above="0.5"))
        assert [send(world, value).did for value in ("0.06", "0.09", "0.6")] == [
            "noted",
            "alerted",
            "rolled_back",
        ]

    def test_below(self, world: World) -> None:
        two_live(world)
        rules(world, rule("alert", above="", below="0.8", signal="accuracy"))
        assert send(world, "0.8", name="accuracy").did == ""
        assert send(world, "0.7999", name="accuracy").did == "alerted"
        assert send(world, "0.1").did == ""  # another signal

    def test_readings_from_before_it_went_live_do_not_count(self, world: World) -> None:
        two_live(world)
        rules(world, rule(times=2))
        before = written()
        early = send(world, observed_at=ago(minutes=5))
        assert (early.did, early.signal.deployment) == ("noted", None)
        assert early.sentence.endswith(
            "noted, because it began before fraud-detector v2 went live."
        )
        assert send(world).sentence.endswith("1 of 2 so far.")
        assert written() == before

    def test_a_late_one_completes_a_row_and_starts_none(self, world: World) -> None:
        two_live(world)
        live_for(world)
        rules(world, rule("alert"))
        send(world, "0.01")
        assert send(world, observed_at=ago(minutes=5)).did == "noted"
        assert not alerts()
        rules(world, rule("alert", times=2))
        send(world, "0.09")
        assert not alerts()

    def test_what_is_resolved_breaches_nothing_and_ends_a_row(self, world: World) -> None:
        two_live(world)
        rules(world, rule("alert", times=2))
        send(world)
        done = send(world, "0.9", resolved=True)
        assert (done.did, done.signal.breached) == ("", False)
        assert send(world).sentence.endswith("1 of 2 so far.")
        assert not alerts()

    def test_an_alert_that_stands_may_be_old(self, world: World) -> None:
        two_live(world)
        live_for(world, minutes=300)
        rules(world, rule("alert"))
        assert send(world, observed_at=ago(hours=3), lasting=True).did == "alerted"

    def test_rules_that_cannot_be_read_are_told(self, world: World) -> None:
        two_live(world)
        rules(world, {"signal": "error_rate", "then": "explode"})
        before = written()
        assert [send(world).did for _ in range(3)] == ["guarded"] * 3
        assert len(alerts()) == 1 and written() == before

    def test_nothing_live(self, world: World) -> None:
        rules(world, rule())
        assert send(world).did == "noted"
        assert not Promotion.objects.exists()

    def test_pausing_what_is_settled_tells_people(self, world: World) -> None:
        two_live(world)
        rules(world, rule("pause"))
        done = send(world)
        assert done.did == "alerted" and "there is no rollout to pause" in done.sentence
        assert len(alerts()) == 1


class TestRollingBackByItself:
    def test_from_the_reading_to_the_former_version(self, world: World) -> None:
        bad = two_live(world)
        rules(world, rule(times=2))
        send(world, "0.07")
        done = send(world)
        promotion = Promotion.objects.get(rolls_back=bad)
        account = promotion.requester
        assert (done.did, promotion.status, promotion.kind, promotion.via) == (
            "rolled_back",
            "pending",
            "rollback",
            "system",
        )
        assert (account.username, account.is_machine, account.is_active) == (
            "countersign",
            True,
            False,
        )
        assert not account.has_usable_password()
        assert promotion.version.number == 1 and promotion.replaces == bad.version
        assert f"to fraud-detector v1 by itself (promotion {promotion.pk})" in done.sentence
        assert len(alerts()) == 1

        promotion = world.seal(promotion)
        assert promotion.status == "approved"
        sealed = promotion.facts["policy"]
        assert (sealed["automatic"], sealed["requirements"]) == (True, [])
        assert sealed["by_itself"] == promotion.reason
        assert "error_rate was 0.09 on" in promotion.reason
        assert "(the rule: error_rate above 0.05, 2 times in a row)" in promotion.reason
        [note] = [each for each in explain(promotion).notes if "by itself" in each]
        assert note.startswith("Nobody was asked: it is rolled back by itself because error_rate")
        approved = Event.objects.get(kind="promotion.approved", promotion=promotion)
        assert approved.actor is None and approved.via == Via.SYSTEM
        assert "rolled back by itself because error_rate was 0.09" in sentence_of(approved)

        world.deploy(Deployment.objects.get(promotion=promotion), 7001)
        target = world.target()
        assert target.live_version_id == promotion.version_id
        assert bad.version.marks.get().kind == MarkKind.BAD
        assert target.restrictions.get(lifted_at=None).kind == "hold"

    def test_readings_meanwhile_ask_for_nothing_more(self, world: World) -> None:
        two_live(world)
        rules(world, rule())
        send(world)
        told = len(alerts())
        for _ in range(3):
            done = send(world)
            assert done.did == "noted" and "it is being rolled back" in done.sentence
        assert Promotion.objects.count() == 3 and len(alerts()) == told
        promotion = world.seal(Promotion.objects.get(kind="rollback"))
        assert promotion.status == "approved"
        assert "is being rolled back" in send(world).sentence  # queued
        assert Promotion.objects.count() == 3

    def test_a_rollback_is_never_rolled_back(self, world: World) -> None:
        two_live(world)
        rules(world, rule())
        send(world)
        promotion = world.seal(Promotion.objects.get(kind="rollback"))
        world.deploy(Deployment.objects.get(promotion=promotion), 7001)
        before = written()
        done = send(world)
        assert (
            done.did == "guarded" and "a rollback is never rolled back by itself" in done.sentence
        )
        assert written() == before and len(alerts()) == 2

    def test_once_for_each_deployment(self, world: World) -> None:
        two_live(world)
        rules(world, rule())
        send(world)
        promotion = Promotion.objects.get(kind="rollback")
        services.cancel(actor=world.person("bob"), via=Via.BROWSER, promotion_id=promotion.pk)
        before = written()
        done = send(world)
        assert done.did == "guarded"
        assert f"(promotion {promotion.pk}, cancelled), and that is done once" in done.sentence
        assert written() == before and "now people decide" in alerts()[-1]

    def test_nothing_known_good(self, world: World) -> None:
        world.make_live(world.version(1))
        rules(world, rule())
        before = written()
        done = send(world)
        assert done.did == "guarded" and "There is no known-good version" in done.sentence
        assert written() == before and not Person.objects.filter(username="countersign").exists()
        assert events("signal.guarded") == [done.sentence] and len(alerts()) == 1

    @pytest.mark.parametrize("closed", ["lock", "quarantine", "mark"])
    def test_what_people_closed(self, world: World, closed: str) -> None:
        two_live(world)
        rules(world, rule())
        first, target = world.version(1), world.target()
        who: dict[str, Any] = {"actor": world.person("bob"), "via": Via.BROWSER, "reason": "Audit."}
        if closed == "lock":
            services.lock(**who, target_id=target.pk)
        elif closed == "quarantine":
            services.quarantine(**who, version_id=first.pk)
        else:
            services.mark(**who, target_id=target.pk, version_id=first.pk, kind="bad")
        before = written()
        assert send(world).did == "guarded"
        assert written() == before and len(alerts()) == 1

    def test_what_is_sent_once_more_counts_once(self, world: World) -> None:
        """A sender that got no answer tries again; two readings in a row are another thing."""
        two_live(world)
        rules(world, rule(times=2))
        now = timezone.now()
        first = send(world, key="", now=now)
        again = send(world, key="", now=now + timedelta(seconds=4))
        assert (first.is_new, again.is_new, again.signal) == (True, False, first.signal)
        at = now + timedelta(seconds=1)
        assert send(world, "0.2", key="", observed_at=at, now=at).is_new is True
        before = written()
        assert (
            send(world, "0.2", key="", observed_at=at, now=now + timedelta(minutes=3)).is_new
            is False
        )
        assert written() == before

    def test_a_hold_takes_no_net_away(self, world: World) -> None:
        two_live(world)
        rules(world, rule())
        world.target().restrictions.create(
            kind="hold", reason="x", placed_by=world.person("bob"), placed_at=timezone.now()
        )
        assert send(world).did == "rolled_back"
        rollback = Promotion.objects.get(kind="rollback")
        assert world.seal(rollback).status == "approved"

    def test_while_something_else_is_deployed(self, world: World) -> None:
        two_live(world)
        rules(world, rule())
        other = world.approve(world.request(world.version(3)))
        before = written()
        assert "while what is live is not settled" in send(world).sentence  # queued and ready
        step(world, other, 900, ends=False)
        done = send(world)
        assert done.did == "guarded" and "A deployment is under way" in done.sentence
        assert written() == before
        assert done.signal.deployment == other

    def test_what_is_scheduled_for_later_does_not_hinder(self, world: World) -> None:
        two_live(world)
        rules(world, rule())
        promotion = world.request(world.version(3))
        services.schedule(
            actor=world.person("alice"),
            via=Via.BROWSER,
            promotion_id=promotion.pk,
            run_at=timezone.now() + timedelta(days=2),
            zone="UTC",
        )
        world.approve(promotion)
        assert send(world).did == "rolled_back"

    def test_what_a_person_asked_for_is_superseded(self, world: World) -> None:
        two_live(world)
        rules(world, rule())
        asked = services.request_rollback(
            actor=world.person("dave"),
            via=Via.BROWSER,
            target_id=world.target().pk,
            reason="Complaints.",
        )
        assert send(world).did == "rolled_back"
        asked.refresh_from_db()
        assert asked.status == "superseded"

    def test_a_name_that_somebody_else_has(self, world: World) -> None:
        two_live(world)
        rules(world, rule())
        Person.objects.create(username="countersign")
        before = written()
        done = send(world)
        assert done.did == "guarded" and "somebody else uses it" in done.sentence
        assert written() == before

    def test_artifacts_that_are_others_now(self, world: World) -> None:
        """The preflight holds, everybody is told, and it is told once."""
        two_live(world)
        rules(world, rule())
        send(world)
        promotion = Promotion.objects.get(kind="rollback")
        promotion = world.seal(promotion, version={"artifact_digest": "sha256:" + "f" * 64})
        assert promotion.status == "pending" and not Deployment.objects.filter(promotion=promotion)
        services.approve_due()
        services.record_facts_problem(promotion_id=promotion.pk, problem="MLflow is down.")
        stuck = [each for each in alerts() if "It was to be rolled back to" in each]
        assert len(stuck) == 1 and "The artifacts are not those" in stuck[0]
        assert not Deployment.objects.filter(promotion=promotion).exists()

    def test_a_lock_between_the_request_and_the_facts(self, world: World) -> None:
        two_live(world)
        rules(world, rule())
        send(world)
        services.lock(
            actor=world.person("bob"),
            via=Via.BROWSER,
            target_id=world.target().pk,
            reason="We look at it.",
        )
        promotion = world.seal(Promotion.objects.get(kind="rollback"))
        assert promotion.status == "pending" and len(alerts()) == 2
        assert not Deployment.objects.filter(promotion=promotion).exists()

    def test_it_is_taken_back_when_something_else_went_live(self, world: World) -> None:
        two_live(world)
        rules(world, rule())
        fix = world.request(world.version(3))
        send(world)
        promotion = Promotion.objects.get(kind="rollback")
        deployment = world.approve(fix)
        assert world.seal(promotion).status == "pending"  # something is under way
        world.deploy(deployment, 7002)
        assert services.approve_due() == 0
        promotion.refresh_from_db()
        assert promotion.status == "cancelled"
        assert not Deployment.objects.filter(promotion=promotion).exists()
        assert world.target().live_version_id == deployment.version_id

    def test_two_at_once_roll_back_once(self, committed_world: World) -> None:
        for number in range(4):
            committed_world.make_live(committed_world.version(number + 1), run_id=100 + number)
        rules(committed_world, rule())
        outcomes_ = race(*[lambda: send(committed_world)] * 4)
        assert outcomes_ == ["done"] * 4
        assert Promotion.objects.filter(kind="rollback").count() == 1
        assert Event.objects.filter(kind="signal.rolled_back").count() == 1
        assert Signal.objects.count() == 4

    def test_two_at_once_with_the_same_key(self, committed_world: World) -> None:
        two_live(committed_world)
        rules(committed_world, rule())
        assert race(*[lambda: send(committed_world, key="k")] * 4) == ["done"] * 4
        assert Signal.objects.count() == 1
        assert Promotion.objects.filter(kind="rollback").count() == 1


class TestNobodyElse:
    """No request by a person goes without people, whatever it says."""

    def ask(self, world: World) -> Promotion:
        two_live(world)
        return services.request_rollback(
            actor=world.person("dave"),
            via=Via.BROWSER,
            target_id=world.target().pk,
            reason="Monitoring: roll_back, automatic, by itself.",
        )

    def test_a_persons_rollback_waits_for_people(self, world: World) -> None:
        world.rules(automatic=True)
        promotion = world.seal(self.ask(world))
        assert "automatic" not in promotion.facts["policy"]
        assert services.approve_due() == 0
        assert not services.approve_automatically(promotion_id=promotion.pk)
        promotion.refresh_from_db()
        assert promotion.status == "pending"
        assert not Deployment.objects.filter(promotion=promotion).exists()

    def test_terms_that_say_otherwise_block(self, world: World) -> None:
        promotion = world.seal(self.ask(world))
        for terms in ({"automatic": True}, {"automatic": True, "by_itself": "x"}):
            promotion.facts["policy"] = {"requirements": [], **terms}
            promotion.save()
            assert not services.approve_automatically(promotion_id=promotion.pk)
            assert "cannot be read" in explain(promotion).problems[0]
        promotion.refresh_from_db()
        assert promotion.status == "pending"

    def test_the_database_refuses_it(self, world: World) -> None:
        promotion = self.ask(world)
        live = world.target().live_deployment
        with (
            pytest.raises(IntegrityError, match="only_countersign_rolls_back_by_itself"),
            transaction.atomic(),
        ):
            Promotion.objects.filter(pk=promotion.pk).update(rolls_back=live)

    def test_one_place_sets_it(self, root: Path) -> None:
        found = set()
        for package in ("approvals", "integrations", "config", "sandbox"):
            for file in (root / package).rglob("*.py"):
                if "migrations" in file.parts:
                    continue
                for node in ast.walk(ast.parse(file.read_text())):
                    wrote = isinstance(node, ast.Assign) and any(
                        isinstance(each, ast.Attribute) and each.attr.startswith("rolls_back")
                        for each in node.targets
                    )
                    called = (
                        isinstance(node, ast.Call)
                        and isinstance(node.func, ast.Name | ast.Attribute)
                        and getattr(node.func, "id", getattr(node.func, "attr", ""))
                        in {"create", "write_request", "update", "Promotion", "get_or_create"}
                        and any(word.arg == "rolls_back" for word in node.keywords)
                    )
                    if wrote or called:
                        found.add(file.relative_to(root).as_posix())
        assert found == {"approvals/services/asking.py", "approvals/services/rollbacks.py"}

    def test_nobody_signs_in_as_countersign(self, world: World) -> None:
        two_live(world)
        rules(world, rule())
        send(world)
        account = Person.objects.get(username="countersign")
        admin = Person.objects.create(username="root", is_superuser=True)
        with pytest.raises(Refused) as refused:
            services.set_active(actor=admin, via=Via.BROWSER, person_id=account.pk, active=True)
        assert refused.value.code == "system_account"
        with pytest.raises(Refused):
            services.create_token(actor=None, via=Via.COMMAND, person_id=account.pk, name="x")

    def test_who_decides_here_may_stop_it_and_nobody_else(self, world: World) -> None:
        two_live(world)
        rules(world, rule())
        send(world)
        promotion = Promotion.objects.get(kind="rollback")
        for who in ("alice", "mallory", "ci"):
            with pytest.raises(Refused) as refused:
                services.cancel(actor=world.person(who), via=Via.BROWSER, promotion_id=promotion.pk)
            assert refused.value.code == "may_not_cancel"
        services.cancel(actor=world.person("carol"), via=Via.BROWSER, promotion_id=promotion.pk)
        assert world.seal(promotion).status == "cancelled"
        assert not Deployment.objects.filter(promotion=promotion).exists()


class TestDuringARollout:
    def begun(self, world: World, *found: dict[str, Any], strategy: Any = None) -> Deployment:
        two_live(world)
        rules(world, *found)
        return step(world, roll_out(world, strategy), 900)

    def test_between_steps_it_goes_back_at_once(self, world: World) -> None:
        deployment = self.begun(world, rule())
        done = send(world)
        deployment.refresh_from_db()
        assert done.did == "rolled_back" and done.signal.deployment == deployment
        assert done.sentence.endswith("fraud-detector v3 goes back.")
        assert "error_rate was 0.09" in deployment.aborting and deployment.step
        assert deployment.step.goes_back and deployment.ends_as == "failed"
        assert not Promotion.objects.filter(kind="rollback").exists()
        before = written()
        assert "It goes back already" in send(world).sentence
        assert written() == before
        deployment = step(world, deployment, 901)
        assert deployment.status == DeploymentStatus.FAILED
        assert world.target().live_version_id == world.version(2).pk

    def test_while_a_step_runs_that_is_not_the_last(self, world: World) -> None:
        deployment = self.begun(world, rule())
        next_step(deployment)
        deployment = step(world, deployment, 901, ends=False)
        assert send(world).did == "rolled_back"
        deployment.refresh_from_db()
        assert deployment.status == DeploymentStatus.RUNNING and deployment.aborting

    def test_during_the_last_step_nothing_is_rolled_back(self, world: World) -> None:
        deployment = self.begun(world, rule())
        for run in (901, 902):
            next_step(deployment)
            deployment = step(world, deployment, run, ends=run == 901)
        assert deployment.step and deployment.step.percent == 100
        before = written()
        done = send(world)
        assert done.did == "guarded" and "A deployment is under way" in done.sentence
        deployment.refresh_from_db()
        assert not deployment.aborting and written() == before and len(alerts()) == 1

    def test_a_pause(self, world: World) -> None:
        deployment = self.begun(world, rule("pause"))
        assert send(world).did == "paused"
        deployment.refresh_from_db()
        assert "error_rate was 0.09" in deployment.paused and not deployment.aborting
        next_step(deployment)
        deployment.refresh_from_db()
        assert deployment.step and deployment.step.ordinal == 1

    def test_a_bad_reading_of_the_analysis_aborts_at_once(self, world: World) -> None:
        limit = {"signal": "error_rate", "at_least": "", "at_most": "0.02"}
        steps = [{**CANARY["steps"][0], "analysis": [limit]}, *CANARY["steps"][1:]]  # type: ignore[dict-item]
        deployment = self.begun(world, strategy={"kind": "canary", "steps": steps})
        assert send(world, "0.02").did == ""
        assert send(world, "0.9", resolved=True).did == ""
        done = send(world, "0.021")
        deployment.refresh_from_db()
        assert done.did == "rolled_back" and "The analysis failed" in done.sentence
        assert deployment.step and deployment.step.goes_back
        assert deployment.promotion.effects.filter(kind=EffectKind.DISPATCH).count() == 2

    def test_what_began_before_it_is_not_about_it(self, world: World) -> None:
        two_live(world)
        live_for(world)
        rules(world, rule())
        deployment = step(world, roll_out(world), 900)
        done = send(world, observed_at=ago(minutes=5))
        deployment.refresh_from_db()
        assert done.did == "noted" and not deployment.aborting
        assert done.signal.deployment == world.target().live_deployment
