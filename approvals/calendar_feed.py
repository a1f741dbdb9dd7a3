"""Happenings as iCalendar (RFC 5545)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import islice
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, uuid5
from zoneinfo import ZoneInfo

from django.conf import settings
from icalendar import Calendar, Event, vRecur

from approvals.calendar import SEARCHED_YEARS, Window
from approvals.recurrence import occurrences, read_rule
from approvals.selectors.happenings import Happening
from approvals.wording import clean_text, one_line


def calendar_of(found: Iterable[Happening]) -> bytes:
    """One entry for each; what recurs as a rule on the clocks of its zone, which the file describes."""
    calendar = Calendar()
    calendar.add("prodid", "-//Countersign//Countersign//EN")
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", "Countersign")
    calendar.add("refresh-interval", timedelta(minutes=15), parameters={"value": "DURATION"})
    host = urlsplit(settings.BASE_URL).hostname or "countersign"
    for each in found:
        entry = Event()
        entry.add("uid", f"{uuid5(NAMESPACE_URL, each.key)}@{host}")
        entry.add("dtstamp", _whole(each.changed))
        entry.add("summary", one_line(each.title, 200))
        entry.add("description", clean_text(each.about)[:2000])
        entry.add("url", settings.BASE_URL + each.address)
        entry.add("status", "TENTATIVE" if each.tentative else "CONFIRMED")
        entry.add("transp", "TRANSPARENT")
        if each.window is None:
            entry.add("dtstart", _whole(each.begins))
            entry.add("dtend", _whole(each.ends))
        elif not _add_window(entry, each.window):
            continue
        calendar.add_component(entry)
    calendar.add_missing_timezones()
    return bytes(calendar.to_ical())


def _add_window(entry: Event, window: Window) -> bool:
    """Beginning, end and rule. False where it never comes."""
    zone = ZoneInfo(window.zone)
    start = datetime.fromisoformat(window.starts)
    # In a calendar the beginning is always an occurrence; in ours only where it fits the rule.
    horizon = start.replace(year=start.year + SEARCHED_YEARS, day=min(start.day, 28))
    first = next(islice(occurrences(start, window.zone, window.repeats, horizon), 1), None)
    if first is None:
        return False
    entry.add("dtstart", first.replace(tzinfo=zone))
    # On the wall clock, as windows last.
    entry.add("dtend", (first + timedelta(seconds=window.lasts)).replace(tzinfo=zone))
    if window.repeats:
        rule = read_rule(window.repeats, window.zone)
        parts = vRecur.from_ical(rule.text)
        if rule.count is not None:
            parts["COUNT"] = [rule.count]
        if rule.until is not None:
            parts["UNTIL"] = [rule.until.replace(tzinfo=zone).astimezone(UTC)]
        entry.add("rrule", parts)
    return True


def _whole(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)
