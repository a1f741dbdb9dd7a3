"""A configuration that anybody may send: whatever it is, the answer is a sentence, and soon."""

from __future__ import annotations

import json
import time

import pytest

from approvals.configuration import ConfigurationError, load_text


def test_a_file_that_would_take_minutes_to_work_out_is_refused() -> None:
    names = [f"p{n}" for n in range(660)]
    asked = [{"team": slug, "count": 20} for slug in ("a", "b", "c")]
    data = {
        "environments": [{"name": "production", "approvals": asked}],
        "teams": {slug: {"members": names} for slug in ("a", "b", "c")},
        "repositories": {"o/r": {"workflows": {"deploy-model.yml": "deploy"}}},
        "models": {
            f"m{n}": {"repository": "o/r", "environments": {"production": {"approvals": asked}}}
            for n in range(100)
        },
    }
    with pytest.raises(ConfigurationError, match="too many members and rows together"):
        load_text(json.dumps(data, indent=1), "sent")
    data["models"] = {f"m{n}": {"repository": "o/r"} for n in range(300)}
    began = time.monotonic()
    load_text(json.dumps(data, indent=1), "sent")
    assert time.monotonic() - began < 30


DEEP = "[" * 3000
LAUGHS = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (b"", "a mapping with environments"),
        (b"\x00", "special characters are not allowed"),
        (b"\xff\xfe\xfa", "not UTF-8"),
        (b"teams: {a: \xc3}", "not UTF-8"),
        (DEEP.encode(), "nested too deeply"),
        (b"a: " * 2000, "not valid YAML"),
        (LAUGHS.encode(), "sent:2: not valid YAML: aliases (*name) are not read here"),
        (b"a: &a\n  <<: *a\n", "aliases"),
        (b"- " * 400_000, "nested too deeply"),
        (b"x" * 1_000_001, "larger than a megabyte"),
        (b"teams: " + b"1:1" * 300_000, "longer than 2000 characters"),
        (b"teams: 1" + b":1" * 400_000, "longer than 2000 characters"),
        (b"teams: " + b"9" * 1900, "teams"),
        (b"teams: !!int ''", "cannot be read"),
        (b"teams: !!bool maybe", "cannot be read"),
        (b"teams: !!timestamp x", "cannot be read"),
        (b"teams: 2026-99-99", "cannot be read"),
        (b"teams: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        (b'"\\ud800": 1', "unicode"),
        (b'"\\ud800": 1\n"\\ud800": 2', "\\ud800"),
        (b'teams: {"\\ud800": 1}', "teams"),
        (b'teams: {"a\\0": {members: [carol]}}', "teams"),
        (b"environments: 1\nenvironments: 2", "stands twice"),
        (b"? [a]\n: b", "a key must be plain text"),
        ("".join(f"k{n}: 1\n" for n in range(80_000)).encode(), "more than 60000 values"),
        ("".join(f"k{n}: 1\n" for n in range(20_000)).encode(), "is not a known key"),
        (b"freezes: [" + b"{}," * 3000 + b"]", "at most 50 can be tried here"),
        (b"rules: [{approvals: [{team: a, count: 61}]}]", "more than 60 people"),
    ],
)
def test_what_anybody_may_send_is_answered_with_a_sentence(raw: bytes, sentence: str) -> None:
    began = time.monotonic()
    with pytest.raises(ConfigurationError) as caught:
        load_text(raw, "sent")
    assert sentence in str(caught.value)
    assert len(caught.value.problems) <= 100 and max(map(len, caught.value.problems)) < 1000
    str(caught.value).encode()
    assert time.monotonic() - began < 30
