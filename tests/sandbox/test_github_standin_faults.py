"""The stand-in for GitHub: what each fault does, what it does not, and the webhooks."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import github
import pytest
import requests

from sandbox.github.webhooks import sign
from tests import openapi
from tests.sandbox import conftest_github as standin
from tests.sandbox.conftest_github import (
    DISPATCH,
    INPUTS,
    REPO,
    REPOSITORY,
    SECRET,
    Api,
    Receiver,
    until,
)

receiver, standin_settings, api, deployed = (
    standin.receiver,
    standin.standin_settings,
    standin.api,
    standin.deployed,
)
untouched = standin.untouched

BODY = {"ref": "main", "inputs": {**INPUTS, "token": "cs-1"}, "return_run_details": True}
TITLE = "Deploy fraud to staging [cs-1]"


@pytest.mark.parametrize(
    ("name", "options", "status", "headers"),
    [
        ("error_before", {}, 502, {}),
        ("redirect", {}, 307, {}),
        ("unprocessable", {}, 422, {}),
        ("rate_limited", {}, 403, {"X-RateLimit-Remaining": "0", "Retry-After": None}),
        ("rate_limited", {"status": 429, "retry_after": 7}, 429, {"Retry-After": "7"}),
    ],
)
def test_refused_with_nothing_started(
    untouched: Api,
    name: str,
    options: dict[str, int],
    status: int,
    headers: dict[str, str | None],
) -> None:
    struck, posts = untouched.struck(name), untouched.posts()
    untouched.fault(name, **options)
    assert untouched("GET", REPO).status_code == 200  # only dispatches are struck unless told
    answer = untouched("POST", DISPATCH, BODY)
    assert answer.status_code == status
    assert {key: answer.headers.get(key) for key in headers} == headers
    assert untouched.titles() == []
    assert untouched.control("deliveries") == []
    assert (untouched.struck(name), untouched.posts()) == (struck + 1, posts + 1)
    assert not untouched.control("faults")[name]["on"]  # once, as told


def test_a_fault_strikes_as_often_as_told(api: Api) -> None:
    api.fault("error_before", times=2)
    assert [api("POST", DISPATCH, BODY).status_code for _ in range(3)] == [502, 502, 200]
    assert api.titles() == [TITLE]


def test_a_redirect_names_the_repository_by_number(api: Api) -> None:
    api.fault("redirect")
    location = api("POST", DISPATCH, BODY).headers["Location"]
    assert location.startswith(f"{api.url}/repositories/")
    headers = {"Authorization": f"Bearer {api.token}"}
    assert requests.post(location, json=BODY, headers=headers, timeout=5).status_code == 200
    assert api.titles() == [TITLE]


def test_accepted_then_cut_off(api: Api, deployed: Callable[[], list[str]]) -> None:
    api.fault("drop_after_accept")
    with pytest.raises(requests.ConnectionError):
        api("POST", DISPATCH, BODY)
    assert api.titles() == [TITLE]
    until(lambda: deployed() == ["cs-1"], "it deployed all the same")
    assert (api.struck("drop_after_accept"), api.posts()) == (1, 1)
    statuses = [one["status"] for one in api.control("requests") if one["method"] == "POST"]
    assert statuses == [None]


def test_accepted_then_502(api: Api, deployed: Callable[[], list[str]]) -> None:
    api.fault("error_after_accept")
    assert api("POST", DISPATCH, BODY).status_code == 502
    assert api.titles() == [TITLE]
    until(lambda: deployed() == ["cs-1"], "it deployed all the same")
    refused = {"ref": "main", "inputs": {}}
    api.fault("error_after_accept")
    assert api("POST", DISPATCH, refused).status_code == 422  # nothing accepted, nothing struck
    assert api.struck("error_after_accept") == 1


def test_a_retrying_client_starts_many(api: Api) -> None:
    """The danger that this fault is for: a client that retries a POST starts run after run."""
    api.fault("error_after_accept", times=3)
    client = github.Github(
        auth=github.Auth.Token(api.token),
        base_url=api.url,
        retry=github.GithubRetry(total=3, backoff_factor=0),
        seconds_between_requests=0,
        seconds_between_writes=0,
    )
    workflow = client.get_repo(REPOSITORY).get_workflow("deploy.yml")
    assert workflow.create_dispatch("main", {**INPUTS, "token": "cs-1"}, throw=True)
    client.close()
    assert api.titles() == [TITLE] * 4


def test_no_run_details(api: Api) -> None:
    api.fault("no_run_details")
    answer = api("POST", DISPATCH, BODY)
    assert (answer.status_code, answer.content) == (204, b"")
    assert api.titles() == [TITLE]
    assert api("POST", DISPATCH, BODY).status_code == 200


def test_late_lists(api: Api) -> None:
    api.fault("late_lists", seconds=0.5)
    run_id = api.dispatch(token="cs-1")
    for path in ("actions/runs", "actions/workflows/deploy.yml/runs"):
        assert api.get(f"{REPO}/{path}")["workflow_runs"] == []
    assert api.run(run_id)["display_title"] == TITLE  # asked by id it is there
    until(lambda: api.titles() == [TITLE], "listed at last")


def test_never_start(api: Api, deployed: Callable[[], list[str]]) -> None:
    api.fault("never_start")
    run_id = api.dispatch(token="1")
    behind = api.dispatch(token="2")
    time.sleep(0.2)
    assert [api.run(one)["status"] for one in (run_id, behind)] == ["queued", "pending"]
    assert deployed() == []
    api.fault("never_start", on=False)
    assert api.finished(behind)["conclusion"] == "success"
    assert deployed() == ["1", "2"]


def test_a_fault_for_every_request(untouched: Api) -> None:
    untouched.fault("rate_limited", match="", times=2)
    assert [untouched("GET", REPO).status_code for _ in range(3)] == [403, 403, 200]


def test_faults_are_checked_and_cleared(untouched: Api) -> None:
    for wrong in ({"fault": "nothing"}, {"fault": "error_before", "seconds": 1}):
        answer = requests.post(f"{untouched.url}/_sandbox/faults", json=wrong, timeout=5)
        assert answer.status_code == 422
    untouched.control("faults", {"fault": "error_before"})
    assert untouched.control("faults")["error_before"]["times"] is None
    untouched.control("faults", {"fault": "all", "on": False})
    assert not any(fault["on"] for fault in untouched.control("faults").values())


def test_the_budget_ends(tmp_path: Path) -> None:
    settings = standin.tiny(tmp_path)
    settings.rate_limit = 2
    with standin.serving(settings) as api:
        answers = [api("GET", REPO) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 403]
        assert answers[2].headers["X-RateLimit-Remaining"] == "0"
        rate = api.get("/rate_limit")["rate"]  # asking for it costs nothing
        assert (rate["limit"], rate["remaining"]) == (2, 0)


# -- webhooks ------------------------------------------------------------------------------------


def test_the_signature_is_githubs() -> None:
    """The vector of GitHub's own documentation."""
    assert sign("It's a Secret to Everybody", b"Hello, World!") == (
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    )


