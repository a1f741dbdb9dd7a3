"""How each connection stands, from our own rows: no service is asked when the page is read.

The number of statements does not depend on the number of rows. Lists are short: what is in trouble comes first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Case, Count, Q, When
from django.utils import timezone

from approvals.models import Effect, InboundDelivery, Target
from approvals.models.outbox import EffectKind
from approvals.states import EffectStatus
from config.health import HEARTBEAT_LIMIT
from integrations.github.client import credential
from integrations.hints import hint_for
from integrations.models import Heartbeat, Poll, RateLimit, SentMail, SlackWorkspace
from integrations.polled import slack_teams
from integrations.probes import host_of
from integrations.redaction import redacted

# So many rows of one service are shown; the others are counted.
SHOWN = 12
# One failure is a hiccup that the next look mends.
FAILING = 3
# A look that is overdue by more than this is late, whoever should have looked.
LATE = timedelta(minutes=2)
GOOD, BAD, ATTENTION, UNKNOWN, OFF = "good", "bad", "attention", "unknown", "off"
# How bad, for what comes first and for the sum of several.
_ORDER = [BAD, ATTENTION, UNKNOWN, GOOD, OFF]


@dataclass(frozen=True)
class Connection:
    """One thing that is spoken to. ``service`` and ``key`` name it for its test; ``state`` is good, bad,
    attention, unknown or off and ``word`` says it; ``error`` has no secrets in it."""

    service: str
    key: str
    name: str
    state: str
    word: str
    about: str = ""
    succeeded_at: datetime | None = None
    next_at: datetime | None = None
    failures: int = 0
    error: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Service:
    """One service with its connections, those in trouble first; ``more`` are not shown and well, ``notes`` are
    further facts as (name, text or moment)."""

    name: str
    icon: str
    state: str
    word: str
    connections: list[Connection]
    more: int = 0
    notes: list[tuple[str, str | datetime | None]] = field(default_factory=list)


def services_of(now: datetime | None = None) -> list[Service]:
    """All services in the order of the page."""
    now = now or timezone.now()
    beats = dict(Heartbeat.objects.values_list("name", "at"))
    return [
        _mlflow(now),
        _github(now),
        _slack(now, beats),
        _mail(now),
        *_serving(now),
    ]


def _of_poll(poll: Poll, service: str, key: str, name: str, now: datetime) -> Connection:
    error = redacted(poll.last_error)
    if poll.failures >= FAILING:
        state, word = BAD, "Failing"
    elif poll.failures or error:
        state, word = ATTENTION, "Failed lately"
    elif poll.succeeded_at is None:
        state, word = UNKNOWN, "Not read yet"
    elif poll.due_at < now - LATE and poll.claimed_until is None:
        state, word = ATTENTION, "Late"
    else:
        state, word = GOOD, "Well"
    return Connection(
        service,
        key,
        name,
        state,
        word,
        succeeded_at=poll.succeeded_at,
        next_at=poll.due_at,
        failures=poll.failures,
        error=error,
        hint=hint_for(error) if error else "",
    )


def _sum(connections: list[Connection], fallback: tuple[str, str]) -> tuple[str, str]:
    """State and word of a service by its worst connection."""
    if not connections:
        return fallback
    worst = min(connections, key=lambda each: _ORDER.index(each.state))
    return worst.state, worst.word


def _mlflow(now: datetime) -> Service:
    poll = Poll.objects.filter(kind="mlflow").first()
    where = host_of(settings.MLFLOW_TRACKING_URI)
    if poll is None:
        found = Connection("mlflow", "", where, UNKNOWN, "Not read yet")
    else:
        found = _of_poll(poll, "mlflow", "", where, now)
    return Service("MLflow", "database", found.state, found.word, [found])


def _github(now: datetime) -> Service:
    rows = Poll.objects.filter(kind="repository")
    total = rows.aggregate(all=Count("pk"))["all"]
    first = rows.order_by("-failures", Case(When(last_error="", then=1), default=0), "key")[:SHOWN]
    found = [_of_poll(each, "github", each.key, each.key, now) for each in first]
    state, word = _sum(found, (UNKNOWN, "No repository"))
    notes: list[tuple[str, str | datetime | None]] = [("Address", host_of(settings.GITHUB_API_URL))]
    limit = RateLimit.objects.filter(credential=credential()).first()
    if limit is not None and limit.limit and limit.resets_at and limit.resets_at > now:
        notes.append(("Calls left", f"{limit.remaining:,} of {limit.limit:,}"))
        notes.append(("Limit begins anew", limit.resets_at))
    if limit is not None and limit.paused_until and limit.paused_until > now:
        state, word = min(
            (state, word), (ATTENTION, "Paused"), key=lambda each: _ORDER.index(each[0])
        )
        notes.append(("Not read before", limit.paused_until))
        notes.append(("Because", redacted(limit.reason)))
    webhook = InboundDelivery.objects.filter(source="github").order_by("-received_at").first()
    notes.append(("Last webhook", webhook.received_at if webhook else "none yet"))
    return Service("GitHub", "folder-git-2", state, word, found, max(total - len(found), 0), notes)


def _slack(now: datetime, beats: dict[str, datetime]) -> Service:
    teams = slack_teams()
    rows = {each.team_id: each for each in SlackWorkspace.objects.filter(team_id__in=teams)}
    failing = {
        each.key: each for each in Poll.objects.filter(kind="slack", key__in=teams, failures__gt=0)
    }
    found = [_workspace(team, rows.get(team), failing.get(team)) for team in sorted(teams)]
    if settings.SLACK_APP_TOKEN:
        found.append(_socket(beats.get("slack"), now))
    found.sort(key=lambda each: _ORDER.index(each.state))
    state, word = _sum(found, (OFF, "Not configured"))
    return Service(
        "Slack", "message-square", state, word, found[:SHOWN], max(len(found) - SHOWN, 0)
    )


def _workspace(team: str, row: SlackWorkspace | None, poll: Poll | None) -> Connection:
    error = redacted(row.problem if row else "") or redacted(poll.last_error if poll else "")
    if row is not None and row.problem:
        state, word = BAD, "Refused"
    elif poll is not None:
        state, word = (BAD, "Failing") if poll.failures >= FAILING else (ATTENTION, "Failed lately")
    elif row is None or row.succeeded_at is None:
        state, word = UNKNOWN, "Not spoken to yet"
    else:
        state, word = GOOD, "Well"
    return Connection(
        "slack",
        team,
        f"Workspace {row or team}",
        state,
        word,
        succeeded_at=row.succeeded_at if row else None,
        failures=poll.failures if poll else 0,
        error=error,
        hint=hint_for(error) if error else "",
    )


def _socket(beat: datetime | None, now: datetime) -> Connection:
    if beat is not None and now - beat <= HEARTBEAT_LIMIT:
        return Connection("socket", "", "Socket Mode", GOOD, "Connected", succeeded_at=beat)
    error = "No Slack connection: buttons and commands in Slack do nothing."
    return Connection(
        "socket",
        "",
        "Socket Mode",
        BAD,
        "Not connected",
        succeeded_at=beat,
        error=error,
        hint=hint_for(error),
    )


def _mail(now: datetime) -> Service:
    if not settings.EMAIL_HOST:
        return Service("Mail", "mail", OFF, "Not configured", [])
    sent = SentMail.objects.filter(refusal="").order_by("-pk").values_list("at", flat=True).first()
    waiting = (
        Effect.objects.filter(kind=EffectKind.MAIL, status=EffectStatus.WAITING, attempts__gt=0)
        .exclude(last_error="")
        .order_by("-attempts")
        .first()
    )
    error = redacted(waiting.last_error) if waiting else ""
    attempts = waiting.attempts if waiting else 0
    state, word = (GOOD, "Well") if sent else (UNKNOWN, "Nothing sent yet")
    if waiting:
        state, word = (BAD, "Failing") if attempts >= FAILING else (ATTENTION, "Failed lately")
    found = Connection(
        "mail",
        "",
        f"{settings.EMAIL_HOST}:{settings.EMAIL_PORT}",
        state,
        word,
        succeeded_at=sent,
        next_at=waiting.due_at if waiting else None,
        failures=attempts,
        error=error,
        hint=hint_for(error) if error else "",
    )
    return Service("Mail", "mail", state, word, [found])


def _serving(now: datetime) -> list[Service]:
    """Where serving layers are asked for their version; nothing where none is."""
    rows = Poll.objects.filter(kind="serving")
    total = rows.aggregate(all=Count("pk"))["all"]
    if not total:
        return []
    first = list(rows.order_by("-failures", "pk")[:SHOWN])
    targets = (
        Target.objects.filter(Q(pk__in=[int(each.key) for each in first if each.key.isdigit()]))
        .select_related("model", "environment")
        .in_bulk()
    )
    found = []
    for poll in first:
        target = targets.get(int(poll.key)) if poll.key.isdigit() else None
        if target is not None:
            name = f"{target} ({host_of(target.health_url)})"
            found.append(_of_poll(poll, "serving", poll.key, name, now))
    state, word = _sum(found, (UNKNOWN, "Not read yet"))
    return [
        Service("Serving layers", "server", state, word, found, max(total - len(found), 0)),
    ]
