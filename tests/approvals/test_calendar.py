"""Windows on wall clocks: when they cover a moment, through changes of clocks and leap years."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from approvals.calendar import (
    Span,
    Window,
    closed_until,
    in_zone,
    next_open,
    next_span,
    parse_local,
    problem_with,
    span_at,
)

HOUR = 3600
DAY = 24 * HOUR
AMS, NY, LHI = "Europe/Amsterdam", "America/New_York", "Australia/Lord_Howe"
MELBOURNE = "Australia/Melbourne"
WEEKEND = Window("weekend", "2026-01-02T16:00", 64 * HOUR, AMS, "FREQ=WEEKLY;BYDAY=FR")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def once(starts: str, lasts: int, zone: str) -> Window:
    return Window("w", starts, lasts, zone)


# (window, a moment in UTC, begins, ends of the span there; empty texts: none)
AT: list[tuple[Window, str, str, str]] = [
    # An ordinary weekend in winter; the end is exclusive, the beginning is not.
    (WEEKEND, "2026-01-09T14:59:59", "", ""),
    (WEEKEND, "2026-01-09T15:00", "2026-01-09T15:00", "2026-01-12T07:00"),
    (WEEKEND, "2026-01-12T06:59:59", "2026-01-09T15:00", "2026-01-12T07:00"),
    (WEEKEND, "2026-01-12T07:00", "", ""),
    # Clocks change on Sunday: still until Monday 08:00 there.
    (WEEKEND, "2026-03-28T12:00", "2026-03-27T15:00", "2026-03-30T06:00"),
    (WEEKEND, "2026-10-24T12:00", "2026-10-23T14:00", "2026-10-26T07:00"),
    # Before the first, and the first.
    (WEEKEND, "2025-12-27T12:00", "", ""),
    (WEEKEND, "2026-01-03T12:00", "2026-01-02T15:00", "2026-01-05T07:00"),
    # Into, inside and out of the hour that Amsterdam skips on 29 March.
    (once("2026-03-29T02:30", HOUR, AMS), "2026-03-29T01:10", "2026-03-29T01:00", "2026-03-29T01:30"),
    (once("2026-03-29T01:30", HOUR, AMS), "2026-03-29T00:40", "2026-03-29T00:30", "2026-03-29T01:00"),
    (once("2026-03-29T02:10", 600, AMS), "2026-03-29T01:00", "", ""),
    # The hour that comes twice on 25 October: begins at the first, ends with the second.
    (once("2026-10-25T02:30", HOUR, AMS), "2026-10-25T00:30", "2026-10-25T00:30", "2026-10-25T02:30"),
    (once("2026-10-25T01:30", HOUR, AMS), "2026-10-25T01:29", "2026-10-24T23:30", "2026-10-25T01:30"),
    # New York: 8 March and 1 November.
    (once("2026-03-07T22:00", 10 * HOUR, NY), "2026-03-08T05:00", "2026-03-08T03:00", "2026-03-08T12:00"),
    (once("2026-03-08T02:00", HOUR, NY), "2026-03-08T07:00", "", ""),
    (once("2026-11-01T01:15", 900, NY), "2026-11-01T06:00", "2026-11-01T05:15", "2026-11-01T06:30"),
    # Summer ends in April in Melbourne; clocks there go back on 5 April and forward on 4 October.
    (once("2026-04-04T20:00", 12 * HOUR, MELBOURNE), "2026-04-04T21:30", "2026-04-04T09:00", "2026-04-04T22:00"),
    (once("2026-10-03T20:00", 12 * HOUR, MELBOURNE), "2026-10-03T20:59", "2026-10-03T10:00", "2026-10-03T21:00"),
    # Half an hour: 01:30–02:00 twice on 5 April, 02:00–02:30 skipped on 4 October.
    (once("2026-04-05T01:45", 600, LHI), "2026-04-04T15:00", "2026-04-04T14:45", "2026-04-04T15:25"),
    (once("2026-10-04T02:10", HOUR, LHI), "2026-10-03T15:35", "2026-10-03T15:30", "2026-10-03T16:10"),
    # Samoa had no 30 December 2011.
    (once("2011-12-30T12:00", DAY, "Pacific/Apia"), "2011-12-30T10:00", "2011-12-30T10:00", "2011-12-30T22:00"),
]  # fmt: skip


@pytest.mark.parametrize(("window", "at", "begins", "ends"), AT)
def test_what_covers_a_moment(window: Window, at: str, begins: str, ends: str) -> None:
    expected = Span(window.name, utc(begins), utc(ends)) if begins else None
    assert span_at(window, utc(at)) == expected
    if expected and window.repeats:
        assert problem_with(window) == ""
        assert span_at(window, expected.begins) == expected


def repeating(repeats: str, starts: str = "2024-02-29T09:00", lasts: int = HOUR) -> Window:
    return Window("w", starts, lasts, "UTC", repeats)


NEXT: list[tuple[Window, str, str]] = [
    (WEEKEND, "2026-10-20T00:00", "2026-10-23T14:00"),
    (WEEKEND, "2026-10-23T14:00", "2026-10-30T15:00"),
    (repeating("FREQ=YEARLY"), "2027-01-01T00:00", "2028-02-29T09:00"),
    (repeating("FREQ=YEARLY"), "2025-01-01T00:00", ""),  # more than two years away
    (repeating("FREQ=MONTHLY;BYMONTHDAY=-1"), "2026-02-10T00:00", "2026-02-28T09:00"),
    (repeating("FREQ=MONTHLY;BYMONTHDAY=31"), "2026-03-31T09:00", "2026-05-31T09:00"),
    (repeating("FREQ=MONTHLY;BYDAY=-1FR"), "2026-11-01T00:00", "2026-11-27T09:00"),
    (repeating("freq=weekly;interval=2;byday=mo,we"), "2026-01-01T00:00", "2026-01-12T09:00"),
    (repeating("FREQ=YEARLY;BYWEEKNO=53;BYDAY=MO"), "2026-01-01T00:00", "2026-12-28T09:00"),
    (repeating("FREQ=DAILY;COUNT=3"), "2024-03-01T10:00", "2024-03-02T09:00"),
    (repeating("FREQ=DAILY;COUNT=3"), "2024-03-02T09:00", ""),
    (repeating("FREQ=DAILY;UNTIL=20240301"), "2024-02-29T10:00", "2024-03-01T09:00"),
    (repeating("FREQ=DAILY;UNTIL=20240301"), "2024-03-01T09:00", ""),
    (repeating("FREQ=DAILY;UNTIL=20240301T085959"), "2024-02-29T10:00", ""),
    (repeating("FREQ=DAILY;UNTIL=20240301T090000Z"), "2024-02-29T10:00", "2024-03-01T09:00"),
    (repeating(""), "2024-02-29T08:59", "2024-02-29T09:00"),
    (repeating(""), "2024-02-29T09:00", ""),
    # 02:15 for a quarter of an hour does not happen on 29 March.
    (Window("w", "2026-03-28T02:15", 900, AMS, "FREQ=DAILY"), "2026-03-28T12:00", "2026-03-30T00:15"),
]  # fmt: skip


@pytest.mark.parametrize(("window", "after", "begins"), NEXT)
def test_what_comes_next(window: Window, after: str, begins: str) -> None:
    assert problem_with(window) == ""
    found = next_span(window, utc(after))
    assert (found and found.begins) == (utc(begins) if begins else None)


def test_until_in_utc_is_read_on_the_windows_clocks() -> None:
    window = Window("w", "2026-06-01T09:00", HOUR, AMS, "FREQ=DAILY;UNTIL=20260602T070000Z")
    assert span_at(window, utc("2026-06-02T07:00"))
    earlier = Window("w", "2026-06-01T09:00", HOUR, AMS, "FREQ=DAILY;UNTIL=20260602T065959Z")
    assert not span_at(earlier, utc("2026-06-02T07:00"))


def test_of_overlapping_occurrences_the_one_that_ends_last() -> None:
    window = repeating("FREQ=WEEKLY;BYDAY=MO,TU", "2026-01-05T00:00", 3 * DAY)
    found = span_at(window, utc("2026-01-06T12:00"))
    assert found == Span("w", utc("2026-01-06T00:00"), utc("2026-01-09T00:00"))


class TestChains:
    def test_open(self) -> None:
        noon = utc("2026-01-07T12:00")
        assert closed_until([WEEKEND], [], noon) is None
        assert next_open([WEEKEND], [], noon) == noon
        assert closed_until([], [], noon) is None

    def test_back_to_back_and_overlapping(self) -> None:
        monday = Window("monday", "2026-01-05T08:00", 4 * HOUR, AMS, "FREQ=WEEKLY;BYDAY=MO")
        spans = [Span("release", utc("2026-01-12T10:30"), utc("2026-01-12T15:00"))]
        saturday = utc("2026-01-10T12:00")
        assert closed_until([monday, WEEKEND], spans, saturday) == Span(
            "weekend", utc("2026-01-09T15:00"), utc("2026-01-12T15:00")
        )
        assert next_open([monday, WEEKEND], [], saturday) == utc("2026-01-12T11:00")

    def test_until_lifted(self) -> None:
        spans = [Span("incident", utc("2026-01-11T00:00"), None)]
        found = closed_until([WEEKEND], spans, utc("2026-01-10T12:00"))
        assert found == Span("weekend", utc("2026-01-09T15:00"), None)
        assert next_open([WEEKEND], spans, utc("2026-01-10T12:00")) is None
        assert closed_until([WEEKEND], spans, utc("2026-01-08T12:00")) is None

    def test_two_windows_that_never_leave_a_gap(self) -> None:
        week = Window("week", "2026-01-05T08:00", 104 * HOUR, AMS, "FREQ=WEEKLY;BYDAY=MO")
        assert problem_with(week) == problem_with(WEEKEND) == ""
        found = closed_until([week, WEEKEND], [], utc("2026-10-25T00:30"))
        assert found and found.name == "weekend" and found.ends is None


GOOD = {"name": "w", "starts": "2026-01-02T16:00", "lasts": HOUR, "zone": AMS, "repeats": ""}
BAD: list[tuple[dict[str, object], str]] = [
    ({"zone": "Europe/Atlantis"}, "no time zone is called 'Europe/Atlantis'"),
    ({"zone": "Europe"}, "no time zone is called 'Europe'"),
    ({"zone": "../../etc/passwd"}, "no time zone"),
    ({"zone": ""}, "no time zone"),
    ({"starts": "2026-13-02T16:00"}, "'2026-13-02T16:00' is not a local time"),
    ({"starts": "2026-01-02T16:00Z"}, "is not a local time"),
    ({"starts": "2026-01-02"}, "is not a local time"),
    ({"starts": "0001-01-02T00:00"}, "is not a local time"),
    ({"lasts": 0}, "longer than nothing"),
    ({"lasts": -HOUR}, "longer than nothing"),
    ({"lasts": 365 * DAY}, "less than 365 days"),
    ({"repeats": "every friday"}, "'every friday' is not a rule"),
    ({"repeats": "RRULE:FREQ=DAILY"}, "is not a rule"),
    ({"repeats": "FREQ=DAILY;FREQ=DAILY"}, "is not a rule"),
    ({"repeats": "FREQ=DAILY\nEXDATE=20260101"}, "one of DAILY, WEEKLY, MONTHLY, YEARLY"),
    ({"repeats": "BYDAY=FR"}, "is not a rule"),
    ({"repeats": "FREQ=HOURLY"}, "one of DAILY, WEEKLY, MONTHLY, YEARLY is expected"),
    ({"repeats": "FREQ=DAILY;BYHOUR=9"}, "the time of day is that of 'starts'"),
    ({"repeats": "FREQ=YEARLY;BYEASTER=0"}, "'BYEASTER' is not a part of a rule"),
    ({"repeats": "FREQ=DAILY;COUNT=2;UNTIL=20270101"}, "not both"),
    ({"repeats": "FREQ=DAILY;COUNT=0"}, "COUNT=0: a number from 1"),
    ({"repeats": "FREQ=DAILY;INTERVAL=0"}, "INTERVAL=0: a number from 1"),
    ({"repeats": "FREQ=DAILY;INTERVAL=-1"}, "INTERVAL=-1: a number from 1"),
    ({"repeats": "FREQ=DAILY;UNTIL=soon"}, "UNTIL=SOON: a time such as"),
    ({"repeats": "FREQ=DAILY;UNTIL=20260231"}, "UNTIL=20260231: a time such as"),
    ({"repeats": "FREQ=DAILY;UNTIL=20250101"}, "the window never comes"),
    ({"repeats": "FREQ=YEARLY;BYMONTH=13"}, "BYMONTH=13: a number from 1 to 12"),
    ({"repeats": "FREQ=YEARLY;BYMONTH=-1"}, "BYMONTH=-1: a number"),
    ({"repeats": "FREQ=MONTHLY;BYMONTHDAY=32"}, "BYMONTHDAY=32: a number"),
    ({"repeats": "FREQ=MONTHLY;BYMONTHDAY=0"}, "BYMONTHDAY=0: a number"),
    ({"repeats": "FREQ=WEEKLY;BYDAY=FRI"}, "BYDAY=FRI: a day such as FR"),
    ({"repeats": "FREQ=WEEKLY;BYDAY=1FR"}, "belongs to FREQ=MONTHLY or YEARLY"),
    ({"repeats": "FREQ=MONTHLY;BYDAY=6FR"}, "there are at most 5 of a day"),
    ({"repeats": "FREQ=WEEKLY;WKST=XX"}, "WKST=XX: a day"),
    ({"repeats": "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"}, "no day within 40 years fits"),
    ({"repeats": "FREQ=DAILY", "lasts": DAY}, "the window would never be over"),
    ({"repeats": "FREQ=WEEKLY", "lasts": 8 * DAY}, "the window would never be over"),
    ({"starts": "2026-03-29T02:10", "lasts": 600}, "clocks skip all of it"),
]


@pytest.mark.parametrize(("change", "words"), BAD)
def test_what_an_editor_must_mend(change: dict[str, object], words: str) -> None:
    data = {**GOOD, **change}
    assert words in problem_with(Window(**data))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"\w"):
        Window.from_data(data)


def test_closed_for_a_whole_season_is_not_for_ever() -> None:
    winter = "FREQ=DAILY;BYMONTH=11,12,1"
    assert problem_with(Window("w", "2026-01-02T16:00", DAY, AMS, winter)) == ""
    assert problem_with(Window("w", "2026-01-02T16:00", DAY, AMS, "FREQ=DAILY;COUNT=100")) == ""


def test_as_data_and_back() -> None:
    assert Window.from_data(json.loads(json.dumps(WEEKEND.as_data()))) == WEEKEND
    assert Window.from_data({key: GOOD[key] for key in GOOD if key != "repeats"}).repeats == ""
    with pytest.raises(KeyError):
        Window.from_data({"name": "w"})
    for wrong in ({"lasts": "3600"}, {"lasts": True}, {"lasts": 1.5}, {"zone": None}, {"name": 1}):
        with pytest.raises(TypeError):
            Window.from_data({**GOOD, **wrong})


def test_local_times() -> None:
    assert parse_local("2026-11-24T09:00", AMS) == utc("2026-11-24T08:00")
    assert parse_local("2026-10-25T02:30", AMS) == utc("2026-10-25T00:30"), "the earlier of two"
    assert parse_local("2026-11-24T09:00:30", "UTC").tzinfo is UTC
    for text, zone, sentence in (
        ("2026-03-29T02:30", AMS, "does not exist in Europe/Amsterdam: clocks move .* to 03:00."),
        ("2026-03-08T02:00", NY, "does not exist in America/New_York"),
        ("2026-10-04T02:29", LHI, "clocks move forward there, to 02:30."),
        ("tomorrow", AMS, "^'tomorrow' is not a local time such as 2026-11-24T09:00.$"),
        ("2026-11-24T09:00", "Mars", "^No time zone is called 'Mars'; .* expected.$"),
    ):
        with pytest.raises(ValueError, match=sentence):
            parse_local(text, zone)


def test_in_zone() -> None:
    assert in_zone(utc("2026-11-24T08:00"), AMS) == "Tue 24 Nov 2026, 09:00 Europe/Amsterdam"
    with pytest.raises(ValueError, match="no time zone"):
        in_zone(utc("2026-11-24T08:00"), "Mars")


ZONES = st.sampled_from([AMS, NY, LHI, MELBOURNE, "America/St_Johns", "UTC", "Asia/Kolkata"])  # fmt: skip
RULES = st.sampled_from(
    [
        "",
        "FREQ=DAILY",
        "FREQ=DAILY;INTERVAL=3",
        "FREQ=WEEKLY;BYDAY=FR,SU",
        "FREQ=WEEKLY;COUNT=9",
        "FREQ=MONTHLY;BYDAY=-1SU",
        "FREQ=YEARLY",
    ]
)
# Around both changes of clocks, where mistakes are.
STARTS = st.datetimes(datetime(2026, 3, 1), datetime(2026, 11, 2))  # noqa: DTZ001
MOMENTS = st.datetimes(datetime(2026, 2, 1), datetime(2027, 2, 1), timezones=st.just(UTC))  # noqa: DTZ001
WINDOWS = st.builds(
    lambda start, lasts, zone, rule: Window("w", f"{start:%Y-%m-%dT%H:%M}", lasts, zone, rule),
    STARTS,
    st.integers(1, 9 * DAY),
    ZONES,
    RULES,
).filter(lambda window: not problem_with(window))
SPANS = st.builds(
    lambda begins, lasts: Span("s", begins, begins + timedelta(seconds=lasts) if lasts else None),
    MOMENTS,
    st.integers(0, 30 * DAY),
)


@given(WINDOWS, MOMENTS)
def test_a_span_covers_its_moment(window: Window, moment: datetime) -> None:
    found = span_at(window, moment)
    if found:
        assert found.ends and found.begins <= moment < found.ends
        assert span_at(window, found.begins), "closed from its first moment"
        length = found.ends - found.begins - timedelta(seconds=window.lasts)
        assert abs(length) <= timedelta(hours=2), "the wall clock differs by changes of clocks only"
    coming = next_span(window, moment)
    if coming:
        assert coming.begins > moment
        assert span_at(window, coming.begins)
        local = coming.begins.astimezone(ZoneInfo(window.zone))
        before = (coming.begins - timedelta(seconds=1)).astimezone(local.tzinfo)
        assert f"{local:%H:%M}" == window.starts[11:16] or local.utcoffset() != before.utcoffset()


@settings(max_examples=150)
@given(
    st.lists(WINDOWS, max_size=3), st.lists(SPANS, max_size=3), MOMENTS, st.integers(0, 40 * DAY)
)
def test_what_is_open_is_open(
    windows: list[Window], spans: list[Span], moment: datetime, later: int
) -> None:
    def covered(at: datetime) -> bool:
        return any(span_at(each, at) for each in windows) or any(each.covers(at) for each in spans)

    closed, free = closed_until(windows, spans, moment), next_open(windows, spans, moment)
    assert (closed is not None) == covered(moment)
    assert free is None or (free >= moment and not covered(free))
    assert free is None or closed_until(windows, spans, free) is None
    if closed and free:
        middle = moment + (free - moment) * 0.5
        assert covered(middle), "closed without a break until then"
    second = next_open(windows, spans, moment + timedelta(seconds=later))
    assert free is None or second is None or free <= second, "monotone"
