"""Slack's door: one address for interactions, commands and events; the pages of linking and of installing."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import time

import structlog
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from slack_bolt.adapter.django import SlackRequestHandler
from slack_sdk.signature import SignatureVerifier

from approvals.models import InboundDelivery
from approvals.services import Refused
from approvals.web.pages import person_of
from integrations.models import SlackWorkspace
from integrations.slack import identities, installations, seen
from integrations.slack.listeners import bolt_app

log = structlog.get_logger(__name__)
SIGNATURE = re.compile(r"v0=[0-9a-f]{64}")
TIMESTAMP = re.compile(r"[0-9]{1,12}")
# The session's key of an installation that was begun, and for how long it may be finished.
STATE, STATE_SECONDS = "slack_install", 600


def _refuse(why: str) -> HttpResponse:
    log.warning("slack request refused", why=why)
    return HttpResponse(f"{why}\n", status=401, content_type="text/plain")


@csrf_exempt
@login_not_required
@require_POST
def events(request: HttpRequest) -> HttpResponse:
    """Verify (401 for a wrong, old, malformed or replayed signature), then hand over to the listeners.

    Checked here before bolt sees it: bolt answers 500 to a timestamp that is not a number or a
    signature that is not ASCII, and knows no replay inside Slack's five minutes.
    """
    if not settings.SLACK_SIGNING_SECRET:
        return HttpResponse("SLACK_SIGNING_SECRET is not set.\n", status=503)
    given = request.headers.get("X-Slack-Signature", "")
    timestamp = request.headers.get("X-Slack-Request-Timestamp", "")
    if not SIGNATURE.fullmatch(given) or not TIMESTAMP.fullmatch(timestamp):
        return _refuse("The signature headers are missing or malformed.")
    try:
        body = request.body.decode()
    except UnicodeDecodeError:  # the verifier would raise it, signed or not
        return _refuse("The body is not UTF-8, so Slack has not signed it.")
    verifier = SignatureVerifier(settings.SLACK_SIGNING_SECRET)
    if not verifier.is_valid(body, timestamp, given):
        return _refuse("The signature does not match or is older than five minutes.")
    if not _first_time(timestamp, given):
        return _refuse("This very request was received before.")
    try:
        return _once(request, body)
    except ValueError:  # bolt parses the JSON outside of its own error handling
        return HttpResponse("The body is not one that Slack sends.\n", status=400)


def _once(request: HttpRequest, body: str) -> HttpResponse:
    """Hand over. An event that Slack sends again, signed anew, changes nothing when it was handled before."""
    handler = SlackRequestHandler(bolt_app())
    if request.content_type != "application/json":
        return handler.handle(request)
    said = json.loads(body or "{}")
    event = said.get("event_id") if isinstance(said, dict) else None
    if not isinstance(event, str):
        return handler.handle(request)
    key = f"events_api:{event}"[:100]
    if not seen.begin(key):
        # In hand elsewhere: not yet a yes, so that Slack asks again.
        return HttpResponse(status=503 if seen.outcome(key) is None else 200)
    answer = HttpResponse(status=500)
    try:
        answer = handler.handle(request)
    finally:
        if answer.status_code == 200:
            seen.done(key, "")
        else:
            seen.failed(key)
    return answer


def _first_time(timestamp: str, given: str) -> bool:
    """Remember the signed request; False when it was seen before."""
    return _remember("slack", hashlib.sha256(f"{timestamp}:{given}".encode()).hexdigest())


def _remember(source: str, key: str) -> bool:
    now = timezone.now()
    with connection.cursor() as cursor:
        # One statement, which is its own transaction: everybody who presses waits for it.
        cursor.execute(
            f"INSERT INTO {InboundDelivery._meta.db_table} "  # noqa: S608
            "(source, delivery_id, received_at, processed_at, outcome) VALUES (%s, %s, %s, %s, '') "
            "ON CONFLICT DO NOTHING",
            [source, key, now, now],
        )
        return bool(cursor.rowcount)


@require_http_methods(["GET", "POST"])
def link(request: HttpRequest, token: str) -> HttpResponse:
    """Opened from Slack while signed in: says what will be linked, and links on a press."""
    person = person_of(request)
    try:
        if request.method == "POST":
            made = identities.link(actor=person, token=token)
            messages.success(request, f"Your Slack account {made.name or made.user_id} is linked.")
            return redirect("profile")
        offer = identities.offer(actor=person, token=token)
    except Refused as refusal:
        if refusal.code == "slack_unreachable":  # the address is good still
            return render(request, "slack/link.html", {"problem": refusal.sentence}, status=503)
        messages.error(request, refusal.sentence)
        return redirect("profile")
    return render(request, "slack/link.html", {"offer": offer})


@require_POST
def unlink(request: HttpRequest) -> HttpResponse:
    """The person's own link is removed at once."""
    person = person_of(request)
    identities.unlink(actor=person, person=person)
    messages.success(request, "Your Slack account is no longer linked.")
    return redirect("profile")


