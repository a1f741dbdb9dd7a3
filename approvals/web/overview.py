"""The overview: models × environments, now or at a moment in the past."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from approvals.calendar import parse_local
from approvals.recurrence import FIRST_YEAR, LAST_YEAR
from approvals.selectors.as_of import AsOf
from approvals.selectors.choosing import MINE, MOVING, Choice, choose, groups_of
from approvals.selectors.overview import matrix
from approvals.selectors.states_now import Now
from approvals.selectors.turning import change_after, change_before, history_began
from approvals.web.live import live_page
from approvals.web.pages import person_of
from approvals.wording import one_line

# A browser's field, or what people write: with seconds and a space or without.
_LOCAL = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?", re.ASCII)
# A plus sign that an address was given without encoding arrives as a space.
_LOST_PLUS = re.compile(r"(T[\d:.]+) (\d\d:?\d\d)$", re.ASCII)


@require_GET
def overview(request: HttpRequest) -> HttpResponse:
    """Which version is live where and what is on its way, or was at ``at``."""
    choice = _choice(request)
    text = request.GET.get("at", "").strip()
    if not text:
        return _present(request, choice)
    try:
        moment, is_exact = moment_of(text)
    except ValueError as error:
        return _past(request, choice, None, problem=str(error), text=text)
    if not is_exact:
        # What one shares must mean the same on everybody's clocks.
        return HttpResponseRedirect(_address(choice, at=in_address(moment)))
    return _past(request, choice, moment)


def _present(request: HttpRequest, choice: Choice) -> HttpResponse:
    reading, person = Now(), person_of(request)
    chosen = choose(reading, choice, person)
    response = live_page(
        request,
        "web/overview.html",
        {
            **_filters(reading, choice, ""),
            "chosen": chosen,
            "matrix": matrix(reading, chosen.models, person),
            "next_page": _address(choice, after=chosen.after) if chosen.after else "",
            "former_page": _address(choice, before=chosen.before) if chosen.before else "",
            "field": _for_field(reading.moment.replace(second=0)),
        },
        parts={"matrix": "web/parts/matrix.html"},
        seconds=5,
        address=_address(choice, after=choice.after, before=choice.before),
    )
    if request.headers.get("HX-Trigger") == "matrix-filters":
        response.headers["HX-Replace-Url"] = _address(choice)
    return response


def _past(
    request: HttpRequest,
    choice: Choice,
    moment: datetime | None,
    *,
    problem: str = "",
    text: str = "",
) -> HttpResponse:
    """The page of a moment in the past; of none, where it cannot be understood or nothing is known of it."""
    now = timezone.now()
    began = history_began()
    known = moment is not None and began is not None and began <= moment <= now
    at = in_address(moment) if moment else ""
    reading = AsOf(moment) if moment and known else Now(now)
    context: dict[str, Any] = {
        **_filters(reading, choice, at),
        "at": moment,
        "is_past": True,
        "known": known,
        "problem": problem,
        "is_ahead": bool(moment and moment > now),
        "began": began,
        "to_began": _address(choice, at=in_address(began)) if began else "",
        "back": _address(choice),
        "field": _for_field(moment) if moment else text[:40],
        "field_is_spoilt": moment is None,
    }
    if moment is not None and known:
        chosen = choose(reading, choice, person_of(request))
        before, after = (
            change_before(moment, chosen.models),
            change_after(moment, chosen.models, now),
        )
        page = {"after": choice.after, "before": choice.before}
        context |= {
            "chosen": chosen,
            "matrix": matrix(reading, chosen.models),
            "next_page": _address(choice, at=at, after=chosen.after) if chosen.after else "",
            "former_page": _address(choice, at=at, before=chosen.before) if chosen.before else "",
            "change_before": _address(choice, at=in_address(before), **page) if before else "",
            "change_after": _address(choice, at=in_address(after), **page) if after else "",
            "changed_before": before,
            "changed_after": after,
        }
    response = render(request, "web/overview.html", context, status=400 if problem else 200)
    response.headers["Cache-Control"] = "no-store"
    return response


def moment_of(text: str) -> tuple[datetime, bool]:
    """The moment that an address names, and whether it is the same for everybody: with an offset from UTC it is;
    without one it is read on the clocks of whoever looks. Raises ValueError with a sentence for people."""
    zone = timezone.get_current_timezone_name()
    wanted = (
        f"Write a moment like 2026-11-17T14:05, on the clocks of {zone}, or with its offset from UTC: "
        "2026-11-17T14:05:00+01:00."
    )
    text = _LOST_PLUS.sub(r"\1+\2", one_line(text, 60))
    if _LOCAL.fullmatch(text):
        try:
            return parse_local(text.replace(" ", "T"), zone), False
        except ValueError as error:
            sentence = str(error)
            raise ValueError(sentence if "does not exist" in sentence else wanted) from None
    try:
        moment = datetime.fromisoformat(text)
        aware = moment.utcoffset() is not None and FIRST_YEAR < moment.year < LAST_YEAR
    except ValueError:
        aware = False
    if not aware:
        raise ValueError(wanted)
    return moment.astimezone(UTC), True


def in_address(moment: datetime) -> str:
    """``2026-11-17T13:05:00Z``: exact, and the same for everybody."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _for_field(moment: datetime) -> str:
    """As a browser's field for date and time wants it: on the person's clocks."""
    local = timezone.localtime(moment)
    return f"{local:%Y-%m-%dT%H:%M:%S}" if local.second else f"{local:%Y-%m-%dT%H:%M}"


def _choice(request: HttpRequest) -> Choice:
    told = {
        name: one_line(request.GET.get(name, ""), 255)
        for name in ("q", "group", "show", "after", "before")
    }
    return Choice(
        q=told["q"][:100],
        group=told["group"] or None,
        show=told["show"] if told["show"] in {MINE, MOVING} else "",
        after=told["after"],
        before=told["before"],
    )


@dataclass(frozen=True)
class _Show:
    value: str
    label: str


def _filters(reading: Now, choice: Choice, at: str) -> dict[str, Any]:
    shows = [_Show("", "Everything"), _Show(MOVING, "Only what moves")]
    if not at:
        shows.insert(1, _Show(MINE, "Only what needs me"))
    return {
        "choice": choice,
        "groups_of_models": groups_of(reading),
        "shows": shows,
        "at_address": at,
        "is_filtered": bool(choice.q or choice.group or choice.show),
        "unfiltered": _address(Choice(), at=at),
        "zone": timezone.get_current_timezone_name(),
    }


def _address(choice: Choice, **more: str) -> str:
    """The overview with these filters; a page only where it is asked for."""
    told = {"q": choice.q, "group": choice.group or "", "show": choice.show, **more}
    query = urlencode({name: value for name, value in told.items() if value})
    return f"{reverse('overview')}?{query}" if query else reverse("overview")
