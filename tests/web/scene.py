"""Puts every state on the pages, for looking at them on a scratch database:
``manage.py shell -c "from tests.web.scene import Scene; Scene().build()"``.

Everything goes through the verbs, with times in the past.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from approvals import services
from approvals.models import Deployment, Effect, ModelVersion, Promotion, WorkflowRun
from approvals.models.outbox import EffectKind
from approvals.services.registry import ModelFacts
from approvals.states import EffectStatus, Verdict, Via
from integrations.models import SlackMessage
from tests.world import World

METRICS: dict[str, list[dict[str, str]]] = {
    "fraud-detector": [
        {
            "accuracy": "0.9021",
            "auc": "0.9310",
            "recall": "0.711",
            "log_loss": "0.2481",
            "latency_ms": "11.2",
        },
        {
            "accuracy": "0.9134",
            "auc": "0.9478",
            "recall": "0.742",
            "log_loss": "0.2210",
            "latency_ms": "12.9",
        },
        {
            "accuracy": "0.9207",
            "auc": "0.9533",
            "recall": "0.771",
            "log_loss": "0.2054",
            "latency_ms": "14.1",
        },
        {
            "accuracy": "0.9288",
            "auc": "0.9601",
            "recall": "0.798",
            "log_loss": "0.1907",
            "latency_ms": "13.0",
        },
    ],
    "churn-predictor": [
        {"auc": "0.871", "accuracy": "0.84", "log_loss": "0.39", "latency_ms": "6.1"},
        {"auc": "0.862", "accuracy": "0.845", "log_loss": "0.41", "latency_ms": "5.9"},
    ],
    "demand-forecast": [
        {"rmse": "118.4", "mae": "83.2", "r2": "0.81", "latency_ms": "21"},
        {"rmse": "104.9", "mae": "75.0", "r2": "0.86", "latency_ms": "22"},
        {"rmse": "99.1", "mae": "71.3", "r2": "0.88", "latency_ms": "22"},
    ],
    "credit-limit": [{"r2": "0.74", "rmse": "812", "mae": "590", "latency_ms": "4.0"}],
}
DESCRIPTIONS = {
    "fraud-detector": "Scores card payments before they are authorised; above 0.8 a person looks.",
    "churn-predictor": "Which customers are likely to leave within ninety days.",
    "demand-forecast": "Units per store and day, two weeks ahead.",
    "credit-limit": "Proposes a card's limit. Regulated: every change is on file.",
}


class Scene(World):
    """The demo's world with a past."""

    def at(self, days: float = 0, minutes: float = 0) -> datetime:
        return timezone.now() - timedelta(days=days, minutes=minutes)

    def build(self) -> None:
        versions = {
            (model, number): self.version(
                number,
                model,
                metrics=metrics,
                registered_at=self.at(24 - 5 * number),
                run_status="RUNNING" if (model, number) == ("demand-forecast", 3) else "FINISHED",
                parameters={
                    "trees": str(100 * number),
                    "depth": "6",
                    "learning_rate": "0.1" if number < 3 else "0.05",
                    "features": "merchant,amount,hour,country",
                },
                datasets=[
                    {
                        "name": "payments-2026",
                        "digest": f"{number:03x}c9e1f0",
                        "context": "training",
                    },
                    {"name": "holdout", "digest": "77aa01bc", "context": "evaluation"},
                ],
            )
            for model, rows in METRICS.items()
            for number, metrics in enumerate(rows, 1)
        }
        services.record_models(
            models=[ModelFacts(name, text, {}, {}) for name, text in DESCRIPTIONS.items()]
        )
        fraud = "fraud-detector"
        for number, days in ((1, 18), (2, 12), (3, 6)):
            self.live(versions[fraud, number], "staging", days)
        self.live(versions[fraud, 1], "production", 17)
        self.live(versions[fraud, 2], "production", 11)
        self.live(versions["churn-predictor", 1], "staging", 9)
        self.live(versions["churn-predictor", 1], "production", 8)
        self.live(versions["churn-predictor", 2], "production", 3)
        self.live(versions["churn-predictor", 1], "production", 2.5, rollback=True)
        self.live(versions["demand-forecast", 1], "production", 6)
        self.pipeline(versions[fraud, 4])

        # waits for two, one of whom has approved
        asked = self.ask(
            versions[fraud, 4],
            "production",
            0.08,
            "Catches 5.6 % more fraud on the October holdout at the same false-positive rate.\n"
            "Shadow run since Monday showed no surprises; the finance team knows.",
        )
        self.review(
            asked,
            "bob",
            comment="Calibration looks right, and the drift on tourists is gone.",
            via=Via.SLACK,
            now=self.at(0.04),
        )
        SlackMessage.objects.create(
            promotion=asked,
            channel="C0RELEASES",
            ts="1.2",
            permalink="http://127.0.0.1:8003/archives/C0RELEASES/p12",
        )
        # rejected
        rejected = self.ask(
            versions["churn-predictor", 2], "staging", 4, "Smaller and quicker than version 1."
        )
        self.review(
            rejected,
            "bob",
            Verdict.REJECT,
            comment="AUC falls below what marketing was promised.",
            now=self.at(3.9),
        )
        # blocked
        blocked = self.ask(
            versions["credit-limit", 1], "production", 0.02, "The first version.", seal=False
        )
        services.record_facts_problem(
            promotion_id=blocked.pk,
            problem="MLflow lists the artifact model.pkl, but it cannot be read: 404 Not Found.",
            now=self.at(0.019),
        )
        Effect.objects.filter(promotion=blocked, kind="announce").update(
            status=EffectStatus.WAITING, attempts=3, last_error="Connection refused"
        )
        # under way
        moving = self.approve(
            self.ask(versions["demand-forecast", 2], "production", 0.01, "RMSE down 11 %.")
        )
        self.start(moving, 9001)
        # unconfirmed
        lost = self.approve(
            self.ask(versions["churn-predictor", 2], "staging", 0.5, "Before production.")
        )
        services.begin_dispatch(deployment_id=lost.pk, observed=self.observed(lost.version))
        services.record_unconfirmed(
            deployment_id=lost.pk,
            detail="GitHub did not answer (timeout), and no run with this token turned up within 3 minutes.",
        )
        # failed
        failed = self.approve(self.ask(versions[fraud, 4], "staging", 1, "For the shadow run."))
        self.start(failed, 9003)
        services.record_run(facts=self.run_facts(failed, 9003, conclusion="failure"))

    def ask(
        self,
        version: ModelVersion,
        environment: str,
        days: float,
        reason: str,
        *,
        rollback: bool = False,
        seal: bool = True,
    ) -> Promotion:
        verb = services.request_rollback if rollback else services.request_promotion
        promotion = verb(
            actor=self.person("dave" if rollback else "alice"),
            via=Via.SLACK if rollback else Via.BROWSER,
            target_id=self.target(environment, version.model.name).pk,
            version_id=version.pk,
            reason=reason,
            now=self.at(days),
        )
        if not seal:
            return promotion
        return services.record_facts(
            promotion_id=promotion.pk,
            observed=self.observed(version),
            now=self.at(days) + timedelta(seconds=3),
        )

    def live(
        self, version: ModelVersion, environment: str, days: float, *, rollback: bool = False
    ) -> None:
        reason = (
            "Complaints doubled since v2 went live; marketing asked for the former one."
            if rollback
            else f"Better than what is live on the holdout of {environment}."
        )
        promotion = self.ask(version, environment, days, reason, rollback=rollback)
        for name in ("bob", "carol"):
            promotion = Promotion.objects.get(pk=promotion.pk)
            if promotion.is_pending:
                self.review(promotion, name, now=self.at(days - 0.05))
        deployment = Deployment.objects.get(promotion=promotion)
        later = self.at(days - 0.06)
        run = 1000 + promotion.pk
        services.begin_dispatch(
            deployment_id=deployment.pk, observed=self.observed(version), now=later
        )
        services.record_dispatched(
            deployment_id=deployment.pk,
            run_id=run,
            url=f"http://127.0.0.1:8002/runs/{run}",
            now=later,
        )
        title = (
            f"Deploy {version.model.name} v{version.number} to {environment} [{promotion.token}]"
        )
        times: dict[str, Any] = {
            "created_at": later,
            "started_at": later,
            "updated_at": later + timedelta(seconds=74),
        }
        services.record_run(
            facts=self.run_facts(deployment, run, title=title, **times), now=times["updated_at"]
        )
        if alias := promotion.target.alias:
            services.record_registry_written(
                effect_id=Effect.objects.get(promotion=promotion, kind=EffectKind.SET_ALIAS).pk,
                deployment_id=deployment.pk,
                written={"alias": alias, "version": version.number, "before": None},
                now=times["updated_at"],
            )
        Effect.objects.filter(promotion=promotion).update(status=EffectStatus.DONE)

    def start(self, deployment: Deployment, run_id: int) -> None:
        url = f"http://127.0.0.1:8002/runs/{run_id}"
        services.begin_dispatch(
            deployment_id=deployment.pk, observed=self.observed(deployment.version)
        )
        services.record_dispatched(deployment_id=deployment.pk, run_id=run_id, url=url)
        run = services.record_run(
            facts=self.run_facts(
                deployment,
                run_id,
                status="in_progress",
                conclusion="",
                title=f"Deploy {deployment.version} [{deployment.promotion.token}]",
            )
        )
        done = {"status": "completed", "conclusion": "success"}
        services.record_steps(
            run_pk=run.pk,
            attempt=1,
            steps=[
                {"name": "Set up job", **done},
                {"name": "Fetch the version and check its digest", **done},
                {"name": "Smoke test", "status": "in_progress", "conclusion": None},
                {"name": "Switch the serving directory", "status": "queued", "conclusion": None},
            ],
        )

    def pipeline(self, version: ModelVersion) -> None:
        for index, (kind, conclusion) in enumerate(
            (("validate", "success"), ("train", "success"), ("ci", "failure"), ("ci", "success"))
        ):
            moment = self.at(4, 10 * index)
            WorkflowRun.objects.create(
                repository=version.model.repository,
                run_id=500 + index,
                workflow=f"{kind}.yml",
                kind=kind,
                title=f"{kind.title()} {version.model.registry_name} v{version.number}",
                status="completed",
                conclusion=conclusion,
                head_sha=version.git_commit,
                head_branch="main",
                url=f"http://127.0.0.1:8002/runs/{500 + index}",
                created_at=moment,
                started_at=moment,
                updated_at=moment + timedelta(seconds=95),
            )
