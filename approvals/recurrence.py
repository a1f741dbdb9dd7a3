"""Rules of repetition: the part of RFC 5545's RRULE that people need for days, and nothing that is ignored.

All times are local and without a zone; :mod:`approvals.calendar` makes moments of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

FIRST_YEAR, LAST_YEAR = 1970, 2199
FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
# The largest number that RFC 5545 allows in each list of numbers, and whether it may count from the end.
NUMBERS = {
    "BYMONTH": (12, False),
    "BYMONTHDAY": (31, True),
    "BYYEARDAY": (366, True),
    "BYWEEKNO": (53, True),
    "BYSETPOS": (366, True),
}
PARTS = {"FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "WKST", *NUMBERS}
# The calendar, weekdays included, is the same every 400 years. dateutil looks for a 30 February until the
# year 9999, so rules are read this many years later, where that search is short.
SHIFT = 400 * 19
_UNTIL = re.compile(r"(\d{8})(?:T(\d{6})(Z?))?", re.ASCII)
_DAY = r"(MO|TU|WE|TH|FR|SA|SU)"


@dataclass(frozen=True)
class Rule:
    """An RRULE whose COUNT and UNTIL (local) are taken out of the text."""

    text: str
    count: int | None
    until: datetime | None


def occurrences(start: datetime, zone: str, repeats: str, until: datetime) -> Iterator[datetime]:
    """Local beginnings from ``start`` to ``until``, in order. ``repeats`` may be empty: once.

    Raises ValueError as :func:`read_rule` does.
    """
    if not repeats:
        return iter([start] if start <= until else [])
    rule = read_rule(repeats, zone)
    last = min(until, rule.until) if rule.until else until
    text = f"{rule.text};UNTIL={_shifted(last, SHIFT):%Y%m%dT%H%M%S}"
    found = islice(iter(rrulestr(text, dtstart=_shifted(start, SHIFT))), rule.count)
    return (_shifted(each, -SHIFT) for each in found)


def _shifted(local: datetime, years: int) -> datetime:
    return local.replace(year=local.year + years)


@lru_cache(maxsize=1024)
def read_rule(repeats: str, zone: str) -> Rule:
    """Raises ValueError with a sentence. Stricter than dateutil, which ignores much that it cannot honour."""
    pairs = [part.partition("=")[::2] for part in repeats.strip().upper().split(";")]
    parts = dict(pairs)
    if len(parts) != len(pairs) or not all(parts.values()) or "FREQ" not in parts:
        raise ValueError(f"{repeats!r} is not a rule such as FREQ=WEEKLY;BYDAY=FR")
    if parts["FREQ"] not in FREQUENCIES:
        raise ValueError(f"FREQ={parts['FREQ']}: one of {', '.join(FREQUENCIES)} is expected")
    if parts.keys() & {"BYHOUR", "BYMINUTE", "BYSECOND"}:
        raise ValueError(
            "the time of day is that of 'starts'; leave BYHOUR, BYMINUTE, BYSECOND out"
        )
    if unknown := sorted(parts.keys() - PARTS):
        raise ValueError(
            f"{unknown[0]!r} is not a part of a rule; there are {', '.join(sorted(PARTS))}"
        )
    if "COUNT" in parts and "UNTIL" in parts:
        raise ValueError("COUNT or UNTIL is expected, not both")
    count = _number(parts, "COUNT")
    _number(parts, "INTERVAL")
    for key, (largest, negative) in NUMBERS.items():
        for text in parts[key].split(",") if key in parts else ():
            sign = "[+-]?" if negative else ""
            if not re.fullmatch(sign + r"[0-9]{1,3}", text) or not 0 < abs(int(text)) <= largest:
                raise ValueError(f"{key}={text}: a number from 1 to {largest} is expected")
    for text in parts["BYDAY"].split(",") if "BYDAY" in parts else ():
        match = re.fullmatch(rf"([+-]?[1-9][0-9]?)?{_DAY}", text)
        if match is None:
            raise ValueError(f"BYDAY={text}: a day such as FR, or 1FR, is expected")
        most = {"MONTHLY": 5, "YEARLY": 5 if "BYMONTH" in parts else 53}.get(parts["FREQ"], 0)
        if match[1] and not most:
            raise ValueError(f"BYDAY={text}: a counted day belongs to FREQ=MONTHLY or YEARLY")
        if match[1] and abs(int(match[1])) > most:
            raise ValueError(f"BYDAY={text}: there are at most {most} of a day")
    if not re.fullmatch(_DAY, parts.get("WKST", "MO")):
        raise ValueError(f"WKST={parts['WKST']}: a day such as MO is expected")
    until = _until(parts["UNTIL"], zone) if "UNTIL" in parts else None
    text = ";".join(f"{key}={parts[key]}" for key in parts if key not in {"COUNT", "UNTIL"})
    return Rule(text, count, until)


def _number(parts: Mapping[str, str], key: str) -> int | None:
    if key not in parts:
        return None
    if not re.fullmatch(r"[1-9][0-9]{0,3}", parts[key]):
        raise ValueError(f"{key}={parts[key]}: a number from 1 to 9999 is expected")
    return int(parts[key])


def _until(text: str, zone: str) -> datetime:
    """The last local time at which an occurrence may begin. A bare date means all of that day."""
    match = _UNTIL.fullmatch(text)
    try:
        if match is None or not FIRST_YEAR <= int(text[:4]) <= LAST_YEAR:
            raise ValueError
        local = datetime.strptime(f"{match[1]}T{match[2] or '235959'}", "%Y%m%dT%H%M%S")  # noqa: DTZ007
    except ValueError:
        raise ValueError(f"UNTIL={text}: a time such as 20261231T170000 is expected") from None
    if match[3]:
        return local.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    return local
