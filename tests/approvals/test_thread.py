"""The thread from request to live and back, verb by verb."""

from __future__ import annotations

from approvals import services
from approvals.audit import verify_history
from approvals.models import Deployment, Effect, Event, Target
from approvals.models.outbox import EffectKind
from approvals.states import DeploymentStatus, PromotionStatus, Via
from tests.world import World


def test_from_request_to_live_and_back(world: World) -> None:
    first, second = world.version(1), world.version(2)
    world.make_live(first)
    promotion = world.request(second)
    assert promotion.status == PromotionStatus.PENDING
    assert promotion.replaces == first

    assert world.review(promotion, "bob").status == PromotionStatus.PENDING
    assert not Deployment.objects.filter(promotion=promotion).exists()
    assert world.review(promotion, "carol").status == PromotionStatus.APPROVED

    deployment = world.deploy(Deployment.objects.get(promotion=promotion))
    assert deployment.status == DeploymentStatus.SUCCEEDED
    assert deployment.previous == first
    target = Target.objects.get(pk=promotion.target_id)
    assert target.live_version == second
    assert Effect.objects.filter(kind=EffectKind.SET_ALIAS, promotion=promotion).count() == 1

    back = services.request_rollback(
        actor=world.person("bob"),
        via=Via.BROWSER,
        target_id=target.pk,
        version_id=first.pk,
        reason="Too many false alarms.",
    )
    back = world.seal(back)
    assert world.review(back, "bob").status == PromotionStatus.APPROVED
    world.deploy(Deployment.objects.get(promotion=back), run_id=99)
    target.refresh_from_db()
    assert target.live_version == first
    kinds = list(
        Event.objects.filter(promotion=promotion).order_by("id").values_list("kind", flat=True)
    )
    assert kinds == [
        "promotion.requested",
        "promotion.sealed",
        "review.approved",
        "review.approved",
        "promotion.approved",
        "deployment.dispatching",
        "deployment.started",
        "deployment.succeeded",
    ]
    assert verify_history().broken_at is None
