"""The checker notices what must not be: a suite that cannot fail proves nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.chaos.checker import Asked, Evidence, StepRow, problems_with
from tests.chaos.outside import Run, run_of
from tests.chaos.plan import ALL, errands

TOKEN = "cs-0123456789ab"
TARGET = ("chaos-0", "production")
EVENTS = (
    "promotion.requested",
    "promotion.sealed",
    "promotion.approved",
    "deployment.dispatching",
    "deployment.started",
    "deployment.succeeded",
    "registry.written",
)


def run(**changes: object) -> Run:
    whole = Run(7, TOKEN, *TARGET[:1], 2, TARGET[1], "all-at-once", "all", "completed", "success")
    return replace(whole, **changes)  # type: ignore[arg-type]


def step(**changes: object) -> StepRow:
    return replace(StepRow(TOKEN, 100, False, "succeeded", 7, 1), **changes)  # type: ignore[arg-type]


def asked(**changes: object) -> Asked:
    whole = Asked(1, TOKEN, TARGET, 2, "approved", "succeeded", 1, (step(),), EVENTS)
    return replace(whole, **changes)  # type: ignore[arg-type]


def evidence(**changes: object) -> Evidence:
    """One promotion that went live, as it should be but for the changes."""
    whole = Evidence(1, [asked()], [run()], [TOKEN], {TARGET: (2, 2)}, {TOKEN: 1})
    return replace(whole, **changes)  # type: ignore[arg-type]


def test_all_is_well() -> None:
    assert problems_with(evidence()) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"runs": [run(), run(id=8)]}, "Doubled: GitHub has 2 runs"),
        ({"deployed": [TOKEN, TOKEN]}, "executed 2 times"),
        ({"runs": [run(), run(id=8, token="")]}, "belongs to no grant"),
        ({"runs": [run(status="in_progress", conclusion="")]}, "still in_progress"),
        ({"expected": 2}, "Lost: 2 promotions"),
        ({"promotions": [asked(steps=(step(run_id=None),))]}, "Lost: run 7"),
        ({"runs": []}, "GitHub does not have"),
        ({"runs": [run(conclusion="failure")]}, "GitHub ended"),
        ({"promotions": [asked(delivery="failed")]}, "says failed"),
        ({"promotions": [asked(delivery="running")]}, "has not ended"),
        ({"promotions": [asked(delivery="")]}, "delivery is missing"),
        ({"promotions": [asked(status="pending", delivery="")]}, "never decided"),
        ({"promotions": [asked(events=EVENTS[1:])]}, "begins with"),
        ({"promotions": [asked(events=(*EVENTS[:2], *EVENTS[3:]))]}, "sealed and approved"),
        ({"promotions": [asked(events=(*EVENTS, "deployment.failed"))]}, "2 outcomes"),
        ({"promotions": [asked(events=EVENTS[:5])]}, "0 outcomes"),
        ({"promotions": [asked(events=(*EVENTS, "deployment.succeeded"))]}, "2 outcomes"),
        ({"promotions": [asked(events=(*EVENTS[:4], *EVENTS[5:]))]}, "1 steps have a run"),
        ({"live": {TARGET: (1, 2)}}, "alias 1"),
        ({"live": {TARGET: (2, 1)}}, "rows say 1"),
        ({"messages": {TOKEN: 2}}, "2 messages"),
        ({"open_effects": ["dispatch"]}, "still open"),
        ({"failed_effects": ["set_alias"]}, "given up"),
        ({"broken_history": "event 3"}, "does not verify"),
    ],
)
def test_it_notices(changes: dict[str, object], said: str) -> None:
    told = problems_with(evidence(**changes))
    assert any(said in each for each in told) and told


def test_a_rollout_that_failed_half_way_must_have_gone_back() -> None:
    first = step(percent=10)
    second = step(token=f"{TOKEN}-2", outcome="failed", run_id=8)
    back = step(token=f"{TOKEN}-3", percent=0, way_back=True, run_id=9)
    events = (
        *EVENTS[:5],
        "deployment.step_succeeded",
        *EVENTS[3:5],
        "deployment.failed",
        *EVENTS[3:5],
        "deployment.gone_back",
    )
    whole = asked(delivery="failed", planned_steps=2, steps=(first, second, back), events=events)
    runs = [
        run(percent="10"),
        run(id=8, token=f"{TOKEN}-2", percent="100", conclusion="failure"),
        run(id=9, token=f"{TOKEN}-3", percent="0", strategy="go-back"),
    ]
    told = evidence(
        promotions=[whole],
        runs=runs,
        deployed=[each.token for each in runs],
        live={TARGET: (None, None)},
    )
    assert problems_with(told) == []
    left = replace(
        told, promotions=[replace(whole, steps=(first, second), events=events[:-3])], runs=runs[:2]
    )
    assert any("left in service" in each for each in problems_with(left))


def test_the_title_is_read_and_nothing_else_passes_for_one() -> None:
    shown = {"id": 1, "status": "completed", "conclusion": "success"}
    title = f"Deploy chaos-0 v2 to production (all-at-once all) [{TOKEN}]"
    assert run_of({**shown, "display_title": title}) == run(id=1)
    assert run_of({**shown, "display_title": "Deploy a model"}).token == ""


def test_a_seed_is_a_plan() -> None:
    assert errands(200, 5) == errands(200, 5)
    assert errands(200, 5) != errands(200, 6)
    assert errands(20, 5) == errands(200, 5)[:20]
    planned = {each for errand in errands(300, 5) for each in errand.troubles}
    assert set(ALL) <= planned
