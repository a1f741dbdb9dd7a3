"""Gives the demo its past: people who can sign in, and versions that went live through the product's own
machinery, requested, approved, dispatched and followed like everything later.

Run by ``make run`` once everything answers; what is there already is left alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django

django.setup()

from django.utils import timezone  # noqa: E402

from approvals import services  # noqa: E402
from approvals.models import ModelVersion, Person, Promotion, Target  # noqa: E402
from approvals.states import DeploymentStatus, Verdict, Via  # noqa: E402
from integrations.models import SlackIdentity  # noqa: E402

PATIENCE_SECONDS = 180
SLACK_TEAM = "T0ACME"
ON_SLACK = ("alice", "bob", "carol", "dave", "mallory")

# (model, version, environment, who asks, why); each round is delivered before the next begins.
ROUNDS: Sequence[Sequence[tuple[str, int, str, str, str]]] = (
    (
        ("fraud-detector", 1, "staging", "ci", "First version, trained on last quarter."),
        ("churn-predictor", 1, "staging", "ci", "First version."),
        ("demand-forecast", 1, "staging", "ci", "First version."),
        ("credit-limit", 1, "staging", "ci", "First version."),
    ),
    (
        ("fraud-detector", 1, "production", "alice", "Two weeks in staging without a complaint."),
        ("churn-predictor", 1, "production", "alice", "Marketing's campaign starts on Monday."),
        ("demand-forecast", 1, "production", "alice", "Replaces the spreadsheet."),
        ("credit-limit", 1, "production", "alice", "Signed off by the credit committee."),
    ),
    (
        ("fraud-detector", 2, "staging", "ci", "The candidate of the week."),
        ("churn-predictor", 2, "staging", "ci", "The candidate of the week."),
    ),
)


def main() -> None:
    """Seed, saying what is done; raises SystemExit with a sentence when something never comes."""
    _people()
    _wait_for("MLflow's versions to be read", lambda: ModelVersion.objects.count() >= 8)
    for plan in ROUNDS:
        started = [_request(*row) for row in plan]
        for promotion_id in filter(None, started):
            _carry(promotion_id)


def _people() -> None:
    """Everybody of the demo may sign in, and all but the machine account are linked to Slack."""
    Person.objects.filter(username__in=[*ON_SLACK, "ci"]).update(is_active=True)
    Person.objects.filter(username="dave").update(is_staff=True, is_superuser=True)
    for name in ON_SLACK:
        SlackIdentity.objects.get_or_create(
            person=Person.objects.get(username=name),
            defaults={
                "team_id": SLACK_TEAM,
                "user_id": f"U0{name.upper()}",
                "linked_at": timezone.now(),
            },
        )


def _wait_for(what: str, condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > until:
            raise SystemExit(
                f"The demo waited {PATIENCE_SECONDS} s in vain for {what}; see var/log."
            )
        time.sleep(0.3)


def _request(model: str, number: int, environment: str, who: str, why: str) -> int | None:
    """Ask, unless it was asked for before; the promotion's id, None when that came to its end."""
    target = Target.objects.get(model__name=model, environment__name=environment)
    version = ModelVersion.objects.get(model__name=model, number=number, deleted_at=None)
    earlier = Promotion.objects.filter(target=target, version=version).first()
    if earlier is not None:
        deployment = getattr(earlier, "deployment", None)
        under_way = earlier.is_pending or (deployment is not None and deployment.is_open)
        return earlier.pk if under_way else None
    promotion = services.request_promotion(
        actor=Person.objects.get(username=who),
        via=Via.COMMAND,
        target_id=target.pk,
        version_id=version.pk,
        reason=why,
    )
    return promotion.pk


def _carry(promotion_id: int) -> None:
    """Approve with everybody needed, and wait until the version is live."""
    promotion = Promotion.objects.select_related("version__model", "target__environment").get(
        pk=promotion_id
    )
    label = f"{promotion.version} to {promotion.target.environment.name}"

    def read() -> Promotion:
        promotion.refresh_from_db()
        return promotion

    _wait_for(f"the facts of {label}", lambda: bool(read().seal))
    for name in ("bob", "carol"):
        if read().is_pending:
            services.review(
                actor=Person.objects.get(username=name),
                via=Via.COMMAND,
                promotion_id=promotion.pk,
                verdict=Verdict.APPROVE,
                seal=promotion.seal,
            )

    def ended() -> bool:
        return bool(Promotion.objects.get(pk=promotion.pk).deployment.finished_at)

    _wait_for(f"the deployment of {label}", ended)
    deployment = Promotion.objects.get(pk=promotion.pk).deployment
    if deployment.status != DeploymentStatus.SUCCEEDED:
        raise SystemExit(f"The demo could not deploy {label}: {deployment.detail}")
    print(f"  {label}: live", flush=True)


if __name__ == "__main__":
    main()
