"""Windows of time on people's wall clocks: freezes and schedules. No ORM, no clock, no request.

A window is written down in local time and repeats by a rule of RFC 5545. What it covers is computed here as
spans of exact moments; every moment that comes in or goes out is aware.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from itertools import islice, pairwise
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from approvals.recurrence import FIRST_YEAR, LAST_YEAR, occurrences, read_rule

# A chain of closed spans is followed this far: a year of days. What is closed for longer never opens.
HOPS = 366
AHEAD = timedelta(days=731)
YEAR_SECONDS = 365 * 86400
SEARCHED_YEARS = 40
_LOCAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?", re.ASCII)


@dataclass(frozen=True)
class Window:
    """A stretch of time that happens once, or again and again.

    ``starts``: local time without a zone, ``2026-01-02T16:00``; ``zone``: its IANA name. ``lasts``: seconds,
    counted on the wall clock, so that a window from Friday 16:00 that lasts 64 hours ends on Monday 08:00
    also when clocks change in between. ``repeats``: the value of an RFC 5545 RRULE, empty for once; it begins
    at ``starts``, which is itself an occurrence only where it fits the rule.
    """

    name: str
    starts: str
    lasts: int
    zone: str
    repeats: str = ""

    def as_data(self) -> dict[str, Any]:
        """JSON-able data; :meth:`from_data` is its inverse."""
        return asdict(self)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Window:
        """Raises KeyError, TypeError or ValueError for what is not a good window: the caller then blocks."""
        window = cls(
            data["name"], data["starts"], data["lasts"], data["zone"], data.get("repeats", "")
        )
        texts = (window.name, window.starts, window.zone, window.repeats)
        if not all(isinstance(text, str) for text in texts) or type(window.lasts) is not int:
            raise TypeError("a window has texts and a whole number of seconds")
        if problem := problem_with(window):
            raise ValueError(problem)
        return window


@dataclass(frozen=True)
class Span:
    """One exact stretch of time. ``ends`` is the first moment after it; None means until it is lifted."""

    name: str
    begins: datetime
    ends: datetime | None

    def covers(self, moment: datetime) -> bool:
        """Whether the moment lies inside."""
        return self.begins <= moment and (self.ends is None or moment < self.ends)


def span_at(window: Window, moment: datetime) -> Span | None:
    """The occurrence that covers the moment; of several, the one that ends last.

    Raises ValueError for a window that :func:`problem_with` refuses.
    """
    starts = _starts(window.starts, window.zone, window.repeats, _horizon(moment))
    # Ends are in the order of beginnings, so the last one that began also ends last.
    index = _begun(window, starts, moment)
    span = _span(window, starts[index - 1]) if index else None
    return span if span and span.covers(moment) else None


def next_span(window: Window, moment: datetime) -> Span | None:
    """The next occurrence that begins after the moment, if it does within two years.

    Raises ValueError for a window that :func:`problem_with` refuses.
    """
    starts = _starts(window.starts, window.zone, window.repeats, _horizon(moment))
    for start in starts[_begun(window, starts, moment) :]:
        span = _span(window, start)
        if span.begins > moment + AHEAD:
            return None
        if not _empty(span):
            return span
    return None


def closed_until(windows: Sequence[Window], spans: Sequence[Span], moment: datetime) -> Span | None:
    """What keeps the moment closed, or None when it is open.

    The span has the name and the beginning of the one that covers the moment and ends last. Its ``ends`` is
    the first moment that is really open: spans that overlap or follow without a break are followed, whether
    they come from ``windows`` or from ``spans``. None there means never, or not within HOPS spans.
    """
    first, at = None, moment
    for _ in range(HOPS):
        covering = [found for each in windows if (found := span_at(each, at))]
        covering += [each for each in spans if each.covers(at)]
        if not covering:
            return Span(first.name, first.begins, at) if first else None
        last = max(covering, key=lambda each: each.ends or datetime.max.replace(tzinfo=UTC))
        first = first or last
        if last.ends is None:
            break
        at = last.ends
    return Span(first.name, first.begins, None) if first else None


def next_open(
    windows: Sequence[Window], spans: Sequence[Span], moment: datetime
) -> datetime | None:
    """The moment itself when it is open, else the first open one after it; None when there is none."""
    closed = closed_until(windows, spans, moment)
    return closed.ends if closed else moment


@lru_cache(maxsize=1024)
def problem_with(window: Window) -> str:
    """What an editor of the file must mend, in one sentence; empty when the window is good."""
    try:
        start = _local(window.starts)
        _zone(window.zone)
        if window.repeats:
            read_rule(window.repeats, window.zone)
    except ValueError as error:
        return str(error)
    if not 0 < window.lasts < YEAR_SECONDS:
        return "a window lasts longer than nothing and less than 365 days"
    until = start.replace(year=start.year + SEARCHED_YEARS, day=min(start.day, 28))
    found = islice(occurrences(start, window.zone, window.repeats, until), HOPS + 1)
    spans = [span for each in found if not _empty(span := _span(window, each))]
    if not spans:
        why = f"no day within {SEARCHED_YEARS} years fits {window.repeats!r}"
        return f"the window never comes: {why if window.repeats else 'clocks skip all of it'}"
    touching = all(_end(one) >= other.begins for one, other in pairwise(spans))
    if len(spans) >= HOPS and touching:
        return (
            f"the window would never be over: it lasts until it comes again by {window.repeats!r}"
        )
    return ""


def parse_local(text: str, zone: str) -> datetime:
    """``2026-11-24T09:00`` on the clocks of a zone as a moment in UTC; of a time that comes twice, the earlier.

    Raises ValueError with a sentence for people: no such zone, no such time, a time that clocks skip.
    """
    try:
        local, info = _local(text), _zone(zone)
    except ValueError as error:
        sentence = str(error)
        raise ValueError(f"{sentence[:1].upper()}{sentence[1:]}.") from error
    if _skipped(local, info):
        raise ValueError(
            f"{text} does not exist in {zone}: clocks move forward there, to "
            f"{_moment(local, info).astimezone(info):%H:%M}."
        )
    return _moment(local, info)


def in_zone(moment: datetime, zone: str) -> str:
    """``Tue 24 Nov 2026, 09:00 Europe/Amsterdam``. Raises ValueError when there is no such zone."""
    local = moment.astimezone(_zone(zone))
    return f"{local:%a} {local.day} {local:%b %Y, %H:%M} {zone}"


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def is_zone(name: str) -> bool:
    """Whether it is the name of a time zone, such as ``Europe/Amsterdam``."""
    return name in _zones()


def _zone(name: str) -> ZoneInfo:
    # Looked up first: ZoneInfo reads files by name, and fails in many ways.
    if name not in _zones():
        raise ValueError(
            f"no time zone is called {name!r}; one such as Europe/Amsterdam is expected"
        )
    return ZoneInfo(name)


def _local(text: str) -> datetime:
    try:
        local = datetime.fromisoformat(text) if _LOCAL.fullmatch(text) else None
    except ValueError:
        local = None
    if local is None or not FIRST_YEAR <= local.year <= LAST_YEAR:
        raise ValueError(f"{text!r} is not a local time such as 2026-11-24T09:00")
    return local


def _skipped(local: datetime, zone: ZoneInfo) -> bool:
    """PEP 495: before a gap the offset is smaller than after it."""
    first, second = (local.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    return first is not None and second is not None and first < second


def _moment(local: datetime, zone: ZoneInfo, *, later: bool = False) -> datetime:
    """The moment of a local time: the earlier of two or the ``later``; where clocks skip it, the moment of
    the change, which is the first one that exists after it."""
    found = local.replace(tzinfo=zone, fold=int(later)).astimezone(UTC)
    if not _skipped(local, zone):
        return found
    # Read with the new offset it lies before the change, with the old offset after it.
    low = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    high = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    old = low.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = (low + (high - low) / 2).replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == old:
            low = middle
        else:
            high = middle
    return high


def _span(window: Window, start: datetime) -> Span:
    zone = _zone(window.zone)
    ends = _moment(start + timedelta(seconds=window.lasts), zone, later=True)
    return Span(window.name, _moment(start, zone), ends)


def _end(span: Span) -> datetime:
    assert span.ends is not None
    return span.ends


def _empty(span: Span) -> bool:
    """All of it falls into an hour that clocks skip."""
    return _end(span) <= span.begins


def _begun(window: Window, starts: Sequence[datetime], moment: datetime) -> int:
    """How many of the occurrences have begun."""
    zone = _zone(window.zone)
    return bisect_right(starts, moment, key=lambda start: _moment(start, zone))


def _horizon(moment: datetime) -> int:
    """A year at least four after the moment's; rounded, so that few lists of occurrences are made."""
    return min(moment.year // 4 * 4 + 8, LAST_YEAR + SEARCHED_YEARS)


@lru_cache(maxsize=256)
def _starts(starts: str, zone: str, repeats: str, year: int) -> tuple[datetime, ...]:
    """The local beginnings of all occurrences before the year."""
    return tuple(occurrences(_local(starts), zone, repeats, datetime(year, 1, 1)))  # noqa: DTZ001
