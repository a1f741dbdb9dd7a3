"""What is written behind the command: words, quotations, mentions, times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.services import Refused
from integrations.slack.listeners.commands import times
from integrations.slack.listeners.commands.words import Words, near

# A Saturday, 13:30 in Amsterdam.
NOW = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
AMSTERDAM = "Europe/Amsterdam"


@pytest.mark.parametrize(
    ("text", "words", "rest"),
    [
        ('fraud v2 it\'s "better" now', ["fraud", "v2"], 'it\'s "better" now'),
        ('"my model" 2 “a whole reason”', ["my model", "2"], "a whole reason"),
        ("'my model' ‘2’ «weil es besser ist»", ["my model", "2"], "weil es besser ist"),
        (
            "a b <@U0BOB|bob> says &lt;!channel&gt; &amp; go",
            ["a", "b"],
            "@bob says <!channel> & go",
        ),
        ("a b see <https://x.example/1|x.example/1>", ["a", "b"], "see https://x.example/1"),
        ("a b in <#C0GENERAL|general>", ["a", "b"], "in #general"),
        ('"never closed b', ['"never', "closed"], "b"),
        ("a b", ["a", "b"], ""),
        ("a  b \n  نسخة أفضل", ["a", "b"], "نسخة أفضل"),
    ],
)
def test_words_and_the_rest_as_written(text: str, words: list[str], rest: str) -> None:
    found = Words(text)
    taken = [found.take() for _ in words]
    assert [each.text for each in taken if each] == words
    assert found.rest() == rest
    assert found.take() is None and found.rest() == ""


def test_what_a_word_is() -> None:
    [mention, bare, old, new, word, quoted] = Words('<@U0BOB|bob> <@W1> 12 v12 until "until"').words
    assert (mention.mention, bare.mention, word.mention) == ("U0BOB", "W1", "")
    assert (old.version, new.version, word.version) == (12, 12, None)
    assert word.says("until") and not quoted.says("until"), "a quotation is never a keyword"


@given(st.text(max_size=200))
def test_no_text_is_too_strange(text: str) -> None:
    words = Words(text)
    while words.take():
        pass
    assert not words and words.rest() == ""


def test_near_names() -> None:
    names = ["fraud-detector", "churn", "fraud-detector-eu"]
    assert near("Fraud", names) == ["fraud-detector", "fraud-detector-eu"]
    assert near("frawd-detector", names)[0] == "fraud-detector"
    assert near("zzz", names) == [] == near("", names)


@pytest.mark.parametrize(
    ("text", "ahead", "expected"),
    [
        ("2026-11-20 14:05", False, "2026-11-20 13:05"),
        ("2026-11-20T14:05Z", False, "2026-11-20 14:05"),
        ("2026-11-20 14:05+02:00", False, "2026-11-20 12:05"),
        ("2026-11-20", False, "2026-11-19 23:00"),
        ("20 Nov 2026, 14:05 UTC", False, "2026-11-20 14:05"),
        ("20 November 2026 14:05", False, "2026-11-20 13:05"),
        ("now", False, "2026-11-21 12:30"),
        ("yesterday 14:05", False, "2026-11-20 13:05"),
        ("Yesterday at 14:05", False, "2026-11-20 13:05"),
        ("today 9:00", False, "2026-11-21 08:00"),
        ("last Tuesday 14:05", False, "2026-11-17 13:05"),
        ("Tuesday 14:05", False, "2026-11-17 13:05"),
        ("saturday 9:00", False, "2026-11-21 08:00"),
        ("saturday 20:00", False, "2026-11-14 19:00"),
        ("last sat 9:00", False, "2026-11-14 08:00"),
        ("2h ago", False, "2026-11-21 10:30"),
        ("1d 12h ago", False, "2026-11-20 00:30"),
        ("in 3d", True, "2026-11-24 12:30"),
        ("14:05", True, "2026-11-21 13:05"),
        ("9:00", True, "2026-11-22 08:00"),
        ("9:00", False, "2026-11-21 08:00"),
        ("Friday 18:00", True, "2026-11-27 17:00"),
        ("next saturday 18:00", True, "2026-11-28 17:00"),
        ("saturday 18:00", True, "2026-11-21 17:00"),
        ("tomorrow 9:00", True, "2026-11-22 08:00"),
        # On summer time, which ended since.
        ("2026-10-01 14:05", False, "2026-10-01 12:05"),
    ],
)
def test_moments(text: str, ahead: bool, expected: str) -> None:
    found = times.point(text, NOW, AMSTERDAM, ahead=ahead)
    assert found is not None
    assert f"{found.astimezone(UTC):%Y-%m-%d %H:%M}" == expected


@pytest.mark.parametrize(
    "text",
    ["soon", "25:00", "2026-13-40", "2026-02-30 9:00", "the weekend", "monday noon", "last today",
     "31 Foo 2026", "9", "", "ago", "3x ago", "now-ish", "9999999999d ago"],
)  # fmt: skip
def test_what_is_no_moment(text: str) -> None:
    assert times.point(text, NOW, AMSTERDAM) is None


def test_a_moment_that_the_clocks_skip() -> None:
    with pytest.raises(Refused, match="The clocks in Europe/Amsterdam skip 02:30"):
        times.point("2026-03-29 2:30", NOW, AMSTERDAM)


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("2h", 2),
        ("3d", 72),
        ("90min", 1.5),
        ("1d 12h", 36),
        ("2 hours", 2),
        ("1w", 168),
        ("1d12h", 36),
    ],
)
def test_durations(text: str, hours: float) -> None:
    assert times.duration(text) == timedelta(hours=hours)


def test_an_ending_takes_no_word_of_the_reason() -> None:
    words = Words("until Friday 18:00 the migration of 2027")
    ends = times.taken_ending(words, NOW, "UTC")
    assert ends == datetime(2026, 11, 27, 18, 0, tzinfo=UTC)
    assert words.rest() == "the migration of 2027"
    words = Words('for 1d 12h "2h was too short"')
    assert times.taken_ending(words, NOW, "UTC") == NOW + timedelta(hours=36)
    assert words.rest() == "2h was too short"
    assert times.taken_ending(Words("no end"), NOW, "UTC") is None
    for text in ("for the weekend", "until further notice", "until"):
        with pytest.raises(Refused, match="Write it like"):
            times.taken_ending(Words(text), NOW, "UTC")
    assert times.ending("for 2h", NOW, "UTC") == times.ending("2h", NOW, "UTC")
    assert times.ending("  ", NOW, "UTC") is None
