"""What is wrong right now, in sentences for every page: workers, MLflow, GitHub, messages that wait."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from approvals.models import Effect, Target
from approvals.models.outbox import EffectKind
from approvals.states import EffectStatus
from approvals.wording import day_and_time
from config.health import HEARTBEAT_LIMIT
from integrations import pace
from integrations.github.client import credential
from integrations.models import Heartbeat, Poll, RateLimit
from integrations.redaction import redacted
from integrations.slack import workspaces
from integrations.slack.places import SHUT

# One failed look is a hiccup; after three the data on the pages may be old.
FAILURES = 3
MESSAGES = [
    (
        [EffectKind.ANNOUNCE, EffectKind.ALERT],
        "Slack's messages wait: {}. They are delivered later.",
    ),
    ([EffectKind.MAIL], "Mail waits: {}. It is sent later."),
]
SERVICES = {
    "mlflow": "MLflow",
    "repository": "GitHub",
    "run": "GitHub",
    "jobs": "GitHub",
    "log": "GitHub",
    "serving": "What a serving layer serves",
    "artifacts": "MLflow",
    "slack": "Slack",
}


def notices() -> list[str]:
    """One sentence for each thing that is not as it should be; empty when all is well."""
    now = timezone.now()
    found = []
    if settings.SANDBOX and not Target.objects.filter(live_version__isnull=False).exists():
        found.append(
            "The demo is still being prepared: models are trained and deployed. The terminal says when "
            "it is ready."
        )
    beat = Heartbeat.objects.filter(name="worker").values_list("at", flat=True).first()
    if beat is None or now - beat > HEARTBEAT_LIMIT:
        since = f"since {day_and_time(beat)}" if beat else "yet"
        found.append(
            f"No worker has been seen {since}. What you decide is kept, and carried out when one runs."
        )
    found += _slack_connection(now)
    failing = Poll.objects.filter(failures__gte=FAILURES).order_by("kind")
    for poll in {SERVICES[each.kind]: each for each in failing}.values():
        known = (
            f"what is shown of it is of {day_and_time(poll.succeeded_at)}"
            if poll.succeeded_at
            else "nothing of it is known yet"
        )
        found.append(
            f"{SERVICES[poll.kind]} cannot be read ({redacted(poll.last_error).rstrip('.')}); {known}."
        )
    found += _rate_limit(now)
    refused = workspaces.problems()
    found += refused
    waiting = dict(
        Effect.objects.filter(
            Q(attempts__gte=FAILURES, created_at__lte=now - timedelta(seconds=30))
            # Nothing but a person mends a channel that is closed: said at the first no.
            | Q(attempts__gte=1, last_error__startswith=SHUT),
            kind__in=[kind for kinds, _ in MESSAGES for kind in kinds],
            status=EffectStatus.WAITING,
        )
        .order_by("kind", "id")
        .distinct("kind")
        .values_list("kind", "last_error")
    )
    for kinds, sentence in MESSAGES:
        if refused and EffectKind.ANNOUNCE in kinds:
            continue  # the reason is said already
        reason = next((waiting[kind] for kind in kinds if kind in waiting), "")
        if reason:
            found.append(sentence.format(redacted(reason).rstrip(".")))
    return found


def _slack_connection(now: datetime) -> list[str]:
    """Over Socket Mode nothing comes from Slack unless `manage.py runslack` runs and is connected."""
    if not settings.SLACK_APP_TOKEN:
        return []
    beat = Heartbeat.objects.filter(name="slack").values_list("at", flat=True).first()
    if beat is not None and now - beat <= HEARTBEAT_LIMIT:
        return []
    since = f"since {day_and_time(beat)}" if beat else "yet"
    return [
        f"No Slack connection {since}: buttons and commands in Slack do nothing until `manage.py runslack` is "
        "connected. Messages are posted all the same."
    ]


def _rate_limit(now: datetime) -> list[str]:
    """What GitHub still allows, where that makes pages older than usual."""
    row = RateLimit.objects.filter(credential=credential()).first()
    if row is None:
        return []
    if row.paused_until and row.paused_until > now:
        return [
            f"GitHub asks not to be read until {day_and_time(row.paused_until)} ({row.reason.rstrip('.')}): what "
            "is shown of it may be older than usual. Deployments that are due are tried all the same."
        ]
    if row.resets_at is None:
        return []
    left = pace.Pace(row.limit, row.remaining, (row.resets_at - now).total_seconds())
    if not left.is_low:
        return []
    slower = (
        "Repositories and the runs of deployments are" if left.is_scarce else "Repositories are"
    )
    return [
        f"GitHub's rate limit runs low: {row.remaining} of {row.limit} calls are left until "
        f"{day_and_time(row.resets_at)}. {slower} read less often until then; deployments are started "
        "without delay."
    ]


def on_every_page(request: HttpRequest) -> dict[str, object]:
    """Template context: ``notices``, looked up only where they are shown."""
    user = getattr(request, "user", None)
    if not (user and user.is_authenticated):
        return {"notices": []}
    # A page and its parts are rendered each by itself.
    if not hasattr(request, "_notices"):
        request._notices = SimpleLazyObject(notices)  # type: ignore[attr-defined]
    return {"notices": request._notices}  # type: ignore[attr-defined]
