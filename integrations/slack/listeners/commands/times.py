"""Times and durations as people type them. Small and strict: what is not understood is refused with examples,
never guessed."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from dateutil import parser, tz

from approvals.calendar import in_zone
from approvals.services import Refused
from integrations.slack.listeners.commands.words import Words

PAST_EXAMPLES = "`2026-11-20 14:05`, `yesterday 14:05`, `last Tuesday 14:05` or `2h ago`"
FUTURE_EXAMPLES = "`2026-11-20 14:05`, `tomorrow 9:00`, `Friday 18:00` or `18:00`"
DURATION_EXAMPLES = "`90min`, `2h`, `3d`, `1w` or `1d 12h`"
# The most words that one time is written with: ``20 Nov 2026, 14:05 UTC``.
MOST_WORDS = 5

_DURATION = re.compile(
    r"(\d{1,4})\s*(minutes?|mins?|m|hours?|hrs?|h|days?|d|weeks?|w)(?=\s|\d|$)\s*", re.IGNORECASE
)
_UNITS = {
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")
_ISO = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{1,2}:\d{2}(?::\d{2})?)\s?(Z|UTC|[+-]\d{2}:\d{2})?)?",
    re.IGNORECASE,
)
_WRITTEN = re.compile(
    r"(\d{1,2} [A-Za-z]{3,9} \d{4})(?:,? (\d{1,2}:\d{2}(?::\d{2})?)\s?(Z|UTC)?)?", re.IGNORECASE
)
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY = re.compile(
    r"(?:(last|next|on)\s+)?(today|yesterday|tomorrow|[a-z]{3,9})(?:\s+(?:at\s+)?(\S+))?",
    re.IGNORECASE,
)


def duration(text: str) -> timedelta | None:
    """``2h``, ``3d``, ``1d 12h``; None where it is no duration."""
    total, at = timedelta(), 0
    while at < len(text):
        found = _DURATION.match(text, at)
        if found is None:
            return None
        total += int(found[1]) * _UNITS[found[2][0].lower()]
        at = found.end()
    return total or None


def point(text: str, now: datetime, zone: str, *, ahead: bool = False) -> datetime | None:
    """The moment that ``text`` names on the clocks of ``zone``; None where it names none.

    A weekday or a time of day alone is the last one, or with ``ahead`` the next one. Raises Refused (``bad_time``)
    for a time that the clocks there skip.
    """
    text = " ".join(text.split())
    here = ZoneInfo(zone)
    local = now.astimezone(here)
    if text.casefold() == "now":
        return now
    if ago := re.fullmatch(r"(.+) ago", text, re.IGNORECASE):
        length = duration(ago[1])
        return now - length if length else None
    if coming := re.fullmatch(r"in (.+)", text, re.IGNORECASE):
        length = duration(coming[1])
        return now + length if length else None
    try:
        for pattern in (_ISO, _WRITTEN):
            if found := pattern.fullmatch(text):
                day = parser.parse(
                    found[1], dayfirst=pattern is _WRITTEN, default=datetime(2000, 1, 1, tzinfo=UTC)
                )
                return _at(day.date(), found[2] or "0:00", here, found[3] or "")
        if _CLOCK.fullmatch(text):
            moment = _at(local.date(), text, here)
            if ahead and moment <= now:
                moment = _at(local.date() + timedelta(days=1), text, here)
            return moment
        if found := _DAY.fullmatch(text):
            return _on_a_day(found, local, here, ahead)
    except (ValueError, OverflowError):
        return None
    return None


def _on_a_day(
    found: re.Match[str], local: datetime, here: ZoneInfo, ahead: bool
) -> datetime | None:
    which, name, clock = (found[1] or "").lower(), found[2].lower(), found[3] or "0:00"
    shift = {"yesterday": -1, "today": 0, "tomorrow": 1}.get(name)
    if shift is not None:
        return None if which else _at(local.date() + timedelta(days=shift), clock, here)
    number = next(
        (n for n, day in enumerate(_DAYS) if len(name) > 2 and day.startswith(name)), None
    )
    if number is None:
        return None
    ahead = which == "next" or (ahead and which != "last")
    days = (number - local.weekday()) % 7
    if ahead:
        moment = _at(local.date() + timedelta(days=days), clock, here)
        # "next Tuesday" said on a Tuesday is a week away, as is one whose hour has passed.
        again = days == 0 and (which == "next" or moment <= local)
        return _at(local.date() + timedelta(days=7), clock, here) if again else moment
    days = (local.weekday() - number) % 7
    moment = _at(local.date() - timedelta(days=days), clock, here)
    again = days == 0 and (which == "last" or moment > local)
    return _at(local.date() - timedelta(days=7), clock, here) if again else moment


def _at(day: date, clock: str, here: ZoneInfo, offset: str = "") -> datetime:
    """Raises ValueError for a clock that is none, and Refused for one that is skipped there."""
    found = _CLOCK.fullmatch(clock)
    if found is None:
        raise ValueError(clock)
    hour, minute, second = (int(each or 0) for each in found.groups())
    moment = datetime.combine(day, time(hour, minute, second), tzinfo=here)
    if offset:
        return parser.isoparse(
            moment.replace(tzinfo=None).isoformat() + offset.upper().replace("UTC", "Z")
        )
    if not tz.datetime_exists(moment):
        raise Refused(
            "bad_time",
            f"The clocks in {here.key} skip {moment:%H:%M} on {moment:%Y-%m-%d}; say another time.",
        )
    return moment.astimezone(UTC)


def taken_point(words: Words, now: datetime, zone: str, *, ahead: bool = False) -> datetime:
    """Take the longest time that the next words name. Raises Refused (``bad_time``)."""
    for count in range(min(MOST_WORDS, len(words.words)), 0, -1):
        found = point(_written(words, count), now, zone, ahead=ahead)
        if found is not None:
            del words.words[:count]
            return found
    said = words.until(min(2, len(words.words))) if words else "nothing"
    raise Refused(
        "bad_time",
        f"No time is understood in “{said}”. Write it like "
        f"{FUTURE_EXAMPLES if ahead else PAST_EXAMPLES} (on the clocks of {zone}).",
    )


def taken_duration(words: Words) -> timedelta:
    """Take the longest duration that the next words name. Raises Refused (``bad_time``)."""
    for count in range(min(4, len(words.words)), 0, -1):
        found = duration(_written(words, count))
        if found is not None:
            del words.words[:count]
            return found
    said = words.until(1) if words else "nothing"
    raise Refused(
        "bad_time",
        f"No duration is understood in “{said}”. Write it like {DURATION_EXAMPLES}; a reason that begins "
        "with “for” stands in quotation marks.",
    )


def _written(words: Words, count: int) -> str:
    first = words.words[0]
    return first.text if count == 1 else words.until(count)


def ending(text: str, now: datetime, zone: str) -> datetime | None:
    """The end that a dialog's box names: a duration or a time to come; None for an empty box. Raises Refused
    (``bad_time``)."""
    text = text.strip()
    if not text:
        return None
    found = re.sub(r"^(until|for)\s+", "", text, flags=re.IGNORECASE)
    length = duration(found)
    moment = now + length if length else point(found, now, zone, ahead=True)
    if moment is None:
        raise Refused(
            "bad_time",
            f"“{text[:60]}” is not understood. Write a duration like {DURATION_EXAMPLES}, or a time like "
            f"{FUTURE_EXAMPLES} (on the clocks of {zone}).".replace("`", ""),
        )
    return moment


def taken_ending(words: Words, now: datetime, zone: str) -> datetime | None:
    """The end after ``until`` or ``for``, where one of them stands; else None. Raises Refused (``bad_time``)."""
    if words.skip("until", "till"):
        return taken_point(words, now, zone, ahead=True)
    if words.skip("for"):
        return now + taken_duration(words)
    return None


def typed(moment: datetime, zone: str) -> str:
    """The moment as it can be typed again, on the clocks of ``zone``, whole minutes."""
    return f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}"


def shown(moment: datetime, zone: str) -> str:
    """``Tue 24 Nov 2026, 09:00 Europe/Amsterdam``."""
    return in_zone(moment, zone)
