"""The people of a run: they ask, approve, confirm, look at GitHub and settle, as the seed decided."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from django.utils import timezone

from approvals import services
from approvals.models import Deployment, ModelVersion, Person, Promotion, Restriction, Target
from approvals.services.marks import known_good
from approvals.states import OPEN_DEPLOYMENT, DeploymentStatus, PromotionStatus, Verdict, Via
from tests.chaos.evidence import open_effects
from tests.chaos.outside import Outside, Run
from tests.chaos.plan import ENVIRONMENTS, MODELS, Errand
from tests.chaos.stage import Stage
from tests.chaos.troubles import Troubles

D = DeploymentStatus
VERSIONS = 12
# Nobody dispatches again before GitHub had the time to show a run whose list is late, or whose POST was slow.
PATIENCE_SECONDS = 12.0
STUCK_SECONDS = 300.0
LOOK_SECONDS = 0.4
PROGRESS_EVERY = 50


@dataclass
class Under:
    """An errand under way."""

    errand: Errand
    promotion_id: int
    token: str
    seen: tuple[object, ...] = ()
    since: float = field(default_factory=time.monotonic)
    troubled: bool = False
    ordered: set[tuple[int, int]] = field(default_factory=set)
    looked: float = 0.0
    told: bool = False


class Driver:
    """Walks the plan from its first errand to the end of its last."""

    def __init__(self, stage: Stage, outside: Outside, troubles: Troubles) -> None:
        self.stage, self.outside, self.troubles = stage, outside, troubles
        self.refused: Counter[str] = Counter()
        self.did: Counter[str] = Counter()
        self.problems: list[str] = []
        self.under: dict[int, Under] = {}
        self.alice = self.bob = Person()
        self.targets: list[Target] = []
        self._runs: tuple[float, list[Run]] = (0.0, [])

    # -- before --------------------------------------------------------------------------------

    def furnish(self) -> None:
        """People who may act, and versions in MLflow; wait until the product has read them."""
        Person.objects.update(is_active=True)
        self.alice = Person.objects.get(username="alice")
        self.bob = Person.objects.get(username="bob")
        for number in range(MODELS):
            self.outside.register(f"chaos-{number}", VERSIONS)
        self.targets = [
            Target.objects.get(model__name=f"chaos-{number}", environment__name=environment)
            for number in range(MODELS)
            for environment in ENVIRONMENTS
        ]
        for beat in ("beat-1", "beat-2"):
            self.stage.start(beat)
        until = time.monotonic() + 60
        while ModelVersion.objects.filter(run_status="FINISHED").count() < MODELS * VERSIONS:
            if time.monotonic() > until:
                raise RuntimeError("The product did not read the versions from MLflow.")
            self.stage.tend()
            time.sleep(0.2)

    # -- the walk ------------------------------------------------------------------------------

    def walk(self, plan: list[Errand], *, seconds: float, progress: Callable[[int], None]) -> None:
        """All errands, those of one target in their order. What got stuck is a problem. ``progress`` hears now
        and then how many have ended."""
        waiting, told = list(plan), 0
        until = time.monotonic() + seconds
        while (waiting or self.under) and time.monotonic() < until:
            began = time.monotonic()
            self._tend()
            busy = set()
            for errand in list(waiting):
                if errand.target not in busy and self._begin(errand):
                    waiting.remove(errand)
                busy.add(errand.target)
            for under in list(self.under.values()):
                self._attend(under)
            ended = len(plan) - len(waiting) - len(self.under)
            if ended - told >= PROGRESS_EVERY:
                told = ended
                progress(ended)
            time.sleep(max(0.0, LOOK_SECONDS - (time.monotonic() - began)))
        if waiting:
            self.problems.append(f"{len(waiting)} promotions were not asked for in the time.")
        for under in self.under.values():
            self.problems.append(f"{self._where(under)} did not end in the time.")

    def drain(self, seconds: float = 90.0) -> None:
        """Nothing breaks any more; whatever is still to be delivered is."""
        self.troubles.end()
        until = time.monotonic() + seconds
        while open_effects().exists() and time.monotonic() < until:
            self.stage.tend()
            time.sleep(0.3)

    def _tend(self) -> None:
        self.stage.tend()
        self.troubles.tend()

    # -- asking --------------------------------------------------------------------------------

    def _begin(self, errand: Errand) -> bool:
        target = self.targets[errand.target]
        here = [each for each in self.under.values() if each.errand.target == errand.target]
        pending = Promotion.objects.filter(target=target, status=PromotionStatus.PENDING).exists()
        if pending or len(here) >= 2 or (here and errand.waits):
            return False
        found = self._version_for(errand, target)
        if found is None:
            return False
        version, rollback = found
        ask = services.request_rollback if rollback else services.request_promotion
        try:
            promotion = ask(
                actor=self.alice,
                via=Via.BROWSER,
                target_id=target.pk,
                version_id=version.pk,
                reason=f"Errand {errand.number}.",
            )
        except services.Refused as refused:  # something ended between the look and the verb
            self.refused[refused.code] += 1
            return False
        self.did["rollbacks asked for" if rollback else "promotions asked for"] += 1
        self._prepare_ending(errand, promotion)
        under = self.under[promotion.pk] = Under(errand, promotion.pk, promotion.token)
        # As late as the trouble can still strike this promotion: where nobody is asked, that is now.
        early = any(each.name.startswith("gather_facts") for each in errand.troubles)
        if early or (target.policy["automatic"] and not rollback):
            self._trouble(under)
        return True

    def _version_for(self, errand: Errand, target: Target) -> tuple[ModelVersion, bool] | None:
        target.refresh_from_db()
        busy = target.deployments.filter(status__in=OPEN_DEPLOYMENT).values("version")
        free = (
            ModelVersion.objects.filter(model=target.model, deleted_at=None)
            .exclude(pk__in=busy)
            .exclude(pk=target.live_version_id or 0)
        )
        if errand.rollback:
            # What was rolled back from counts as bad, and nobody rolls back to that.
            taken = set(busy.values_list("version", flat=True))
            if good := [each for each in known_good(target) if each.pk not in taken]:
                return good[int(errand.luck[0] * len(good))], True
        found = list(free.order_by("number"))
        return (found[int(errand.luck[0] * len(found))], False) if found else None

    def _prepare_ending(self, errand: Errand, promotion: Promotion) -> None:
        """The workflow looks these files up. A step that does not come does not matter."""
        steps = len(self.targets[errand.target].strategy.get("steps", [1]))
        at = min(errand.at_step, steps)
        token = promotion.token if at == 1 else f"{promotion.token}-{at}"
        if errand.ending == "failure":
            (self.stage.out / f"fail-{token}").touch()
        elif errand.ending == "cancel":
            (self.stage.out / f"slow-{token}").touch()
        if errand.lame_way_back:
            (self.stage.out / f"lame-{promotion.token}").touch()

    # -- attending to one errand ---------------------------------------------------------------

    def _attend(self, under: Under) -> None:
        promotion = Promotion.objects.select_related("deployment__step").get(pk=under.promotion_id)
        deployment: Deployment | None = getattr(promotion, "deployment", None)
        step = deployment.step if deployment else None
        seen = (
            *(promotion.status, promotion.seal, promotion.problem),
            *((deployment.status, deployment.paused) if deployment else ()),
            *((step.pk, step.dispatches, step.outcome) if step else ()),
        )
        if seen != under.seen:
            under.seen, under.since = seen, time.monotonic()
        elif time.monotonic() - under.since > STUCK_SECONDS and not under.told:
            under.told = True
            self.problems.append(f"{self._where(under)} stood still for {STUCK_SECONDS:.0f} s.")
        if not promotion.is_pending and (deployment is None or not deployment.is_open):
            del self.under[under.promotion_id]
            return
        try:
            if deployment is None:
                self._decide(under, promotion)
            else:
                self._look_after(under, deployment)
        except services.Refused as refused:  # a worker was quicker
            self.refused[refused.code] += 1

    def _decide(self, under: Under, promotion: Promotion) -> None:
        if promotion.problem:
            if time.monotonic() - under.looked > 2:
                under.looked = time.monotonic()
                self._did("facts checked again")
                services.check_again(actor=self.alice, via=Via.BROWSER, promotion_id=promotion.pk)
            return
        if not promotion.seal:
            return
        self._trouble(under)
        held = Restriction.objects.filter(target_id=promotion.target_id, lifted_at=None)
        if promotion.facts["policy"].get("automatic"):
            if held.exists():
                self._did("hold released after a rollback")
                services.resume(
                    actor=self.bob,
                    via=Via.BROWSER,
                    target_id=promotion.target_id,
                    reason="Looked at.",
                )
            return
        reject = under.errand.ending == "reject"
        services.review(
            actor=self.bob,
            via=Via.BROWSER,
            promotion_id=promotion.pk,
            verdict=Verdict.REJECT if reject else Verdict.APPROVE,
            seal=promotion.seal,
            comment="Not this one." if reject else "",
        )

    def _trouble(self, under: Under) -> None:
        """Break what the plan says, once."""
        if not under.troubled:
            under.troubled = True
            for trouble in under.errand.troubles:
                self.troubles.begin(trouble)

    def _look_after(self, under: Under, deployment: Deployment) -> None:
        errand = under.errand
        if deployment.status == D.UNCONFIRMED:
            self._settle(under, deployment)
        elif deployment.status == D.QUEUED and deployment.asks_to_confirm:
            if errand.luck[1] < 0.15:
                self._did("called off instead of confirmed")
                services.call_off(
                    actor=self.bob,
                    via=Via.BROWSER,
                    deployment_id=deployment.pk,
                    reason="Not over another version.",
                )
            else:
                self._did("confirmed over another version")
                services.confirm(
                    actor=self.bob,
                    via=Via.BROWSER,
                    deployment_id=deployment.pk,
                    seal=deployment.asked_seal,
                )
        elif deployment.status == D.WAITING and deployment.paused:
            self._unpause(under, deployment)
        elif deployment.status == D.RUNNING and errand.ending == "cancel":
            self._cancel_on_github(under, deployment)

    def _unpause(self, under: Under, deployment: Deployment) -> None:
        if deployment.aborting or under.errand.luck[2] < 0.25:
            self._did("way back started once more" if deployment.aborting else "rollout aborted")
            services.abort(
                actor=self.bob,
                via=Via.BROWSER,
                deployment_id=deployment.pk,
                reason="It does not look good.",
            )
        else:
            self._did("rollout advanced")
            services.advance(actor=self.bob, via=Via.BROWSER, deployment_id=deployment.pk)

    def _cancel_on_github(self, under: Under, deployment: Deployment) -> None:
        step = deployment.step
        if step is None or not step.run_id or (step.pk, -1) in under.ordered:
            return
        if (self.stage.out / f"slow-{'-'.join(step.token.split('-')[:3])}").exists():
            under.ordered.add((step.pk, -1))
            self._did("run cancelled on GitHub")
            self.outside.cancel_run(step.run_id)

    def _settle(self, under: Under, deployment: Deployment) -> None:
        """Look again; only when GitHub, after a while, has no run with the token: dispatch again or give up."""
        step = deployment.step
        if step is None or step.began_at is None:
            return
        order = (step.pk, step.dispatches)
        if order in under.ordered or time.monotonic() - under.looked < 1.5:
            return
        under.looked = time.monotonic()
        by_bob = {"actor": self.bob, "via": Via.BROWSER, "deployment_id": deployment.pk}
        age = (timezone.now() - step.began_at).total_seconds()
        if age < PATIENCE_SECONDS or any(each.token == step.token for each in self._newest_runs()):
            self._did("unconfirmed: looked again")
            services.look_again(actor=self.bob, via=Via.BROWSER, deployment_id=deployment.pk)
            return
        under.ordered.add(order)
        if under.errand.luck[1] < 0.2:
            self._did("unconfirmed: given up")
            services.give_up(**by_bob, reason="GitHub has no run with the token.")  # type: ignore[arg-type]
        else:
            self._did("unconfirmed: dispatched again")
            services.dispatch_again(**by_bob, reason="GitHub has no run with the token.")  # type: ignore[arg-type]

    def _newest_runs(self) -> list[Run]:
        return self.outside.runs(newest=100)

    def _did(self, what: str) -> None:
        self.did[what] += 1

    @staticmethod
    def _where(under: Under) -> str:
        promotion = Promotion.objects.select_related("deployment__step").get(pk=under.promotion_id)
        deployment = getattr(promotion, "deployment", None)
        place = f"{promotion.status}"
        if deployment is not None:
            place += f", {deployment.status}: {deployment.detail}"
        return f"Errand {under.errand.number} (promotion {promotion.pk}, {place})"
