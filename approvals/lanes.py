"""What was live when, drawn: one lane for each target over time. Pure: no rows, no clock, no request.

Widths are percents of the drawing, so that one drawing fits every screen. Moments carry the time zone in which
people are told of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from approvals.charts import Scale, time_ticks

PROMOTED, ROLLED_BACK, ADOPTED, GLASS = "promoted", "rolled-back", "adopted", "glass"
SHADES = 6
SHORTEST, LONGEST = timedelta(hours=1), timedelta(days=3660)
# Percents under which a bar is no target for a finger on a phone (24 of 300 pixels).
_FINGER = 8.0
# About how many pixels one percent of a lane is, on a wide screen and on a phone.
_WIDE, _NARROW = 9.0, 3.1


def told(moment: datetime) -> str:
    """``20 Nov 2026, 14:05`` on the clock that the moment carries."""
    return f"{moment.day} {moment:%b %Y, %H:%M}"


@dataclass(frozen=True)
class Period:
    """From ``since`` until just before ``until``, of which nothing after ``now`` has happened yet."""

    since: datetime
    until: datetime
    now: datetime

    @property
    def length(self) -> timedelta:
        """How long it is."""
        return self.until - self.since

    @property
    def horizon(self) -> datetime:
        """Where bars end that have no end yet."""
        return min(self.until, self.now)

    @property
    def across(self) -> Scale:
        """Maps timestamps to percents of the drawing."""
        return Scale(self.since.timestamp(), self.until.timestamp(), 0.0, 100.0)

    def moved(self, share: float) -> Period:
        """The same length, later by ``share`` of it (earlier if negative), never past now."""
        return self._within(self.since + self.length * share, self.until + self.length * share)

    def zoomed(self, factor: float) -> Period:
        """``factor`` times as long around the same middle, between an hour and ten years."""
        half = min(max(self.length * factor, SHORTEST), LONGEST) / 2
        middle = self.since + self.length / 2
        return self._within(middle - half, middle + half)

    def closer(self) -> Period:
        """Half as long: what lies in the middle, or the newest where it reaches until now."""
        if self.until < self.now - timedelta(seconds=1):
            return self.zoomed(0.5)
        return Period(self.until - max(self.length / 2, SHORTEST), self.until, self.now)

    def _within(self, since: datetime, until: datetime) -> Period:
        over = max(until - self.now, timedelta())
        return Period(since - over, until - over, self.now)

    @property
    def words(self) -> str:
        """``20 Nov 2026, 14:05 to 21 Nov 2026, 14:05``."""
        return f"{told(self.since)} to {told(self.until)}"


@dataclass(frozen=True)
class Arrival:
    """A version went live at ``at``. Where several did within a moment too short to be drawn, this is the last of
    them: ``count`` of them since ``first``. ``approved`` and ``reason`` are words for people."""

    at: datetime
    version: int
    promotion: int
    kind: str = PROMOTED
    approved: str = ""
    reason: str = ""
    first: datetime | None = None
    count: int = 1

    @property
    def begun(self) -> datetime:
        """When the first of them went live."""
        return self.first or self.at

    @property
    def by(self) -> str:
        """``promotion 17``, ``rollback 17``: what brought it."""
        return {
            ROLLED_BACK: f"rollback {self.promotion}",
            ADOPTED: f"promotion {self.promotion}, which adopted it",
            GLASS: f"promotion {self.promotion}, with broken glass",
        }.get(self.kind, f"promotion {self.promotion}")


@dataclass(frozen=True)
class Bar:
    """One version's time at a target, as far as the period shows it. ``end`` None: it is live still.
    ``several`` > 0: not one version's time, but a stretch in which so many changes followed one another."""

    arrival: Arrival
    begin: datetime
    end: datetime | None
    left: float
    size: float
    place: str
    several: int = 0

    @property
    def x(self) -> str:
        """Where it begins."""
        return f"{self.left:g}%"

    @property
    def width(self) -> str:
        """How wide it is; never too narrow to be seen."""
        return f"{max(self.size, 0.25):g}%"

    @property
    def label(self) -> str:
        """``v3``."""
        return f"{self.several} changes" if self.several else f"v{self.arrival.version}"

    @property
    def shade(self) -> int:
        """The same for the same version everywhere; neighbours in number differ."""
        return self.arrival.version % SHADES

    @property
    def fits(self) -> str:
        """Where its label fits: ``everywhere``, ``wide`` (not on a phone) or ``nowhere``."""
        needed = 14 + 8 * len(self.label) + (16 if self.arrival.kind != PROMOTED else 0)
        if self.size * _NARROW >= needed:
            return "everywhere"
        return "wide" if self.size * _WIDE >= needed else "nowhere"

    @property
    def is_reachable(self) -> bool:
        """Wide enough to stand in the order of the Tab key; the table below names all of them."""
        return self.size >= _FINGER

    @property
    def when(self) -> str:
        """``from 20 Nov 2026, 14:05 to 21 Nov 2026, 09:00``."""
        if self.end is None:
            return f"since {told(self.begin)}"
        return f"from {told(self.begin)} to {told(self.end)}"

    @property
    def head(self) -> str:
        """``fraud-detector v3 was live in production``."""
        model, _, environment = self.place.rpartition(" in ")
        if self.several:
            return (
                f"{self.several} versions of {model} went live in {environment}, one after another"
            )
        verb = "is" if self.end is None else "was"
        return f"{model} v{self.arrival.version} {verb} live in {environment}"

    @property
    def how(self) -> str:
        """``by promotion 17, approved by Bob Brandt and Carol Chen``."""
        if self.several:
            return "zoom in to tell them apart"
        approved = f", {self.arrival.approved}" if self.arrival.approved else ""
        return f"by {self.arrival.by}{approved}"

    @property
    def sentence(self) -> str:
        """All of it, as it is read aloud."""
        return f"{self.head} {self.when}, {self.how}"


