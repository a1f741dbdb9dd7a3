"""Time travel: what the overview tells of a moment is what it told at that moment."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from approvals import services
from approvals.models import (
    Deployment,
    Environment,
    Freeze,
    ModelVersion,
    OutOfBandChange,
    Promotion,
    RegisteredModel,
    Restriction,
    Target,
)
from approvals.selectors.as_of import AsOf
from approvals.selectors.overview import Cell, matrix
from approvals.selectors.states_now import Now
from approvals.services import Refused
from approvals.services.delivery import NotYet
from approvals.services.registry import ModelFacts
from approvals.states import OPEN_DEPLOYMENT, DeploymentStatus, PromotionStatus, Verdict, Via
from tests.world import World

MODEL = "fraud-detector"
D = DeploymentStatus


def meaning(cell: Cell) -> dict[str, Any]:
    """Everything that a cell tells, without the rows' objects."""
    presence = cell.presence
    return {
        "live": cell.live and cell.live.number,
        "since": cell.since,
        "by": presence.deployment and presence.deployment.promotion_id,
        "how": presence.how,
        "approved": presence.approved,
        "under way": [
            (each.deployment.pk, each.phase, each.percent, each.paused, each.aborting)
            for each in cell.deliveries
        ],
        "failed": cell.failed and cell.failed.pk,
        "pending": [each.pk for each in cell.pending],
        "locks": [each.pk for each in cell.locks],
        "hold": cell.hold and cell.hold.pk,
        "quarantine": cell.quarantine and cell.quarantine.pk,
        "frozen": cell.frozen and (cell.frozen.name, cell.frozen.ends),
        "changes": [each.pk for each in cell.changes],
        "ignored": [each.pk for each in cell.ignored],
        "candidate": cell.candidate and cell.candidate.number,
        "which": cell.candidate_is,
        "change": cell.change and cell.change.change,
        "state": cell.state,
        "line": cell.trend and cell.trend.words,
    }


def picture(reading: Now) -> dict[str, dict[str, Any]]:
    models = list(RegisteredModel.objects.filter(is_active=True).order_by("name"))
    found = matrix(reading, models)
    return {
        f"{row.model.name} in {environment.name}": meaning(cell)
        for row in found.rows
        for environment, cell in row.cells
        if cell is not None
    }


