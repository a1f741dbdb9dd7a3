"""Rules of repetition in words: ``every week on Friday`` for ``FREQ=WEEKLY;BYDAY=FR``."""

from __future__ import annotations

import calendar
import re

from approvals.recurrence import read_rule
from approvals.wording import listed

DAYS = dict(zip(("MO", "TU", "WE", "TH", "FR", "SA", "SU"), calendar.day_name, strict=True))
WORKING, WEEKEND = ["MO", "TU", "WE", "TH", "FR"], ["SA", "SU"]
UNITS = {"DAILY": "day", "WEEKLY": "week", "MONTHLY": "month", "YEARLY": "year"}
_DAY = re.compile(r"([+-]?\d+)?([A-Z]{2})")


def rule_in_words(repeats: str, zone: str = "UTC") -> str:
    """The rule as people say it; what has no simple words stays as it is written; an empty one is ``once``."""
    if not repeats:
        return "once"
    try:
        rule = read_rule(repeats, zone)
    except ValueError:
        return repeats
    parts = dict(part.partition("=")[::2] for part in rule.text.split(";"))
    # WKST says where weeks begin: it changes nothing that fits into words.
    known = {"FREQ", "INTERVAL", "BYDAY", "BYMONTH", "BYMONTHDAY", "WKST"}
    if parts.keys() - known:
        return repeats
    every = int(parts.get("INTERVAL", "1"))
    unit = UNITS[parts["FREQ"]]
    words = f"every {unit}" if every == 1 else f"every {every} {unit}s"
    days = parts["BYDAY"].split(",") if "BYDAY" in parts else []
    if unit in {"day", "week"} and every == 1 and sorted(days) == sorted(WORKING):
        words, days = "every working day", []
    if days:
        words += f" on {_days(days)}"
    if "BYMONTHDAY" in parts:
        numbers = listed([_counted(int(each)) for each in parts["BYMONTHDAY"].split(",")])
        words += f"{' that is' if days else ' on'} the {numbers} of the month"
    if "BYMONTH" in parts:
        months = [calendar.month_name[int(each)] for each in parts["BYMONTH"].split(",")]
        words += f" in {listed(months)}"
    if rule.count is not None:
        words += f", {rule.count} time{'s' if rule.count > 1 else ''}"
    if rule.until is not None:
        words += f", until {rule.until.day} {rule.until:%b %Y}"
    return words


def _days(days: list[str]) -> str:
    if sorted(days) == sorted(WORKING):
        return "Monday to Friday"
    if sorted(days) == sorted(WEEKEND):
        return "Saturday and Sunday"
    names = []
    for each in days:
        match = _DAY.fullmatch(each)
        number, day = (match[1], match[2]) if match else (None, each)
        names.append(f"the {_counted(int(number))} {DAYS[day]}" if number else DAYS[day])
    return listed(names)


def _counted(number: int) -> str:
    """``1st``, ``22nd``, ``last``, ``2nd last``."""
    far = abs(number)
    ending = "th" if far % 100 in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(far % 10, "th")
    if number > 0:
        return f"{far}{ending}"
    return "last" if far == 1 else f"{far}{ending} last"
