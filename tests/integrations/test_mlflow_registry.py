"""Keeping in step with a real MLflow server: what changed is seen, and quietness is cheap."""

from __future__ import annotations

import hashlib
import time
import uuid
from pathlib import Path

import pytest
from mlflow.entities import Dataset, DatasetInput, InputTag
from pytest_django.fixtures import Settings

from approvals.models import ModelVersion, RegisteredModel
from integrations.errors import Rejected
from integrations.mlflow import aliases
from integrations.mlflow.candidate import read_candidate
from integrations.mlflow.client import mlflow
from integrations.mlflow.sync import Synced, sync
from tests.integrations.mlflow_fixtures import counting_proxy
from tests.integrations.registry import Registry
from tests.world import World


class Follower:
    """fraud-detector under a registry name of this test's own, followed by the product's own sync."""

    def __init__(self, world: World, registry: Registry) -> None:
        self.name = f"fraud-{uuid.uuid4().hex[:8]}"
        self.registry, self.client = registry, registry.client
        RegisteredModel.objects.filter(name="fraud-detector").update(registry_name=self.name)
        self.watermark = 0

    def sync(self, *, full: bool = False) -> Synced:
        done = sync(watermark=self.watermark, full=full)
        self.watermark = done.watermark
        return done

    def register(self, **metrics: float) -> int:
        return self.registry.register(self.name, metrics=metrics)

    def under_way(self) -> str:
        """Version 1, whose run has not ended; the run's id."""
        run = self.client.create_run("0")
        self.client.create_registered_model(self.name)
        source = f"{run.info.artifact_uri}/model"
        self.client.create_model_version(self.name, source, run_id=run.info.run_id)
        return str(run.info.run_id)

    def version(self, number: int = 1) -> ModelVersion:
        return ModelVersion.objects.get(
            model__registry_name=self.name, number=number, deleted_at=None
        )


@pytest.fixture
def follower(committed_world: World, registry: Registry) -> Follower:
    return Follower(committed_world, registry)


def test_first_time_and_quiet_afterwards(
    follower: Follower, mlflow_server: str, settings: Settings
) -> None:
    follower.register(accuracy=0.1 + 0.2)
    follower.register(accuracy=1e-7)
    assert follower.sync(full=True).changed == 2
    model = RegisteredModel.objects.get(registry_name=follower.name)
    assert model.is_registered
    version = follower.version(1)
    assert (version.status, version.run_status, version.is_finished) == ("READY", "FINISHED", True)
    assert version.metrics == {"accuracy": "0.30000000000000004"}, "exact, as decimal text"
    assert follower.version(2).metrics == {"accuracy": "1e-07"}

    quiet = follower.sync()
    assert (quiet.requests, quiet.changed) == (2, 0)
    with counting_proxy(mlflow_server) as proxy:
        settings.MLFLOW_TRACKING_URI = proxy.url
        quiet = follower.sync()
        assert (quiet.requests, quiet.changed) == (2, 0)
        assert [path.rsplit("/", 2)[1:] for path in proxy.paths] == [
            ["registered-models", "search"],
            ["model-versions", "search"],
        ]


def test_what_the_run_tells(follower: Follower) -> None:
    client = follower.client
    run = client.create_run("0", run_name="nightly", tags={"mlflow.user": "alice"})
    run_id = run.info.run_id
    client.log_param(run_id, "trees", 300)
    client.log_metric(run_id, "auc", 0.9, step=1)
    client.log_metric(run_id, "auc", 0.95, step=2)
    client.set_tag(run_id, "mlflow.source.git.commit", "f" * 40)
    client.set_tag(run_id, "mlflow.source.git.branch", "main")
    dataset = Dataset("payments", "abc123", "local", "{}")
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "eval")])])
    client.set_terminated(run_id)
    client.create_registered_model(follower.name)
    client.create_model_version(follower.name, f"{run.info.artifact_uri}/model", run_id=run_id)
    follower.sync(full=True)
    version = follower.version()
    assert version.run_id == run_id and version.run_name == "nightly"
    assert version.trained_by == "alice" and version.parameters == {"trees": "300"}
    assert version.metrics == {"auc": "0.95"}, "the last value"
    assert (version.git_commit, version.git_branch) == ("f" * 40, "main")
    [data] = version.datasets
    assert (data["name"], data["digest"], data["context"]) == ("payments", "abc123", "eval")
    assert version.run_started_at and version.run_ended_at


