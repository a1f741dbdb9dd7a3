"""Evidence: kept once, attributed, judged by its gate; what is malformed leaves no trace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from approvals import gates, services
from approvals.audit import verify_history
from approvals.configuration.gates import GateConfig
from approvals.explain import explain
from approvals.gates import EvidencePassed, Finding, Observation
from approvals.models import Effect, Environment, Event, Evidence, ModelVersion, Person, Promotion
from approvals.narrative import kind_of, sentence_of
from approvals.selectors.timeline import page_of_history
from approvals.services import Refused
from approvals.states import DeploymentStatus, PromotionStatus, Via
from tests.approvals.test_races import race
from tests.world import World

NOW = datetime(2026, 11, 20, 14, 5, tzinfo=UTC)


def report(
    world: World,
    version: ModelVersion,
    verdict: str = "pass",
    *,
    actor: str | None = "ci",
    environment: str = "",
    **more: Any,
) -> tuple[Evidence, bool]:
    """What a pipeline would report of a load test."""
    where = Environment.objects.get(name=environment).pk if environment else None
    return services.record_evidence(
        actor=world.person(actor) if actor else None,
        via=Via.API,
        version_id=more.pop("version_id", version.pk),
        environment_id=more.pop("environment_id", where),
        name=more.pop("name", "load-test"),
        verdict=verdict,
        **more,
    )


def rows() -> tuple[int, ...]:
    return tuple(each.objects.count() for each in (Evidence, Event, Effect))


def refused(code: str, act: Callable[[], object]) -> str:
    before = rows()
    with pytest.raises(Refused) as caught:
        act()
    assert caught.value.code == code, caught.value.sentence
    assert rows() == before
    return caught.value.sentence


class TestRecording:
    def test_everything_is_kept_and_told(self, world: World) -> None:
        version = world.version()
        evidence, new = report(
            world,
            version,
            environment="production",
            numbers={"p95_ms": "212.50", "tiny": "-1e-300"},
            link="https://ci.example/runs/7?x=[1]",
            source="load-test run 7",
            key="run-7",
            produced_at=NOW - timedelta(hours=1),
            now=NOW,
        )
        assert new
        kept = Evidence.objects.get()
        assert kept == evidence
        assert kept.numbers == {"p95_ms": "212.50", "tiny": "-1e-300"}
        assert (kept.recorded_at, kept.produced_at) == (NOW, NOW - timedelta(hours=1))
        assert (str(kept.recorded_by), kept.via) == ("CI", "api")
        event = Event.objects.get(kind="evidence.recorded")
        assert event.target == world.target()
        assert sentence_of(event) == (
            "CI reported that load-test passed for fraud-detector v2 in production, "
            "says load-test run 7"
        )
        for filters in ({"kind": "evidence"}, {"model": "fraud-detector", "kind": "evidence"}):
            assert page_of_history(filters).count == 1
        assert verify_history().broken_at is None

    def test_a_failure_everywhere_reads_as_one(self, world: World) -> None:
        report(world, world.version(), "fail", actor="alice")
        event = Event.objects.get(kind="evidence.recorded")
        assert event.target is None
        assert sentence_of(event).startswith(
            "Alice Anders reported that load-test failed for fraud-detector v2, says Alice"
        )
        assert kind_of(event).tone == "bad"
        assert page_of_history({"model": "fraud-detector", "kind": "evidence"}).count == 1

    def test_only_what_waits_is_brought_up_to_date(self, world: World) -> None:
        promotion = world.request()
        effects = Effect.objects.filter(promotion=promotion, dedupe_key__contains=":evidence-")
        report(world, promotion.version, environment="staging")
        assert not effects.exists()
        report(world, promotion.version, environment="production")
        report(world, promotion.version)
        assert [each.kind for each in effects] == ["announce", "announce"]
        services.cancel(actor=world.person("alice"), via=Via.API, promotion_id=promotion.pk)
        report(world, promotion.version)
        assert effects.count() == 2

    def test_the_same_key_is_kept_once(self, world: World) -> None:
        version = world.version()
        content: dict[str, Any] = {"key": "run-7", "numbers": {"p95": "1.0"}, "source": "run 7"}
        first, _ = report(world, version, **content)
        before = rows()
        assert report(world, version, **content) == (first, False)
        assert report(world, version, **content, produced_at=first.produced_at) == (first, False)
        assert rows() == before
        for change in (
            {"verdict": "fail"},
            {"numbers": {"p95": "1.00"}},
            {"source": "run 8"},
            {"link": "https://ci.example/"},
            {"produced_at": first.produced_at - timedelta(seconds=1)},
        ):
            differing: dict[str, Any] = {**content, **change}
            refused("evidence_differs", lambda args=differing: report(world, version, **args))  # type: ignore[misc]
        # Another name, environment or version is another result; so is everything without a key.
        assert report(world, version, **content, name="bias-check")[1]
        assert report(world, version, **content, environment="staging")[1]
        assert report(world, world.version(3), **content)[1]
        assert report(world, version)[1] and report(world, version)[1]

    def test_the_database_holds_it_too(self, world: World) -> None:
        kept, _ = report(world, world.version(), key="run-7")
        with pytest.raises(IntegrityError, match="evidence_once_per_key"), transaction.atomic():
            Evidence.objects.create(
                version=kept.version,
                name=kept.name,
                verdict="fail",
                key=kept.key,
                via=Via.API,
                produced_at=NOW,
                recorded_at=NOW,
            )
        kept.verdict = "fail"
        with pytest.raises(RuntimeError, match="not edited"):
            kept.save()


class TestRefusals:
    def test_whoever_may_not(self, world: World) -> None:
        version = world.version()
        refused("may_not_report", lambda: report(world, version, actor="mallory"))
        Person.objects.filter(username__in=["ci", "bob"]).update(is_active=False)
        refused("inactive", lambda: report(world, version, actor="ci"))
        refused("inactive", lambda: report(world, version, actor="bob"))

    def test_the_requester_may_and_is_named(self, world: World) -> None:
        promotion = world.request()
        evidence, _ = report(world, promotion.version, actor="alice")
        assert evidence.produced_by == "Alice Anders"

    def test_countersign_itself_may(self, world: World) -> None:
        evidence, _ = report(world, world.version(), actor=None)
        assert evidence.produced_by == "an unnamed source"

    def test_unknown_and_deleted(self, world: World) -> None:
        version = world.version()
        refused("unknown_version", lambda: report(world, version, version_id=10**9))
        refused("unknown_environment", lambda: report(world, version, environment_id=10**9))
        services.record_absent_versions(present={"fraud-detector": set()})
        refused("version_deleted", lambda: report(world, version))

    @pytest.mark.parametrize(
        ("code", "change"),
        [
            ("bad_name", {"name": ""}),
            ("bad_name", {"name": "Load test"}),
            ("bad_name", {"name": "load-test\n"}),
            ("bad_name", {"name": "x" * 101}),
            ("bad_verdict", {"verdict": "maybe"}),
            ("too_many_numbers", {"numbers": {str(each): "1" for each in range(101)}}),
            ("bad_number", {"numbers": {"": "1"}}),
            ("bad_number", {"numbers": {"p\x0095": "1"}}),
            ("bad_number", {"numbers": {"x" * 251: "1"}}),
            ("bad_number", {"numbers": {"p95": 1.5}}),
            ("bad_link", {"link": "javascript:alert(1)"}),
            ("bad_link", {"link": "https://"}),
            ("bad_link", {"link": "http://["}),
            ("bad_link", {"link": "http://ci.example:port/"}),
            ("bad_link", {"link": "https://ci.example/\x00"}),
            ("bad_link", {"link": "https://ci.example/" + "x" * 500}),
            ("source_too_long", {"source": "x" * 201}),
            ("bad_key", {"key": "x" * 201}),
            ("bad_key", {"key": "run\x007"}),
            ("bad_key", {"key": " run 7"}),
            ("bad_time", {"produced_at": datetime(2026, 11, 20)}),  # noqa: DTZ001
            (
                "bad_time",
                {"produced_at": datetime.min.replace(tzinfo=timezone.get_fixed_timezone(840))},
            ),
            ("bad_time", {"produced_at": datetime(1999, 12, 31, 23, 59, tzinfo=UTC)}),
            ("in_the_future", {"produced_at": NOW + timedelta(minutes=5, seconds=1)}),
        ],
    )
    def test_malformed(self, world: World, code: str, change: dict[str, Any]) -> None:
        version = world.version()
        refused(code, lambda: report(world, version, **change, now=NOW))

    @pytest.mark.parametrize(
        "value", ["NaN", "Infinity", "-inf", "1e9999", "1_000", " 1", "1\n", "٣", "0x1", "", "1,5"]
    )
    def test_numbers_are_finite_decimal_text(self, world: World, value: str) -> None:
        version = world.version()
        refused("bad_number", lambda: report(world, version, numbers={"p95": value}))

    def test_clocks_may_differ_a_little(self, world: World) -> None:
        assert report(world, world.version(), produced_at=NOW + timedelta(minutes=5), now=NOW)[1]


SEEN = Observation(metrics={}, evidence={"load-test": Finding(True, 3600, "run 7")})
FAILED = replace(SEEN, evidence={"load-test": Finding(False, 1, "run 8")})


@pytest.mark.parametrize(
    ("gate", "seen", "verdict", "sentence"),
    [
        (EvidencePassed("load-test"), SEEN, "pass", "load-test passed, says run 7."),
        (EvidencePassed("load-test", 3600), SEEN, "pass", "load-test passed, says run 7."),
        (
            EvidencePassed("load-test", 3599),
            SEEN,
            "fail",
            "load-test passed 1 h ago, says run 7; at most 1 h is allowed.",
        ),
        (EvidencePassed("load-test"), FAILED, "fail", "load-test failed, says run 8."),
        (EvidencePassed("bias"), SEEN, "unknown", "No bias evidence is known."),
    ],
)
def test_the_gate(gate: EvidencePassed, seen: Observation, verdict: str, sentence: str) -> None:
    outcome = gate.check(seen)
    assert (outcome.verdict, outcome.sentence) == (verdict, sentence)
    assert gates.from_data(gates.as_data(gate)) == gate


def gated(world: World, *rows: EvidencePassed) -> Promotion:
    target = world.target()
    target.policy["gates"] = [gates.as_data(row) for row in rows]
    target.save()
    return world.request()


def blockers(promotion: Promotion, now: datetime | None = None) -> list[str]:
    return explain(Promotion.objects.get(pk=promotion.pk), now=now).blockers


class TestTheGateOnAPromotion:
    def test_unknown_and_failed_block_until_it_passed(self, world: World) -> None:
        promotion = gated(world, EvidencePassed("load-test"))
        assert blockers(promotion) == ["No load-test evidence is known."]
        refused("blocked", lambda: world.review(promotion, "bob"))
        report(world, promotion.version, "fail", source="run 7")
        assert blockers(promotion) == ["load-test failed, says run 7."]
        refused("blocked", lambda: world.review(promotion, "bob"))
        report(world, promotion.version, source="run 8")
        assert blockers(promotion) == []
        world.approve(promotion)
        promotion.refresh_from_db()
        assert promotion.status == PromotionStatus.APPROVED

    def test_only_the_version_and_the_environment_count(self, world: World) -> None:
        promotion = gated(world, EvidencePassed("load-test"))
        report(world, world.version(3))
        report(world, promotion.version, environment="staging")
        report(world, promotion.version, name="load-test.2")
        assert blockers(promotion) == ["No load-test evidence is known."]
        report(world, promotion.version, environment="production")
        assert blockers(promotion) == []

    def test_what_was_produced_last_counts_not_what_was_told_last(self, world: World) -> None:
        promotion = gated(world, EvidencePassed("load-test"))
        now = timezone.now()
        report(world, promotion.version, "fail", produced_at=now)
        report(world, promotion.version, produced_at=now - timedelta(hours=1))
        assert blockers(promotion) == ["load-test failed, says CI."]
        report(world, promotion.version, environment="production", produced_at=now)
        assert blockers(promotion) == []  # at the same moment, what was told later

    def test_it_grows_old(self, world: World) -> None:
        promotion = gated(world, EvidencePassed("load-test", 7200))
        report(world, promotion.version)
        now = timezone.now()
        assert blockers(promotion, now) == []
        assert blockers(promotion, now + timedelta(hours=3)) == [
            "load-test passed 3 h ago, says CI; at most 2 h is allowed."
        ]

    def test_a_failure_after_the_approval_stops_the_dispatch(self, world: World) -> None:
        promotion = gated(world, EvidencePassed("load-test"))
        report(world, promotion.version)
        deployment = world.approve(promotion)
        report(world, promotion.version, "fail", source="run 9")
        order = services.begin_dispatch(
            deployment_id=deployment.pk, observed=world.observed(deployment.version)
        )
        deployment.refresh_from_db()
        assert order is None
        assert deployment.status == DeploymentStatus.FAILED
        assert "load-test failed, says run 9." in deployment.detail


@pytest.mark.parametrize(
    ("entry", "wanted"),
    [
        ({"evidence": "load-test", "max_age": "7d"}, EvidencePassed("load-test", 604800)),
        ({"evidence": "bias.v2"}, EvidencePassed("bias.v2")),
    ],
)
def test_the_configuration_names_it(entry: dict[str, str], wanted: EvidencePassed) -> None:
    assert GateConfig.model_validate(entry).gates({}) == [wanted]


def test_two_threads_with_the_same_key(committed_world: World) -> None:
    world = committed_world
    for number in range(2, 8):
        version = world.version(number)
        outcomes = race(
            lambda version=version: report(world, version, key="run-7"),  # type: ignore[misc]
            lambda version=version: report(world, version, key="run-7"),  # type: ignore[misc]
        )
        assert outcomes == ["done", "done"]
        assert Evidence.objects.filter(version=version).count() == 1
    assert Event.objects.filter(kind="evidence.recorded").count() == 6
    outcomes = race(
        lambda: report(world, version, "pass", key="run-8"),
        lambda: report(world, version, "fail", key="run-8"),
    )
    assert sorted(outcomes) == ["done", "evidence_differs"]
