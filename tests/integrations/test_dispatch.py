"""Firing exactly once, against the GitHub stand-in and a real MLflow server, whatever breaks."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.utils import timezone
from pytest_django.fixtures import Settings

from approvals import services
from approvals.models import Deployment, Effect, Event, ModelVersion, Promotion, Step
from approvals.models.outbox import EffectKind
from approvals.narrative import sentence_of
from approvals.selectors.news import called_by, is_outcome
from approvals.states import DeploymentStatus, PromotionStatus, Via
from integrations import polls
from integrations.effects import HANDLERS
from integrations.github import dispatch as dispatching
from integrations.models import Poll
from integrations.outbox import deliver_due
from tests.integrations.github_fixtures import DEPLOY, GitHub, eventually
from tests.integrations.registry import Registry
from tests.world import World

D = DeploymentStatus


@pytest.fixture(autouse=True)
def quick(settings: Settings) -> None:
    """No Slack in these tests; look-ups give up soon."""
    settings.SLACK_BOT_TOKEN = ""
    settings.DISPATCH_LOOKUP_SECONDS = 1.0
    settings.GITHUB_FOLLOW_SECONDS = 0.1
    settings.GITHUB_POLL_SECONDS = 0.1


@pytest.fixture
def version(committed_world: World, registry: Registry) -> ModelVersion:
    """fraud-detector version 1, really in MLflow and read by the product's own sync."""
    registry.register("fraud-detector", metrics={"accuracy": 0.913})
    _sync()
    return ModelVersion.objects.get(model__name="fraud-detector", number=1, deleted_at=None)


def _sync() -> None:
    Poll.objects.filter(kind="mlflow").delete()
    now = timezone.now()
    polls.ensure(now)
    for poll in Poll.objects.filter(kind="mlflow"):
        polls.look(poll)
        poll.refresh_from_db()
        assert poll.last_error == ""


def deliver() -> None:
    """Deliver what is due, waits of a few seconds cut short."""
    Effect.objects.filter(status="waiting").update(due_at=timezone.now())
    deliver_due(HANDLERS, seconds=20)


def follow() -> None:
    """Look at every poll that concerns GitHub."""
    polls.ensure(timezone.now())
    for poll in Poll.objects.exclude(kind="mlflow"):
        polls.look(poll)


def requested(world: World, version: ModelVersion) -> Promotion:
    promotion = services.request_promotion(
        actor=world.person("alice"),
        via=Via.BROWSER,
        target_id=world.target().pk,
        version_id=version.pk,
        reason="It catches more fraud.",
    )
    deliver()
    promotion.refresh_from_db()
    return promotion


def approved(world: World, version: ModelVersion) -> Deployment:
    promotion = requested(world, version)
    assert promotion.seal, promotion.problem
    return world.approve(promotion)


def again(deployment: Deployment) -> Deployment:
    return Deployment.objects.select_related("promotion").get(pk=deployment.pk)


def test_one_approval_one_run_to_the_end(
    committed_world: World, version: ModelVersion, github: GitHub, registry: Registry
) -> None:
    deployment = approved(committed_world, version)
    deliver()
    deployment = again(deployment)
    assert deployment.status == D.RUNNING
    assert [run["id"] for run in github.runs()] == [deployment.run_id]
    assert deployment.promotion.token in github.runs()[0]["display_title"]

    def ended() -> bool:
        follow()
        return again(deployment).status == D.SUCCEEDED

    eventually(ended)
    deliver()
    assert registry.alias("fraud-detector", "champion") == 1
    assert github.posts() == 1
    assert github.deployed() == [f"fraud-detector 1 {deployment.promotion.token}"]
    run = again(deployment).workflow_run
    assert run is not None
    assert {step["name"] for step in run.steps} >= {"Deploy"}
    kinds = list(Event.objects.order_by("-id").values_list("kind", flat=True)[:2])
    assert kinds == ["registry.written", "deployment.succeeded"]


