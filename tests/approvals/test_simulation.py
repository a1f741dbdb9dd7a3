"""Another file tried on the past: what would have been asked, what would have stood in the way; it only reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from approvals import services
from approvals.configuration import Configuration, load_text
from approvals.gates import AgainstLive, LiveIn, MetricLimit, RunsGreen, as_data
from approvals.models import Effect, Event, Promotion, Target
from approvals.policies import Requirement
from approvals.policy_words import lines_of
from approvals.rules import Condition, Policy, Rule
from approvals.selectors import simulation
from approvals.selectors.differences import differences
from approvals.selectors.simulation import LESS, MORE, SAME, UNJUDGED, Outcome, simulate
from approvals.states import Verdict, Via
from approvals.strictness import gate_covers, rows_cover
from tests.world import World

Change = Callable[[dict[str, Any]], object]


def file(*changes: Change) -> Configuration:
    """The demo's file with nothing but who approves (as in the World), changed."""
    data = yaml.safe_load(Path(settings.COUNTERSIGN_CONFIG).read_text())
    del data["rules"], data["freezes"]
    staging, production = data["environments"]
    del staging["automatic"], staging["gates"], production["remind_every"], production["escalate"]
    staging["approvals"] = [{"team": "ml-leads"}]
    data["models"]["fraud-detector"]["environments"]["production"] = None
    data["models"]["credit-limit"]["environments"]["production"] = None
    del data["models"]["demand-forecast"]["environments"]["production"]["gates"]
    for change in changes:
        change(data)
    return load_text(yaml.safe_dump(data, sort_keys=False), "proposed.yaml").configuration


def production(**values: Any) -> Change:
    return lambda data: data["environments"][1].update(values)


def member(team: str, *names: str) -> Change:
    return lambda data: data["teams"][team].update(members=list(names))


def own_rules(environments: dict[str, Any]) -> Change:
    return lambda data: data["models"]["fraud-detector"].update(environments=environments)


def outcomes(*changes: Change) -> list[Outcome]:
    counted = [each.objects.count() for each in (Promotion, Event, Effect)]
    found = simulate(file(*changes), 90, timezone.now()).outcomes
    assert counted == [each.objects.count() for each in (Promotion, Event, Effect)]
    return found


def only(*changes: Change) -> Outcome:
    (found,) = outcomes(*changes)
    return found


TWO_OF_RISK = [{"team": "ml-leads"}, {"team": "risk", "count": 2}]


def test_the_same_file_changes_nothing(world: World) -> None:
    world.make_live(world.version(1))
    found = only()
    assert (found.effect, found.text) == (SAME, "the same")
    assert not differences(file())


def test_what_would_still_be_needed(world: World) -> None:
    promotion = world.request(world.version(3))
    world.approve(promotion)
    promotion.refresh_from_db()
    found = only(production(approvals=TWO_OF_RISK), member("risk", "carol", "dave"))
    at = promotion.decided_at
    assert at is not None
    assert found.sentence == (
        f"fraud-detector v3 to production (approved {at.day} {at:%b %Y}): would still need 1 of risk "
        "(2 of risk instead of 1 of risk)"
    )
    assert found.effect == MORE


def test_less_is_said_loudly(world: World) -> None:
    world.approve(world.request())
    found = only(production(approvals=[{"team": "ml-leads"}]))
    assert (found.effect, found.less) == (LESS, ["1 of risk no longer"])
    result = simulate(file(production(approvals=[{"team": "ml-leads"}])), 90, timezone.now())
    assert "WARNING: less would have been asked of 1 promotion." in result.summary
    # One of either is less than one of each, and one of a wider choice less than one of risk.
    wider = [{"team": "ml-leads"}, {"any_of": ["risk", "platform"]}]
    assert only(production(approvals=wider)).effect == LESS
    automatic = only(
        production(automatic=True, gates=[{"metric": "accuracy", "at_least": 0.1}]),
        lambda data: data["environments"][1].pop("approvals"),
    )
    assert automatic.less == ["1 of ml-leads and 1 of risk no longer"]


def test_teams_are_those_of_the_proposed_file(world: World) -> None:
    world.approve(world.request())
    found = only(member("risk", "dave"))
    assert found.text == (
        "would still need 1 of risk, because the approval of Carol Chen would not count"
    )
    found = only(member("ml-engineers", "dave"))
    assert found.more == ["Alice Anders could not have asked for it"]


def test_a_rejection_that_would_not_count(world: World) -> None:
    world.review(world.request(), "carol", Verdict.REJECT)
    assert only().effect == SAME
    assert only(member("risk", "dave")).less == ["the rejection by Carol Chen would not count"]


