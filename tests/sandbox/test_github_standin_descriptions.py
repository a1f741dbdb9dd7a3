"""The validator itself: it must refuse what GitHub does not describe."""

from typing import Any

import pytest

from tests import openapi

REPO = "/repos/acme/tiny"
DISPATCH = f"{REPO}/actions/workflows/deploy.yml/dispatches"
STARTED = {
    "workflow_run_id": 7,
    "run_url": "https://api.example/runs/7",
    "html_url": "https://example/runs/7",
}


@pytest.mark.parametrize(
    ("method", "path", "body", "words"),
    [
        ("POST", DISPATCH, {"inputs": {}}, "'ref' is a required property"),
        ("POST", DISPATCH, {"ref": 1}, "1 is not of type 'string'"),
        ("POST", DISPATCH, {"ref": "main", "x": 1}, "'x' was unexpected"),
        ("POST", DISPATCH, {"ref": "main", "inputs": {str(n): "" for n in range(26)}}, "inputs"),
        ("POST", DISPATCH, None, "None is not of type 'object'"),
        ("DELETE", DISPATCH, None, "describes no DELETE"),
        ("GET", f"{REPO}/actions/run/7", None, "describes no GET"),
        ("GET", f"{REPO}/actions/runs?colour=red", None, "colour"),
        ("POST", f"{REPO}/actions/runs/7/cancel", {"x": 1}, "takes none"),
    ],
)
def test_a_wrong_request_is_refused(method: str, path: str, body: Any, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        openapi.validate_request(method, path, body)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, {**STARTED, "workflow_run_id": "7"}, "is not of type 'integer'"),
        (200, {**STARTED, "html_url": "runs/7"}, "is not a 'uri'"),
        (200, {}, "'workflow_run_id' is a required property"),
        (201, STARTED, "describes no 201"),
        (204, STARTED, "has a body"),
        (422, {"message": 1}, "is not of type 'string'"),
    ],
)
def test_a_wrong_answer_is_refused(status: int, body: Any, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        openapi.validate_response("POST", DISPATCH, status, body)


def test_right_ones_pass() -> None:
    openapi.validate_request("POST", DISPATCH, {"ref": "main", "inputs": {"a": "b"}})
    openapi.validate_request("GET", f"https://api.example/api/v3{REPO}/actions/runs?per_page=5")
    openapi.validate_request("POST", f"{REPO}/actions/runs/7/rerun")
    openapi.validate_response("POST", DISPATCH, 200, STARTED)
    openapi.validate_response("POST", DISPATCH, 204)
    openapi.validate_response("POST", DISPATCH, 422, {"message": "No"})


def test_the_longest_template_wins() -> None:
    found = {
        f"{REPO}/commits/feature/x/status": "/repos/{owner}/{repo}/commits/{ref}/status",
        f"{REPO}/commits/feature/x": "/repos/{owner}/{repo}/commits/{ref}",
    }
    for path, template in found.items():
        assert openapi.operation("GET", path)[0] == template


def test_nullable_is_understood() -> None:
    limit = {"limit": 1, "remaining": 1, "reset": 1, "used": 1}
    answer = {"rate": limit, "resources": {"core": limit, "search": limit}}
    openapi.validate_response("GET", "/rate_limit", 200, answer)
    broken = {"rate": {**limit, "used": None}, "resources": answer["resources"]}
    with pytest.raises(AssertionError, match="None is not of type"):
        openapi.validate_response("GET", "/rate_limit", 200, broken)
    ref: dict[str, Any] = {"description": None, "payload": {}}
    with pytest.raises(AssertionError) as caught:
        openapi.validate_response("GET", f"{REPO}/deployments/1", 200, ref)
    assert "['description']" not in str(caught.value)  # described as nullable


def test_webhooks_are_checked_by_event_and_action() -> None:
    with pytest.raises(AssertionError, match="describes no webhook workflow-run-exploded"):
        openapi.validate_webhook("workflow_run", "exploded", {})
    with pytest.raises(AssertionError, match="required property"):
        openapi.validate_webhook("workflow_run", "completed", {"action": "completed"})