class Life:
    """A random history through the real verbs, each at a time of its own. What a verb refuses did not happen."""

    def __init__(self, world: World, seed: int, now: datetime) -> None:
        self.world, self.random, self.now = world, random.Random(seed), now
        self.number = self.run = 0
        self.done: dict[str, int] = {}
        self.version()
        self.version()

    def live(self, steps: int, see: Callable[[datetime], None]) -> None:
        names = [
            *["version"] * 2, "finish", *["ask"] * 4, *["approve"] * 6, *["reject", "cancel", "expire"],
            *["dispatch"] * 7, *["succeed"] * 9, *["fail", "lose", "find", "give_up", "call_off"],
            *["advance", "pause", "abort"], *["roll_back"] * 2, *["lock", "unlock", "resume"],
            *["quarantine", "release", *["freeze"] * 3, "unfreeze", "mark"],
            *["move_alias"] * 3, *["ignore", "move_back"],
        ]  # fmt: skip
        for _ in range(steps):
            self.now += timedelta(minutes=self.random.randrange(1, 40), microseconds=7)
            name = self.random.choice(names)
            try:
                happened = getattr(self, name)()
            except (Refused, NotYet):
                happened = False
            if happened is not False:
                self.done[name] = self.done.get(name, 0) + 1
            see(self.now)

    def pick(self, rows: Any) -> Any:
        found = list(rows.order_by("pk"))
        return self.random.choice(found) if found else None

    def target(self) -> Target:
        return self.world.target(self.random.choice(["staging", "production", "production"]))

    def by(self, name: str) -> dict[str, Any]:
        return {"actor": self.world.person(name), "via": Via.BROWSER, "now": self.now}

    def version(self) -> None:
        self.number += 1
        self.record(
            self.number,
            {"accuracy": f"0.{self.random.randrange(8000, 9999)}"},
            self.now,
            running=self.random.random() < 0.3,
        )

    def finish(self) -> bool:
        found = self.pick(ModelVersion.objects.filter(run_status="RUNNING"))
        if found is not None:
            self.record(found.number, found.metrics, found.registered_at, running=False)
        return found is not None

    def record(
        self, number: int, metrics: dict[str, str], registered_at: datetime, *, running: bool
    ) -> None:
        self.world.version(
            number,
            metrics=metrics,
            registered_at=registered_at,
            run_status="RUNNING" if running else "FINISHED",
            run_started_at=registered_at,
            run_ended_at=None if running else self.now,
        )

    def ask(self) -> None:
        version = self.pick(ModelVersion.objects.filter(model__name=MODEL))
        promotion = services.request_promotion(
            target_id=self.target().pk, version_id=version.pk, reason="Better.", **self.by("alice")
        )
        self.seal(promotion)

    def roll_back(self) -> None:
        self.seal(
            services.request_rollback(target_id=self.target().pk, reason="Bad.", **self.by("dave"))
        )

    def seal(self, promotion: Promotion) -> None:
        services.record_facts(
            promotion_id=promotion.pk,
            observed=self.world.observed(promotion.version),
            now=self.now,
        )

    def pending(self) -> Any:
        return self.pick(Promotion.objects.filter(status=PromotionStatus.PENDING))

    def approve(self) -> bool:
        promotion = self.pending()
        if promotion is None:
            return False
        self.seal(promotion)
        for name in ("bob", "carol"):
            promotion.refresh_from_db()
            if promotion.is_pending:
                self.world.review(promotion, name, now=self.now)
        return True

    def reject(self) -> bool:
        promotion = self.pending()
        if promotion is not None:
            self.world.review(promotion, "bob", Verdict.REJECT, now=self.now)
        return promotion is not None

    def cancel(self) -> bool:
        promotion = self.pending()
        if promotion is not None:
            services.cancel(promotion_id=promotion.pk, **self.by("bob"))
        return promotion is not None

    def expire(self) -> bool:
        return services.close_overdue(now=self.now) > 0

    def open(self, *statuses: str) -> Any:
        rows = Deployment.objects.filter(status__in=statuses)
        return self.pick(rows.select_related("step", "version__model", "promotion"))

    def dispatch(self) -> bool:
        deployment = self.open(D.QUEUED, D.WAITING)
        if deployment is None or deployment.step.outcome:
            return False
        order = services.begin_dispatch(
            deployment_id=deployment.pk,
            observed=self.world.observed(deployment.version),
            step=deployment.step.ordinal,
            now=self.now,
        )
        return order is not None

    def end(self, conclusion: str) -> bool:
        deployment = self.open(D.DISPATCHING, D.RUNNING)
        if deployment is None:
            return False
        self.run += 1
        run = deployment.step.run_id or 5000 + self.run
        services.record_dispatched(deployment_id=deployment.pk, run_id=run, url="", now=self.now)
        facts = self.world.run_facts(deployment, run, conclusion=conclusion)
        services.record_run(facts=facts, now=self.now)
        return True

    def succeed(self) -> bool:
        return self.end("success")

    def fail(self) -> bool:
        return self.end(self.random.choice(["failure", "cancelled"]))

    def lose(self) -> bool:
        deployment = self.open(D.DISPATCHING)
        if deployment is not None:
            services.record_unconfirmed(
                deployment_id=deployment.pk, detail="No answer.", now=self.now
            )
        return deployment is not None

    def find(self) -> bool:
        deployment = self.open(D.UNCONFIRMED)
        if deployment is not None:
            self.run += 1
            services.record_dispatched(
                deployment_id=deployment.pk, run_id=8000 + self.run, url="", now=self.now
            )
        return deployment is not None

    def on(self, verb: Callable[..., Any], *statuses: str, **more: Any) -> bool:
        deployment = self.open(*statuses)
        if deployment is not None:
            verb(deployment_id=deployment.pk, reason="So.", **self.by("bob"), **more)
        return deployment is not None

    def give_up(self) -> bool:
        return self.on(services.give_up, D.UNCONFIRMED, D.WAITING)

    def call_off(self) -> bool:
        return self.on(services.call_off, D.QUEUED)

    def advance(self) -> bool:
        return self.on(services.advance, D.WAITING)

    def pause(self) -> bool:
        return self.on(services.hold_rollout, *OPEN_DEPLOYMENT)

    def abort(self) -> bool:
        return self.on(services.abort, *OPEN_DEPLOYMENT)

    def lock(self) -> None:
        services.lock(target_id=self.target().pk, reason="Stop.", **self.by("bob"))

    def unlock(self) -> None:
        services.unlock(target_id=self.target().pk, reason="Go.", **self.by("bob"))

    def resume(self) -> None:
        services.resume(target_id=self.target().pk, reason="Go.", **self.by("bob"))

    def quarantine(self) -> None:
        version = self.pick(ModelVersion.objects.filter(model__name=MODEL))
        services.quarantine(version_id=version.pk, reason="Leaks.", **self.by("bob"))

    def release(self) -> bool:
        found = self.pick(Restriction.objects.filter(kind="quarantine", lifted_at=None))
        if found is not None:
            services.release(version_id=found.version_id, reason="Fine.", **self.by("bob"))
        return found is not None

    def freeze(self) -> None:
        environment = self.pick(Environment.objects.all())
        begins = self.now + timedelta(minutes=self.random.choice([0, 90]))
        services.freeze(
            environment_id=environment.pk,
            reason="Audit.",
            begins_at=begins,
            ends_at=begins + timedelta(hours=2),
            **self.by("bob"),
        )

    def unfreeze(self) -> bool:
        found = self.pick(Freeze.objects.filter(lifted_at=None, ends_at__gt=self.now))
        if found is not None:
            services.unfreeze(freeze_id=found.pk, reason="Done.", **self.by("bob"))
        return found is not None

    def mark(self) -> bool:
        found = self.pick(Deployment.objects.filter(version__model__name=MODEL))
        if found is not None:
            services.mark(
                target_id=found.target_id,
                version_id=found.version_id,
                kind=self.random.choice(["good", "bad"]),
                reason="Seen.",
                **self.by("bob"),
            )
        return found is not None

    def move_alias(self) -> None:
        """Somebody points the alias elsewhere, and two readings see it."""
        self.read(self.random.randrange(1, self.number + 1))

    def move_back(self) -> bool:
        live = self.world.target().live_version
        if live is not None:
            self.read(live.number)
        return live is not None

    def read(self, number: int) -> None:
        # What we are still writing ourselves is not compared.
        from approvals.models import Effect

        Effect.objects.filter(kind="set_alias").update(status="done", finished_at=self.now)
        for _ in range(2):
            self.now += timedelta(seconds=61)
            services.compare_aliases(
                models=[ModelFacts(MODEL, "", {}, {"champion": number})],
                read_at=self.now,
                now=self.now,
            )

    def ignore(self) -> bool:
        rows = OutOfBandChange.objects.filter(ended_at=None, declared_at__isnull=False)
        found = self.pick(rows)
        if found is not None:
            services.ignore_change(change_id=found.pk, reason="Known.", **self.by("bob"))
        return found is not None


@pytest.mark.parametrize("seed", [3, 11])
def test_the_past_is_what_was_seen_then(world: World, seed: int) -> None:
    world.strategy()
    began = timezone.now() - timedelta(days=5)
    life = Life(world, seed, began)
    seen: list[tuple[datetime, dict[str, dict[str, Any]]]] = []
    life.live(100, lambda moment: seen.append((moment, picture(Now(moment)))))
    differences = [
        f"{moment - began} {place}: {name} was {value}, is told as {told[place][name]}"
        for moment, then in seen
        for told in [picture(AsOf(moment))]
        for place, cell in then.items()
        for name, value in cell.items()
        if told[place][name] != value
    ]
    assert not differences, "\n".join(differences[:20])
    # The history was one worth comparing.
    states = {cell["state"] for _, then in seen for cell in then.values()}
    assert {"empty", "waiting", "deploying", "live"} <= states
    assert {"succeed", "ask", "approve", "dispatch", "move_alias"} <= life.done.keys()
