"""Gates: each judges purely; what does not pass stops the approval and the dispatch, and says why."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from approvals import gates, services
from approvals.explain import POLICY_CHANGED, explain
from approvals.gates import AgainstLive, Gate, LiveIn, MetricLimit, Observation, RunsGreen
from approvals.models import Effect, Event, Promotion, Review
from approvals.services import Refused
from approvals.states import DeploymentStatus, PromotionStatus, Verdict
from tests.approvals.test_configuration import SMALL, changed, problems
from tests.world import World

SEEN = Observation(
    metrics={"auc": "0.90", "rmse": "10", "broken": "NaN"},
    live_metrics={"auc": "0.92", "rmse": "9.5"},
    data=frozenset({"a"}),
    live_data=frozenset({"a"}),
    runs={"ci": ["success"], "train": ["success", ""], "validate": ["success", "failure"]},
    lived={"staging": 3600},
)
TABLE: list[tuple[Gate, Observation, str, str]] = [
    (MetricLimit("auc", "0.9"), SEEN, "pass", "auc is 0.9; at least 0.9 is required."),
    (MetricLimit("auc", "0.9000001"), SEEN, "fail", "auc is 0.9; at least 0.9000001 is required."),
    (MetricLimit("rmse", "", "9.99"), SEEN, "fail", "rmse is 10; at most 9.99 is required."),
    (MetricLimit("rmse", "5", "10"), SEEN, "pass", "at least 5 and at most 10 is required."),
    (MetricLimit("lost", "0"), SEEN, "unknown", "lost is not known; at least 0 is required."),
    (MetricLimit("broken", "0"), SEEN, "unknown", "broken is not known"),
    (MetricLimit("auc"), SEEN, "unknown", "cannot be read"),
    (MetricLimit("auc", "much"), SEEN, "unknown", "cannot be read"),
    (MetricLimit("auc", "0.1", "NaN"), SEEN, "unknown", "cannot be read"),
    (MetricLimit("tiny", "0"), replace(SEEN, metrics={"tiny": "1e-300"}), "pass", "is 1E-300;"),
    (AgainstLive("auc", "", "1"), SEEN, "unknown", "cannot be read"),
    (AgainstLive("auc", "higher", "a bit"), SEEN, "unknown", "cannot be read"),
    (AgainstLive("auc", "higher", "0.02"), SEEN, "pass", "0.02 worse; at most 0.02 worse"),
    (AgainstLive("auc", "higher", "0.019"), SEEN, "fail", "auc is 0.90 against 0.92"),
    (AgainstLive("rmse", "lower", "5", True), SEEN, "fail", "0.5 worse; at most 5 % worse"),
    (AgainstLive("rmse", "lower", "6", True), SEEN, "pass", "at most 6 % worse is allowed."),
    (AgainstLive("rmse", "higher", "0"), SEEN, "pass", "0.5 better"),
    (AgainstLive("lost", "higher", "1"), SEEN, "unknown", "lost is not known"),
    (
        AgainstLive("auc", "higher", "1"),
        replace(SEEN, live_metrics={}),
        "unknown",
        "auc of the live version is not known",
    ),
    (
        AgainstLive("auc", "higher", "0"),
        replace(SEEN, live_metrics=None),
        "pass",
        "nothing is live yet",
    ),
    (
        AgainstLive("auc", "higher", "1"),
        replace(SEEN, live_data=frozenset({"b"})),
        "pass",
        "(measured on different data).",
    ),
    (
        AgainstLive("auc", "higher", "1"),
        replace(SEEN, data=frozenset()),
        "pass",
        "(whether on the same data is not known).",
    ),
    (RunsGreen("ci"), SEEN, "pass", "The ci run for the version's commit succeeded."),
    (RunsGreen("train"), SEEN, "unknown", "is under way"),
    (RunsGreen("validate"), SEEN, "fail", "ended failure"),
    (RunsGreen("ci"), replace(SEEN, runs={}), "unknown", "No ci run is known"),
    (LiveIn("staging"), SEEN, "pass", "It was live in staging before."),
    (LiveIn("staging", 3600), SEEN, "pass", "It was live in staging for 1 h."),
    (LiveIn("staging", 3661), SEEN, "fail", "for 1 h, not for 1 h 2 min; 2 min to go."),
    (LiveIn("acceptance", 60), SEEN, "fail", "It was never live in acceptance"),
]


@pytest.mark.parametrize(("gate", "seen", "verdict", "words"), TABLE)
def test_each_gate(gate: Gate, seen: Observation, verdict: str, words: str) -> None:
    outcome = gate.check(seen)
    assert outcome.verdict == verdict, outcome
    assert words in outcome.sentence
    assert outcome.passed == (verdict == "pass")
    assert gates.from_data(gates.as_data(gate)) == gate


def gated(world: World, *rows: Gate) -> World:
    target = world.target()
    target.policy["gates"] = [gates.as_data(row) for row in rows]
    target.save()
    return world


def sentences(promotion: Promotion) -> list[str]:
    return explain(Promotion.objects.get(pk=promotion.pk)).blockers


def snapshot() -> list[int]:
    return [each.objects.count() for each in (Review, Event, Effect)]


def ci_run(world: World, conclusion: str, run_id: int = 900, **more: Any) -> None:
    """A run of ci.yml for version 2's commit."""
    deployment = world.target().live_deployment
    assert deployment is not None
    values = {"workflow": "ci.yml", "kind": "ci", "title": "CI", "head_sha": f"{2:040x}"}
    services.record_run(
        facts=world.run_facts(deployment, run_id, conclusion=conclusion, **{**values, **more})
    )


