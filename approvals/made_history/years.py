"""What happened at the invented company: versions, and promotions one after the other, as the verbs write them.

Everything is told in the order of time, because the history's lines chain: what a promotion will bring later
waits in a heap until its moment comes. So the memory needed does not grow with the history.
"""

from __future__ import annotations

import heapq
import random
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.db import transaction
from django.utils import timezone

from approvals import services
from approvals.configuration import load
from approvals.made_history.company import METRICS, configuration
from approvals.made_history.tables import Table, enter, finish, hold_entries
from approvals.made_history.tale import Tale
from approvals.models import (
    Deployment,
    Event,
    Mark,
    ModelVersion,
    Person,
    Promotion,
    RegisteredModel,
    Restriction,
    Review,
    Step,
    Target,
    WorkflowRun,
)
from approvals.services.history import event_hash
from approvals.states import (
    Via,
    WorkflowKind,
)

# How promotions end, and how often: shares of all.
ENDS = {"live": 0.86, "failed": 0.04, "rejected": 0.05, "cancelled": 0.03, "expired": 0.02}
ROLLBACK = 0.06


@dataclass(frozen=True)
class Size:
    """How much: of models, versions and promotions, over so many days until now. A promotion writes about eight
    events."""

    models: int = 500
    versions: int = 100_000
    promotions: int = 200_000
    days: int = 730
    seed: int = 1


@dataclass
class Place:
    """A target as the story goes on."""

    target: Target
    busy_until: datetime
    live: tuple[int, int] | None = None  # (version, deployment)
    former: int | None = None
    since: datetime | None = None


@dataclass
class Told:
    """All tables, and the events that are still to come."""

    rows: dict[type, Table]
    waiting: list[tuple[datetime, int, dict[str, Any]]] = field(default_factory=list)
    order: Any = field(default_factory=count)
    last_hash: str = ""

    def later(self, at: datetime, kind: str, **values: Any) -> None:
        """An event at its time. ``data`` is its content, the rest its columns."""
        heapq.heappush(self.waiting, (at, next(self.order), {"kind": kind, **values}))

    def tell(self, until: datetime) -> None:
        """Write the events before that moment."""
        while self.waiting and self.waiting[0][0] <= until:
            at, _, values = heapq.heappop(self.waiting)
            event = Event(at=at, previous_hash=self.last_hash, **values)
            self.last_hash = event_hash(event)
            self.rows[Event].add(
                at=at, previous_hash=event.previous_hash, hash=self.last_hash, **values
            )


@transaction.atomic
def make(size: Size, say: Callable[[str], None] = lambda _: None) -> None:
    """Fill an empty database. Raises ValueError where promotions are in it already."""
    if Promotion.objects.exists():
        raise ValueError("there are promotions in this database already; use an empty one")
    end = timezone.now()
    begin = end - timedelta(days=size.days)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "countersign.yaml"
        path.write_text(configuration(size.models))
        services.apply_configuration(loaded=load(path), via=Via.COMMAND, now=begin)
    Person.objects.update(is_active=True)
    RegisteredModel.objects.update(is_registered=True, description="Made up, to measure with.")
    say("the configuration is applied")
    kinds = (
        ModelVersion,
        Promotion,
        Review,
        Deployment,
        Step,
        WorkflowRun,
        Event,
        Mark,
        Restriction,
    )
    told = Told({kind: Table(kind) for kind in kinds})
    told.last_hash = Event.objects.values_list("hash", flat=True).first() or ""
    story = Story(size, begin, end, told)
    story.versions()
    say(f"{size.versions} versions")
    before = told.rows[Event].last
    hold_entries()
    for number in range(size.promotions):
        story.promotion(begin + (end - begin) * ((number + 1) / (size.promotions + 1)))
        if (number + 1) % 20_000 == 0:
            say(f"{number + 1} promotions")
    told.tell(end)
    finish(told.rows.values())
    say(f"{told.rows[Event].last} events")
    enter(before + 1, told.rows[Event].last)
    for place in story.places:
        if place.live:
            place.target.live_version_id, place.target.live_deployment_id = place.live
            place.target.live_since = place.since
    Target.objects.bulk_update(
        [each.target for each in story.places],
        ["live_version", "live_deployment", "live_since"],
        batch_size=500,
    )


