"""The stand-in for GitHub: protected environments, and runs that people re-run and cancel by hand."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests

from sandbox.github.protection import MAX_COMMENT, MAX_REPORTS
from tests import openapi
from tests.sandbox import conftest_github as standin
from tests.sandbox.conftest_github import REPO, REPOSITORY, Api, Receiver, until

receiver, standin_settings, api, deployed = (
    standin.receiver,
    standin.standin_settings,
    standin.api,
    standin.deployed,
)

Deployed = Callable[[], list[str]]
GATED = """
name: Gated
run-name: Gated ${{ inputs.token }}
on: {workflow_dispatch: {inputs: {token: {default: none}}}}
jobs:
  deploy:
    runs-on: x
    environment: production
    env: {OUT: "${{ vars.OUT }}", TOKEN: "${{ inputs.token }}"}
    steps: [{run: 'echo "$TOKEN" >> "$OUT/deployed"'}]
"""
LATER = """
name: Later
on: {workflow_dispatch: {}}
jobs:
  build: {runs-on: x, steps: [{run: "true"}]}
  stage: {needs: build, runs-on: x, environment: staging, steps: [{run: "true"}]}
  deploy: {needs: stage, runs-on: x, environment: production, steps: [{run: "true"}]}
"""


@pytest.fixture(autouse=True)
def workflows(api: Api) -> None:
    folder = ".github/workflows"
    files = {f"{folder}/gated.yml": GATED, f"{folder}/later.yml": LATER}
    api.control(f"repos/{REPOSITORY}/commits", {"message": "Gated", "files": files})


def protect(api: Api, environment: str = "production", **given: Any) -> None:
    api.control(f"repos/{REPOSITORY}/environments/{environment}", given)


def waiting(api: Api, run_id: int) -> None:
    until(lambda: api.run(run_id)["status"] == "waiting", "the run waits")
    # A run says so a moment before its gates can be answered.
    gates = f"{REPO}/actions/runs/{run_id}/pending_deployments"
    until(lambda: bool(api.get(gates)), "its gates are open")


def answer(api: Api, run_id: int, **given: Any) -> requests.Response:
    body = {"environment_name": "production", **given}
    return api("POST", f"{REPO}/actions/runs/{run_id}/deployment_protection_rule", body)


def asked(receiver: Receiver) -> list[dict[str, Any]]:
    """The payloads of the rule's webhooks."""
    return [
        json.loads(body)
        for headers, body in receiver.received
        if headers["x-github-event"] == "deployment_protection_rule"
    ]


def statuses(receiver: Receiver) -> list[str]:
    """The run's status as each of its webhooks told it."""
    payloads = [json.loads(body) for _, body in receiver.received]
    return [each["workflow_run"]["status"] for each in payloads if "workflow_run" in each]


def post(url: str, **given: Any) -> requests.Response:
    """One POST past any proxy."""
    with requests.Session() as session:
        session.trust_env = False
        return session.post(url, timeout=10, **given)


def review(
    api: Api, run_id: int, actor: str, state: str = "approved", **more: str
) -> requests.Response:
    body = {"environment": "production", "state": state, "actor": actor, **more}
    return post(f"{api.url}/_sandbox/repos/{REPOSITORY}/runs/{run_id}/review", json=body)


def test_nothing_is_protected_unless_it_is_switched_on(
    api: Api, receiver: Receiver, deployed: Deployed
) -> None:
    assert api.finished(api.dispatch("gated.yml", token="cs-1"))["conclusion"] == "success"
    assert deployed() == ["cs-1"]
    assert asked(receiver) == []


def test_a_run_waits_for_its_reviewers(api: Api, receiver: Receiver, deployed: Deployed) -> None:
    protect(api, reviewers=["bob", "carol"])
    (rule,) = api.get(f"{REPO}/environments/production")["protection_rules"]
    assert [each["reviewer"]["login"] for each in rule["reviewers"]] == ["bob", "carol"]
    run_id = api.dispatch("gated.yml", token="cs-1")
    waiting(api, run_id)
    assert [job["status"] for job in api.jobs(run_id)] == ["waiting"]
    assert review(api, run_id, "mallory").status_code == 422
    assert (api.run(run_id)["status"], deployed()) == ("waiting", [])
    assert review(api, run_id, "bob", comment="Looks good.").json()["state"] == "approved"
    assert api.finished(run_id)["conclusion"] == "success"
    assert deployed() == ["cs-1"]
    assert "Looks good." in api.page(f"/{REPOSITORY}/actions/runs/{run_id}")
    assert review(api, run_id, "carol", "rejected").status_code == 422  # one was enough
    until(lambda: len(statuses(receiver)) == 3, "three webhooks")
    assert statuses(receiver) == ["queued", "in_progress", "completed"]
    assert asked(receiver) == []


