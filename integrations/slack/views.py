"""Slack's door: one address for interactions, commands and events; and the pages of the link flow."""

from __future__ import annotations

import hashlib
import json
import re

import structlog
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST
from slack_bolt.adapter.django import SlackRequestHandler
from slack_sdk.signature import SignatureVerifier

from approvals.models import InboundDelivery
from approvals.services import Refused
from integrations.slack import identities, seen
from integrations.slack.listeners import bolt_app

log = structlog.get_logger(__name__)
SIGNATURE = re.compile(r"v0=[0-9a-f]{64}")
TIMESTAMP = re.compile(r"[0-9]{1,12}")


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
    now = timezone.now()
    key = hashlib.sha256(f"{timestamp}:{given}".encode()).hexdigest()
    try:
        with transaction.atomic():
            InboundDelivery.objects.create(
                source="slack", delivery_id=key, received_at=now, processed_at=now
            )
    except IntegrityError:
        return False
    return True


@require_http_methods(["GET", "POST"])
def link(request: HttpRequest, token: str) -> HttpResponse:
    """Opened from Slack while signed in: says what will be linked, and links on a press."""
    if not request.user.is_authenticated:
        return redirect("account_login")
    try:
        if request.method == "POST":
            identities.link(actor=request.user, token=token)
            messages.success(request, "Your Slack account is linked.")
            return redirect("profile")
        data = identities.read_token(token)
    except Refused as refusal:
        messages.error(request, refusal.sentence)
        return redirect("profile")
    return render(request, "slack/link.html", {"slack_user": data["u"], "slack_team": data["t"]})


@require_POST
def unlink(request: HttpRequest) -> HttpResponse:
    """The person's own link is removed at once."""
    if request.user.is_authenticated:
        identities.unlink(actor=request.user, person=request.user)
        messages.success(request, "Your Slack account is no longer linked.")
    return redirect("profile")
