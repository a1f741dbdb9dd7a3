"""What was live when: the lanes' period in the address, and the timeline's lane view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from approvals.lanes import LONGEST, SHORTEST, Period, told
from approvals.models import Environment, RegisteredModel, Target
from approvals.selectors.lanes import Drawing, drawing, first_moment, lane_targets
from approvals.web.pages import number_in

PAGE = 30
CHOICES = (("Day", 1), ("Week", 7), ("Month", 30), ("Quarter", 90), ("Year", 365))
DEFAULT_DAYS = 90
YEARS = (2000, 2200)


@dataclass(frozen=True)
class Choice:
    """A link to another period."""

    words: str
    link: str
    is_chosen: bool = False


@dataclass(frozen=True)
class Frame:
    """A drawing with the ways to others; ``earlier``, ``later``, ``closer``, ``wider`` are empty where there is
    none. ``kept`` is the rest of the address, for a form; ``problem`` a sentence about what could not be read."""

    drawing: Drawing
    choices: list[Choice]
    earlier: str
    later: str
    closer: str
    wider: str
    kept: list[tuple[str, str]]
    back_then: str
    problem: str = ""

    @property
    def since_day(self) -> str:
        """For a field of a form: ``2026-11-20``."""
        return f"{self.drawing.period.since:%Y-%m-%d}"

    @property
    def until_day(self) -> str:
        """The last day that is shown."""
        return f"{self.drawing.period.until - timedelta(minutes=1):%Y-%m-%d}"

    @property
    def at_field(self) -> str:
        """The moment asked for: ``2026-11-20T14:05``."""
        return f"{self.drawing.at:%Y-%m-%dT%H:%M}" if self.drawing.at else ""

    @property
    def at_words(self) -> str:
        """``20 Nov 2026, 14:05``."""
        return told(self.drawing.at) if self.drawing.at else ""


def frame(request: HttpRequest, targets: Sequence[Target], fragment: str = "") -> Frame:
    """The lanes of these targets over the period of the address: by default the last 90 days."""
    now = timezone.localtime()
    problems: list[str] = []
    at = _moment(request, "at", now, problems)
    since, until = (
        _moment(request, "since", now, problems),
        _moment(request, "until", now, problems),
    )
    if request.GET.get("since") == "all":
        since = timezone.localtime(first_moment(targets) or now - timedelta(days=DEFAULT_DAYS))
    if at and since is None and until is None and not now - timedelta(days=DEFAULT_DAYS) < at < now:
        since, until = at - timedelta(days=7), at + timedelta(days=7)
    period = _period(since, until, now, problems)
    link = _links(request, period, fragment)
    days = period.length / timedelta(days=1)
    shown = drawing(targets, period, at)
    chosen = request.GET.get("since")
    choices = [
        Choice(
            words,
            link(Period(period.horizon - timedelta(days=each), period.horizon, period.now)),
            chosen != "all" and abs(days - each) < 0.02 * each,
        )
        for words, each in CHOICES
    ]
    choices.append(Choice("All", _with(request, fragment, since="all", until=""), chosen == "all"))
    return Frame(
        shown,
        choices,
        earlier=link(period.moved(-1)),
        later=link(period.moved(1)) if period.until < period.now else "",
        closer=link(period.closer()) if period.length > SHORTEST else "",
        wider=link(period.zoomed(2)) if period.length < LONGEST else "",
        kept=[
            (name, str(value))
            for name, value in request.GET.items()
            if name not in {"since", "until", "at", "seen"}
        ],
        back_then=f"{reverse('overview')}?{urlencode({'at': _utc(at)})}" if at else "",
        problem=" ".join(problems),
    )


def _moment(request: HttpRequest, name: str, now: datetime, problems: list[str]) -> datetime | None:
    """A day or a moment of the address on the person's clock; a day ``until`` is meant to its end."""
    text = request.GET.get(name, "").strip()
    if not text or (name, text) == ("since", "all"):
        return None
    try:
        if len(text) == len("2026-11-20"):
            day = date.fromisoformat(text) + timedelta(days=name == "until")
            found = datetime.combine(day, time(), now.tzinfo)
        else:
            # "+" of an offset that was not escaped arrives as a space.
            found = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
            found = found.replace(tzinfo=now.tzinfo) if found.tzinfo is None else found
        if not YEARS[0] <= found.year <= YEARS[1]:
            raise ValueError(text)
    except (ValueError, OverflowError):
        problems.append(f"“{text[:40]}” is no day such as 2026-11-20, so it was left out.")
        return None
    return timezone.localtime(found)


def _period(
    since: datetime | None, until: datetime | None, now: datetime, problems: list[str]
) -> Period:
    # Rounded up, so that a page that asks again reads the same for a while.
    end = until or now
    length = end - since if since else timedelta(days=DEFAULT_DAYS)
    minutes = 1 if length <= timedelta(days=2) else 10
    rounded = now.replace(second=0, microsecond=0) + timedelta(minutes=minutes)
    rounded -= timedelta(minutes=rounded.minute % minutes)
    end = until or rounded
    begin = since or end - timedelta(days=DEFAULT_DAYS)
    if begin >= end:
        problems.append("The period ends before it begins, so the last 90 days are shown.")
        begin, end = rounded - timedelta(days=DEFAULT_DAYS), rounded
    begin = min(max(begin, end - LONGEST), end - SHORTEST)
    return Period(begin, end, rounded)


def _links(request: HttpRequest, current: Period, fragment: str) -> Callable[[Period], str]:
    """Makes the address of another period; one that ends now goes on moving with the clock."""

    def link(period: Period) -> str:
        ends_now = period.until >= current.now - timedelta(seconds=1)
        until = "" if ends_now else f"{period.until:%Y-%m-%dT%H:%M}"
        return _with(request, fragment, since=f"{period.since:%Y-%m-%dT%H:%M}", until=until)

    return link


def _with(request: HttpRequest, fragment: str, **changes: str) -> str:
    query = request.GET.copy()
    query.pop("seen", None)
    for name, value in changes.items():
        if value:
            query[name] = value
        else:
            query.pop(name, None)
    return f"?{query.urlencode()}{fragment}"


def _utc(moment: datetime | None) -> str:
    return moment.astimezone(UTC).isoformat(timespec="minutes") if moment else ""


@require_GET
def lanes(request: HttpRequest) -> HttpResponse:
    """The timeline as lanes: what was live where, drawn over time."""
    filters = {
        name: request.GET.get(name, "").replace("\x00", "")
        for name in ("model", "environment", "group")
    }
    after = number_in(request, "after")
    found = list(lane_targets(**filters, after=after)[: PAGE + 1])
    targets = found[:PAGE]
    more = _with(request, "", after=str(targets[-1].pk)) if len(found) > PAGE else ""
    groups = RegisteredModel.objects.exclude(group="").values_list("group", flat=True)
    return render(
        request,
        "web/lanes.html",
        {
            "frame": frame(request, targets),
            "filters": filters,
            "filtered": any(filters.values()),
            "more": more,
            "start": _with(request, "", after="") if after else "",
            "models": RegisteredModel.objects.values_list("name", flat=True),
            "environments": Environment.objects.values_list("name", flat=True),
            "groups": groups.order_by("group").distinct(),
        },
    )
