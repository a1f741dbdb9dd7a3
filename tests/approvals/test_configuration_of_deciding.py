"""Rules, freezes, automatic approval and the rest of deciding in the file: what cannot be meant is refused, with
its place and the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from approvals.configuration import load
from approvals.policies import Requirement
from approvals.rules import Condition
from tests.approvals.test_configuration import SMALL, changed, problems, write

STAGING = "    approvals: [{team: leads}]\n  - name: production"
AUTOMATIC = (
    "    automatic: true\n    gates: [{runs: ci}]\n    rollback: {approvals: [{team: leads}]}\n"
)
FREEZE = (
    "{name: Weekend, environments: [production], starts: 2026-01-02T16:00, lasts: 64h, "
    "time_zone: Europe/Amsterdam"
)


def rule(when: str, then: str = "approvals: [{team: risk}]") -> str:
    return f"{SMALL}rules:\n  - when: {when}\n    {then}\n"


def freeze(**changes: str) -> str:
    text = FREEZE
    for key, value in changes.items():
        before = next(
            (part for part in text.split(", ") if part.lstrip("{").startswith(f"{key}:")), ""
        )
        part = f"{key}: {value}"
        text = text.replace(before.lstrip("{"), part) if before else f"{text}, {part}"
    return f"{SMALL}freezes:\n  - {text}}}\n"


def staging(text: str) -> str:
    return changed(STAGING, f"{text}  - name: production")


REFUSED: dict[str, tuple[str, str]] = {
    "a rule that asks for nothing": (
        rule("{first_promotion: true}", "approvals: []"),
        "asks for nothing",
    ),
    "a rule on an unknown environment": (
        rule("{environments: [moon]}"),
        "no environment is called 'moon'",
    ),
    "a rule on an unknown model": (rule("{models: [moon]}"), "no model is called 'moon'"),
    "a rule with an unknown team": (
        rule("{first_promotion: true}", "approvals: [{team: moon}]"),
        "rules.0.approvals.0: no team is called 'moon'",
    ),
    "a rule with an unknown condition": (
        rule("{full_moon: true}"),
        "rules.0.when.full_moon: is not a known key",
    ),
    "a condition that is switched off": (
        rule("{older_than_live: false}"),
        "rules.0.when.older_than_live",
    ),
    "a metric without a direction": (
        rule("{metric_drops: auc}"),
        "the 'metrics' of fraud do not say whether",
    ),
    "rules that ask too much together": (
        rule(
            "{first_promotion: true}",
            "approvals: [{team: leads, count: 2}, {any_of: [leads, risk], count: 2}]",
        ),
        "can never be reached",
    ),
    "a window that never comes": (
        freeze(repeats='"FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"'),
        "freezes.0: the window never comes",
    ),
    "a window that is never over": (freeze(repeats="FREQ=DAILY"), "would never be over"),
    "a time zone that does not exist": (
        freeze(time_zone="Mars/Olympus"),
        "no time zone is called 'Mars/Olympus'",
    ),
    "a start that is no time": (freeze(starts="friday"), "freezes.0"),
    "a start with a zone of its own": (freeze(starts="2026-01-02T16:00Z"), "freezes.0"),
    "a rule that is none": (freeze(repeats="every friday"), "freezes.0"),
    "a freeze of an unknown environment": (
        freeze(environments="[moon]"),
        "no environment is called 'moon'",
    ),
    "nobody and somebody": (
        staging(AUTOMATIC + "    approvals: [{team: leads}]\n"),
        "keep 'approvals' or 'automatic'",
    ),
    "automatic without a gate": (
        staging(AUTOMATIC.replace("    gates: [{runs: ci}]\n", "")),
        "'automatic' needs 'gates'",
    ),
    "automatic without a way back": (
        staging(AUTOMATIC.replace("    rollback: {approvals: [{team: leads}]}\n", "")),
        "nobody could roll staging back",
    ),
    "automatic with ticks": (
        staging(AUTOMATIC + "    checklist: [Read]\n"),
        "nobody could tick or comment",
    ),
    "automatic and a rule of ticks": (
        staging(AUTOMATIC)
        + "rules:\n  - when: {first_promotion: true}\n    comment_required: true\n",
        "nobody is asked in staging ('automatic')",
    ),
    "a model that takes people away": (
        SMALL
        + "    environments:\n      production:\n"
        + AUTOMATIC.replace("    ", "        ").replace("leads", "risk"),
        "production says that people must approve; a model cannot take that away",
    ),
    "glass for an unknown team": (
        staging("    approvals: [{team: leads}]\n    override: {team: moon}\n"),
        "override.team: no team",
    ),
    "escalation to nobody": (
        staging("    approvals: [{team: leads}]\n    escalate: {after: 1d, to: moon}\n"),
        "escalate.to: no team",
    ),
    "an empty tick": (
        staging('    approvals: [{team: leads}]\n    checklist: [""]\n'),
        "checklist",
    ),
    "evidence of two kinds": (
        SMALL + "    evidence: {load-test: {job: a, tag: b}}\n",
        "exactly one of 'job', 'tag'",
    ),
    "evidence of a metric without a limit": (
        SMALL + "    evidence: {load-test: {metric: p95}}\n",
        "needs 'at_least' or 'at_most'",
    ),
    "evidence with a bad name": (SMALL + "    evidence: {Load Test: {job: a}}\n", "evidence"),
    "live first in what comes after (a cycle)": (
        staging("    approvals: [{team: leads}]\n    gates: [{live_in: production}]\n"),
        "does not pass through 'production' before staging",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_meant(tmp_path: Path, what: str) -> None:
    text, says = REFUSED[what]
    found = problems(tmp_path, text)
    assert any(says in each for each in found), found
    assert all(each.partition(":")[0].isdigit() for each in found), "each names its line"


def test_what_the_file_says_is_the_policy(tmp_path: Path) -> None:
    text = staging(AUTOMATIC).replace(
        "    repository: acme/ml\n", "    repository: acme/ml\n    metrics: {auc: higher}\n"
    )
    text += (
        "rules:\n"
        "  - when: {environments: [production], metric_drops: auc, tags: {risk: high}}\n"
        "    approvals: [{team: risk, count: 1}, {any_of: [leads, risk]}]\n"
        "    checklist: [Read]\n"
    )
    text += f"freezes:\n  - {FREEZE}, repeats: FREQ=WEEKLY}}\n"
    file = load(write(tmp_path, text)).configuration
    one, two = file.environments
    first, second = file.policy_of("fraud", one), file.policy_of("fraud", two)
    assert (first.automatic, first.promote, first.rules) == (True, (), ())
    assert (second.automatic, second.promote) == (
        False,
        (Requirement(("leads",)), Requirement(("risk",))),
    )
    [found] = second.rules
    assert found.when == Condition("auc", "higher", tags=(("risk", "high"),))
    assert found.checklist == ("Read",)
    assert file.freezes_of("fraud", "staging") == []
    [window] = file.freezes_of("fraud", "production")
    assert (window.starts, window.lasts, window.repeats) == (
        "2026-01-02T16:00",
        64 * 3600,
        "FREQ=WEEKLY",
    )
