"""``manage.py policy`` says what the verbs say."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from approvals.models import Event
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
