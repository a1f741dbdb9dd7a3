"""The span of days that a page looks at, in the person's time zone, and the equally long one before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

CHOICES = (30, 90, 365)
DEFAULT = 90
# Longer than this nobody's history is; it also keeps a mistyped year from drawing a million buckets.
LONGEST = 3660


@dataclass(frozen=True)
class Period:
    """The days ``since`` … ``until``, both included, on the clocks of ``zone``. ``days`` is 30, 90 or 365 where
    it was chosen as "the last so many days", else 0. ``problem`` says what of the address could not be read."""

    since: date
    until: date
    zone: tzinfo
    days: int = 0
    problem: str = ""

    @property
    def length(self) -> int:
        """How many days."""
        return (self.until - self.since).days + 1

    @property
    def begin(self) -> datetime:
        """The first moment of it."""
        return self._midnight(self.since)

    @property
    def end(self) -> datetime:
        """The first moment after it."""
        return self._midnight(self.until + timedelta(days=1))

    @property
    def begin_before(self) -> datetime:
        """The first moment of the equally long period before."""
        return self._midnight(self.since - timedelta(days=self.length))

    def _midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(), self.zone).astimezone(UTC)

    @property
    def unit(self) -> str:
        """How wide a bucket is: ``day``, ``week`` (they begin on Monday) or ``month``."""
        return "day" if self.length <= 31 else "week" if self.length <= 400 else "month"

    def bucket_of(self, day: date) -> date:
        """The first day of the bucket in which ``day`` lies."""
        if self.unit == "month":
            return day.replace(day=1)
        return day - timedelta(days=day.weekday()) if self.unit == "week" else day

    @property
    def buckets(self) -> list[date]:
        """The first day of each bucket; the first bucket may begin before the period."""
        found, day = [], self.bucket_of(self.since)
        while day <= self.until:
            found.append(day)
            width = {"day": 1, "week": 7, "month": 31}[self.unit]
            day = self.bucket_of(day + timedelta(days=width))
        return found

    @property
    def words(self) -> str:
        """``24 Aug – 21 Nov 2026``."""
        first = f"{self.since.day} {self.since:%b}"
        if self.since.year != self.until.year:
            first += f" {self.since.year}"
        return f"{first} – {self.until.day} {self.until:%b %Y}"

    @property
    def query(self) -> dict[str, str]:
        """What stands in the address for it."""
        if self.days:
            return {"days": str(self.days)} if self.days != DEFAULT else {}
        return {"since": self.since.isoformat(), "until": self.until.isoformat()}


def period_of(given: Mapping[str, str], now: datetime, zone: tzinfo) -> Period:
    """The period that an address names by ``days``, or by ``since`` and ``until`` (YYYY-MM-DD); what cannot be
    read gives the last 90 days, and says so."""
    today = now.astimezone(zone).date()
    since, until = given.get("since", "").strip(), given.get("until", "").strip()
    if since or until:
        try:
            last = min(date.fromisoformat(until), today) if until else today
            first = date.fromisoformat(since) if since else last - timedelta(days=DEFAULT - 1)
        except (ValueError, OverflowError):
            return _last(DEFAULT, today, zone, "A day is written as 2026-11-21.")
        if first > last:
            return _last(DEFAULT, today, zone, "The period ends before it begins.")
        if (last - first).days >= LONGEST or first.year < 2000:
            return _last(DEFAULT, today, zone, "The period may be ten years long at most.")
        return Period(first, last, zone)
    chosen = given.get("days", "")
    return _last(int(chosen) if chosen in map(str, CHOICES) else DEFAULT, today, zone)


def _last(days: int, today: date, zone: tzinfo, problem: str = "") -> Period:
    return Period(today - timedelta(days=days - 1), today, zone, days, problem)
