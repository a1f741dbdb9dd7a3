"""The status page: whether the services, the workers and the outbox are well; with a test and a retry."""

from __future__ import annotations

from django.contrib import messages
from django.core.cache import cache
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from approvals import services
from approvals.models import Person
from approvals.services import Refused
from approvals.states import Via
from approvals.web.live import live_page
from approvals.web.pages import person_of
from integrations.connections import BAD, services_of
from integrations.machinery import about, outbox_of, parts_of
from integrations.probes import Unknown, probe

REFRESH_SECONDS = 10
# One connection is tested so often at the most, whoever presses: a test is a call to somebody else's server.
TEST_EVERY_SECONDS = 3


@require_GET
def status(request: HttpRequest) -> HttpResponse:
    """Whether the services, the workers and the outbox are well."""
    person = person_of(request)
    found, parts, outbox = services_of(), parts_of(), outbox_of(person)
    broken = [each.name for each in found if each.state == BAD]
    broken += [each.name for each in parts if each.state == BAD]
    context = {
        "services": found,
        "machinery": parts,
        "outbox": outbox,
        "broken": broken,
        "may_test": may_test(person),
        **about(),
    }
    return live_page(
        request,
        "web/status.html",
        context,
        parts={"status": "web/parts/status.html"},
        seconds=REFRESH_SECONDS,
    )


def may_test(person: Person) -> bool:
    """Whoever is in a team: a test tells nothing that the page does not, but it calls somebody else's server."""
    if not person.is_active or person.is_machine:
        return False
    return person.is_staff or person.is_superuser or person.teams.exists()


@require_POST
def test(request: HttpRequest, service: str) -> HttpResponse:
    """Test a connection now and say how it went."""
    key = request.POST.get("key", "")[:300]
    if not may_test(person_of(request)):
        messages.error(request, "You may not, because only members of a team may test connections.")
        return _back()
    if not cache.add(f"status-test:{service}:{key}"[:200], 1, TEST_EVERY_SECONDS):
        messages.warning(request, "It was tested just now; wait a few seconds.")
        return _back()
    try:
        outcome = probe(service, key)
    except Unknown:
        raise Http404("No such connection.") from None
    if outcome.ok:
        messages.success(request, f"{outcome.said} It took {outcome.took} ms.")
    else:
        hint = f" {outcome.hint}" if outcome.hint else ""
        messages.error(request, f"{outcome.said}{hint} (After {outcome.took} ms.)")
    return _back()


@require_POST
def retry(request: HttpRequest, effect: int) -> HttpResponse:
    """Have something that waits after a failure tried again now."""
    try:
        again = services.retry_effect(actor=person_of(request), via=Via.BROWSER, effect_id=effect)
    except Refused as refused:
        messages.error(request, refused.sentence)
    else:
        messages.success(request, f"{again.get_kind_display()}: it is tried again now.")
    return _back()


def _back() -> HttpResponse:
    return HttpResponseRedirect(reverse("status"))
