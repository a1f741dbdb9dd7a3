"""What a company shows on one day: the hostile scene, and every state that it does not have yet."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from approvals import services
from approvals.models import (
    Delegation,
    Deployment,
    Effect,
    ModelVersion,
    Person,
    RegisteredModel,
    Target,
)
from approvals.models.outbox import EffectKind
from approvals.rollouts import PlanStep, Strategy
from approvals.services.registry import ModelFacts
from approvals.states import EffectStatus, Via
from integrations.models import Heartbeat, SlackWorkspace
from tests.browser.hostile import Hostile


class Everything(Hostile):
    """A rollout at 25 %, broken glass, an open out-of-band change, a rollback that waits, what waits for somebody
    by delegation, workspaces with a problem, and something left to decide for each test that decides."""

    def build(self) -> None:
        super().build()
        Person.objects.filter(username="dave").update(is_staff=True, is_superuser=True)
        self._rolling_out()
        self._broken_glass()
        self._moved_alias()
        self._rollback_asked()
        self._delegated()
        self._workspaces()
        for name in (*(f"spare-{n}" for n in range(1, 7)), *(f"live-{n}" for n in range(1, 6))):
            self.waiting(name, "Nothing surprising on the holdout.")
        self.another("live-6")
        self._alive()
        # Their work is done by hand here: nothing is being gathered.
        Effect.objects.filter(
            kind=EffectKind.GATHER_FACTS, promotion__sealed_at__isnull=False
        ).update(status=EffectStatus.DONE, finished_at=timezone.now())

    def another(self, name: str, group: str = "Operations") -> tuple[ModelVersion, ModelVersion]:
        """One more model with two versions, of which the first is live in production."""
        like = RegisteredModel.objects.get(name="churn-predictor")
        targets = list(Target.objects.filter(model=like))
        like.pk, like.name, like.registry_name, like.group = None, name, name, group
        like._state.adding = True
        like.save()
        for target in targets:
            target.pk, target.model, target.live_deployment = None, like, None
            target.live_version = target.live_since = None
            target._state.adding = True
            target.save()
        first, second = (
            self.version(
                number, name, metrics={"auc": f"0.8{number}", "latency_ms": "7"},
                registered_at=self.at(20 - number),
            )
            for number in (1, 2)
        )  # fmt: skip
        self.live(first, "production", 5)
        return first, second

    def waiting(self, name: str, reason: str) -> None:
        """Its second version waits in production for one of the ML leads."""
        _, version = self.another(name)
        self._asks_only(name, "ml-leads")
        self.ask(version, "production", 0.2, reason)

    def _asks_only(self, name: str, team: str) -> None:
        target = self.target("production", name)
        target.policy["promote"] = [{"teams": [team], "count": 1}]
        target.save()

    def _rolling_out(self) -> None:
        _, second = self.another("basket-ranker", "Customers")
        target = self.target("production", "basket-ranker")
        steps = (PlanStep(25, wait=3600, advance=True), PlanStep(50, wait=600), PlanStep(100))
        target.strategy = Strategy("canary", steps).as_data()
        target.save()
        self.step(self.approve(self.ask(second, "production", 0.03, "Orders up 2 % in the test.")))

    def _broken_glass(self) -> None:
        _, second = self.another("delivery-time")
        self.rules(self.target("production", "delivery-time"), override_team="platform")
        promotion = self.ask(second, "production", 0.3, "Version 1 promises deliveries at night.")
        services.override(
            actor=self.person("dave"), via=Via.BROWSER, promotion_id=promotion.pk,
            seal=promotion.seal, reason="Customers wait at their doors; nobody of risk answers.",
            now=self.at(0.29),
        )  # fmt: skip
        self.deploy(Deployment.objects.get(promotion=promotion), 8101)

    def _moved_alias(self) -> None:
        self.another("returns-forecast")
        Effect.objects.filter(kind=EffectKind.SET_ALIAS).update(
            status=EffectStatus.DONE, finished_at=self.at(1)
        )
        facts = ModelFacts("returns-forecast", "", {}, {"champion": 2})
        for _ in range(2):
            services.compare_aliases(models=[facts], read_at=timezone.now())

    def _rollback_asked(self) -> None:
        first, second = self.another("stock-alarm")
        self.live(second, "production", 2)
        self.ask(first, "production", 0.01, "Alarms at every store since noon.", rollback=True)

    def _delegated(self) -> None:
        _, version = self.another("price-elasticity", "Customers")
        self._asks_only("price-elasticity", "risk")
        self.ask(version, "production", 0.1, "Prices of the new season.")
        Delegation.objects.all().delete()
        services.delegate(
            actor=self.person("carol"), via=Via.BROWSER, delegate_id=self.person("bob").pk,
            until=timezone.now() + timedelta(days=3), reason="On holiday.",
        )  # fmt: skip

    def _workspaces(self) -> None:
        for team, problem in (("T0ACME", ""), ("T0OTHER", "invalid_auth: the app was taken out.")):
            SlackWorkspace.objects.update_or_create(
                team_id=team,
                defaults={
                    "name": team.title(), "scopes": ["chat:write", "commands"], "problem": problem,
                    "installed_at": self.at(30), "installed_by": self.person("dave"),
                    "is_active": not problem,
                },
            )  # fmt: skip

    def _alive(self) -> None:
        """Nobody waits for a worker here: pages shall not say that none runs."""
        for name in ("worker", "beat"):
            Heartbeat.objects.update_or_create(
                name=name, defaults={"at": timezone.now() + timedelta(hours=1)}
            )
