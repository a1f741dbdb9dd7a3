"""What people do behind the product's back, in a real MLflow server, on the GitHub stand-in, at a serving layer.

It is declared after two looks, and each of the three answers does what it says."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
import requests
from django.utils import timezone
from pytest_django.fixtures import Settings

from approvals import services
from approvals.models import Effect, Event, ModelVersion, OutOfBandChange, Promotion, Target
from approvals.models.outbox import EffectKind
from approvals.states import DeploymentStatus, Via
from integrations import polls
from integrations.effects import HANDLERS
from integrations.errors import Rejected, Unavailable
from integrations.models import Poll
from integrations.outbox import Handler, deliver_due
from integrations.serving.health import number_in, read_served
from tests.integrations.github_fixtures import REPOSITORY, GitHub, eventually
from tests.integrations.mlflow_fixtures import answering, serving
from tests.integrations.registry import Registry
from tests.world import World

MODEL = "fraud-detector"
# Delivered by adapters of their own; here they would only fail for want of a channel.
QUIET: dict[str, Handler] = {
    EffectKind.ALERT: lambda effect: None,
    EffectKind.MAIL: lambda effect: None,
}


@pytest.fixture(autouse=True)
def quick(settings: Settings) -> None:
    settings.SLACK_BOT_TOKEN = ""
    settings.GITHUB_FOLLOW_SECONDS = settings.GITHUB_POLL_SECONDS = 0.1


def look(kind: str) -> Poll:
    """One look, as the schedule would have it made."""
    polls.ensure(timezone.now())
    found = None
    for poll in Poll.objects.filter(kind=kind):
        polls.look(poll)
        poll.refresh_from_db()
        found = poll
    assert found is not None
    return found


def look_well(kind: str) -> None:
    assert look(kind).last_error == ""


def deliver() -> None:
    Effect.objects.filter(status="waiting").update(due_at=timezone.now())
    deliver_due({**HANDLERS, **QUIET}, seconds=20)


def ask(world: World, number: int, **more: Any) -> Promotion:
    promotion = services.request_promotion(
        actor=world.person("alice"),
        via=Via.BROWSER,
        target_id=world.target().pk,
        version_id=ModelVersion.objects.get(model__name=MODEL, number=number, deleted_at=None).pk,
        reason="It catches more fraud.",
        **more,
    )
    return sealed(promotion)


def sealed(promotion: Promotion) -> Promotion:
    deliver()
    promotion.refresh_from_db()
    assert promotion.seal, promotion.problem
    return promotion


def settle(world: World, promotion: Promotion) -> None:
    """Approve, deploy on the stand-in, follow to the end, write the alias."""
    deployment = world.approve(promotion)
    deliver()

    def ended() -> bool:
        look("run")
        deployment.refresh_from_db()
        return deployment.status == DeploymentStatus.SUCCEEDED

    if not promotion.retroactive:
        eventually(ended)
    deliver()


@pytest.fixture
def live(committed_world: World, registry: Registry, github: GitHub) -> World:
    """v1 went live through the product; v2 is registered. MLflow's alias says v1."""
    registry.register(MODEL, metrics={"accuracy": 0.91})
    registry.register(MODEL, metrics={"accuracy": 0.92})
    look_well("mlflow")
    settle(committed_world, ask(committed_world, 1))
    assert registry.alias(MODEL, "champion") == 1
    return committed_world


def by_hand(registry: Registry, number: int) -> None:
    """As in MLflow's own pages."""
    registry.client.set_registered_model_alias(MODEL, "champion", str(number))


def changes() -> list[OutOfBandChange]:
    return list(OutOfBandChange.objects.filter(declared_at__isnull=False).order_by("pk"))


def the_change() -> OutOfBandChange:
    [change] = changes()
    return change


def answer(world: World, verb: str, who: str, **more: Any) -> OutOfBandChange:
    answered: OutOfBandChange = getattr(services, verb)(
        actor=world.person(who),
        via=Via.BROWSER,
        change_id=the_change().pk,
        reason="It was the night shift.",
        **more,
    )
    return answered


