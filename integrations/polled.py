"""Which rows there are to be looked at, and making one due at once. No service is called here."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Exists, F, OuterRef, Q, Value
from django.db.models.functions import Greatest
from django.utils import timezone

from approvals import services
from approvals.models import Repository, Step, Target, WorkflowRun
from approvals.states import DeploymentStatus, WorkflowKind
from integrations import pace
from integrations.github.client import credential
from integrations.models import Heartbeat, Poll, SlackWorkspace

# Older runs prove nothing that anybody still waits for; some at a time, so that a first start stays polite.
JOBS_SINCE = timedelta(days=30)
JOBS_AT_ONCE = 50
# A log is for whoever looks into a deployment that has just ended.
LOGS_SINCE = timedelta(days=1)
LOGS_AT_ONCE = 20
# Repositories come and go with the configuration; a run that is followed is there at the next tick.
ENSURE_EVERY = timedelta(seconds=10)
ENSURED = "polls"
# So long the steps of a run that was too quick to be followed are looked for.
UNREAD_FOR = timedelta(seconds=30)
# After a change something is likely to follow.
CALM_AFTER = timedelta(minutes=5)
# However many webhooks arrive, one repository is not read more often than this for them.
HURRY_AT_MOST_EVERY = timedelta(seconds=5)


def ensure(now: datetime) -> None:
    """There is one row for MLflow, one per active repository, one per run being followed, one per completed
    run whose jobs are to be read, one per deployment's run whose log is, one per serving layer and per live
    version that is compared, one per workspace of Slack's. The number of statements does not depend on the
    number of rows."""
    Heartbeat.objects.update_or_create(name=ENSURED, defaults={"at": now})
    runs, jobs, logs = _followed(), _unread_jobs(now), _unread_logs(now)
    here = Poll.objects.filter(kind="repository", key=OuterRef("name"))
    missing = Repository.objects.filter(~Exists(here), is_active=True)
    _add("mlflow", {""}, now)
    _add("repository", set(missing.values_list("name", flat=True)), now)
    _add("run", runs, now)
    _add("jobs", jobs, now)
    _add("log", logs, now)
    served, hashed = _compared()
    _add("serving", served, now)
    _add("artifacts", hashed, now)
    installed = slack_teams()
    _add("slack", installed, now)
    active = Repository.objects.filter(name=OuterRef("key"), is_active=True)
    gone = Q(~Exists(active), kind="repository")
    gone |= Q(kind="run") & ~Q(key__in=runs | _wanting_a_last_look(runs))
    gone |= Q(kind="jobs") & ~Q(key__in=jobs)
    gone |= Q(kind="log") & ~Q(key__in=logs)
    gone |= Q(kind="serving") & ~Q(key__in=served)
    gone |= Q(kind="artifacts") & ~Q(key__in=hashed)
    gone |= Q(kind="slack") & ~Q(key__in=installed)
    Poll.objects.filter(gone).delete()


def ensure_sometimes(now: datetime) -> None:
    """What every tick does: mostly nothing but a look for runs that are not followed yet."""
    if Heartbeat.objects.filter(name=ENSURED, at__gt=now - ENSURE_EVERY).exists():
        _add("run", _followed(), now)
    else:
        ensure(now)


def hurry(kind: str, key: str, *, now: datetime | None = None) -> None:
    """Something happened there: look at once, and often for a while. Writes a row and calls nobody.

    While the rate limit runs low the news itself has to do: idle polling is what slows down first.
    """
    now = now or timezone.now()
    soonest = Greatest(Value(now), F("looked_at") + HURRY_AT_MOST_EVERY)
    rows = Poll.objects.filter(kind=kind, key=key)
    rows.update(busy_until=Greatest(F("busy_until"), Value(now + CALM_AFTER)))
    if kind == "repository" and pace.left(credential(), now=now).is_low:
        return
    # A look that is under way may have read before it happened: then one more follows (``polls.look``).
    rows.filter(Q(due_at__gt=soonest) | Q(claimed_until__gt=now)).update(due_at=soonest)


def calm_wait(poll: Poll, now: datetime) -> float:
    """Seconds until a repository is read again: quickly while something runs, then the longer nothing has
    happened the more slowly, up to GITHUB_IDLE_SECONDS."""
    quick = settings.GITHUB_POLL_SECONDS
    if poll.busy_until is None:
        return max(settings.GITHUB_IDLE_SECONDS, quick)
    calm = (now - poll.busy_until).total_seconds()
    return max(min(calm, settings.GITHUB_IDLE_SECONDS), quick)


def _add(kind: str, keys: set[str], now: datetime) -> None:
    if not keys:
        return
    missing = keys - set(Poll.objects.filter(kind=kind, key__in=keys).values_list("key", flat=True))
    if missing:
        Poll.objects.bulk_create(
            [Poll(kind=kind, key=key, due_at=now) for key in missing], ignore_conflicts=True
        )


def _followed() -> set[str]:
    in_hand = Q(deployment__status=DeploymentStatus.RUNNING, outcome="", run_id__isnull=False)
    # A run may begin and end between two ticks, told by webhooks alone: its steps were never read.
    unread = Q(finished_at__gt=timezone.now() - UNREAD_FOR, workflow_run__steps=[])
    runs = Step.objects.filter(in_hand | unread)
    named = runs.values_list("deployment__target__model__repository", "run_id")
    return {f"{repository}#{run_id}" for repository, run_id in named}


def _unread_jobs(now: datetime) -> set[str]:
    """Completed runs whose jobs are evidence and were not read for their last attempt, the newest first."""
    active = Repository.objects.filter(is_active=True, name__in=services.repositories_with_jobs())
    names = list(active.values_list("name", flat=True))
    if not names:
        return set()
    unread = (
        WorkflowRun.objects.filter(
            repository__in=names,
            status="completed",
            updated_at__gte=now - JOBS_SINCE,
            jobs_attempt__lt=F("attempt"),
        )
        .exclude(kind=WorkflowKind.DEPLOY)
        .order_by("-created_at")[:JOBS_AT_ONCE]
    )
    return {f"{each.repository}#{each.run_id}" for each in unread}


def _unread_logs(now: datetime) -> set[str]:
    """Deployments' runs that have ended and whose log was not read for their last attempt, the newest first."""
    unread = WorkflowRun.objects.filter(
        kind=WorkflowKind.DEPLOY,
        status="completed",
        log_attempt__lt=F("attempt"),
        updated_at__gte=now - LOGS_SINCE,
    ).order_by("-updated_at")
    named = unread.values_list("repository", "run_id")[:LOGS_AT_ONCE]
    return {f"{repository}#{run_id}" for repository, run_id in named}