def test_rules_look_at_what_was_sealed_and_what_was_replaced(world: World) -> None:
    world.make_live(world.version(1, metrics={"accuracy": "0.9", "auc": "0.95"}))
    world.approve(world.request(world.version(2, metrics={"accuracy": "0.9", "auc": "0.94"})))

    def rule(when: dict[str, Any]) -> Change:
        row = {"when": {"models": ["fraud-detector"], **when}, "approvals": [{"team": "platform"}]}
        return lambda data: data.update(rules=[row])

    worse, first = outcomes(rule({"metric_drops": "auc"}))
    assert worse.more == ["would still need 1 of platform (1 of platform in addition)"]
    assert first.effect == SAME
    second, first = outcomes(rule({"first_promotion": True}))
    assert (second.effect, first.effect) == (SAME, MORE)
    assert {each.effect for each in outcomes(rule({}))} == {MORE}


def test_gates_are_judged_where_the_past_tells(world: World) -> None:
    world.approve(world.request(world.version(2, metrics={"accuracy": "0.7", "auc": "0.95"})))
    gates = [
        {"metric": "accuracy", "at_least": 0.8},
        {"metric": "auc", "no_worse_than_live_by": 0.1},
        {"runs": "ci"},
        {"live_in": "staging", "for": "2d"},
        {"signature": "compatible"},
    ]
    target = own_rules({"staging": None, "production": {"gates": gates}})
    found = only(target)
    assert found.more == ["a gate would not pass: accuracy is 0.7; at least 0.8 is required"]
    assert found.unjudged == ["ci runs green", "live in staging for 2 d"]
    assert found.text.endswith("; not judged: ci runs green and live in staging for 2 d")
    gates[0] = {"metric": "accuracy", "at_least": 0.6}
    assert only(target).effect == UNJUDGED


def test_a_gate_that_is_gone_is_less_and_a_stricter_one_is_not(world: World) -> None:
    row = world.target()
    row.policy["gates"] = [as_data(MetricLimit("accuracy", "0.80"))]
    row.save()
    world.approve(world.request(world.version(2)))
    assert only().less == ["the gate “accuracy at least 0.80”"]
    for limit, effect in (("0.85", SAME), ("0.95", MORE), ("0.7", LESS)):
        gates = [{"metric": "accuracy", "at_least": limit}]
        own = {"production": {"gates": gates}}
        found = only(own_rules(own))
        assert found.effect == effect, limit


def test_ticks_comments_and_trainers(world: World) -> None:
    world.approve(world.request())
    found = only(production(checklist=["drift looked at"], comment_required=True))
    assert found.more == [
        "whoever approves would have to tick “drift looked at”",
        "whoever approves would have to say why",
    ]
    Target.objects.filter(environment__name="production").update(
        policy={**world.target().policy, "trainer_may_approve": False, "comment_required": True}
    )
    promotion = world.request(world.version(3))
    world.review(promotion, "bob", comment="Good.")
    newest = outcomes()[0]
    assert newest.less == ["whoever trained it would count", "a comment"]


