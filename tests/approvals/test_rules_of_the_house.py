"""Rules of the architecture that no type checker holds."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from approvals.models import Deployment, Promotion, Review
from approvals.services import history, locks
from approvals.states import ACTIVE_DEPLOYMENT, TRANSITIONS, DeploymentStatus, PromotionStatus
from tests.world import World

PACKAGES = ("approvals", "integrations", "config")
# The only places where a status is assigned, and whose.
WRITERS = {
    "approvals/services/settle.py": {"promotion", "deployment"},
    "approvals/services/outbox.py": {"effect"},
    "integrations/outbox.py": {"effect"},
}


def assignments(root: Path) -> Iterator[tuple[str, str]]:
    """(file, name) of every ``name.status = …`` in the product."""
    for package in PACKAGES:
        for file in sorted((root / package).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text())):
                targets = node.targets if isinstance(node, ast.Assign) else []
                for target in targets:
                    if isinstance(target, ast.Attribute) and target.attr == "status":
                        assert isinstance(target.value, ast.Name), file
                        yield file.relative_to(root).as_posix(), target.value.id


def test_only_services_assign_a_status(root: Path) -> None:
    found: dict[str, set[str]] = {}
    for file, name in assignments(root):
        found.setdefault(file, set()).add(name)
    assert found == WRITERS


def test_no_bulk_update_of_a_decision_or_delivery(root: Path) -> None:
    """``.update(status=…)`` would go round the transition table; the outbox alone may, for effects."""
    for package in PACKAGES:
        for file in (root / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Attribute)
                    and node.func.attr == "update"
                    and any(keyword.arg == "status" for keyword in node.keywords)
                ):
                    assert file.relative_to(root).as_posix() == "integrations/outbox.py"


def test_no_delay_or_countdown_in_the_decision(root: Path) -> None:
    for file in (root / "approvals").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute):
                assert node.attr not in {"delay", "apply_async"}, file


def test_every_status_is_in_the_table_or_final() -> None:
    final = {status for status in PromotionStatus.values if status not in TRANSITIONS}
    assert final == {"approved", "rejected", "cancelled", "expired", "superseded"}
    ended = {status for status in DeploymentStatus.values if status not in TRANSITIONS}
    assert ended == {"succeeded", "failed"} | ({"cancelled"})
    assert set(ACTIVE_DEPLOYMENT) <= set(TRANSITIONS)


def test_events_and_locks_belong_to_a_transaction(committed_world: World) -> None:
    assert not connection.in_atomic_block
    with pytest.raises(RuntimeError):
        history.record("promotion.requested", via="browser")
    with pytest.raises(RuntimeError):
        locks.lock_target(committed_world.target().pk)


class TestTheDatabaseHolds:
    """What no verb would do is refused by PostgreSQL too."""

    def refuses(self, name: str) -> pytest.RaisesExc[IntegrityError]:
        return pytest.raises(IntegrityError, match=name)

    def test_two_pending_for_one_target_and_kind(self, world: World) -> None:
        promotion = world.request()
        with self.refuses("one_pending_per_target_and_kind"), transaction.atomic():
            Promotion.objects.create(
                target=promotion.target,
                version=promotion.version,
                kind=promotion.kind,
                requester=promotion.requester,
                via="browser",
                reason="x",
                requested_at=timezone.now(),
                expires_at=timezone.now(),
            )

    def test_decided_at_exactly_when_decided(self, world: World) -> None:
        promotion = world.request()
        rows = Promotion.objects.filter(pk=promotion.pk)
        with self.refuses("decided_at_exactly_when_decided"), transaction.atomic():
            rows.update(status="rejected")
        with self.refuses("decided_at_exactly_when_decided"), transaction.atomic():
            rows.update(decided_at=timezone.now())

    def test_approved_without_a_seal(self, world: World) -> None:
        promotion = world.request()
        with self.refuses("approved_only_when_sealed"), transaction.atomic():
            Promotion.objects.filter(pk=promotion.pk).update(
                status="approved", decided_at=timezone.now(), seal=""
            )

    def test_two_counting_reviews_of_one_person(self, world: World) -> None:
        promotion = world.request()
        world.review(promotion, "bob")
        with self.refuses("one_counting_review_per_person"), transaction.atomic():
            Review.objects.create(
                promotion=promotion,
                person=world.person("bob"),
                verdict="approve",
                seal=promotion.seal,
                via="api",
                created_at=timezone.now(),
            )

    def test_two_active_deployments_at_one_target(self, world: World) -> None:
        first = world.approve(world.request(world.version(2)))
        second = world.approve(world.request(world.version(3)))
        Deployment.objects.filter(pk=first.pk).update(status="running")
        with self.refuses("one_active_deployment_per_target"), transaction.atomic():
            Deployment.objects.filter(pk=second.pk).update(status="dispatching")

    def test_two_deployments_of_one_grant(self, world: World) -> None:
        deployment = world.approve(world.request())
        with self.refuses("promotion_id"), transaction.atomic():
            Deployment.objects.create(
                promotion=deployment.promotion,
                target=deployment.target,
                version=deployment.version,
                created_at=timezone.now(),
            )