def test_a_reviewer_rejects_on_the_page(api: Api, deployed: Deployed) -> None:
    protect(api, reviewers=["bob"])
    run_id = api.dispatch("gated.yml")
    waiting(api, run_id)
    assert "Approve and deploy" in api.page(f"/{REPOSITORY}/actions/runs/{run_id}")
    form = {"environment": "production", "state": "rejected", "actor": "bob", "comment": "No."}
    shown = post(f"{api.url}/_sandbox/ui/runs/{run_id}/review", data=form)
    assert (shown.status_code, "No." in shown.text) == (200, True)
    assert api.finished(run_id)["conclusion"] == "failure"
    assert deployed() == []


def test_a_custom_rule_asks_the_app(api: Api, receiver: Receiver, deployed: Deployed) -> None:
    protect(api, rule=True)
    run_id = api.dispatch("gated.yml", token="cs-1")
    (payload,) = until(lambda: asked(receiver), "the webhook")
    openapi.validate_webhook("deployment_protection_rule", "requested", payload)
    path = f"{REPO}/actions/runs/{run_id}/deployment_protection_rule"
    assert payload["deployment_callback_url"] == api.url + path
    assert (payload["environment"], payload["event"]) == ("production", "workflow_dispatch")
    assert payload["deployment"]["environment"] == "production"
    assert payload["repository"]["full_name"] == REPOSITORY
    waiting(api, run_id)
    assert answer(api, run_id, comment="Held: see https://countersign.example").status_code == 204
    assert (api.run(run_id)["status"], deployed()) == ("waiting", [])
    page = api.page(f"/{REPOSITORY}/actions/runs/{run_id}")
    assert "Held: see" in page
    assert 'href="https://countersign.example"' in page
    (pending,) = api.get(f"{REPO}/actions/runs/{run_id}/pending_deployments")
    assert pending["environment"]["name"] == "production"
    assert answer(api, run_id, state="approved", comment="Approved.").status_code == 204
    assert api.get(f"{REPO}/actions/runs/{run_id}/pending_deployments") == []
    assert api.finished(run_id)["conclusion"] == "success"
    assert deployed() == ["cs-1"]
    assert len(asked(receiver)) == 1


def test_a_rejection_fails_the_job(api: Api, deployed: Deployed) -> None:
    protect(api, rule=True)
    run_id = api.dispatch("gated.yml")
    waiting(api, run_id)
    assert answer(api, run_id, state="rejected").status_code == 204
    assert api.finished(run_id)["conclusion"] == "failure"
    assert deployed() == []


def test_reviewers_and_rule_must_both_let_it_pass(api: Api, deployed: Deployed) -> None:
    protect(api, rule=True, reviewers=["bob"])
    run_id = api.dispatch("gated.yml", token="cs-1")
    waiting(api, run_id)
    assert answer(api, run_id, state="approved").status_code == 204
    assert answer(api, run_id, state="rejected").status_code == 422  # it is decided
    assert (api.run(run_id)["status"], deployed()) == ("waiting", [])
    assert review(api, run_id, "bob").ok
    assert api.finished(run_id)["conclusion"] == "success"


def test_wrong_answers_change_nothing(api: Api) -> None:
    protect(api, rule=True)
    run_id = api.dispatch("gated.yml")
    waiting(api, run_id)
    path = f"{REPO}/actions/runs/{run_id}/deployment_protection_rule"
    wrong: list[dict[str, Any]] = [
        {"environment_name": "production"},
        {"environment_name": "production", "state": "perhaps"},
        {"environment_name": "production", "comment": "x" * (MAX_COMMENT + 1)},
        {"environment_name": "staging", "state": "approved"},
        {"environment_name": "production", "state": "approved", "more": 1},
        {"state": "approved"},
    ]
    for body in wrong:
        assert api("POST", path, body, described=False).status_code == 422, body
    missing = f"{REPO}/actions/runs/1/deployment_protection_rule"
    assert api("POST", missing, {"environment_name": "x", "comment": "y"}).status_code == 404
    for number in range(MAX_REPORTS):
        assert answer(api, run_id, comment=str(number)).status_code == 204
    assert answer(api, run_id, comment="one more").status_code == 422
    assert api.run(run_id)["status"] == "waiting"


def test_a_job_without_a_deployment_cannot_meet_a_custom_rule(
    api: Api, receiver: Receiver, deployed: Deployed
) -> None:
    protect(api, "staging", rule=True)
    run_id = api.dispatch()  # its environment has `deployment: false`
    assert api.finished(run_id)["conclusion"] == "failure"
    assert "incompatible with `deployment: false`" in api.page(
        f"/{REPOSITORY}/actions/runs/{run_id}"
    )
    assert (asked(receiver), deployed()) == ([], [])
    protect(api, "staging", rule=False, reviewers=["bob"])
    waiting(api, api.dispatch())  # reviewers work without one


