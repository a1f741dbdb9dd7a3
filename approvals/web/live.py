"""Pages whose parts refresh themselves while something is under way.

A page names its parts. A full request renders the page with the parts in their places; htmx's poll gets
only the parts, and nothing at all (204) when they read as they did. What changed is worked into the page
element by element (static/live.js), so nobody loses focus, selection, an opened detail or what they typed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.cache import patch_vary_headers

from approvals.selectors.preferences import my_preferences
from approvals.web.stream import address_of

# The words of a relative time change by themselves; countersign.js keeps them true.
_TIMES = re.compile(r"(<time [^>]*data-relative>)[^<]*")


def live_page(
    request: HttpRequest,
    template: str,
    context: Mapping[str, Any],
    *,
    parts: Mapping[str, str],
    seconds: int,
    address: str = "",
    about: Sequence[str] = (),
    extra: str = "",
    status: int = 200,
) -> HttpResponse:
    """Answer with the page, or to a poll with what changed.

    ``parts`` maps an id to its template; ``seconds`` is the time to the next poll, 0 for none;
    ``address`` is polled (default: this one); ``about`` names what the page shows, ``promotion-17`` or
    ``target-3``, so that it is woken by events about that alone (none: by every event); ``extra`` is more
    to send with a poll, whatever changed.
    """
    htmx = bool(getattr(request, "htmx", False))
    base = {**context, "partial": htmx}
    rendered = {name: render_to_string(path, base, request) for name, path in parts.items()}
    notices = render_to_string("web/parts/notices.html", {"partial": True}, request)
    text = "".join([*rendered.values(), notices, str(seconds)])
    seen = hashlib.sha256(_TIMES.sub(r"\1", text).encode()).hexdigest()[:16]
    everything = {
        **base,
        "parts": rendered,
        "pulse": {
            "seconds": seconds,
            "seen": seen,
            "address": address or _without_seen(request),
            "about": " ".join(about),
            "live": address_of(request),
            "notify": my_preferences(request).notify,
        },
        "extra": extra,
    }
    if not htmx:
        response = render(request, template, everything, status=status)
    elif request.GET.get("seen") == seen and not extra:
        response = HttpResponse(status=204)
    else:
        response = render(request, "web/parts/refresh.html", everything)
    patch_vary_headers(response, ["HX-Request"])
    response.headers["Cache-Control"] = "no-store"
    return response


def _without_seen(request: HttpRequest) -> str:
    query = request.GET.copy()
    query.pop("seen", None)
    return f"{request.path}?{query.urlencode()}" if query else request.path