class TestAnAliasMovedByHand:
    def test_declared_after_two_looks(self, live: World, registry: Registry) -> None:
        look_well("mlflow")
        look_well("mlflow")
        assert changes() == [], "what we wrote ourselves is no finding"
        by_hand(registry, 2)
        look_well("mlflow")
        assert changes() == []
        look_well("mlflow")
        change = the_change()
        assert "alias champion points to fraud-detector v2" in change.sentence
        assert change.version is not None and change.version.number == 2
        assert Effect.objects.filter(kind=EffectKind.ALERT).count() == 1
        assert Event.objects.filter(kind="out_of_band.declared").count() == 1
        by_hand(registry, 1)
        look_well("mlflow")
        look_well("mlflow")
        assert the_change().answer == "gone"

    def test_put_back(self, live: World, registry: Registry) -> None:
        by_hand(registry, 2)
        look_well("mlflow")
        look_well("mlflow")
        answer(live, "put_back", "bob")
        deliver()
        assert registry.alias(MODEL, "champion") == 1
        look_well("mlflow")
        look_well("mlflow")
        assert the_change().answer == "put_back"
        assert live.target().live_version.number == 1  # type: ignore[union-attr]

    def test_adopt(self, live: World, registry: Registry, github: GitHub) -> None:
        by_hand(registry, 2)
        look_well("mlflow")
        look_well("mlflow")
        posts, runs = github.posts(), len(github.runs())
        promotion = answer(live, "adopt", "alice").promotion
        assert promotion is not None
        settle(live, sealed(promotion))
        assert live.target().live_version.number == 2  # type: ignore[union-attr]
        assert (github.posts(), len(github.runs())) == (posts, runs), "nothing was fired"
        assert registry.alias(MODEL, "champion") == 2
        look_well("mlflow")
        look_well("mlflow")
        assert the_change().answer == "adopted"
        # From here it is like any other: back to v1 with a real run.
        back = services.request_rollback(
            actor=live.person("alice"),
            via=Via.BROWSER,
            target_id=live.target().pk,
            version_id=ModelVersion.objects.get(number=1, model__name=MODEL).pk,
            reason="Not good after all.",
        )
        settle(live, sealed(back))
        assert registry.alias(MODEL, "champion") == 1
        assert len(github.runs()) == runs + 1

    def test_ignore(self, live: World, registry: Registry) -> None:
        by_hand(registry, 2)
        look_well("mlflow")
        look_well("mlflow")
        answer(live, "ignore_change", "bob")
        events = Event.objects.count()
        for _ in range(3):
            look_well("mlflow")
        assert Event.objects.count() == events, "silence"
        registry.client.delete_registered_model_alias(MODEL, "champion")
        look_well("mlflow")
        look_well("mlflow")
        assert [each.answer for each in changes()] == ["ignored", ""]
        assert "points to nothing" in changes()[1].sentence


def on_github(github: GitHub, path: str, body: Any = None) -> None:
    """What somebody does on GitHub's own pages, as another account than ours."""
    with requests.Session() as session:
        session.trust_env = False
        session.post(
            f"{github.url}/repos/{REPOSITORY}/actions/{path}",
            json=body,
            headers={"Authorization": f"Bearer {github.server.settings.token}"},
            timeout=10,
        ).raise_for_status()


def all_ended(github: GitHub) -> Any:
    return eventually(lambda: all(run["status"] == "completed" for run in github.runs()))


class TestRuns:
    def start(self, github: GitHub, **inputs: str) -> None:
        told = {
            "model": MODEL,
            "version": "2",
            "environment": "production",
            "artifact_digest": "sha256:0",
            "countersign": "none",
            **inputs,
        }
        on_github(github, "workflows/deploy-model.yml/dispatches", {"ref": "main", "inputs": told})
        all_ended(github)

    def test_started_by_hand(self, live: World, github: GitHub) -> None:
        look_well("repository")
        look_well("repository")
        assert changes() == [], "our own run is known"
        self.start(github)
        look_well("repository")
        assert changes() == []
        look_well("repository")  # GitHub answers "nothing new", which is a reading too
        # The title names the model alone: each place where the workflow brings it.
        where = {change.target.environment.name for change in changes()}
        assert where == {"staging", "production"}
        change = OutOfBandChange.objects.get(target=live.target())
        assert f"started deploy-model.yml by hand on GitHub (“Deploy {MODEL} v2" in change.sentence
        assert change.version is not None and change.version.number == 2
        promotion = services.put_back(
            actor=live.person("alice"),
            via=Via.BROWSER,
            change_id=change.pk,
            reason="v2 was never approved.",
        ).promotion
        assert promotion is not None
        settle(live, sealed(promotion))
        change.refresh_from_db()
        assert change.answer == "put_back"
        assert [line.split()[1] for line in github.deployed()] == ["1", "2", "1"]

    def test_run_again_by_hand(self, live: World, github: GitHub) -> None:
        [ours] = github.runs()
        on_github(github, f"runs/{ours['id']}/rerun")
        eventually(lambda: github.runs()[0]["run_attempt"] == 2)
        all_ended(github)
        look_well("repository")
        look_well("repository")
        change = the_change()
        assert "run again on GitHub (attempt 2)" in change.sentence
        assert change.target == live.target()
        answer(live, "ignore_change", "carol")
        look_well("repository")
        assert the_change().answer == "ignored"

    def test_failed_by_hand(self, live: World, github: GitHub) -> None:
        (github.out / "fail").touch()
        self.start(github)
        look_well("repository")
        look_well("repository")
        assert {change.answer for change in changes()} == {"gone"}
        assert not Effect.objects.filter(kind=EffectKind.ALERT).exists()
        assert Event.objects.filter(kind="out_of_band.noted").exists()