@require_GET
def workspaces_page(request: HttpRequest) -> HttpResponse:
    """For administrators: where the app is installed, how it goes there, and installing it in another one."""
    if not person_of(request).is_superuser:
        raise PermissionDenied
    return render(
        request,
        "slack/workspaces.html",
        {
            "workspaces": SlackWorkspace.objects.select_related("installed_by").order_by(
                "name", "pk"
            ),
            "by_settings": settings.SLACK_TEAM_ID[:1] if settings.SLACK_BOT_TOKEN else [],
            "installable": bool(settings.SLACK_CLIENT_ID),
            "redirect_uri": installations.redirect_uri(),
        },
    )


@require_GET
def install(request: HttpRequest) -> HttpResponse:
    """On to Slack's page on which the app is allowed, with a state that only this session knows."""
    person = person_of(request)
    try:
        installations.insist_on_administrator(person)
    except Refused as refusal:
        messages.error(request, refusal.sentence)
        return redirect("overview")
    state = secrets.token_urlsafe(32)
    request.session[STATE] = {"state": state, "at": time.time(), "person": person.pk}
    return redirect(installations.authorize_address(state))


@require_GET
def oauth(request: HttpRequest) -> HttpResponse:
    """Where Slack sends the administrator back to, with a code for the token."""
    person = person_of(request)
    if not person.is_superuser:
        raise PermissionDenied
    asked = request.session.pop(STATE, None)
    try:
        if not _is_ours(asked, request.GET.get("state", ""), person.pk):
            raise Refused(
                "bad_state",
                "This is not the end of an installation that you began here in the last ten minutes. Start again.",
            )
        if request.GET.get("error") or not request.GET.get("code"):
            raise Refused(
                "not_allowed", "Slack says that the app was not allowed. Nothing was installed."
            )
        made = installations.install(actor=person, code=request.GET["code"])
        messages.success(request, f"The Slack app is installed in {made}.")
    except Refused as refusal:
        messages.error(request, refusal.sentence)
    return redirect("slack_workspaces")


def _is_ours(asked: object, state: str, person_id: int) -> bool:
    """Whether it is the state that this session was given for this person, in time and for the first time."""
    if not isinstance(asked, dict) or asked.get("person") != person_id:
        return False
    if not constant_time_compare(str(asked.get("state")), state):
        return False
    if not 0 <= time.time() - float(asked.get("at") or 0) <= STATE_SECONDS:
        return False
    # Two requests at once may both have found it in the session.
    return _remember("slack-install", hashlib.sha256(state.encode()).hexdigest())


@require_POST
def forget(request: HttpRequest, team: str) -> HttpResponse:
    """Take a workspace that the app was uninstalled from off the list."""
    try:
        installations.forget(actor=person_of(request), team=team)
    except Refused as refusal:
        messages.error(request, refusal.sentence)
    return redirect("slack_workspaces")
