"""MLflow down, slow, forbidden or talking nonsense: a steady sentence, soon, and nothing is lost."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from approvals.models import Event, ModelVersion, Promotion
from approvals.states import EffectStatus
from integrations import polls
from integrations.effects import HANDLERS
from integrations.errors import Rejected, Unavailable
from integrations.mlflow import artifacts
from integrations.mlflow.aliases import read_alias
from integrations.mlflow.candidate import read_candidate
from integrations.mlflow.sync import sync
from integrations.models import Poll
from integrations.outbox import deliver_due
from tests.integrations.mlflow_fixtures import answering
from tests.world import World

UNREACHABLE = "MLflow could not be reached, or failed."


def test_down(committed_world: World, settings: Settings) -> None:
    version = committed_world.version()
    settings.MLFLOW_TRACKING_URI = "http://127.0.0.1:9"
    began = time.monotonic()
    sentences = set()
    for _ in range(2):
        with pytest.raises(Unavailable) as caught:
            sync(watermark=0, full=True)
        sentences.add(str(caught.value))
    with pytest.raises(Unavailable) as caught:
        read_candidate("fraud-detector", 2)
    sentences.add(str(caught.value))
    assert sentences == {UNREACHABLE}, "the same each time, so that it is told once"
    assert time.monotonic() - began < 15
    version.refresh_from_db()
    assert version.deleted_at is None, "unreachable is not deleted"


def test_a_request_waits_until_mlflow_is_back(committed_world: World, settings: Settings) -> None:
    settings.MLFLOW_TRACKING_URI = "http://127.0.0.1:9"
    settings.SLACK_BOT_TOKEN = ""
    version = committed_world.version()
    promotion = committed_world.request(version)
    Promotion.objects.update(seal="", facts={})
    deliver_due(HANDLERS)
    effect = promotion.effects.get(kind="gather_facts")
    assert (effect.status, effect.last_error) == (EffectStatus.WAITING, UNREACHABLE)
    promotion.refresh_from_db()
    assert promotion.problem == UNREACHABLE and promotion.is_pending
    effect.due_at = timezone.now()
    effect.save()
    deliver_due(HANDLERS)
    assert Event.objects.filter(kind="promotion.blocked").count() == 1, "told once"


def test_the_poll_says_so_and_goes_on(committed_world: World, settings: Settings) -> None:
    settings.MLFLOW_TRACKING_URI = "http://127.0.0.1:9"
    poll = Poll.objects.create(kind="mlflow", due_at=timezone.now())
    polls.look(poll)
    poll.refresh_from_db()
    assert (poll.failures, poll.last_error, poll.succeeded_at) == (1, UNREACHABLE, None)
    assert poll.due_at > timezone.now() and poll.claimed_until is None


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, b"You are not authenticated"),
        (403, b"Invalid Host header - possible DNS rebinding attack detected"),
        (403, b'{"error_code": "PERMISSION_DENIED", "message": "no"}'),
    ],
)
def test_forbidden(committed_world: World, settings: Settings, status: int, body: bytes) -> None:
    committed_world.version()
    with answering(status, body, "text/plain") as url:
        settings.MLFLOW_TRACKING_URI = url
        with pytest.raises(Unavailable, match=r"refused us.*--allowed-hosts"):
            sync(watermark=0, full=True)
        with pytest.raises(Unavailable, match="refused us"):
            read_alias("fraud-detector", "champion")
    assert ModelVersion.objects.filter(deleted_at=None).count() == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b"oops"),
        (503, b"<html>gateway</html>"),
        (200, b"<html>a login page</html>"),
    ],
)
def test_nonsense(committed_world: World, settings: Settings, status: int, body: bytes) -> None:
    committed_world.version()
    with answering(status, body, "text/html") as url:
        settings.MLFLOW_TRACKING_URI = url
        with pytest.raises(Unavailable, match="MLflow could not be reached"):
            sync(watermark=0, full=True)
    assert ModelVersion.objects.filter(deleted_at=None).count() == 1


def test_never_inside_a_transaction(world: World) -> None:
    with pytest.raises(RuntimeError, match="inside a database transaction"):
        sync(watermark=0, full=False)


MLMODEL = """
flavors:
  python_function:
    artifacts: {vocabulary: {path: artifacts/vocabulary.txt, uri: /home/somebody/vocabulary.txt}}
    code: null
    data: model.xgb
    env: %s
    loader_module: mlflow.xgboost
    python_model: python_model.pkl
  xgboost: {data: model.xgb, model_class: xgboost.core.Booster, model_format: xgb}
  pytorch: {model_data: data, pytorch_version: 2.9, code: code}
"""


@pytest.mark.parametrize("env", ["conda.yaml", "{conda: conda.yaml, virtualenv: python_env.yaml}"])
def test_files_named_by_flavors(tmp_path: Path, env: str) -> None:
    (tmp_path / "MLmodel").write_text(MLMODEL % env)
    names = ["artifacts/vocabulary.txt", "data", "model.xgb", "python_model.pkl"]
    assert artifacts.missing_files(tmp_path) == [f"{name} is missing" for name in names]
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "data").mkdir()
    for name in ("artifacts/vocabulary.txt", "model.xgb", "python_model.pkl"):
        (tmp_path / name).write_text("x")
    assert artifacts.missing_files(tmp_path) == []


@pytest.mark.parametrize(
    "text", ["", "[]", "7", "flavors: [1]", "flavors: null", "a: [", "\x00", "flavors: 3"]
)
def test_an_mlmodel_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "MLmodel").write_text(text)
    assert artifacts.missing_files(tmp_path) == ["MLmodel cannot be read"]


def test_strange_but_readable(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text("flavors: {x: 1, y: {data: [1], model_path: {a: b}}}")
    assert artifacts.missing_files(tmp_path) == []


def test_no_files_at_all(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="no artifacts"):
        artifacts.hash_folder(tmp_path)
    (tmp_path / "registered_model_meta").write_text("written by the download itself")
    with pytest.raises(Rejected, match="no artifacts"):
        artifacts.hash_folder(tmp_path)
