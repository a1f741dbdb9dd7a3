"""The gate on signatures: what callers of the live version would notice fails, what is not known blocks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from approvals import gates, services
from approvals.configuration import load
from approvals.explain import explain
from approvals.gates import Column, Observation, Signature, SignatureCompatible
from approvals.models import Deployment, ModelVersion, Promotion, Review
from approvals.seals import seal as seal_of
from approvals.services import Refused
from approvals.states import PromotionStatus
from tests.approvals.test_configuration import SMALL, changed, problems, write
from tests.approvals.test_gates import MODEL, gated
from tests.world import World

LIVE = Signature(
    inputs={"age": Column("long"), "amount": Column("double"), "note": Column("string", False)},
    outputs={"score": Column("double")},
)
SEEN = Observation(metrics={}, live_metrics={}, signature=LIVE, live_signature=LIVE)


def inputs(**columns: Column | None) -> Observation:
    """The candidate takes what the live version takes, but for these; None takes a column away."""
    found = {k: v for k, v in {**LIVE.inputs, **columns}.items() if v is not None}
    return replace(SEEN, signature=Signature(found, LIVE.outputs))


def outputs(**columns: Column) -> Observation:
    return replace(SEEN, signature=Signature(LIVE.inputs, columns))


LONG = '{"properties":' + "x" * 200 + "}"
MANY = Signature({f"c{index}": Column("long") for index in range(9)}, {})
TABLE: list[tuple[Observation, str, str]] = [
    (SEEN, "pass", "The signature is compatible with the live version's: no column is lost."),
    (inputs(extra=Column("long", False)), "pass", "compatible"),
    (inputs(age=Column("long", False)), "pass", "compatible"),
    (outputs(score=Column("double"), why=Column("string")), "pass", "compatible"),
    (inputs(age=None), "fail", "not compatible with the live version's: input age is lost."),
    (inputs(age=Column("string")), "fail", ": input age is string, not long."),
    (inputs(note=None), "fail", ": input note is lost."),
    (inputs(extra=Column("long")), "fail", ": input extra is new and required."),
    (inputs(note=Column("string")), "fail", ": input note is required now."),
    (outputs(), "fail", ": output score is lost."),
    (outputs(score=Column("float")), "fail", ": output score is float, not double."),
    (
        replace(SEEN, signature=Signature({"age": Column("double")}, {})),
        "fail",
        ": input age is double, not long, input amount is lost, input note is lost and output score is lost.",
    ),
    (
        replace(SEEN, live_signature=MANY, signature=Signature({}, {})),
        "fail",
        ": input c0 is lost, input c1 is lost, input c2 is lost, input c3 is lost and 5 more.",
    ),
    (inputs(age=Column(LONG)), "fail", f"input age is {LONG[:59]}…, not long."),
    (
        replace(
            SEEN,
            live_signature=Signature({"input 0": Column("tensor float64 (-1, 4)")}, {}),
            signature=Signature({"input 0": Column("tensor float64 (-1, 5)")}, {}),
        ),
        "fail",
        ": input 0 is tensor float64 (-1, 5), not tensor float64 (-1, 4).",
    ),
    (replace(SEEN, signature=None), "unknown", "The version's signature is not known."),
    (replace(SEEN, live_signature=None), "unknown", "The live version's signature is not known"),
    (
        Observation(metrics={}, live_metrics=None),
        "pass",
        "nothing is live yet that it could differ from.",
    ),
]


@pytest.mark.parametrize(("seen", "verdict", "words"), TABLE)
def test_the_verdict(seen: Observation, verdict: str, words: str) -> None:
    gate = SignatureCompatible()
    outcome = gate.check(seen)
    assert (outcome.verdict, outcome.passed) == (verdict, verdict == "pass"), outcome
    assert words in outcome.sentence
    assert gates.from_data(gates.as_data(gate)) == gate
    assert gates.as_data(gate) == {"kind": "signature"}


def data(**columns: str) -> dict[str, Any]:
    return {
        "inputs": [{"name": k, "type": v, "required": True} for k, v in columns.items()],
        "outputs": [],
    }


def sealed(world: World, promotion: Promotion, signature: dict[str, Any] | None) -> list[str]:
    """Seal with this signature; the blockers then."""
    world.seal(promotion, signature=signature)
    return explain(Promotion.objects.get(pk=promotion.pk)).blockers


def test_it_stops_the_approval_until_the_signature_fits(world: World) -> None:
    gated(world, SignatureCompatible())
    live = world.version(1)
    world.make_live(live)
    promotion = world.request(world.version(2))
    assert sealed(world, promotion, None) == ["The version's signature is not known."]
    assert sealed(world, promotion, data(age="long")) == [
        "The live version's signature is not known, so nothing is compared."
    ]
    services.record_signature(version_id=live.pk, signature=data(age="double"))
    services.record_signature(version_id=live.pk, signature=data(age="long"))
    live.refresh_from_db()
    assert live.signature == data(age="double"), "one that is known stays"
    with pytest.raises(Refused, match="input age is long, not double") as refused:
        world.review(promotion, "bob")
    assert refused.value.code == "blocked"
    assert not Review.objects.filter(promotion=promotion).exists()
    assert not Deployment.objects.filter(promotion=promotion).exists()

    assert sealed(world, promotion, data(age="double")) == []
    world.approve(promotion)
    promotion.refresh_from_db()
    assert promotion.status == PromotionStatus.APPROVED


def test_it_is_kept_but_not_sealed(world: World) -> None:
    """The seal of an older release stays as it is when the signature comes to be known."""
    promotion = world.request(world.version(2))
    before = promotion.seal
    world.seal(promotion, signature=data(age="long"))
    world.seal(promotion, signature=None)
    promotion.refresh_from_db()
    assert promotion.seal == before == seal_of(promotion.facts)
    assert ModelVersion.objects.get(number=2).signature == data(age="long"), "None: left as it is"
    world.seal(promotion, signature={})
    assert ModelVersion.objects.get(number=2).signature == {}


def test_what_cannot_be_read_is_unknown(world: World) -> None:
    gated(world, SignatureCompatible())
    world.make_live(world.version(1))
    promotion = world.request(world.version(2))
    table: list[dict[str, Any]] = [
        {"inputs": []},
        {"inputs": [{}], "outputs": []},
        {"inputs": 1, "outputs": 2},
    ]
    for nonsense in table:
        assert sealed(world, promotion, nonsense) == ["The version's signature is not known."]


MISTAKES = {
    "another word": ("{signature: same}", "compatible"),
    "two kinds": ("{signature: compatible, runs: ci}", "exactly one of"),
    "a limit": ("{signature: compatible, at_least: 1}", "limits belong to"),
    "a duration": ("{signature: compatible, for: 2h}", "'for' belongs to"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_in_the_file(tmp_path: Any, mistake: str) -> None:
    gate, expected = MISTAKES[mistake]
    own = f"    environments: {{staging: , production: {{gates: [{gate}]}}}}\n"
    found = problems(tmp_path, changed(MODEL, MODEL + own, SMALL))
    assert any(expected in each for each in found), found


def test_in_the_file(tmp_path: Any) -> None:
    own = "    environments: {staging: , production: {gates: [{signature: compatible}]}}\n"
    configuration = load(write(tmp_path, changed(MODEL, MODEL + own, SMALL))).configuration
    model = configuration.models["fraud"]
    staging, production = configuration.environments_of(model)
    assert configuration.policy_of("fraud", production).gates == (SignatureCompatible(),)
    assert configuration.policy_of("fraud", staging).gates == ()
