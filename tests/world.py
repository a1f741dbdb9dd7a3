"""A small world to test in: the demo's configuration, its people, and versions as MLflow would tell them."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db.models import Model
from django.utils import timezone

from approvals import services
from approvals.configuration import load
from approvals.models import Deployment, ModelVersion, Person, Promotion, Target
from approvals.rollouts import PlanStep, Strategy
from approvals.rules import Policy
from approvals.services import ObservedFacts, RunFacts, VersionFacts
from approvals.services.registry import ModelFacts
from approvals.states import PromotionStatus, Verdict, Via
from integrations.models import SlackIdentity

EPOCH = datetime(2026, 11, 1, 9, 0, tzinfo=UTC)
SLACK_TEAM = "T0ACME"
_loaded = cache(load)  # read once, not for every test
# The rows of a new world: made by the product once, then copied, which takes a tenth of the time.
_made: list[tuple[type[Model], list[Model]]] | None = None
# Written by migrations, or by a trigger when the rows that they are about are.
BY_MIGRATIONS = {"auth.Permission", "contenttypes.ContentType", "approvals.EventEntry"}


class World:
    """Verbs with everything unimportant filled in. People are named by relation: alice asks, bob and carol
    approve, mallory may not, ci is a machine."""

    def __init__(self) -> None:
        global _made
        if _made is None:
            self._make()
            _made = [(model, list(model._base_manager.all())) for model in apps.get_models()]
        else:
            for model, rows in _made:
                if rows and model._meta.label not in BY_MIGRATIONS:
                    model._base_manager.bulk_create(deepcopy(rows))

    def _make(self) -> None:
        services.apply_configuration(loaded=_loaded(settings.COUNTERSIGN_CONFIG), via=Via.COMMAND)
        # Nothing but who approves: tests that are about gates, rules or freezes set their own (see ``rules``).
        for target in Target.objects.all():
            target.policy.update(gates=[], rules=[], checklist=[], comment_required=False)
            target.policy["promote"] = target.policy["promote"] or [
                {"teams": ["ml-leads"], "count": 1}
            ]
            target.policy["automatic"] = False
            target.policy.update(remind_after=0, escalate_after=0, escalate_to="")
            target.freezes = []
            target.strategy, target.signals = {}, []
            target.save()
        Person.objects.update(is_active=True)
        for name in ("alice", "bob", "carol", "dave", "mallory"):
            SlackIdentity.objects.create(
                team_id=SLACK_TEAM,
                user_id=f"U0{name.upper()}",
                person=self.person(name),
                linked_at=timezone.now(),
            )

    def person(self, username: str) -> Person:
        return Person.objects.get(username=username)

    def target(self, environment: str = "production", model: str = "fraud-detector") -> Target:
        return Target.objects.get(model__name=model, environment__name=environment)

    def rules(self, target: Target | None = None, /, **changes: Any) -> Target:
        """Change the policy in force at a target (production of fraud-detector), as a new file would."""
        target = target or self.target()
        target.policy = replace(Policy.from_data(target.policy), **changes).as_data()
        target.save(update_fields=["policy"])
        return target

    def version(
        self,
        number: int = 2,
        model: str = "fraud-detector",
        *,
        metrics: dict[str, str] | None = None,
        status: str = "READY",
        run_status: str = "FINISHED",
        registered_at: datetime | None = None,
        **run: Any,
    ) -> ModelVersion:
        """A version as a sync would record it."""
        services.record_models(models=[ModelFacts(each, "", {}, {}) for each in _all_models()])
        moment = registered_at or EPOCH + timedelta(hours=number)
        services.record_versions(
            versions=[
                VersionFacts(
                    registry_name=model,
                    number=number,
                    registered_at=moment,
                    updated_at=moment,
                    source=f"models:/m-{model}-{number}",
                    status=status,
                    description="",
                    tags={},
                    run_id=f"run{number}",
                    run={
                        "experiment_id": "1",
                        "run_status": run_status,
                        "run_name": f"train-{number}",
                        "trained_by": "alice",
                        "run_started_at": moment,
                        "run_ended_at": moment + timedelta(minutes=3),
                        "metrics": metrics or {"accuracy": f"0.9{number}", "auc": "0.95"},
                        "parameters": {"trees": str(100 * number)},
                        "datasets": [
                            {"name": "payments", "digest": "abc123", "context": "evaluation"}
                        ],
                        "git_commit": f"{number:040x}",
                        "git_branch": "main",
                        **run,
                    },
                )
            ]
        )
        return ModelVersion.objects.get(model__name=model, number=number, deleted_at=None)

    def observed(self, version: ModelVersion, /, **changes: Any) -> ObservedFacts:
        """What a worker would read of the version now."""
        return ObservedFacts(
            version={
                "name": version.model.registry_name,
                "number": str(version.number),
                "registered_at": version.registered_at.isoformat(),
                "source": version.source,
                "run_id": version.run_id,
                "status": "READY",
                "run_status": "FINISHED",
                "artifact_digest": f"sha256:{version.number:064x}",
                **changes.pop("version", {}),
            },
            metrics=changes.pop("metrics", dict(version.metrics)),
            workflow_digest=changes.pop("workflow_digest", "git:0123"),
            artifact_bytes=1234,
            signature=changes.pop("signature", None),
        )

    def request(
        self, version: ModelVersion | None = None, *, actor: str = "alice", **more: Any
    ) -> Promotion:
        """A pending promotion to production whose facts are sealed."""
        version = version or self.version()
        target = more.pop("target", None) or self.target(model=version.model.name)
        promotion = services.request_promotion(
            actor=self.person(actor),
            via=Via.BROWSER,
            target_id=target.pk,
            version_id=version.pk,
            reason=more.pop("reason", "It catches more fraud."),
            **more,
        )
        return self.seal(promotion)

    def seal(self, promotion: Promotion, /, **changes: Any) -> Promotion:
        return services.record_facts(
            promotion_id=promotion.pk, observed=self.observed(promotion.version, **changes)
        )

    def review(
        self, promotion: Promotion, actor: str, verdict: str = Verdict.APPROVE, **more: Any
    ) -> Promotion:
        return services.review(
            actor=self.person(actor),
            via=more.pop("via", Via.BROWSER),
            promotion_id=promotion.pk,
            verdict=verdict,
            seal=more.pop("seal", promotion.seal),
            comment=more.pop("comment", "" if verdict == Verdict.APPROVE else "Not good enough."),
            **more,
        )

    def approve(self, promotion: Promotion) -> Deployment:
        """Everybody whose approval is needed approves; the deployment is queued."""
        for name in ("bob", "carol"):
            if Promotion.objects.get(pk=promotion.pk).status == PromotionStatus.PENDING:
                self.review(promotion, name)
        return Deployment.objects.get(promotion=promotion)

    def run_facts(self, deployment: Deployment, run_id: int = 77, **changes: Any) -> RunFacts:
        """A reading of the deployment's workflow run."""
        now = timezone.now()
        values: dict[str, Any] = {
            "repository": "acme/ml-models",
            "run_id": run_id,
            "attempt": 1,
            "number": 1,
            "workflow": "deploy-model.yml",
            "kind": "deploy",
            "title": f"Deploy [{_token(deployment)}]",
            "status": "completed",
            "conclusion": "success",
            "event": "workflow_dispatch",
            "actor": "countersign[bot]",
            "head_sha": "f" * 40,
            "head_branch": "main",
            "url": f"http://127.0.0.1:9/acme/ml-models/actions/runs/{run_id}",
            "created_at": now,
            "started_at": now,
            "updated_at": now,
        }
        return RunFacts(**{**values, **changes})

    def deploy(self, deployment: Deployment, run_id: int = 77) -> Deployment:
        """Dispatch, run, succeed: the version is live."""
        order = services.begin_dispatch(
            deployment_id=deployment.pk, observed=self.observed(deployment.version)
        )
        assert order is not None
        services.record_dispatched(
            deployment_id=deployment.pk, run_id=run_id, url=f"http://127.0.0.1:9/runs/{run_id}"
        )
        services.record_run(facts=self.run_facts(deployment, run_id))
        deployment.refresh_from_db()
        return deployment

    def strategy(
        self, *steps: PlanStep, kind: str = "canary", environment: str = "production"
    ) -> None:
        """The rollout of fraud-detector from now on; 10 → 50 → 100 % without waiting where none is given."""
        target = self.target(environment)
        plan = steps or (PlanStep(10), PlanStep(50), PlanStep(100))
        target.strategy = Strategy(kind, plan).as_data()
        target.save(update_fields=["strategy"])

    def step(
        self, deployment: Deployment, conclusion: str = "success", **changes: Any
    ) -> Deployment:
        """Dispatch the step in hand and let its run end."""
        deployment = Deployment.objects.select_related("step", "promotion", "version__model").get(
            pk=deployment.pk
        )
        assert deployment.step is not None
        number, run_id = deployment.step.ordinal, 7000 + deployment.step.pk
        back = deployment.step.goes_back
        order = services.begin_dispatch(
            deployment_id=deployment.pk,
            observed=None if back else self.observed(deployment.version),
            step=number,
            now=changes.pop("now", None),
        )
        assert order is not None
        services.record_dispatched(deployment_id=deployment.pk, run_id=run_id, url="")
        services.record_run(
            facts=self.run_facts(deployment, run_id, conclusion=conclusion, **changes)
        )
        return Deployment.objects.select_related("step", "promotion", "version__model").get(
            pk=deployment.pk
        )

    def make_live(
        self, version: ModelVersion, environment: str = "production", run_id: int | None = None
    ) -> Deployment:
        """The version goes live through the product's own machinery."""
        target = self.target(environment, version.model.name)
        promotion = self.request(version, target=target)
        return self.deploy(self.approve(promotion), run_id or 1000 + promotion.pk)


def _token(deployment: Deployment) -> str:
    return deployment.step.token if deployment.step else deployment.promotion.token


def _all_models() -> list[str]:
    from approvals.models import RegisteredModel

    return list(RegisteredModel.objects.values_list("registry_name", flat=True))