def test_a_failing_workflow_leaves_what_was_live(
    committed_world: World, version: ModelVersion, github: GitHub, registry: Registry
) -> None:
    (github.out / "fail").touch()
    deployment = approved(committed_world, version)
    deliver()

    def ended() -> bool:
        follow()
        return not again(deployment).is_open

    eventually(ended)
    assert again(deployment).status == D.FAILED
    assert "failure" in again(deployment).detail
    assert committed_world.target().live_version is None
    deliver()
    assert registry.alias("fraud-detector", "champion") is None


# fault, its options, what the deployment is after the first delivery, POSTs, runs on GitHub
FAULTS = [
    ("drop_after_accept", {}, D.RUNNING, 1, 1),
    ("error_after_accept", {}, D.RUNNING, 1, 1),
    ("no_run_details", {}, D.RUNNING, 1, 1),
    ("redirect", {}, D.FAILED, 1, 0),
    ("unprocessable", {}, D.FAILED, 1, 0),
    ("rate_limited", {"status": 429, "retry_after": 1}, D.RUNNING, 2, 1),
    ("rate_limited", {"status": 403, "retry_after": 1}, D.RUNNING, 2, 1),
    ("rate_limited", {"status": 403}, D.RUNNING, 2, 1),
]


@pytest.mark.parametrize(("fault", "options", "status", "posts", "runs"), FAULTS)
def test_each_fault_of_github(
    committed_world: World,
    version: ModelVersion,
    github: GitHub,
    fault: str,
    options: dict[str, object],
    status: str,
    posts: int,
    runs: int,
) -> None:
    deployment = approved(committed_world, version)
    github.fault(fault, **options)
    for _ in range(4):
        deliver()
    assert again(deployment).status == status, again(deployment).detail
    assert (github.posts(), len(github.runs())) == (posts, runs)
    if status == D.FAILED:
        assert "othing was started" in again(deployment).detail


def test_lists_that_are_late(
    committed_world: World, version: ModelVersion, github: GitHub, settings: Settings
) -> None:
    settings.DISPATCH_LOOKUP_SECONDS = 20.0
    deployment = approved(committed_world, version)
    github.fault("late_lists", times=None, seconds=1.5)
    github.fault("drop_after_accept")
    deliver()
    assert again(deployment).status == D.DISPATCHING

    def found() -> bool:
        deliver()
        return again(deployment).status == D.RUNNING

    eventually(found)
    assert (github.posts(), len(github.runs())) == (1, 1)


def test_what_never_turns_up_is_for_a_person(
    committed_world: World, version: ModelVersion, github: GitHub
) -> None:
    deployment = approved(committed_world, version)
    github.fault("error_before")
    deliver()
    assert again(deployment).status == D.DISPATCHING
    assert "posted again" in again(deployment).detail

    def unconfirmed() -> bool:
        deliver()
        return again(deployment).status == D.UNCONFIRMED

    eventually(unconfirmed)
    for _ in range(3):
        deliver()
    assert (github.posts(), len(github.runs())) == (1, 0)

    bob = committed_world.person("bob")
    for who, code in (("alice", "requester"), ("mallory", "not_in_team")):
        with pytest.raises(services.Refused) as refused:
            services.dispatch_again(
                actor=committed_world.person(who),
                via=Via.BROWSER,
                deployment_id=deployment.pk,
                reason="I looked.",
            )
        assert refused.value.code == code
    services.look_again(actor=bob, via=Via.BROWSER, deployment_id=deployment.pk)
    deliver()
    assert again(deployment).status == D.UNCONFIRMED
    services.dispatch_again(
        actor=bob, via=Via.BROWSER, deployment_id=deployment.pk, reason="No such run on GitHub."
    )
    deliver()
    assert again(deployment).status == D.RUNNING
    assert (github.posts(), len(github.runs())) == (2, 1)


def test_dispatched_again_although_the_first_run_exists(
    committed_world: World, version: ModelVersion, github: GitHub
) -> None:
    """The person was wrong: the run is looked up once more before the POST, and found."""
    deployment = approved(committed_world, version)
    github.fault("late_lists", times=None, seconds=2.5)
    github.fault("drop_after_accept")

    def unconfirmed() -> bool:
        deliver()
        return again(deployment).status == D.UNCONFIRMED

    eventually(unconfirmed)
    eventually(github.runs)
    services.dispatch_again(
        actor=committed_world.person("bob"),
        via=Via.BROWSER,
        deployment_id=deployment.pk,
        reason="I think nothing was started.",
    )
    deliver()
    assert again(deployment).status == D.RUNNING
    assert (github.posts(), len(github.runs())) == (1, 1)