class Story:
    """Makes it up, always alike for one seed."""

    def __init__(self, size: Size, begin: datetime, end: datetime, told: Told) -> None:
        self.size, self.begin, self.end, self.told = size, begin, end, told
        self.chance = random.Random(size.seed)  # noqa: S311 - nothing secret is made with it
        people = list(Person.objects.filter(is_machine=False).order_by("username"))
        by_team: dict[str, list[int]] = {}
        for person in people:
            for team in person.teams.all():
                by_team.setdefault(team.slug, []).append(person.pk)
        self.teams = by_team
        targets = Target.objects.select_related("model", "environment").order_by("pk")
        self.places = [Place(each, begin) for each in targets]
        # Some models are promoted daily, most of them rarely; what is near to production less often.
        weights = [
            (1 / (1 + each.target.model_id % 50)) / (1 + each.target.environment.position)
            for each in self.places
        ]
        self.weights = [sum(weights[: index + 1]) for index in range(len(weights))]
        self.numbers: dict[int, int] = {}
        # Of each model: when its versions came, and their (id, number).
        self.times: dict[int, list[datetime]] = {}
        self.known: dict[int, list[tuple[int, int]]] = {}

    def run(
        self, kind: WorkflowKind, repository: str, at: datetime, minutes: float, **values: Any
    ) -> int:
        runs = self.told.rows[WorkflowRun]
        run = runs.last + 1
        return runs.add(
            repository=repository,
            run_id=10_000_000 + run,
            number=run,
            kind=kind,
            event="workflow_dispatch" if kind == WorkflowKind.DEPLOY else "push",
            actor="countersign[bot]" if kind == WorkflowKind.DEPLOY else "octocat",
            head_branch="main",
            url=f"https://github.com/{repository}/actions/runs/{10_000_000 + run}",
            created_at=at,
            started_at=at,
            updated_at=at + timedelta(minutes=minutes),
            began=True,
            **{"workflow": f"{kind}.yml", "status": "completed", "conclusion": "success", **values},
        )

    def versions(self) -> None:
        """All versions, each with the run that trained it; a few models have most of them."""
        models = list(RegisteredModel.objects.order_by("pk"))
        weights = [1 / (1 + index % 50) for index in range(len(models))]
        chosen = self.chance.choices(models, weights, k=self.size.versions)
        chosen[: len(models)] = models[: len(chosen)]
        table = self.told.rows[ModelVersion]
        for index, model in enumerate(chosen):
            at = self.begin + (self.end - self.begin) * (index / len(chosen))
            number = self.numbers[model.pk] = self.numbers.get(model.pk, 0) + 1
            metrics = {name: self._metric(middle, way, number) for name, way, middle in METRICS}
            commit = f"{self.chance.getrandbits(160):040x}"
            pk = table.add(
                model_id=model.pk,
                number=number,
                registered_at=at,
                updated_at=at,
                source=f"models:/m-{model.pk}-{number}",
                status="READY",
                run_id=f"{self.chance.getrandbits(128):032x}",
                experiment_id=str(model.pk),
                run_status="FINISHED",
                run_name=f"train-{number}",
                trained_by="ada.adler",
                run_started_at=at - timedelta(minutes=30),
                run_ended_at=at,
                metrics=metrics,
                parameters={"trees": str(100 + number % 7 * 50), "depth": str(4 + number % 5)},
                datasets=[{"name": "events", "digest": f"{number:08x}", "context": "training"}],
                git_commit=commit,
                git_branch="main",
                artifact_digest=f"sha256:{self.chance.getrandbits(256):064x}",
                artifact_bytes=self.chance.randrange(10**6, 10**8),
            )
            self.times.setdefault(model.pk, []).append(at)
            self.known.setdefault(model.pk, []).append((pk, number))
            kind = self.chance.choice((WorkflowKind.TRAIN, WorkflowKind.CI, WorkflowKind.VALIDATE))
            self.run(
                kind,
                model.repository,
                at - timedelta(minutes=30),
                self.chance.uniform(2, 29),
                head_sha=commit,
                title=f"{kind.label} {model.registry_name} v{number}",
                conclusion="success" if self.chance.random() < 0.93 else "failure",
            )
        table.flush()

    def _metric(self, middle: float, better: str, number: int) -> str:
        """Later versions are a little better, with luck."""
        share = 1 - 1 / (3 + number)
        value = middle * (share if better == "higher" else 2 - share)
        return f"{value * self.chance.uniform(0.97, 1.03):.4f}"

    def promotion(self, asked: datetime) -> None:
        """One request and all that becomes of it."""
        self.told.tell(asked)
        for _ in range(50):
            place = self.chance.choices(self.places, cum_weights=self.weights)[0]
            if place.busy_until < asked:
                break
        else:
            return
        model = place.target.model_id
        newest = bisect_right(self.times[model], asked) - 1
        back = place.former is not None and self.chance.random() < ROLLBACK
        if newest < 0 and not back:
            return
        version, number = self.known[model][newest]
        if back and place.former is not None:
            version = place.former
            first = self.known[model][0][0]
            number = next(
                (each for pk, each in self.known[model] if pk == version), version - first + 1
            )
        ending = self.chance.choices(list(ENDS), list(ENDS.values()))[0]
        Tale(self, place, asked, version, number, back, ending).tell()