def test_a_new_version_a_tag_and_an_alias(follower: Follower) -> None:
    follower.register()
    follower.sync(full=True)
    follower.register()
    assert follower.sync().changed == 1

    follower.client.set_model_version_tag(follower.name, "1", "note", "checked")
    follower.client.set_registered_model_tag(follower.name, "owner", "risk")
    follower.client.set_registered_model_alias(follower.name, "champion", "1")
    follower.client.set_registered_model_alias(follower.name, "staging", "1")
    assert follower.sync().requests == 2, "aliases come with the models, tags with the versions"
    assert follower.version(1).tags == {"note": "checked"}
    assert follower.version(1).aliases == ["champion", "staging"]
    assert RegisteredModel.objects.get(registry_name=follower.name).tags == {"owner": "risk"}

    follower.client.set_registered_model_alias(follower.name, "champion", "2")
    follower.client.delete_registered_model_alias(follower.name, "staging")
    follower.sync()
    assert (follower.version(1).aliases, follower.version(2).aliases) == ([], ["champion"])


def test_a_run_that_finishes_moves_no_clock_of_its_version(follower: Follower) -> None:
    client = follower.client
    run_id = follower.under_way()
    follower.sync(full=True)
    assert not follower.version().is_finished
    # So much later that the listing of new versions would not show it any more.
    follower.watermark += 3_600_000
    assert follower.sync().requests == 4, "a run under way is looked at each time"
    client.log_metric(run_id, "auc", 0.9)
    client.set_terminated(run_id)
    follower.sync()
    version = follower.version()
    assert version.is_finished and version.metrics == {"auc": "0.9"}
    assert follower.sync().requests == 2


@pytest.mark.parametrize("status", ["FAILED", "KILLED"])
def test_a_run_that_failed_is_not_asked_about_for_ever(follower: Follower, status: str) -> None:
    follower.client.set_terminated(follower.under_way(), status=status)
    follower.sync(full=True)
    assert follower.version().run_status == status and not follower.version().is_finished
    assert follower.sync().requests == 2


def test_a_version_without_a_run(follower: Follower) -> None:
    follower.client.create_registered_model(follower.name)
    follower.client.create_model_version(follower.name, "s3://somewhere/model")
    follower.sync(full=True)
    assert follower.version().run_id == "" and follower.version().is_finished
    assert follower.sync().requests == 2


def test_deleted_versions_and_models(follower: Follower) -> None:
    follower.register()
    follower.register()
    follower.sync(full=True)
    follower.client.delete_model_version(follower.name, "2")
    follower.sync()
    assert follower.version(2), "only a full listing tells what is gone"
    follower.sync(full=True)
    assert ModelVersion.objects.get(number=2).deleted_at is not None
    assert follower.version(1).deleted_at is None

    follower.registry.delete(follower.name)
    follower.sync()
    assert not RegisteredModel.objects.get(registry_name=follower.name).is_registered
    assert ModelVersion.objects.filter(deleted_at=None).count() == 0


def test_deleted_and_made_again_is_somebody_else(follower: Follower) -> None:
    follower.register(auc=0.9)
    follower.sync(full=True)
    old = follower.version(1)
    follower.registry.delete(follower.name)
    time.sleep(0.002)
    follower.register(auc=0.1)
    follower.sync()
    new = follower.version(1)
    old.refresh_from_db()
    assert new.pk != old.pk and old.deleted_at is not None
    assert (old.metrics, new.metrics) == ({"auc": "0.9"}, {"auc": "0.1"})


def test_models_that_are_not_configured(follower: Follower) -> None:
    follower.registry.register("somebody-elses", metrics={"auc": 0.9})
    follower.sync(full=True)
    assert not ModelVersion.objects.exists()
    assert not RegisteredModel.objects.filter(registry_name="somebody-elses").exists()


def digest_of(folder: Path) -> str:
    """The definition, computed another way than the product does."""
    lines = sorted(
        (str(path.relative_to(folder)), hashlib.sha256(path.read_bytes()).hexdigest())
        for path in folder.glob("**/*")
        if path.is_file()
    )
    text = "".join(f"{digest}  {path}\n" for path, digest in lines)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