MUTATIONS = {
    "metric": "accuracy was 0.913 and is 0.871 now",
    "artifact": "the artifact was sha256:",
    "workflow": "the workflow file was git:",
    "inputs": "workflow input region was not there and is eu now",
    "alias": "the alias was champion and is winner now",
    "ref": "the workflow's ref was main and is ",
    "policy": "who must approve was 1 of ml-leads and 1 of risk and is 1 of ml-leads now",
}


@pytest.mark.parametrize("fact", MUTATIONS)
def test_a_fact_that_changes_after_approval_stops_everything(
    committed_world: World, version: ModelVersion, github: GitHub, registry: Registry, fact: str
) -> None:
    deployment = approved(committed_world, version)
    target = committed_world.target()
    if fact == "metric":
        registry.overwrite_metric("fraud-detector", 1, "accuracy", 0.871)
    elif fact == "artifact":
        registry.overwrite_artifact("fraud-detector", 1)
    elif fact == "workflow":
        files = {".github/workflows/deploy-model.yml": DEPLOY + "# changed"}
        github.control(
            "POST", "repos/acme/ml-models/commits", {"message": "Change", "files": files}
        )
    elif fact == "policy":
        # Somebody with the database in hand: what was approved asked two teams.
        promotion = deployment.promotion
        promotion.policy["promote"] = promotion.policy["promote"][:1]
        promotion.save(update_fields=["policy"])
    else:
        # Another ref, where the workflow file is the very same.
        commit = {"message": "More", "files": {"README.md": "More."}}
        sha = github.control("POST", "repos/acme/ml-models/commits", commit)["sha"]
        changes = {"inputs": {"inputs": {"region": "eu"}}, "ref": {"ref": sha}}
        type(target).objects.filter(pk=target.pk).update(**changes.get(fact, {"alias": "winner"}))
    deliver()
    deployment = again(deployment)
    assert deployment.status == D.FAILED
    assert MUTATIONS[fact] in deployment.detail
    assert "Nothing was started" in deployment.detail
    assert deployment.promotion.grant_spent_at is None
    assert (github.posts(), github.runs()) == (0, [])
    event = Event.objects.get(kind="deployment.stopped")
    assert MUTATIONS[fact] in sentence_of(event)
    assert is_outcome(event, deployment.promotion)
    assert [each.username for each in called_by(event, deployment.promotion)] == ["alice"]


def test_a_version_made_again_under_the_same_number_is_not_the_approved_one(
    committed_world: World, version: ModelVersion, github: GitHub, registry: Registry
) -> None:
    deployment = approved(committed_world, version)
    registry.delete("fraud-detector")
    registry.register("fraud-detector", metrics={"accuracy": 0.913})
    deliver()
    assert again(deployment).status == D.FAILED
    assert "the version's registration was" in again(deployment).detail
    assert github.posts() == 0


def test_mlflow_down_keeps_the_request_and_says_so(
    committed_world: World, version: ModelVersion, github: GitHub, settings: Settings
) -> None:
    there = settings.MLFLOW_TRACKING_URI
    settings.MLFLOW_TRACKING_URI = "http://127.0.0.1:9"
    promotion = requested(committed_world, version)
    assert promotion.status == PromotionStatus.PENDING
    assert promotion.problem == "MLflow could not be reached, or failed."
    settings.MLFLOW_TRACKING_URI = there
    deliver()
    promotion.refresh_from_db()
    assert (bool(promotion.seal), promotion.problem) == (True, "")


def test_github_down_keeps_the_grant_and_delivers_later(
    committed_world: World, version: ModelVersion, github: GitHub, settings: Settings
) -> None:
    deployment = approved(committed_world, version)
    there = settings.GITHUB_API_URL
    settings.GITHUB_API_URL = "http://127.0.0.1:9"
    deliver()
    assert again(deployment).status == D.QUEUED
    effect = Effect.objects.get(kind=EffectKind.DISPATCH)
    assert "GitHub could not be reached" in effect.last_error
    settings.GITHUB_API_URL = there
    deliver()
    assert again(deployment).status == D.RUNNING
    assert (github.posts(), len(github.runs())) == (1, 1)


