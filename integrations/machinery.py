"""Whether what does the work is alive, and what waits in the outbox: from our own rows, in a few statements."""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass, field
from datetime import datetime

from django.conf import settings
from django.db import connection
from django.db.models import Count, Min, Q, prefetch_related_objects
from django.utils import timezone

from approvals.audit import verify_newest
from approvals.models import Effect, Event, Person
from approvals.models.outbox import EffectKind
from approvals.services.outbox import why_not_retry
from approvals.states import EffectStatus
from config.health import HEARTBEAT_LIMIT
from integrations.connections import ATTENTION, BAD, GOOD, UNKNOWN
from integrations.hints import hint_for
from integrations.models import Heartbeat
from integrations.redaction import redacted

SHOWN = 25
# So many of the newest lines of the history are checked at each look.
VERIFIED = 50


@dataclass(frozen=True)
class Part:
    """One thing that does the work. ``seen_at`` is its last sign of life, where it gives any."""

    name: str
    state: str
    word: str
    about: str
    seen_at: datetime | None = None
    probe: str = ""


@dataclass(frozen=True)
class Depth:
    """What of one kind waits: how many, since when the oldest, and how many of them have failed before."""

    kind: str
    words: str
    count: int
    failing: int
    oldest: datetime


@dataclass(frozen=True)
class Stuck:
    """One effect that has failed. ``refusal`` is why this person may not have it tried again, else empty."""

    effect: Effect
    words: str
    error: str
    hint: str
    refusal: str

    @property
    def given_up(self) -> bool:
        """Nobody tries it again."""
        return self.effect.status == EffectStatus.FAILED


@dataclass(frozen=True)
class Outbox:
    """What waits to go out; ``more`` have failed and are not shown."""

    depths: list[Depth] = field(default_factory=list)
    stuck: list[Stuck] = field(default_factory=list)
    more: int = 0

    @property
    def count(self) -> int:
        """How many wait."""
        return sum(each.count for each in self.depths)


def parts_of(now: datetime | None = None) -> list[Part]:
    """The database, Redis, the scheduler, the workers, the history."""
    now = now or timezone.now()
    beats = dict(Heartbeat.objects.filter(name__in=["worker", "beat"]).values_list("name", "at"))
    worker, beat = beats.get("worker"), beats.get("beat")
    works, ticks = _alive(worker, now), _alive(beat, now)
    return [
        Part("PostgreSQL", GOOD, "Well", f"version {_postgres()}; this page was read from it"),
        _redis(works, ticks),
        Part(
            "Scheduler (beat)",
            GOOD if ticks else BAD if beat or worker else UNKNOWN,
            "Alive" if ticks else "Not seen",
            "sends every reading and every new try"
            if ticks
            else "Without it nothing is read, nothing expires and nothing is tried again. Start beat.",
            beat,
        ),
        Part(
            "Workers",
            GOOD if works else BAD if ticks or not beat else ATTENTION,
            "Alive" if works else "Not seen",
            "at least one takes what there is to do"
            if works
            else "What you decide is kept, and carried out when one runs. Start a worker."
            if ticks or not beat
            else "A worker shows itself when the scheduler asks, and that one is silent: start beat first.",
            worker,
        ),
        _history(),
    ]


def _alive(at: datetime | None, now: datetime) -> bool:
    return at is not None and now - at <= HEARTBEAT_LIMIT


def _redis(works: bool, ticks: bool) -> Part:
    """Never asked by the page itself: a worker's heartbeat has come through it, or has not."""
    if works:
        about = "what the scheduler sends reaches the workers"
        return Part("Redis", GOOD, "Well", about, probe="redis")
    word = "No message came through" if ticks else "Not known"
    about = (
        "The scheduler sends and no worker answers: Redis or the workers are down. Test it."
        if ticks
        else "Nobody sends anything that would show it. Test it."
    )
    return Part("Redis", ATTENTION if ticks else UNKNOWN, word, about, probe="redis")


def _postgres() -> str:
    number = connection.cursor().connection.info.server_version  # known since it was connected to
    return f"{number // 10000}.{number % 10000}"


def _history() -> Part:
    checked = verify_newest(VERIFIED)
    newest = Event.objects.order_by("-id").values_list("at", flat=True).first()
    if checked.broken_at is not None:
        return Part(
            "History",
            BAD,
            "Does not verify",
            f"Event {checked.broken_at} was changed or removed by somebody with rights in PostgreSQL. Stop, and "
            "read docs/troubleshooting.md.",
            newest,
        )
    if not checked.events:
        return Part("History", UNKNOWN, "Empty", "nothing has happened yet")
    return Part(
        "History",
        GOOD,
        "Verifies",
        f"checked just now: the newest {checked.events} entries. manage.py verify_history walks all of it",
        newest,
    )


def outbox_of(person: Person) -> Outbox:
    """What waits, and what has failed: what was tried and waits before what was given up, oldest first."""
    rows = (
        Effect.objects.filter(status__in=[EffectStatus.WAITING, EffectStatus.CLAIMED])
        .order_by()
        .values_list("kind")
        .annotate(
            count=Count("pk"),
            oldest=Min("created_at"),
            failing=Count("pk", filter=Q(attempts__gt=1) & ~Q(last_error="")),
        )
    )
    depths = [
        Depth(kind, str(EffectKind(kind).label), count, failing, oldest)
        for kind, count, oldest, failing in sorted(rows, key=lambda each: each[2])
    ]
    all_effects = Effect.objects.select_related(
        "target__model",
        "target__environment",
        "promotion__version__model",
        "promotion__target__environment",
    )
    failing = all_effects.filter(status=EffectStatus.WAITING, attempts__gt=0).exclude(last_error="")
    waiting = list(failing.order_by("due_at")[: SHOWN + 1])
    given_up = list(
        all_effects.filter(status=EffectStatus.FAILED).order_by("-finished_at")[: SHOWN + 1]
    )
    shown = [*waiting[:SHOWN], *given_up[:SHOWN]]
    more = max(len(waiting) - SHOWN, 0) + max(len(given_up) - SHOWN, 0)
    prefetch_related_objects([person], "teams")
    return Outbox(depths, [_stuck(each, person) for each in shown], more)


def _stuck(effect: Effect, person: Person) -> Stuck:
    error = redacted(effect.last_error)
    refusal = why_not_retry(effect, person)
    return Stuck(
        effect,
        str(effect.get_kind_display()),
        error,
        hint_for(error),
        refusal[1] if refusal else "",
    )


@functools.cache
def _release() -> str:
    """As the release's own file says, which is read once."""
    try:
        told = tomllib.loads((settings.ROOT / "pyproject.toml").read_text())
    except (OSError, tomllib.TOMLDecodeError):
        return ""
    return str(told.get("project", {}).get("version", ""))


def about() -> dict[str, object]:
    """Which release this is, and what time it is here."""
    return {"release": _release(), "now": timezone.now()}