def test_several_environments_ask_one_after_the_other(api: Api, receiver: Receiver) -> None:
    protect(api, "staging", rule=True)
    protect(api, rule=True)
    run_id = api.dispatch("later.yml")
    waiting(api, run_id)
    assert [each["environment"] for each in asked(receiver)] == ["staging"]
    assert answer(api, run_id, environment_name="staging", state="approved").status_code == 204
    until(lambda: len(asked(receiver)) == 2, "production asks")
    assert asked(receiver)[1]["environment"] == "production"
    until(lambda: answer(api, run_id, state="approved").status_code == 204, "it waits there")
    assert api.finished(run_id)["conclusion"] == "success"


def test_a_waiting_run_has_no_runner_and_keeps_its_place(api: Api) -> None:
    protect(api, reviewers=["bob"])
    held = [api.dispatch("gated.yml") for _ in range(3)]  # more than there are runners
    for run_id in held:
        waiting(api, run_id)
    assert api.finished(api.dispatch())["conclusion"] == "success"
    assert review(api, held[2], "bob").ok
    assert api.finished(held[2])["conclusion"] == "success"
    assert [api.run(run_id)["status"] for run_id in held[:2]] == ["waiting", "waiting"]


def test_a_run_re_run_by_hand_asks_again(api: Api, receiver: Receiver) -> None:
    protect(api, rule=True)
    run_id = api.dispatch("gated.yml")
    waiting(api, run_id)
    assert answer(api, run_id, state="approved").status_code == 204
    api.finished(run_id)
    made = api.control(f"repos/{REPOSITORY}/runs/{run_id}/rerun", {"actor": "mallory"})
    assert made == {"id": run_id, "attempt": 2}
    until(lambda: len(asked(receiver)) == 2, "the second attempt asks")
    waiting(api, run_id)
    first, second = asked(receiver)
    assert first["deployment"]["id"] != second["deployment"]["id"]
    run = api.run(run_id)
    assert (run["run_attempt"], run["triggering_actor"]["login"]) == (2, "mallory")
    before = api.page(f"/{REPOSITORY}/actions/runs/{run_id}/attempts/1")
    assert '<span class="state approved">' in before


def test_re_running_and_cancelling_on_the_page_and_by_control(api: Api, deployed: Deployed) -> None:
    run_id = api.dispatch("gated.yml", token="cs-1")
    api.finished(run_id)
    page = f"{api.url}/_sandbox/ui/runs/{run_id}"
    assert post(f"{page}/rerun").ok
    assert api.finished(run_id)["run_attempt"] == 2
    assert deployed() == ["cs-1", "cs-1"]
    protect(api, reviewers=["bob"])
    for how in (f"{page}/cancel", f"{api.url}/_sandbox/repos/{REPOSITORY}/runs/{run_id}/cancel"):
        assert post(f"{page}/rerun").ok
        waiting(api, run_id)
        assert post(how).ok
        assert api.finished(run_id)["conclusion"] == "cancelled"
        assert post(how).status_code == 422
    assert answer(api, run_id, state="approved").status_code == 422
    assert deployed() == ["cs-1", "cs-1"]


def test_a_newer_run_of_the_group_cancels_the_pending_one_behind_a_waiting_one(api: Api) -> None:
    grouped = GATED.replace("jobs:", "concurrency: gated\njobs:")
    files = {".github/workflows/gated.yml": grouped}
    api.control(f"repos/{REPOSITORY}/commits", {"message": "Group", "files": files})
    protect(api, reviewers=["bob"])
    first = api.dispatch("gated.yml")
    waiting(api, first)
    second, third = api.dispatch("gated.yml"), api.dispatch("gated.yml")
    assert api.finished(second)["conclusion"] == "cancelled"
    assert [api.run(run_id)["status"] for run_id in (first, third)] == ["waiting", "pending"]


def test_wrong_switches_are_refused(api: Api) -> None:
    home = f"{api.url}/_sandbox/repos/{REPOSITORY}"
    for path, body, status in [
        ("environments/production", {"colour": "red"}, 422),
        ("environments/production", {"reviewers": "bob"}, 422),
        ("runs/1/cancel", {}, 404),
        ("runs/1/explode", {}, 404),
    ]:
        assert post(f"{home}/{path}", json=body).status_code == status, path
    assert api.get(f"{REPO}/environments/production")["protection_rules"] == []
