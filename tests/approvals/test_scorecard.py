"""The metrics that a decision hangs on, each with a verdict in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from approvals import services
from approvals.gates import AgainstLive, Gate, MetricLimit, RunsGreen
from approvals.rules import Condition, Policy, Rule
from approvals.scorecard import named_by, scores
from approvals.services.freezes import freeze_ahead
from approvals.states import Via
from tests.world import World

POLICY = Policy((), (), False, (), 0, 0)
UP, DOWN = [["auc", "higher"]], [["auc", "lower"]]


@pytest.mark.parametrize(
    ("new", "old", "directions", "gate", "said"),
    [
        ("0.9", "0.8", UP, None, "✓ better"),
        ("0.9", "0.8", DOWN, None, "✗ worse"),
        ("0.8", "0.80", UP, None, "✓ the same"),
        ("0.9", "0.8", [], MetricLimit("auc", "0.5"), "✓ at least 0.5, as required"),
        ("0.7", "0.6", UP, MetricLimit("auc", "0.8"), "✗ below the required 0.8"),
        ("0.799999", "0.6", UP, MetricLimit("auc", "0.8"), "✗ below the required 0.8 (0.799999)"),
        ("14", "12", DOWN, MetricLimit("auc", "", "13"), "✗ above the allowed 13"),
        ("12", "11", DOWN, MetricLimit("auc", "", "13"), "✗ worse, but the gate allows it"),
        (
            "0.7",
            "0.8",
            UP,
            AgainstLive("auc", "higher", "0.05"),
            "✗ worse by 0.1; at most 0.05 is allowed",
        ),
        (
            "90",
            "100",
            UP,
            AgainstLive("auc", "higher", "5", relative=True),
            "✗ worse by 10; at most 5 % is allowed",
        ),
        # The gate knows the direction where the model does not say it.
        ("0.9", "0.8", [], AgainstLive("auc", "higher", "0"), "✓ better"),
        (None, "0.8", UP, MetricLimit("auc", "0.8"), "? not known, and required"),
        ("nan", "0.8", UP, None, "? not known"),
        ("0.9", "nan", UP, AgainstLive("auc", "higher", "0"), "? cannot be compared"),
        ("0.9", "nan", UP, None, "not known of the live version"),
    ],
)
def test_words(
    new: str | None, old: str, directions: list[list[str]], gate: Gate | None, said: str
) -> None:
    gates = (gate,) if gate else ()
    [score], others = scores(
        {"auc": new, "other": "1"} if new else {"other": "1"},
        {"auc": old},
        directions or [],
        replace(POLICY, gates=gates) if gates else replace(POLICY, rules=(_rule("auc"),)),
        gates,
    )
    assert f"{score.mark} {score.words}".strip() == said
    assert others == 1


def _rule(metric: str) -> Rule:
    return Rule(Condition(metric_drops=metric, better="higher"))


def test_the_headline_first_then_what_the_policy_names() -> None:
    gates = (RunsGreen("ci"), MetricLimit("loss", "", "1"), MetricLimit("auc", "0.5"))
    policy = replace(POLICY, gates=gates, rules=(_rule("recall"),))
    assert named_by(policy, UP) == ["auc", "loss", "recall"]
    assert named_by(None, UP) == ["auc"], "what cannot be read names nothing"
    found, others = scores({"zeta": "1", "loss": "0.5"}, None, UP, policy, gates)
    assert [each.row.name for each in found] == ["auc", "loss", "recall"]
    assert others == 1


def test_where_nobody_names_any_all_are_there() -> None:
    found, others = scores({"b": "1", "a": "2"}, None, [], POLICY)
    assert [(each.row.name, each.words) for each in found] == [("a", ""), ("b", "")]
    assert others == 0


def test_a_rollback_is_measured_by_no_gate() -> None:
    gates = (MetricLimit("auc", "0.9"),)
    [score], _ = scores({"auc": "0.7"}, {"auc": "0.8"}, UP, replace(POLICY, gates=gates), ())
    assert score.words == "worse"


def test_the_freeze_that_comes_next(world: World) -> None:
    target, now = world.target(), datetime.now(UTC)
    until = now + timedelta(days=3)
    assert freeze_ahead(target, now, until) is None
    for days in (4, 2, 1):
        placed: dict[str, Any] = {
            "begins_at": now + timedelta(days=days),
            "ends_at": now + timedelta(days=days, hours=2),
        }
        services.freeze(
            actor=world.person("dave"),
            via=Via.BROWSER,
            environment_id=target.environment_id,
            reason=f"In {days} days.",
            **placed,
        )
    found = freeze_ahead(target, now, until)
    assert found is not None and found.name == "Dave Diaz: In 1 days."
    assert freeze_ahead(target, now + timedelta(days=2, minutes=1), until) is None
    target.freezes = [{"name": "unreadable"}]
    assert freeze_ahead(target, now, until) is None, "it counts as frozen now, and says so"