def test_artifacts_overwritten_in_place(live: World, registry: Registry) -> None:
    look_well("artifacts")
    assert not OutOfBandChange.objects.exists()
    registry.overwrite_artifact(MODEL, 1)
    poll = look("artifacts")
    assert poll.due_at - timezone.now() < timedelta(seconds=61), "again soon, not in an hour"
    look_well("artifacts")
    change = the_change()
    assert change.kind == "artifact" and "was approved" in change.sentence
    # What was overwritten cannot be deployed again as what was approved; it can be adopted.
    promotion = answer(live, "adopt", "alice").promotion
    assert promotion is not None
    settle(live, sealed(promotion))
    look_well("artifacts")
    assert the_change().answer == "adopted"


@contextmanager
def serving_layer(says: Callable[[], tuple[int, bytes]]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = says()
            self.send_response(status)
            self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    with serving(Handler) as url:
        yield url


def test_what_a_serving_layer_serves(live: World) -> None:
    now = {"version": 1}
    Target.objects.update(live_since=timezone.now() - timedelta(hours=1))
    with serving_layer(lambda: (200, json.dumps(now).encode())) as url:
        Target.objects.filter(pk=live.target().pk).update(health_url=f"{url}/health")
        look_well("serving")
        assert changes() == []
        now["version"] = 2
        look_well("serving")
        look_well("serving")
        change = the_change()
        assert "says that it serves fraud-detector v2" in change.sentence
        now["version"] = 1
        look_well("serving")
        look_well("serving")
        assert the_change().answer == "gone"
    poll = look("serving")
    assert "could not be read" in poll.last_error, "away is not out-of-band"
    assert len(changes()) == 1
    Target.objects.update(health_url="")
    polls.ensure(timezone.now())
    assert not Poll.objects.filter(kind="serving").exists()


class TestHealth:
    @pytest.mark.parametrize(
        ("body", "number"),
        [
            (b'{"version": 3, "status": "ok"}', 3),
            (b'{"version": "v3"}', 3),
            (b"3\n", 3),
            (b"v12", 12),
            (b'"7"', 7),
            (b'{"version": true}', None),
            (b'{"version": "3.1"}', None),
            (b'{"version": null}', None),
            (b'{"v": 3}', None),
            (b"[3]", None),
            (b"", None),
            (b"ok", None),
            (b"-3", None),
            (b"\xff\xfe", None),
            (b"[" * 60_000, None),
            (b"9" * 50, None),
        ],
    )
    def test_reads(self, body: bytes, number: int | None) -> None:
        assert number_in(body) == number

    @pytest.mark.parametrize(
        ("status", "body", "error", "says"),
        [
            (302, b"", Rejected, "redirects, which is not followed"),
            (200, b"x" * 100_000, Rejected, "more than 64 KB"),
            (200, b"ok", Rejected, "names no version"),
            (503, b"3", Unavailable, "answered 503"),
        ],
    )
    def test_refuses(self, status: int, body: bytes, error: type[Exception], says: str) -> None:
        with serving_layer(lambda: (status, body)) as url, pytest.raises(error, match=says):
            read_served(url)

    def test_away(self) -> None:
        with pytest.raises(Unavailable, match="could not be read"):
            read_served("http://127.0.0.1:9/")

    def test_slow(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("integrations.serving.health.TIMEOUT_SECONDS", 0.3)

        def slowly() -> tuple[int, bytes]:
            time.sleep(1)
            return 200, b"3"

        with serving_layer(slowly) as url, pytest.raises(Unavailable):
            read_served(url)

    def test_plain(self) -> None:
        with answering(200, b'{"version": 4}') as url:
            assert read_served(url) == 4