def test_freezes_at_the_decision(world: World) -> None:
    promotion = world.request()
    world.approve(promotion)
    promotion.refresh_from_db()
    assert promotion.decided_at is not None
    start = (promotion.decided_at - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M")
    freeze = {
        "name": "Quarter's end",
        "environments": ["production"],
        "starts": start,
        "lasts": "1d",
        "time_zone": "UTC",
    }
    found = only(lambda data: data.update(freezes=[freeze]))
    assert found.more[0].startswith("production would have been frozen (Quarter's end) until ")
    assert only(
        lambda data: data.update(freezes=[{**freeze, "models": ["credit-limit"]}])
    ).text == ("the same")


def test_rollbacks_and_broken_glass(world: World) -> None:
    world.make_live(world.version(1))
    world.make_live(world.version(2))
    promotion = services.request_rollback(
        actor=world.person("dave"),
        via=Via.BROWSER,
        target_id=world.target().pk,
        version_id=world.version(1).pk,
        reason="Complaints.",
    )
    world.review(world.seal(promotion), "dave")
    found = outcomes(production(rollback={"approvals": [{"team": "risk"}]}))[0]
    assert found.name.startswith("rollback of production to fraud-detector v1 (approved")
    assert found.more == [
        "would still need 1 of risk (1 of risk instead of 1 of ml-leads or risk or platform), because "
        "the approval of Dave Diaz would not count"
    ]
    Promotion.objects.filter(pk=promotion.pk).update(
        overridden_by=world.person("dave"), override_reason="Fire."
    )
    assert outcomes()[0].more == ["Dave Diaz could not have broken the glass"]
    allowed = production(override={"team": "platform", "requester_may": True})
    assert outcomes(allowed)[0].effect == SAME


def test_what_is_not_named_any_more_and_what_was_never_sealed(world: World) -> None:
    world.approve(world.request(world.version(1, "credit-limit")))
    found = only(lambda data: data["models"].pop("credit-limit"))
    assert found.more == ["the file no longer names credit-limit in production"]
    services.request_promotion(
        actor=world.person("alice"),
        via=Via.BROWSER,
        target_id=world.target().pk,
        version_id=world.version(2).pk,
        reason="Better.",
    )
    assert outcomes()[0].effect == UNJUDGED
    assert "waiting since" in outcomes()[0].name


def test_only_the_last_days_and_not_more_than_so_many(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2, 3):
        world.request(world.version(number))
    Promotion.objects.filter(version__number=1).update(
        requested_at=timezone.now() - timedelta(days=20)
    )
    assert len(simulate(file(), 90, timezone.now()).outcomes) == 3
    assert len(simulate(file(), 10, timezone.now()).outcomes) == 2
    monkeypatch.setattr(simulation, "MOST", 2)
    result = simulate(file(), 90, timezone.now())
    assert result.cut_off and len(result.outcomes) == 2
    assert "Only the newest 2 are looked at" in result.summary[-1]
    for days in (0, 366, -1):
        with pytest.raises(ValueError, match="between 1 and 365"):
            simulate(file(), days, timezone.now())


def test_the_number_of_queries_does_not_grow(world: World) -> None:
    proposed = file()

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            simulate(proposed, 90, timezone.now())
        return len(captured)

    world.approve(world.request(world.version(1)))
    few = queries()
    for number in range(2, 6):
        world.approve(world.request(world.version(number)))
    assert queries() == few


def row(*teams: str, count: int = 1) -> Requirement:
    return Requirement(teams, count)


@pytest.mark.parametrize(
    ("new", "old", "covers"),
    [
        ([row("a")], [row("a")], True),
        ([row("a", count=2)], [row("a")], True),
        ([row("a")], [row("a", count=2)], False),
        ([row("a")], [row("a", "b")], True),
        ([row("a", "b")], [row("a")], False),
        ([row("a", "b"), row("a")], [row("a"), row("a", "b")], True),
        ([row("a"), row("b")], [row("a", "b", count=2)], True),
        ([row("a", count=2)], [row("a", "b"), row("a", "c")], True),
        ([], [row("a")], False),
        ([row("a")], [], True),
    ],
)
def test_which_rows_are_at_least_as_strict(
    new: list[Requirement], old: list[Requirement], covers: bool
) -> None:
    assert rows_cover(new, old) is covers


def test_which_gates_are_at_least_as_strict() -> None:
    assert gate_covers(MetricLimit("a", "0.9", "2"), MetricLimit("a", "0.8"))
    assert gate_covers(MetricLimit("a", "0.9", "2"), MetricLimit("a", "0.8", "3"))
    assert not gate_covers(MetricLimit("a", "0.9"), MetricLimit("a", "0.8", "3"))
    assert not gate_covers(MetricLimit("b", "0.9"), MetricLimit("a", "0.8"))
    assert not gate_covers(MetricLimit("a", "much"), MetricLimit("a", "0.8"))
    assert gate_covers(AgainstLive("a", "higher", "0.1"), AgainstLive("a", "higher", "0.2"))
    assert not gate_covers(AgainstLive("a", "lower", "0.1"), AgainstLive("a", "higher", "0.2"))
    assert not gate_covers(
        AgainstLive("a", "higher", "0.1", True), AgainstLive("a", "higher", "0.2")
    )
    assert gate_covers(LiveIn("s", 9), LiveIn("s", 8)) and not gate_covers(
        LiveIn("s", 7), LiveIn("s", 8)
    )
    assert not gate_covers(RunsGreen("ci"), RunsGreen("train"))


def test_every_part_of_a_policy_is_said_in_words() -> None:
    """What a policy says and its words do not would be a difference that nobody sees."""
    base = Policy(
        (row("a"),), (row("a"),), False, ("a",), 60, 60, override_team="a", escalate_after=60
    )
    other: dict[str, Any] = {
        "promote": (row("b"),),
        "rollback": (row("b"),),
        "requesters": ("b",),
        "gates": (RunsGreen("ci"),),
        "rules": (Rule(Condition(), (row("b"),)),),
        "checklist": ("x",),
        "override_team": "b",
        "escalate_to": "b",
    }
    for each in fields(Policy):
        value = getattr(base, each.name)
        if each.name not in other:
            other[each.name] = not value if isinstance(value, bool) else 7200
        start = replace(base, promote=()) if each.name == "automatic" else base
        assert lines_of(replace(start, **{each.name: other[each.name]})) != lines_of(start), (
            each.name
        )
