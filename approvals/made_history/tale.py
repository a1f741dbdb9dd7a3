"""One promotion of the made-up history: its row, its reviews, its deployment, its events."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from approvals.models import Deployment, Mark, Promotion, Restriction, Review, Step
from approvals.seals import seal
from approvals.states import (
    DeploymentStatus,
    MarkKind,
    PromotionKind,
    PromotionStatus,
    RestrictionKind,
    StepOutcome,
    Verdict,
    Via,
    WorkflowKind,
)

if TYPE_CHECKING:
    from approvals.made_history.years import Place, Story

REASONS = (
    "Better on the holdout of last month, and no slower.",
    "Retrained on the data of the last quarter; the drift of the old one grew.",
    "Fixes the tourists' false alarms that support complained of.",
    "The weekly retraining. Nothing else has changed.",
    "Needed for the campaign that begins on Monday.",
)
COMMENTS = ("", "", "", "Looks right to me.", "Checked the calibration.", "Shadow run was calm.")
AGAINST = ("Recall falls below what was agreed.", "Please wait for the audit.")
BACK = ("Complaints doubled since it went live.", "Latency rose after the switch.")
# The share of what is approved by breaking the glass.
OVERRIDE = 0.004


class Tale:
    """One promotion: its row, its reviews, its deployment, its events."""

    def __init__(
        self,
        story: Story,
        place: Place,
        asked: datetime,
        version: int,
        number: int,
        back: bool,
        ending: str,
    ) -> None:
        self.story, self.place, self.asked = story, place, asked
        self.version, self.number, self.back, self.ending = version, number, back, ending
        self.rows, self.chance = story.told.rows, story.chance
        self.environment = place.target.environment.name
        self.pk = self.rows[Promotion].last + 1

    def tell(self) -> None:
        """Write it. What would lie in the future is still pending, or under way."""
        chance, place = self.chance, self.place
        decided = self.asked + timedelta(minutes=chance.lognormvariate(4.5, 1.2))
        pending = decided > self.story.end
        approved = self.ending in {"live", "failed"} and not pending
        kind = PromotionKind.ROLLBACK if self.back else PromotionKind.PROMOTE
        replaced = place.live[0] if place.live else None
        facts = self._facts(kind)
        self.seal = seal(facts)
        self.requester = chance.choice(self.story.teams["platform" if self.back else "engineers"])
        reason = chance.choice(BACK if self.back else REASONS)
        token = f"cs-{chance.getrandbits(48):012x}"
        glass = (
            chance.choice(self.story.teams["platform"])
            if approved and chance.random() < OVERRIDE
            else None
        )
        status = PromotionStatus.PENDING
        if not pending:
            status = PromotionStatus.APPROVED if approved else PromotionStatus(self.ending)
        self.event(
            self.asked,
            "promotion.requested",
            self.requester,
            Via.BROWSER,
            kind=str(kind),
            reason=reason,
            version=self.number,
            replaces=None,
        )
        sealed = self.asked + timedelta(seconds=3)
        self.event(sealed, "promotion.sealed", None, Via.SYSTEM, seal=self.seal)
        if not pending:
            self._reviews(decided, approved, glass)
        self.rows[Promotion].add(
            target_id=place.target.pk,
            version_id=self.version,
            kind=kind,
            status=status,
            token=token,
            requester_id=self.requester,
            via=Via.BROWSER,
            reason=reason,
            requested_at=self.asked,
            expires_at=max(self.asked + timedelta(days=7), decided),
            decided_at=None if pending else decided,
            decision_reason=chance.choice(AGAINST)
            if self.ending == "rejected" and not pending
            else "",
            replaces_id=replaced,
            policy=place.target.policy,
            facts=facts,
            seal=self.seal,
            sealed_at=sealed,
            overridden_by_id=glass,
            override_reason=reason if glass else "",
            grant_lapses_at=decided + timedelta(days=1) if approved else None,
            grant_spent_at=decided + timedelta(seconds=4) if approved else None,
        )
        place.busy_until = max(decided, self.asked + timedelta(minutes=5))
        if pending:
            place.busy_until = self.story.end + timedelta(days=1)
        if approved:
            self._deployment(decided, token, replaced)

    def event(self, at: datetime, kind: str, actor: int | None, via: str, /, **data: Any) -> None:
        """One line of the history, at its time."""
        if at <= self.story.end:
            self.story.told.later(
                at, kind, actor_id=actor, via=str(via), target_id=self.place.target.pk,
                promotion_id=self.pk, data=data,
            )  # fmt: skip

    def _facts(self, kind: PromotionKind) -> dict[str, Any]:
        target = self.place.target
        return {
            "kind": str(kind),
            "target": {"model": target.model.name, "environment": self.environment, "replaces": ""},
            "version": {"name": target.model.name, "number": str(self.number), "status": "READY"},
            "workflow": {
                "repository": target.model.repository,
                "file": target.workflow,
                "ref": target.ref,
            },
            "metrics": {},
            "policy": {"requirements": target.policy["rollback" if self.back else "promote"]},
        }

    def _reviews(self, decided: datetime, approved: bool, glass: int | None) -> None:
        """Who said what until it was decided, and the decision's own event."""
        told: dict[str, Any] = {"seal": self.seal, "version": self.number}
        if glass:
            self.event(decided, "promotion.overridden", glass, Via.BROWSER, reason="It cannot wait.",
                       missing=["one of leads"], **told)  # fmt: skip
            return
        teams = (
            ["leads", "risk"] if self.environment == "production" and not self.back else ["leads"]
        )
        last = 0
        for team in teams if approved else teams[:1] if self.ending == "rejected" else []:
            last = self.chance.choice(self.story.teams[team])
            share = 1.0 if team == teams[-1] or not approved else self.chance.uniform(0.2, 0.9)
            at = self.asked + (decided - self.asked) * share
            verdict = Verdict.APPROVE if approved else Verdict.REJECT
            said = self.chance.choice(COMMENTS) if approved else self.chance.choice(AGAINST)
            via = self.chance.choice((Via.BROWSER, Via.SLACK))
            self.rows[Review].add(
                promotion_id=self.pk, person_id=last, verdict=verdict, seal=self.seal, via=via,
                comment=said, created_at=at,
            )  # fmt: skip
            self.event(
                at,
                f"review.{'approved' if approved else 'rejected'}",
                last,
                via,
                comment=said,
                **told,
            )
        if approved:
            self.event(decided, "promotion.approved", last, Via.BROWSER, **told)
        elif self.ending == "rejected":
            self.event(decided, "promotion.rejected", last, Via.BROWSER, reason="", **told)
        else:
            actor = self.requester if self.ending == "cancelled" else None
            self.event(
                decided,
                f"promotion.{self.ending}",
                actor,
                Via.SYSTEM,
                reason="",
                version=self.number,
            )

    def _deployment(self, decided: datetime, token: str, replaced: int | None) -> None:
        place, target = self.place, self.place.target
        began = decided + timedelta(seconds=4)
        minutes = self.chance.lognormvariate(1.2, 0.5)
        finished = began + timedelta(minutes=minutes)
        running = finished > self.story.end
        good = self.ending == "live"
        where = f"{target.model.name} v{self.number}"
        detail = f"{where} went live in {self.environment}." if good else "The smoke test failed."
        run = self.story.run(
            WorkflowKind.DEPLOY,
            target.model.repository,
            began,
            minutes,
            title=f"Deploy {where} to {self.environment} [{token}]",
            workflow=target.workflow,
            head_sha="f" * 40,
            **(
                {"status": "in_progress", "conclusion": ""}
                if running
                # Its log is what nobody will read again.
                else {"conclusion": "success" if good else "failure", "log_attempt": 1}
            ),
        )
        address = f"https://github.com/{target.model.repository}/actions/runs/{10_000_000 + run}"
        deployments, steps = self.rows[Deployment], self.rows[Step]
        outcome = "" if running else StepOutcome.SUCCEEDED if good else StepOutcome.FAILED
        step = steps.add(
            deployment_id=deployments.last + 1, ordinal=1, index=0, token=token, outcome=outcome,
            run_id=10_000_000 + run, run_url=address,
            workflow_run_id=run, attempt=0 if running else 1, dispatches=1, began_at=began,
            dispatched_at=began, finished_at=None if running else finished,
        )  # fmt: skip
        ended = DeploymentStatus.SUCCEEDED if good else DeploymentStatus.FAILED
        pk = deployments.add(
            promotion_id=self.pk, target_id=target.pk, version_id=self.version, previous_id=replaced,
            status=DeploymentStatus.RUNNING if running else ended, step_id=step,
            percent=100 if good and not running else 0, place=self.pk, detail="" if running else detail,
            created_at=decided, finished_at=None if running else finished,
        )  # fmt: skip
        told = {"version": self.number, "run_id": 10_000_000 + run}
        self.event(began, "deployment.dispatching", None, Via.SYSTEM, token=token, version=self.number,
                   workflow=target.workflow, repository=target.model.repository)  # fmt: skip
        self.event(began, "deployment.started", None, Via.GITHUB, **told)
        place.busy_until = finished
        if running:
            place.busy_until = self.story.end + timedelta(days=1)
            return
        self.event(finished, f"deployment.{'succeeded' if good else 'failed'}", None, Via.GITHUB,
                   detail=detail, former=None, **told)  # fmt: skip
        if not good:
            return
        if place.live and place.live[0] != self.version:
            place.former = place.live[0]
        place.live, place.since = (self.version, pk), finished
        if self.environment == "production":
            self.event(finished, "registry.written", None, Via.MLFLOW, alias="champion", before=None,
                       version=self.number)  # fmt: skip
        self._afterwards(finished)

    def _afterwards(self, at: datetime) -> None:
        """Now and then a version is marked, or its target locked for a day."""
        target, person = self.place.target, self.chance.choice(self.story.teams["platform"])
        if self.back or self.chance.random() < 0.02:
            kind = MarkKind.GOOD if not self.back else MarkKind.BAD
            self.rows[Mark].add(
                target_id=target.pk, version_id=self.version, kind=kind, reason="Seen in monitoring.",
                placed_by_id=person, placed_at=at,
            )  # fmt: skip
        if self.chance.random() < 0.01:
            lifted = at + timedelta(days=1)
            still = lifted > self.story.end
            self.rows[Restriction].add(
                kind=RestrictionKind.LOCK, target_id=target.pk, reason="Audit week.", placed_by_id=person,
                placed_at=at, lifted_at=None if still else lifted, lifted_by_id=None if still else person,
            )  # fmt: skip
            self.place.busy_until = lifted
            self.event(at, "target.locked", person, Via.BROWSER, reason="Audit week.")
            self.event(lifted, "target.unlocked", person, Via.BROWSER, reason="")