def test_a_second_grant_waits_for_the_first(
    committed_world: World, version: ModelVersion, github: GitHub, registry: Registry
) -> None:
    github.fault("never_start", times=None)
    first = approved(committed_world, version)
    registry.register("fraud-detector", metrics={"accuracy": 0.95})
    _sync()
    number_2 = ModelVersion.objects.get(model__name="fraud-detector", number=2)
    second = committed_world.approve(committed_world.request(number_2))
    deliver()
    assert (again(first).status, again(second).status) == (D.RUNNING, D.QUEUED)
    assert github.posts() == 1
    waiting = Effect.objects.get(kind=EffectKind.DISPATCH, promotion=second.promotion)
    assert f"promotion {first.promotion_id}" in waiting.last_error


def test_a_lapsed_grant_fires_nothing(
    committed_world: World, version: ModelVersion, github: GitHub
) -> None:
    deployment = approved(committed_world, version)
    Promotion.objects.update(grant_lapses_at=timezone.now() - timedelta(seconds=1))
    deliver()
    assert again(deployment).status == D.CANCELLED
    assert github.posts() == 0


def test_a_database_restored_from_a_backup_fires_nothing_twice(
    committed_world: World, version: ModelVersion, github: GitHub
) -> None:
    """The grant was spent after the backup was taken: its run exists, and is found before the POST."""
    deployment = approved(committed_world, version)
    deliver()
    run_id = again(deployment).run_id
    Deployment.objects.update(status="queued")
    Step.objects.update(dispatches=0, run_id=None, run_url="")
    Promotion.objects.update(grant_spent_at=None)
    Effect.objects.filter(kind=EffectKind.DISPATCH).update(status="waiting")
    deliver()
    assert (again(deployment).status, again(deployment).run_id) == (D.RUNNING, run_id)
    assert (github.posts(), len(github.runs())) == (1, 1)


def test_waiting_for_another_deployment_never_gives_up(
    committed_world: World, version: ModelVersion, github: GitHub
) -> None:
    github.fault("never_start", times=None)
    first = approved(committed_world, version)
    promotion = committed_world.request(committed_world.version(8))
    second = committed_world.approve(promotion)
    deliver()
    for _ in range(3):
        deliver()
    effect = Effect.objects.get(kind=EffectKind.DISPATCH, promotion=promotion)
    assert effect.attempts == 0
    assert again(second).detail == (
        f"Waiting for the deployment of promotion {first.promotion_id} (fraud-detector v1)."
    )


def test_as_a_github_app(
    committed_world: World, version: ModelVersion, github: GitHub, settings: Settings
) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    settings.GITHUB_TOKEN = ""
    settings.GITHUB_APP_ID = "12345"
    settings.GITHUB_APP_INSTALLATION_ID = "4000001"
    settings.GITHUB_APP_PRIVATE_KEY = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    deployment = approved(committed_world, version)
    deliver()
    assert again(deployment).status == D.RUNNING
    assert (github.posts(), len(github.runs())) == (1, 1)


def test_an_app_that_gets_no_token_fires_nothing(
    committed_world: World, version: ModelVersion, github: GitHub, settings: Settings
) -> None:
    deployment = approved(committed_world, version)
    settings.GITHUB_APP_ID = "12345"
    settings.GITHUB_APP_INSTALLATION_ID = "4000001"
    settings.GITHUB_APP_PRIVATE_KEY = "not a key"
    deliver()
    assert again(deployment).status == D.QUEUED
    assert "no token" in Effect.objects.get(kind=EffectKind.DISPATCH).last_error
    assert github.posts() == 0


def test_the_network_is_never_used_inside_a_transaction(committed_world: World) -> None:
    from django.db import transaction

    with transaction.atomic(), pytest.raises(RuntimeError, match="inside a database transaction"):
        dispatching.workflow_digest("acme/ml-models", "deploy-model.yml", "main")
