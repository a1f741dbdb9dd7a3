"""The made-up history is one that the verbs could have written."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from approvals.audit import verify_history
from approvals.models import (
    Deployment,
    Event,
    EventEntry,
    ModelVersion,
    Promotion,
    RegisteredModel,
    Target,
    WorkflowRun,
)
from approvals.narrative import KINDS
from approvals.rules import Policy
from approvals.selectors.live import live_at
from approvals.services.cases import case_of
from approvals.services.history import record
from approvals.states import DeploymentStatus, PromotionStatus, Via, WorkflowKind
from tests.world import World

pytestmark = pytest.mark.django_db
SIZE = {"models": 6, "versions": 60, "promotions": 300, "days": 30}


def test_it_hangs_together() -> None:
    call_command("make_history", **SIZE, stdout=StringIO())
    assert RegisteredModel.objects.count() == 6 and Target.objects.count() == 24
    assert ModelVersion.objects.count() == 60
    assert Promotion.objects.count() > 200
    verified = verify_history()
    assert verified.broken_at is None and verified.events > 1500
    # The timeline finds every one of them, and the next one that a verb writes.
    assert verified.hidden == 0 and EventEntry.objects.count() == verified.events
    with transaction.atomic():
        record("environment.frozen", via=Via.COMMAND)
    assert verify_history().hidden == 0
    # What was sealed can be read: whoever is asked could decide.
    for promotion in Promotion.objects.all()[:20]:
        assert case_of(promotion, ()).requirements and not case_of(promotion, ()).blockers
    # No log is left to be read: nobody has runs of years read again.
    assert not WorkflowRun.objects.filter(
        kind=WorkflowKind.DEPLOY, status="completed", log_attempt__lt=F("attempt")
    ).exists()
    # Told in the order of time, in words that are known, never of the future.
    times = list(Event.objects.order_by("id").values_list("at", flat=True))
    assert times == sorted(times) and times[-1] <= timezone.now()
    assert set(Event.objects.values_list("kind", flat=True)) <= set(KINDS)
    # What a target says is live is what its deployments say.
    said = {
        each.target.pk: each.deployment
        for each in live_at(timezone.now(), list(RegisteredModel.objects.all()))
    }
    for target in Target.objects.all():
        deployment = said[target.pk]
        assert target.live_deployment_id == (deployment.pk if deployment else None)
        assert target.live_since == (deployment.finished_at if deployment else None)
        assert isinstance(Policy.from_data(target.policy), Policy)
    # Approved exactly when delivered; something was rejected, rolled back, and failed.
    approved = Promotion.objects.filter(status=PromotionStatus.APPROVED)
    assert approved.count() == Deployment.objects.count()
    assert not approved.filter(deployment=None).exists()
    assert Promotion.objects.filter(kind="rollback", status=PromotionStatus.APPROVED).exists()
    assert Deployment.objects.filter(status=DeploymentStatus.FAILED).exists()
    # The verbs go on from there: ids do not clash.
    assert Promotion.objects.order_by("-pk").values_list("pk", flat=True)[0] >= approved.count()
    version = ModelVersion.objects.order_by("-pk")[0]
    version.pk, version.number, version.registered_at = (
        None,
        9999,
        timezone.now() + timedelta(days=1),
    )
    version.save(force_insert=True)


def test_it_never_stands_beside_what_happened(world: World) -> None:
    world.request()
    before = (Promotion.objects.count(), Event.objects.count(), RegisteredModel.objects.count())
    with pytest.raises(CommandError, match="there are promotions in this database"):
        call_command("make_history", **SIZE, stdout=StringIO())
    assert before == (
        Promotion.objects.count(),
        Event.objects.count(),
        RegisteredModel.objects.count(),
    )