def test_what_fails_or_is_unknown_cannot_be_approved_but_rejected(world: World) -> None:
    gated(world, MetricLimit("accuracy", "0.99"), MetricLimit("fairness", "0.5"))
    promotion = world.request(world.version(2))
    assert sentences(promotion) == [
        "accuracy is 0.92; at least 0.99 is required.",
        "fairness is not known; at least 0.5 is required.",
    ]
    before = snapshot()
    with pytest.raises(Refused) as refused:
        world.review(promotion, "bob")
    assert refused.value.code == "blocked"
    for sentence in sentences(promotion):
        assert sentence in refused.value.sentence
    assert snapshot() == before
    world.review(promotion, "bob", Verdict.REJECT)
    assert Promotion.objects.get(pk=promotion.pk).status == PromotionStatus.REJECTED


def test_the_sealed_policy_contains_the_gates(world: World) -> None:
    plain = world.request(world.version(2))
    assert "gates" not in plain.facts["policy"]  # seals older than gates stay good
    gated(world, MetricLimit("accuracy", "0.9"))
    promotion = world.request(world.version(3))
    assert promotion.facts["policy"]["gates"] == [
        {"kind": "metric", "metric": "accuracy", "at_least": "0.9", "at_most": ""}
    ]
    assert promotion.policy["gates"] == promotion.facts["policy"]["gates"]


def test_gates_that_pass_are_explained_and_let_it_through(world: World) -> None:
    world.make_live(world.version(1))
    gated(world, MetricLimit("accuracy", "0.9"), AgainstLive("auc", "higher", "0"))
    promotion = world.request(world.version(2))
    explained = explain(promotion)
    assert [gate.verdict for gate in explained.gates] == ["pass", "pass"]
    assert "Passed: accuracy is 0.92; at least 0.9 is required." in explained.sentences
    assert world.approve(promotion).status == DeploymentStatus.QUEUED


