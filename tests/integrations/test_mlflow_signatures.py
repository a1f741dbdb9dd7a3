"""Signatures as MLflow itself writes them, read from the files of a real server."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import numpy
import pytest
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec
from mlflow.types.schema import Array, Object, Property
from pytest_django.fixtures import Settings

from approvals.explain import explain
from approvals.gates import SignatureCompatible
from approvals.models import ModelVersion, Promotion, RegisteredModel
from integrations import effects
from integrations.errors import Rejected, Unavailable
from integrations.github import dispatch
from integrations.mlflow import candidate
from integrations.mlflow.signatures import signature_in
from integrations.mlflow.sync import sync
from tests.approvals.test_gates import gated
from tests.integrations.registry import Registry
from tests.world import World


def mlmodel(*inputs: ColSpec | TensorSpec, outputs: Schema | None = None) -> str:
    """The file that MLflow writes for this signature."""
    return str(Model(signature=ModelSignature(Schema(list(inputs)), outputs)).to_yaml())


def column(name: str, type_: str, required: bool = True) -> dict[str, Any]:
    return {"name": name, "type": type_, "required": required}


AGE, AMOUNT = ColSpec("long", "age"), ColSpec("double", "amount")
AS_DATA = {"inputs": [column("age", "long")], "outputs": []}


def test_every_kind_of_column(tmp_path: Path) -> None:
    parts = Object([Property("y", "long", required=False), Property("x", "string")])
    text = mlmodel(
        AGE,
        ColSpec("string", "note", required=False),
        ColSpec(Array("long"), "list"),
        ColSpec(parts, "parts"),
        outputs=Schema([TensorSpec(numpy.dtype("float64"), (-1, 4))]),
    )
    (tmp_path / "MLmodel").write_text(text, encoding="utf-8")
    assert signature_in(tmp_path) == {
        "inputs": [
            column("age", "long"),
            column("note", "string", False),
            column("list", '{"items":{"type":"long"},"type":"array"}'),
            column(
                "parts",
                '{"properties":{"x":{"required":true,"type":"string"},'
                '"y":{"required":false,"type":"long"}},"type":"object"}',
            ),
        ],
        "outputs": [column("output 0", "tensor float64 (-1, 4)")],
    }


def test_columns_without_names(tmp_path: Path) -> None:
    text = mlmodel(ColSpec("double"), ColSpec("long"), outputs=Schema([ColSpec("long")]))
    (tmp_path / "MLmodel").write_text(text, encoding="utf-8")
    assert signature_in(tmp_path) == {
        "inputs": [column("input 0", "double"), column("input 1", "long")],
        "outputs": [column("output 0", "long")],
    }


def test_a_release_that_wrote_optional(tmp_path: Path) -> None:
    text = """signature: {inputs: '[{"type": "long", "name": "age", "optional": true}]'}\n"""
    (tmp_path / "MLmodel").write_text(text, encoding="utf-8")
    assert signature_in(tmp_path) == {"inputs": [column("age", "long", False)], "outputs": []}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "flavors: {}\n",
        "- a list",
        "signature: none at all",
        "signature: null",
        "signature: {inputs: null, outputs: null}",
        "signature: {inputs: '[]', outputs: null}",
        "signature: {inputs: '[', outputs: null}",
        "signature: {inputs: 7}",
        "signature: {inputs: '[7]'}",
        """signature: {inputs: '[{"name": "age"}]'}""",
        """signature: {inputs: '[{"type": "long", "name": 7}]'}""",
        """signature: {inputs: '[{"type": "long", "required": "no"}]'}""",
        """signature: {inputs: '[{"type": "tensor", "name": "x"}]'}""",
        """signature: {inputs: '[{"type": "tensor", "tensor-spec": {"dtype": "f", "shape": [[]]}}]'}""",
        """signature: {inputs: '[{"type": "long", "name": "a"}, {"type": "long", "name": "a"}]'}""",
        r"""signature: {inputs: '[{"type": "long", "name": "a\u0000"}]'}""",
        r"""signature: {inputs: '[{"type": "long", "name": "\ud800"}]'}""",
        "signature: {inputs: '" + "[" * 100_000 + "'}",
        "[" * 5_000,
        "signature: !!python/object:os.system {}",
    ],
)
def test_none_or_unreadable_is_unknown(tmp_path: Path, text: str) -> None:
    (tmp_path / "MLmodel").write_text(text, encoding="utf-8")
    assert signature_in(tmp_path) == {}


def test_no_file_at_all(tmp_path: Path) -> None:
    assert signature_in(tmp_path) == {}
    (tmp_path / "MLmodel").write_bytes(b"\xff\xfe")
    assert signature_in(tmp_path) == {}


class Scene:
    """Version 1 is live and was sealed by a release that read no signatures; version 2 is asked for."""

    def __init__(self, world: World, registry: Registry, live: str, new: str) -> None:
        self.name = f"fraud-{uuid.uuid4().hex[:8]}"
        RegisteredModel.objects.filter(name="fraud-detector").update(registry_name=self.name)
        for text in (live, new):
            registry.register(self.name, metrics={"auc": 0.9}, mlmodel=text)
        sync(watermark=0, full=True)
        world.make_live(self.version(1))
        gated(world, SignatureCompatible())
        self.promotion = world.request(self.version(2))

    def version(self, number: int) -> ModelVersion:
        return ModelVersion.objects.get(
            model__registry_name=self.name, number=number, deleted_at=None
        )

    def gather(self) -> list[str]:
        """What the worker does with the request; the blockers then."""
        effects.gather_facts(self.promotion.effects.get(kind="gather_facts"))
        return explain(Promotion.objects.get(pk=self.promotion.pk)).blockers


@pytest.fixture(autouse=True)
def _no_github(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "workflow_digest", lambda *_: "git:0123")


def test_both_are_read_and_compared(committed_world: World, registry: Registry) -> None:
    scene = Scene(committed_world, registry, mlmodel(AGE, AMOUNT), mlmodel(AGE))
    assert scene.version(1).signature == {}
    assert scene.gather() == [
        "The signature is not compatible with the live version's: input amount is lost."
    ]
    assert scene.version(1).signature["inputs"] == [
        column("age", "long"),
        column("amount", "double"),
    ]
    assert scene.version(2).signature == AS_DATA


def test_the_live_versions_signature_is_read_once(
    committed_world: World, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(committed_world, registry, mlmodel(AGE), mlmodel(AGE))
    assert scene.gather() == []
    monkeypatch.setattr(candidate, "read_signature", None)
    assert scene.gather() == []


@pytest.mark.parametrize("failure", [Unavailable, Rejected, OSError])
def test_a_live_version_that_cannot_be_read(
    committed_world: World,
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
    failure: type[Exception],
) -> None:
    scene = Scene(committed_world, registry, mlmodel(AGE), mlmodel(AGE))

    def fail(*_: object) -> None:
        raise failure("no")

    monkeypatch.setattr(candidate, "read_signature", fail)
    assert scene.gather() == ["The live version's signature is not known, so nothing is compared."]
    scene.promotion.refresh_from_db()
    assert scene.promotion.seal and not scene.promotion.problem, "the facts are sealed all the same"


def test_a_model_that_was_made_again_under_the_same_number(
    committed_world: World, registry: Registry
) -> None:
    scene = Scene(committed_world, registry, mlmodel(AGE), mlmodel(AGE))
    live = scene.version(1)
    other = live.registered_at.replace(year=2020)
    assert candidate.read_signature(scene.name, 1, live.registered_at) == AS_DATA
    assert candidate.read_signature(scene.name, 1, other) == {}


def test_a_logged_model(
    committed_world: World, registry: Registry, settings: Settings, tmp_path: Path
) -> None:
    """MLflow 3 keeps models outside of runs: the version's source is models:/m-…"""
    (tmp_path / "MLmodel").write_text(mlmodel(AGE), encoding="utf-8")
    logged = registry.client.create_logged_model("0")
    registry.client.log_model_artifacts(logged.model_id, str(tmp_path))
    registry.client.finalize_logged_model(logged.model_id, "READY")
    name = f"fraud-{uuid.uuid4().hex[:8]}"
    registry.client.create_registered_model(name)
    version = registry.client.create_model_version(
        name, f"models:/{logged.model_id}", model_id=logged.model_id
    )
    at = candidate.moment(version.creation_timestamp)
    assert candidate.read_signature(name, 1, at) == AS_DATA
    assert candidate.read_candidate(name, 1).signature == AS_DATA
