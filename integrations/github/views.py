"""GitHub's door: signed webhooks. They only wake and inform; polling is the truth."""

from __future__ import annotations

import hashlib
import hmac
import json

import structlog
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from approvals import services
from approvals.models import InboundDelivery, Repository
from integrations.github import gate
from integrations.github.runs import facts_of
from integrations.polled import hurry

log = structlog.get_logger(__name__)
MAX_BODY = 25 * 1024 * 1024  # GitHub's own limit


def signature(secret: str, body: bytes) -> str:
    """``X-Hub-Signature-256`` of a raw body."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def _raw_body(request: HttpRequest) -> bytes | None:
    """The body past Django's 2.5 MB default, None when it is larger than GitHub ever sends."""
    body = request.read(MAX_BODY + 1)
    return body if len(body) <= MAX_BODY else None


@csrf_exempt
@login_not_required
@require_POST
def webhook(request: HttpRequest) -> HttpResponse:
    """Verify, remember the delivery, record the run: 401 for a bad signature, 200 for a repetition."""
    if not settings.GITHUB_WEBHOOK_SECRET:
        return HttpResponse(
            "GITHUB_WEBHOOK_SECRET is not set, so no webhook is accepted.\n", status=503
        )
    body = _raw_body(request)
    if body is None:
        return HttpResponse("The body is larger than 25 MB.\n", status=413)
    given = request.headers.get("X-Hub-Signature-256", "")
    wanted = signature(settings.GITHUB_WEBHOOK_SECRET, body)
    if not hmac.compare_digest(given.encode(), wanted.encode()):
        log.warning("github webhook refused", why="bad signature")
        return HttpResponse("The signature does not match.\n", status=401)
    delivery = request.headers.get("X-GitHub-Delivery", "")[:100]
    if not delivery:
        return HttpResponse("X-GitHub-Delivery is missing.\n", status=400)
    try:
        payload = json.loads(body)
        if not isinstance(payload, dict):
            raise ValueError
    except ValueError:
        return HttpResponse("The body is not a JSON object.\n", status=400)
    return HttpResponse(
        _process(request.headers.get("X-GitHub-Event", ""), delivery, payload) + "\n"
    )


@transaction.atomic
def _process(event: str, delivery: str, payload: dict[str, object]) -> str:
    """Handle one delivery; its row and its consequences are committed together, so a crash in between
    leaves it unprocessed and a redelivery (same id) is handled."""
    now = timezone.now()
    row, created = InboundDelivery.objects.select_for_update().get_or_create(
        source="github", delivery_id=delivery, defaults={"received_at": now}
    )
    if not created and row.processed_at is not None:
        return "processed already"
    row.outcome = _handle(event, payload)
    row.processed_at = now
    row.save(update_fields=["outcome", "processed_at"])
    return row.outcome


def _handle(event: str, payload: dict[str, object]) -> str:
    handle = {"workflow_run": _run, "deployment_protection_rule": gate.asked}.get(event)
    if handle is None:
        return f"ignored: {event or 'no event'}"[:200]
    told = payload.get("repository")
    name = str(told.get("full_name", "")) if isinstance(told, dict) else ""
    repository = Repository.objects.filter(name=name, is_active=True).first()
    if repository is None:
        return "ignored: unknown repository"
    return handle(repository, payload)[:200]


def _run(repository: Repository, payload: dict[str, object]) -> str:
    run = payload.get("workflow_run")
    workflows = repository.workflows
    try:
        facts = facts_of(run, repository.name, workflows) if isinstance(run, dict) else None
    except (KeyError, TypeError, ValueError):
        hurry("repository", repository.name)
        return "ignored: unreadable run"
    if facts is None:
        return "ignored: workflow not configured"
    services.record_run(facts=facts)
    # What else happened there may have been lost on the way.
    hurry("repository", repository.name)
    return "recorded"
