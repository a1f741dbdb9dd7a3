"""Finding a model, a version, a promotion, a person, a run or a page; the command palette asks here too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from approvals.models import Promotion, WorkflowRun
from approvals.selectors.searching import LONGEST, Found, find_everything
from approvals.web.pages import person_of
from approvals.web.places import Place, places
from approvals.wording import clean_text, one_line


@dataclass(frozen=True)
class Hit:
    """One line to choose; ``outside`` is an address of somebody else's."""

    icon: str
    title: str
    note: str
    address: str
    key: str = ""
    outside: bool = False


@dataclass(frozen=True)
class Section:
    """Hits of one kind."""

    title: str
    hits: list[Hit]


@require_GET
def search(request: HttpRequest) -> HttpResponse:
    """The page; with ``part=palette`` only the lines, as options of the palette's list."""
    text, person = clean_text(request.GET.get("q", ""))[:LONGEST], person_of(request)
    sections = list(_sections(find_everything(person, text), places(text, person), text))
    part = request.GET.get("part") == "palette"
    response = render(
        request,
        "web/parts/found.html" if part else "web/search.html",
        {
            "q": text,
            "sections": sections,
            "count": sum(len(each.hits) for each in sections),
            "in_timeline": address_of("timeline", q=text) if text else "",
        },
    )
    response.headers["Cache-Control"] = "no-store"
    return response


@require_GET
def keys(request: HttpRequest) -> HttpResponse:
    """The keyboard shortcuts, for reading; the overlay shows the same list."""
    return render(request, "web/keys.html")


def _sections(found: Found, pages: list[Place], text: str) -> Iterator[Section]:
    models = (
        "Models",
        [
            Hit("box", each.name, one_line(each.description, 120), each.get_absolute_url())
            for each in found.models
        ],
    )
    versions = (
        "Versions",
        [
            Hit(
                "tag",
                str(each),
                one_line(each.run_name or each.description, 120),
                each.get_absolute_url(),
            )
            for each in found.versions
        ],
    )
    groups = [
        ("Do", _doing(found)),
        ("Promotions", [_promotion(each) for each in found.promotions]),
        *([versions, models] if found.by_number else [models, versions]),
        (
            "People",
            [
                Hit(
                    "user",
                    str(each),
                    each.username if each.is_active else f"{each.username} · not active",
                    address_of("people", q=each.username),
                )
                for each in found.people
            ],
        ),
        ("Workflow runs", [_run(each) for each in found.runs]),
        (
            "Pages" if text else "Go to",
            [Hit(each.icon, each.title, "", each.address, each.key) for each in pages],
        ),
    ]
    for title, hits in groups:
        if hits:
            yield Section(title, hits)


def _doing(found: Found) -> list[Hit]:
    return [
        *(
            Hit(
                "snowflake",
                f"Freeze {each.name}",
                "No promotion starts there",
                address_of("freezes"),
            )
            for each in found.freezable
        ),
        *(
            Hit(
                "undo-2",
                f"Roll back {each.model.name} in {each.environment.name}",
                f"Live is {each.live_version}",
                reverse("rollback", args=[each.pk]),
            )
            for each in found.going_back
        ),
    ]


def _promotion(each: Promotion) -> Hit:
    what = f"{each.version} to {each.target.environment.name}"
    if each.is_rollback:
        what = f"Roll {each.target.environment.name} back to {each.version}"
    return Hit(
        "undo-2" if each.is_rollback else "stamp",
        f"#{each.pk} {what}",
        f"{each.get_status_display()} · asked by {each.requester}",
        each.get_absolute_url(),
    )


def _run(each: WorkflowRun) -> Hit:
    state = each.conclusion or each.status
    title = f"{one_line(each.title or each.workflow, 80)} #{each.number}"
    note = f"{state} · {each.workflow} of {each.repository}"
    safe = each.url.startswith(("https://", "http://"))
    return Hit("workflow", title, note, each.url if safe else reverse("pipelines"), outside=safe)


def address_of(name: str, **query: str) -> str:
    """The page's address with this query."""
    return reverse(name) + (f"?{urlencode(query)}" if query else "")