class TestArtifacts:
    FILES = {
        "MLmodel": "flavors:\n"
        "  python_function: {loader_module: mlflow.sklearn, model_path: model.pkl,\n"
        "    env: {conda: conda.yaml, virtualenv: python_env.yaml}, predict_fn: predict}\n"
        "  sklearn: {pickled_model: model.pkl, code: null, sklearn_version: 1.8.0}\n",
        "model.pkl": "weights",
        "conda.yaml": "name: x",
        "data/ä ö.txt": "one\n",
        "data/b.txt": "",
        "data.txt": "sorts between folder and its files",
    }

    def candidate(self, follower: Follower, folder: Path, files: dict[str, str]) -> int:
        """A version whose artifacts are these files."""
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        run = follower.client.create_run("0")
        if files:
            follower.client.log_artifacts(run.info.run_id, str(folder), "model")
        follower.client.set_terminated(run.info.run_id)
        self.run_id = run.info.run_id
        if not follower.client.search_registered_models(f"name = '{follower.name}'"):
            follower.client.create_registered_model(follower.name)
        version = follower.client.create_model_version(
            follower.name, f"{run.info.artifact_uri}/model", run_id=run.info.run_id
        )
        return int(version.version)

    def test_the_digest(self, follower: Follower, tmp_path: Path) -> None:
        number = self.candidate(follower, tmp_path, self.FILES)
        read = read_candidate(follower.name, number)
        assert read.version["artifact_digest"] == digest_of(tmp_path)
        assert read.artifact_bytes == sum(len(text.encode()) for text in self.FILES.values())
        assert read.version["status"] == "READY" and read.version["run_status"] == "FINISHED"
        assert read_candidate(follower.name, number) == read

        (tmp_path / "model.pkl").write_text("others!", encoding="utf-8")
        follower.client.log_artifact(self.run_id, str(tmp_path / "model.pkl"), "model")
        again = read_candidate(follower.name, number)
        assert again.version["artifact_digest"] == digest_of(tmp_path)
        assert again.version["artifact_digest"] != read.version["artifact_digest"]
        assert again.artifact_bytes == read.artifact_bytes, "overwritten in place, same length"

    @pytest.mark.parametrize(
        ("left_out", "sentence"),
        [
            ({"model.pkl"}, "The artifacts are broken: model.pkl is missing."),
            ({"MLmodel"}, "The artifacts are broken: MLmodel is missing."),
            (set(FILES), "The artifacts are broken: MLflow does not find model."),
        ],
    )
    def test_broken(
        self, follower: Follower, tmp_path: Path, left_out: set[str], sentence: str
    ) -> None:
        files = {name: text for name, text in self.FILES.items() if name not in left_out}
        number = self.candidate(follower, tmp_path, files)
        with pytest.raises(Rejected) as caught:
            read_candidate(follower.name, number)
        assert str(caught.value) == sentence

    def test_a_version_that_is_gone(self, follower: Follower) -> None:
        follower.register()
        with pytest.raises(Rejected, match="MLflow has it no longer"):
            read_candidate(follower.name, 7)
        follower.registry.delete(follower.name)
        with pytest.raises(Rejected, match="MLflow has it no longer"):
            read_candidate(follower.name, 1)


def test_aliases(follower: Follower, mlflow_server: str, settings: Settings) -> None:
    follower.register()
    follower.register()
    name, asked = follower.name, list[str]()

    def point(number: int, model: str = name) -> None:
        with mlflow() as client:
            aliases.point(client, model, "champion", number, lambda: asked.append("guard"))

    assert aliases.read_alias(name, "champion") is None
    point(1)
    assert aliases.read_alias(name, "champion") == 1
    point(2)
    assert aliases.read_alias(name, "champion") == 2
    with counting_proxy(mlflow_server) as proxy:
        settings.MLFLOW_TRACKING_URI = proxy.url
        point(2)
        assert [path.rsplit("/", 1)[1] for path in proxy.paths] == ["alias"], "read, not written"
    settings.MLFLOW_TRACKING_URI = mlflow_server
    with pytest.raises(Rejected):
        point(9)
    assert aliases.read_alias(name, "champion") == 2
    with pytest.raises(Rejected):
        point(1, "no-such-model")
    assert asked == ["guard"] * 3, "right before each write, and only then"
