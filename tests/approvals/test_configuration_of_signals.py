"""``signals`` in countersign.yaml: what is read, what wins, and a sentence for each mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from approvals import services
from approvals.configuration import load
from approvals.models import Target
from approvals.monitoring import SignalRule
from approvals.states import Via
from tests.approvals.test_configuration import SMALL, changed, problems, write

STAGING = "    alias: staging\n"
OWN = "    workflow: deploy.yml\n"


def with_signals(text: str, rules: str) -> str:
    return changed(STAGING, f"{STAGING}    signals: {rules}\n", text)


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("{above: 1}", "signals.0.signal: is missing"),
        ("{signal: e}", "signals.0: say which readings are bad: give it 'above', 'below' or both"),
        (
            "{signal: e, above: 1, below: 1}",
            "signals.0: no reading would be good: 'below' (1) has to be less than 'above' (1)",
        ),
        ("{signal: e, above: 5%}", "signals.0.above: a number is expected"),
        ("{signal: e, above: .nan}", "signals.0.above: a number is expected"),
        ("{signal: e, above: true}", "signals.0.above: a number is expected"),
        ("{signal: e, above: 1, times: 0}", "signals.0.times: input should be greater than"),
        ("{signal: e, above: 1, times: 101}", "signals.0.times: input should be less than"),
        ("{signal: e, above: 1, times: '2'}", "signals.0.times: input should be a valid integer"),
        ("{signal: e, above: 1, times: true}", "signals.0.times: input should be a valid integer"),
        ("{signal: e, above: 1, then: explode}", "signals.0.then: 'explode' is not allowed"),
        ("{signal: e, above: 1, than: alert}", "signals.0.than: is not a known key here"),
        ("{signal: ' e', above: 1}", "signals.0.signal: ' e' does not have the expected form"),
        ("{signal: '', above: 1}", "signals.0.signal: '' does not have the expected form"),
        (
            "{signal: e, above: 1}, {signal: e, above: 1, times: 1}",
            "signals.1: the rule for 'e' stands twice",
        ),
    ],
)
def test_a_mistake_has_a_line_and_a_sentence(tmp_path: Path, rule: str, says: str) -> None:
    [problem] = problems(tmp_path, with_signals(SMALL, f"[{rule}]"))
    assert problem.startswith("4: environments.0.") and says in problem, problem


def test_nobody_is_called_as_countersign_itself(tmp_path: Path) -> None:
    [problem] = problems(tmp_path, changed("[carol]", "[carol, countersign]"))
    assert "'countersign' is Countersign's own account" in problem


@pytest.mark.django_db
def test_the_models_own_list_replaces_the_environments(tmp_path: Path) -> None:
    text = with_signals(
        SMALL,
        "[{signal: errors, above: 0.05, times: 3, then: roll_back}, {signal: accuracy, below: 0.8}]",
    )
    first = SignalRule("errors", "0.05", "", 3, "roll_back")
    second = SignalRule("accuracy", "", "0.8", 1, "alert")

    def apply(said: str) -> list[str]:
        loaded = load(write(tmp_path, said))
        return services.apply_configuration(loaded=loaded, via=Via.COMMAND)

    def kept(environment: str) -> list[dict[str, Any]]:
        return Target.objects.get(environment__name=environment).signals

    apply(text)
    assert [SignalRule.from_data(each) for each in kept("staging")] == [first, second]
    assert kept("production") == []
    assert apply(text) == []

    own = f"{OWN}    environments:\n      staging: {{signals: []}}\n      production:\n"
    assert apply(changed(OWN, own, text)) == ["fraud in staging: signals changed"]
    assert kept("staging") == []
    own = own.replace("[]", "[{signal: errors, above: 1}]")
    apply(changed(OWN, own, text))
    assert kept("staging") == [SignalRule("errors", "1").as_data()]
