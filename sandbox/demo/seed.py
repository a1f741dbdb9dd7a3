"""Gives the demo its past: people who can sign in, and versions that went live through the product's own
machinery, requested, approved, dispatched and followed like everything later.

Run by ``make run`` once everything answers; what is there already is left alone. A model's history
begins as soon as its first version is registered, while later ones are still trained.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django

django.setup()

from django.db import connections  # noqa: E402
from django.db.models import QuerySet  # noqa: E402
from django.utils import timezone  # noqa: E402

from approvals import services  # noqa: E402
from approvals.models import ModelVersion, Person, Preferences, Promotion, Target  # noqa: E402
from approvals.services.freezes import frozen_at  # noqa: E402
from approvals.services.judging import judge  # noqa: E402
from approvals.states import DeploymentStatus, MailWish, Verdict, Via  # noqa: E402
from integrations.models import Poll, SlackIdentity  # noqa: E402

PATIENCE_SECONDS = 180
SLACK_TEAM = "T0ACME"
ON_SLACK = ("alice", "bob", "carol", "dave", "mallory")


@dataclass(frozen=True)
class Past:
    """One promotion that went through: what, to where, who asked, and why."""

    version: int
    environment: str
    asked_by: str
    reason: str


# Each model's in this order; the models beside each other.
HISTORY: Mapping[str, Sequence[Past]] = {
    "fraud-detector": (
        Past(1, "staging", "ci", "First version, trained on last quarter."),
        Past(1, "production", "alice", "Two weeks in staging without a complaint."),
        Past(2, "staging", "ci", "The candidate of the week."),
    ),
    # Not churn-predictor: its first promotion is the visitor's, and asks for more than the others.
    "demand-forecast": (Past(1, "production", "alice", "Replaces the spreadsheet."),),
    "credit-limit": (Past(1, "production", "alice", "Signed off by the credit committee."),),
}


def seed(check: Callable[[], None]) -> None:
    """Make the history, saying what is done. ``check`` raises when waiting has become pointless.

    Raises SystemExit with a sentence when something never comes.
    """
    _people()

    def make(model: str) -> None:
        try:
            for past in HISTORY[model]:
                _carry(model, past, check)
        finally:
            connections.close_all()  # this thread's own

    with ThreadPoolExecutor(len(HISTORY)) as threads:
        for done in [threads.submit(make, model) for model in HISTORY]:
            done.result()


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
    # Who is linked in Slack gets mail only if they want it: somebody does, so that there is something to see.
    Preferences.objects.get_or_create(
        person=Person.objects.get(username="bob"), defaults={"mail": MailWish.ALWAYS}
    )


def _carry(model: str, past: Past, check: Callable[[], None]) -> None:
    """Ask, approve with everybody needed, and wait until the version is live."""
    label = f"{model} v{past.version} to {past.environment}"

    def wait_for(what: str, condition: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            check()
            if time.monotonic() > until:
                raise SystemExit(
                    f"The demo waited {PATIENCE_SECONDS} s in vain for {what}; see var/log."
                )
            time.sleep(0.3)

    def registered() -> bool:
        # Somebody just trained it: no need to wait for the next look at MLflow.
        Poll.objects.filter(kind="mlflow").update(due_at=timezone.now())
        return _version(model, past).exists()

    if not _version(model, past).exists():
        wait_for(f"{model} v{past.version} to be read from MLflow", registered)
    promotion = _request(model, past)
    if promotion is None:
        return

    def read() -> Promotion:
        promotion.refresh_from_db()
        return promotion

    wait_for(f"the facts of {label}", lambda: bool(read().seal))
    if frozen_at(promotion.target, timezone.now()):
        # The demo is set up in a freeze of its own configuration: a good day to show how one is overruled.
        services.override(
            actor=Person.objects.get(username="dave"),
            via=Via.COMMAND,
            promotion_id=promotion.pk,
            seal=promotion.seal,
            reason="The demo is set up while production is frozen.",
        )
    wait_for(f"the gates of {label}", lambda: not _blockers(read()))
    for name in ("bob", "carol"):
        if read().is_pending:
            services.review(
                actor=Person.objects.get(username=name),
                via=Via.COMMAND,
                promotion_id=promotion.pk,
                verdict=Verdict.APPROVE,
                seal=promotion.seal,
                comment="Looked at before the demo began.",
                ticked=judge(promotion, timezone.now()).terms.checklist,
            )

    def ended() -> bool:
        return bool(Promotion.objects.get(pk=promotion.pk).deployment.finished_at)

    wait_for(f"the deployment of {label}", ended)
    deployment = Promotion.objects.get(pk=promotion.pk).deployment
    if deployment.status != DeploymentStatus.SUCCEEDED:
        raise SystemExit(f"The demo could not deploy {label}: {deployment.detail}")
    print(f"{label}: live", flush=True)


def _blockers(promotion: Promotion) -> tuple[str, ...]:
    return judge(promotion, timezone.now()).case.blockers if promotion.is_pending else ()


def _version(model: str, past: Past) -> QuerySet[ModelVersion]:
    return ModelVersion.objects.filter(model__name=model, number=past.version, deleted_at=None)


def _request(model: str, past: Past) -> Promotion | None:
    """The promotion, asked for unless it was before; None when that came to its end."""
    target = Target.objects.get(model__name=model, environment__name=past.environment)
    version = _version(model, past).get()
    earlier = Promotion.objects.filter(target=target, version=version).first()
    if earlier is not None:
        deployment = getattr(earlier, "deployment", None)
        under_way = earlier.is_pending or (deployment is not None and deployment.is_open)
        return earlier if under_way else None
    return services.request_promotion(
        actor=Person.objects.get(username=past.asked_by),
        via=Via.COMMAND,
        target_id=target.pk,
        version_id=version.pk,
        reason=past.reason,
    )


def main() -> None:
    """Train in a process of its own, and make the history beside it."""
    with subprocess.Popen([sys.executable, "-m", "sandbox.demo.train"]) as training:

        def check() -> None:
            if training.poll():
                raise SystemExit("The demo's models could not be trained (see above).")

        try:
            seed(check)
            training.wait()
            check()
        finally:
            training.terminate()


if __name__ == "__main__":
    main()