def _compared() -> tuple[set[str], set[str]]:
    """The keys of what is read to be compared: targets with an address, versions that are live somewhere."""
    targets = Target.objects.filter(
        is_active=True, model__is_active=True, environment__is_active=True
    )
    asked = targets.exclude(health_url="").values_list("pk", flat=True)
    live = targets.filter(live_version__isnull=False).values_list("live_version", flat=True)
    return {str(pk) for pk in asked}, {str(pk) for pk in live}


def slack_teams() -> set[str]:
    """The workspaces of Slack's that there is a token for, also where it may have been revoked."""
    by_settings = settings.SLACK_TEAM_ID[:1] if settings.SLACK_BOT_TOKEN else []
    installed = SlackWorkspace.objects.exclude(token="").values_list("team_id", flat=True)
    return {*by_settings, *installed}


def _wanting_a_last_look(runs: set[str]) -> set[str]:
    """A run whose end came by webhook is read once more, for the outcome of its last steps."""
    over = {
        poll.key: poll
        for poll in Poll.objects.filter(kind="run", failures__lte=3).exclude(key__in=runs)
    }
    if not over:
        return set()
    ended = Step.objects.filter(
        run_id__in={int(key.rpartition("#")[2]) for key in over}, finished_at__isnull=False
    ).values_list("deployment__target__model__repository", "run_id", "finished_at")
    wanted = set()
    for repository, run_id, finished_at in ended:
        poll = over.get(f"{repository}#{run_id}")
        if poll and finished_at and (not poll.succeeded_at or poll.succeeded_at < finished_at):
            wanted.add(poll.key)
    return wanted