def test_a_run_is_told_three_times(api: Api, receiver: Receiver) -> None:
    run_id = api.dispatch(token="cs-1")
    until(lambda: len(receiver.received) == 3, "three webhooks")
    assert receiver.actions() == ["requested", "in_progress", "completed"]
    for headers, body in receiver.received:
        payload = json.loads(body)
        openapi.validate_webhook(headers["x-github-event"], payload["action"], payload)
        assert headers["x-hub-signature-256"] == sign(SECRET, body)
        assert headers["content-type"] == "application/json"
        assert payload["workflow_run"]["id"] == run_id
        assert payload["workflow_run"]["display_title"] == TITLE
        assert payload["repository"]["full_name"] == REPOSITORY
        assert payload["sender"]["login"] == "countersign[bot]"
    assert len({headers["x-github-delivery"] for headers, _ in receiver.received}) == 3
    assert json.loads(receiver.received[2][1])["workflow_run"]["conclusion"] == "success"
    assert [one["sent"] for one in api.control("deliveries")] == [["204"]] * 3


def test_lost_webhooks_do_not_stop_the_run(api: Api, receiver: Receiver) -> None:
    api.fault("webhooks_lost", times=2)
    api.finished(api.dispatch())
    until(lambda: receiver.received, "the third one")
    assert receiver.actions() == ["completed"]


def test_a_doubled_webhook_keeps_its_delivery_id(api: Api, receiver: Receiver) -> None:
    api.fault("webhooks_doubled")
    api.dispatch()
    until(lambda: len(receiver.received) == 4, "four webhooks")
    assert receiver.actions() == ["requested", "requested", "in_progress", "completed"]
    assert receiver.received[0] == receiver.received[1]


def test_reordered_webhooks(api: Api, receiver: Receiver) -> None:
    api.fault("webhooks_reordered")
    api.dispatch()
    until(lambda: len(receiver.received) == 3, "three webhooks")
    assert receiver.actions() == ["in_progress", "requested", "completed"]


def test_a_redelivery_keeps_its_delivery_id(api: Api, receiver: Receiver) -> None:
    api.dispatch()
    until(lambda: len(receiver.received) == 3, "three webhooks")
    guid = receiver.received[0][0]["x-github-delivery"]
    api.control(f"deliveries/{guid}/redeliver", {})
    until(lambda: len(receiver.received) == 4, "the redelivery")
    assert receiver.received[3] == receiver.received[0]


def test_a_receiver_that_is_down_changes_nothing(api: Api, receiver: Receiver) -> None:
    receiver.close()
    run_id = api.dispatch()
    assert api.finished(run_id)["conclusion"] == "success"
    sent = until(lambda: api.control("deliveries")[0]["sent"], "the first attempt")
    assert len(sent) == 1  # once, never retried
    assert "refused" in sent[0]