def test_a_run_is_waited_for_and_a_red_one_stops_the_dispatch(world: World) -> None:
    world.make_live(world.version(1))
    gated(world, RunsGreen("ci"))
    promotion = world.request(world.version(2))
    assert sentences(promotion) == ["No ci run is known for the version's commit."]
    ci_run(world, "", status="in_progress")
    assert sentences(promotion) == ["The ci run for the version's commit is under way."]
    messages = Effect.objects.filter(kind="announce", promotion=promotion).count()
    ci_run(world, "success", updated_at=timezone.now() + timedelta(seconds=1))
    assert sentences(promotion) == []
    # The Slack message learns of it, once.
    assert Effect.objects.filter(kind="announce", promotion=promotion).count() == messages + 1
    deployment = world.approve(promotion)

    ci_run(world, "failure", 901, created_at=timezone.now() + timedelta(seconds=5))
    order = services.begin_dispatch(
        deployment_id=deployment.pk, observed=world.observed(promotion.version)
    )
    assert order is None
    deployment.refresh_from_db()
    assert deployment.status == DeploymentStatus.FAILED
    assert deployment.dispatches == 0
    assert deployment.detail.startswith(
        "Nothing was started, because a gate does not pass any more"
    )
    assert "The ci run for the version's commit ended failure." in deployment.detail
    assert Promotion.objects.get(pk=promotion.pk).grant_spent_at is None


def test_a_run_of_another_commit_or_with_a_borrowed_title_does_not_count(world: World) -> None:
    world.make_live(world.version(1))
    gated(world, RunsGreen("ci"))
    promotion = world.request(world.version(2))
    ci_run(world, "success", head_sha="e" * 40, title="fraud-detector v2")
    ci_run(world, "success", 901, repository="acme/elsewhere")
    assert sentences(promotion) == ["No ci run is known for the version's commit."]


def test_soaking_counts_every_stay_and_only_this_version(world: World) -> None:
    gated(world, LiveIn("staging", 3600))
    version = world.version(2)
    promotion = world.request(version)
    assert sentences(promotion) == ["It was never live in staging; it has to be for 1 h."]
    deployment = world.make_live(version, "staging")
    later = timezone.now()
    type(deployment).objects.filter(pk=deployment.pk).update(
        finished_at=later - timedelta(minutes=40)
    )
    (gate,) = explain(promotion, now=later).gates
    assert gate.sentence.endswith("for 40 min, not for 1 h; 20 min to go.")
    assert explain(promotion, now=later + timedelta(minutes=20)).gates[0].passed
    # Another version took its place after those forty minutes: time stops.
    other = world.make_live(world.version(3), "staging", run_id=78)
    type(other).objects.filter(pk=other.pk).update(finished_at=later)
    (gate,) = explain(promotion, now=later + timedelta(days=9)).gates
    assert "for 40 min" in gate.sentence


def test_a_rollback_has_no_gates(world: World) -> None:
    world.make_live(world.version(1))
    world.make_live(world.version(2), run_id=78)
    gated(world, MetricLimit("accuracy", "0.99"))
    promotion = services.request_rollback(
        actor=world.person("bob"),
        via="browser",
        target_id=world.target().pk,
        version_id=world.version(1).pk,
        reason="False alarms.",
    )
    assert explain(promotion).gates == []


def test_an_unreadable_gate_blocks(world: World) -> None:
    promotion = world.request(world.version(2))
    Promotion.objects.filter(pk=promotion.pk).update(
        policy={**promotion.policy, "gates": [{"kind": "horoscope"}]}
    )
    with pytest.raises(Refused):
        world.review(promotion, "bob")
    assert any("cannot be read" in each for each in sentences(promotion))


def test_a_changed_policy_is_said_and_changes_nothing(world: World) -> None:
    promotion = world.request(world.version(2))
    assert explain(promotion).notes == []
    gated(world, MetricLimit("accuracy", "0.99"))
    promotion = Promotion.objects.get(pk=promotion.pk)
    explained = explain(promotion)
    assert explained.notes == [POLICY_CHANGED]
    assert POLICY_CHANGED in explained.sentences
    assert explained.blockers == []
    # What an older release wrote, which knew neither gates nor trainers, is the same policy.
    gated(world)
    old = {k: v for k, v in promotion.policy.items() if k not in {"gates", "trainer_may_approve"}}
    Promotion.objects.filter(pk=promotion.pk).update(policy=old)
    assert explain(Promotion.objects.get(pk=promotion.pk)).notes == []


