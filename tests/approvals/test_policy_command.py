"""``manage.py policy`` says what the verbs say."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from approvals.gates import MetricLimit, RunsGreen, as_data
from approvals.models import Event
from approvals.policies import Requirement
from approvals.rules import Condition, Rule
from tests.world import World


def said(*arguments: str) -> list[str]:
    out = StringIO()
    call_command("policy", *arguments, stdout=out)
    return out.getvalue().splitlines()


def test_the_decision_table(world: World) -> None:
    rows = said("table")
    assert rows[0].split() == ["MODEL", "ENVIRONMENT", "PROMOTION", "ROLLBACK", "MAY", "ASK"]
    row = next(row for row in rows if row.startswith("fraud-detector") and "production" in row)
    assert "1 of ml-leads and 1 of risk" in row
    assert "1 of ml-leads or risk or platform (the requester too)" in row


def test_explaining_a_pending_promotion(world: World) -> None:
    promotion = world.request()
    world.review(promotion, "bob")
    events = Event.objects.count()
    lines = said("explain", "fraud-detector", "production", "--as", "carol")
    assert "  ml-leads: approved by Bob Brandt." in lines
    assert "  risk: 1 more needed (Carol Chen could)." in lines
    assert "  Carol Chen: You may decide this now." in lines
    lines = said("explain", "fraud-detector", "production", "--as", "alice", "--version", "2")
    assert any("You may not, because you asked for it" in line for line in lines)
    assert any("cannot ask for fraud-detector v2" in line for line in lines)
    assert Event.objects.count() == events


def test_explaining_what_could_be_asked(world: World) -> None:
    world.version(2)
    lines = said("explain", "fraud-detector", "production", "--version", "2", "--as", "alice")
    assert "fraud-detector in production: nothing is live." in lines
    assert "Alice Anders can ask for fraud-detector v2." in lines
    lines = said("explain", "fraud-detector", "production", "--version", "2", "--as", "mallory")
    assert any("You may not, because asking here is for members of" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("fraud-detector", "moon"), "not configured"),
        (("fraud-detector", "production", "--as", "nobody"), "Nobody is called"),
        (("fraud-detector", "production", "--version", "9", "--as", "alice"), "has no version 9"),
        (("fraud-detector", "production", "--version", "2"), "--as"),
    ],
)
def test_mistakes_are_sentences(world: World, arguments: tuple[str, ...], sentence: str) -> None:
    world.version(2)
    with pytest.raises(CommandError, match=sentence):
        said("explain", *arguments)


def test_explaining_a_version_says_what_would_be_asked(world: World) -> None:
    target = world.target()
    target.policy["gates"] = [as_data(MetricLimit("accuracy", "0.5")), as_data(RunsGreen("ci"))]
    rule = Rule(
        Condition(first_promotion=True), (Requirement(("platform",)),), ("drift looked at",)
    )
    target.policy["rules"] = [rule.as_data()]
    target.save()
    world.version(2)
    lines = said("explain", "fraud-detector", "production", "--version", "2", "--as", "alice")
    assert lines[4:] == [
        "  1 of ml-leads and 1 of risk and 1 of platform must approve.",
        "  More is asked because it is the model's first promotion here.",
        "  Whoever approves ticks: drift looked at.",
        "  Passes now: accuracy is 0.92; at least 0.5 is required.",
        "  Unknown now: No ci run is known for the version's commit.",
    ]


def test_trying_another_file(world: World, tmp_path: Path) -> None:
    world.approve(world.request())
    events = Event.objects.count()
    text = Path(settings.COUNTERSIGN_CONFIG).read_text()
    file = tmp_path / "proposed.yaml"
    file.write_text(text.replace("      - {team: risk, count: 1}\n", ""))
    lines = said("simulate", "--file", str(file), "--days", "30")
    assert (
        "- fraud-detector in production, Promotion: 1 of ml-leads and 1 of risk → 1 of ml-leads"
        in lines
    )
    (line,) = [line for line in lines if line.startswith("LESS ASKED")]
    assert "fraud-detector v2 to production (approved" in line and "1 of risk no longer" in line
    assert "WARNING: less would have been asked of 1 promotion." in lines
    assert lines[-1] == "Nothing was stored or applied."
    assert Event.objects.count() == events
    with pytest.raises(CommandError, match="between 1 and 365 days"):
        said("simulate", "--file", str(file), "--days", "0")
    file.write_text("teams: 1\n")
    with pytest.raises(CommandError, match=r"proposed.yaml:1: teams:"):
        said("simulate", "--file", str(file))
