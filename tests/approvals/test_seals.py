"""The seal: one text for the same facts, another for any other."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from approvals.seals import canonical, differences, flatten, seal

FACTS: dict[str, Any] = {
    "kind": "promote",
    "version": {"number": "2", "artifact_digest": "sha256:" + "a" * 64, "run_id": "r2"},
    "metrics": {"accuracy": "0.913"},
    "target": {"environment": "production", "replaces": "1"},
    "workflow": {"file": "deploy-model.yml", "file_digest": "git:1", "inputs": {"region": "eu"}},
    "policy": {"requirements": [{"teams": ["risk"], "count": 1}]},
}
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(max_examples=50)
@given(st.dictionaries(st.text(), values))
def test_the_seal_survives_storage(facts: dict[str, Any]) -> None:
    assert seal(json.loads(json.dumps(facts))) == seal(facts)


@settings(max_examples=50)
@given(st.dictionaries(st.text(), values), st.randoms())
def test_the_order_of_keys_does_not_matter(facts: dict[str, Any], random: Any) -> None:
    keys = list(facts)
    random.shuffle(keys)
    assert canonical({key: facts[key] for key in keys}) == canonical(facts)


@pytest.mark.parametrize("path", [path for path, _ in flatten(FACTS)], ids=".".join)
def test_any_changed_fact_moves_the_seal_and_is_named(path: tuple[str, ...]) -> None:
    changed = copy.deepcopy(FACTS)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = "something else"
    assert seal(changed) != seal(FACTS)
    assert len(differences(FACTS, changed)) == 1
    assert "something else now" in differences(FACTS, changed)[0]


def test_differences_read_like_a_sentence() -> None:
    now = copy.deepcopy(FACTS)
    now["metrics"] = {"accuracy": "0.871", "auc": "0.9"}
    assert differences(FACTS, now) == [
        "accuracy was 0.913 and is 0.871 now",
        "auc was not there and is 0.9 now",
    ]


def test_an_emptied_part_is_a_difference() -> None:
    now = copy.deepcopy(FACTS)
    now["workflow"]["inputs"] = {}
    assert seal(now) != seal(FACTS)
    assert differences(FACTS, now) != []


@pytest.mark.parametrize("facts", [{"a": 0.5}, {"a": [1.0]}, {"a": {"b": float("nan")}}, {1: "a"}])
def test_what_has_no_single_form_is_refused(facts: dict[Any, Any]) -> None:
    with pytest.raises(TypeError):
        seal(facts)