MODEL = "    workflow: deploy.yml\n"
MISTAKES = {
    "nothing to judge": ("{at_least: 1}", "exactly one of 'metric', 'runs', 'live_in'"),
    "two at once": ("{metric: auc, runs: ci, at_least: 1}", "exactly one of"),
    "no limit": ("{metric: auc}", "'at_least', 'at_most' or 'no_worse_than_live_by' is expected"),
    "a limit of nothing": ("{runs: ci, at_most: 1}", "limits belong to a gate on a 'metric'"),
    "no number": ("{metric: auc, at_least: high}", "a number is expected"),
    "not a number": ("{metric: auc, at_least: .nan}", "a number is expected"),
    "a truth": ("{metric: auc, at_least: true}", "a number is expected"),
    "nothing between": ("{metric: auc, at_least: 2, at_most: 1}", "no value is at least"),
    "a negative loss": ("{metric: auc, no_worse_than_live_by: -1}", "a share such as 2%"),
    "no direction": (
        "{metric: rmse, no_worse_than_live_by: 1}",
        "whether higher or lower is better",
    ),
    "an unknown kind": ("{runs: lint}", "runs"),
    "a kind without workflow": ("{runs: train}", "lists no train workflow"),
    "itself": ("{runs: deploy}", "name ci, train or validate"),
    "nowhere": ("{live_in: moon}", "could never pass"),
    "not before": ("{live_in: production}", "could never pass"),
    "no duration": ("{live_in: staging, for: long}", "a duration such as"),
    "a duration of nothing": ("{runs: ci, for: 2h}", "'for' belongs to"),
    "evidence without a name": ("{evidence: Load test}", "evidence"),
    "no age": ("{evidence: load-test, max_age: long}", "a duration such as"),
    "an age of nothing": ("{runs: ci, max_age: 7d}", "'max_age' belongs to a gate on 'evidence'"),
    "a time of evidence": ("{evidence: load-test, for: 2d}", "'for' belongs to"),
    "a misspelt key": ("{metric: auc, atleast: 1}", "atleast"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_in_the_file(tmp_path: Any, mistake: str) -> None:
    gate, expected = MISTAKES[mistake]
    own = f"    metrics: {{auc: higher}}\n    environments: {{staging: , production: {{gates: [{gate}]}}}}\n"
    found = problems(tmp_path, changed(MODEL, MODEL + own, SMALL))
    assert any(expected in each and each.startswith("19: ") for each in found), found


@pytest.mark.parametrize(
    ("gate", "words"),
    [
        (MetricLimit("accuracy", "0.80"), "accuracy at least 0.80"),
        (MetricLimit("rmse", "5", "10"), "rmse at least 5 and at most 10"),
        (
            AgainstLive("auc", "higher", "0.02"),
            "auc at most 0.02 worse than the live version's",
        ),
        (AgainstLive("rmse", "lower", "5", True), "rmse at most 5 % worse than the live version's"),
        (RunsGreen("ci"), "ci runs green"),
        (LiveIn("staging", 172800), "live in staging for 2 d"),
        (LiveIn("staging"), "live in staging before"),
        (gates.SignatureCompatible(), "signature compatible with the live version's"),
    ],
)
def test_each_gate_says_what_it_asks(gate: Gate, words: str) -> None:
    assert gates.in_words(gate) == words


def test_a_gate_without_words_is_named_by_its_kind() -> None:
    class Wordless:
        kind = "evidence"

    assert gates.in_words(Wordless()) == "the gate 'evidence'"  # type: ignore[arg-type]