@dataclass(frozen=True)
class Stretch:
    """What lay over a lane for a while: ``kind`` is change, lock, hold or freeze. ``end`` None: it does still."""

    kind: str
    begin: datetime
    end: datetime | None
    words: str
    left: float = 0.0
    size: float = 0.0
    link: str = ""

    @property
    def x(self) -> str:
        """Where it begins."""
        return f"{self.left:g}%"

    @property
    def x2(self) -> str:
        """Where it ends."""
        return f"{self.left + max(self.size, 0.4):g}%"

    @property
    def width(self) -> str:
        """How wide it is."""
        return f"{max(self.size, 0.4):g}%"

    @property
    def when(self) -> str:
        """``from … to …``, or ``since …``."""
        return (
            f"from {told(self.begin)} to {told(self.end)}"
            if self.end
            else f"since {told(self.begin)}"
        )


@dataclass(frozen=True)
class Tick:
    """A mark of the axis; every second one is left out on a phone."""

    left: float
    words: str
    is_second: bool

    @property
    def x(self) -> str:
        """Where it is."""
        return f"{self.left:g}%"

    @property
    def anchor(self) -> str:
        """So that the words of the outermost marks stay inside."""
        return "start" if self.left < 5 else "end" if self.left > 95 else "middle"


def bars(arrivals: Sequence[Arrival], period: Period, place: str) -> list[Bar]:
    """The bars of one lane, from left to right. ``arrivals`` in their order, the last one before the period
    among them; nothing is drawn where nothing was live."""
    found: list[Bar] = []
    for index, each in enumerate(arrivals):
        following = arrivals[index + 1] if index + 1 < len(arrivals) else None
        if each.count > 1:
            found += _bar(each, each.begun, each.at, period, place, each.count)
        found += _bar(each, each.at, following.begun if following else None, period, place)
    return found


def _bar(
    arrival: Arrival,
    begin: datetime,
    end: datetime | None,
    period: Period,
    place: str,
    several: int = 0,
) -> list[Bar]:
    shown = _shown(begin, end, period)
    return [Bar(arrival, begin, end, *shown, place, several)] if shown else []


def laid(stretch: Stretch, period: Period) -> Stretch | None:
    """The stretch with its place in the drawing; None where it lies outside."""
    shown = _shown(stretch.begin, stretch.end, period)
    if shown is None:
        return None
    return Stretch(stretch.kind, stretch.begin, stretch.end, stretch.words, *shown, stretch.link)


def _shown(begin: datetime, end: datetime | None, period: Period) -> tuple[float, float] | None:
    """(left, width) in percents of what falls into the period."""
    first = max(begin, period.since)
    last = min(end or period.horizon, period.horizon)
    if last <= first:
        return None
    left = period.across(first.timestamp())
    return left, round(period.across(last.timestamp()) - left, 2)


def axis(period: Period) -> list[Tick]:
    """The marks of the time axis, in words as exact as the period is short."""
    moments = time_ticks(period.since, period.until)
    if period.length <= timedelta(days=2):
        written = [
            f"{each:%H:%M}" if (each.hour, each.minute) != (0, 0) else f"{each:%a} {each.day}"
            for each in moments
        ]
    elif period.length <= timedelta(days=400):
        written = [f"{each.day} {each:%b}" for each in moments]
    else:
        written = [f"{each:%b %Y}" for each in moments]
    return [
        Tick(period.across(moment.timestamp()), words, index % 2 == 1)
        for index, (moment, words) in enumerate(zip(moments, written, strict=True))
    ]
