"""The stand-in for GitHub: steps that really run, queues, cancelling, re-running, restarts."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.github import expressions, workflows
from sandbox.github.server import Server
from sandbox.github.settings import Settings
from tests.sandbox import conftest_github as standin
from tests.sandbox.conftest_github import REPO, REPOSITORY, Api, Receiver, serving, until

receiver, standin_settings, api, deployed = (
    standin.receiver,
    standin.standin_settings,
    standin.api,
    standin.deployed,
)

Deployed = Callable[[], list[str]]


def _steps(job: dict[str, Any]) -> dict[str, str]:
    return {step["name"]: step["conclusion"] for step in job["steps"]}


def test_the_steps_really_run(api: Api, deployed: Deployed, standin_settings: Settings) -> None:
    run_id = api.dispatch(token="cs-1")
    run = api.finished(run_id)
    assert run["conclusion"] == "success"
    assert run["display_title"] == "Deploy fraud to staging [cs-1]"
    assert run["path"] == ".github/workflows/deploy.yml"
    assert deployed() == ["cs-1"]
    (job,) = api.jobs(run_id)
    assert _steps(job) == {
        "Set up job": "success",
        "Run actions/checkout@v5": "success",
        "Run acme/unknown-action@v1": "skipped",
        "Deploy": "success",
        "Only afterwards": "success",
        "Whatever happened": "success",
        "Complete job": "success",
    }
    page = api.page(f"/{REPOSITORY}/actions/runs/{run_id}")
    assert f"deploying fraud from {run['head_sha']}" in page
    assert "does not run the action acme/unknown-action@v1" in page
    assert list((standin_settings.data / "work").iterdir()) == []


def test_a_failing_step_fails_the_run_and_skips_the_rest(api: Api, deployed: Deployed) -> None:
    run_id = api.dispatch(model="bad")
    assert api.finished(run_id)["conclusion"] == "failure"
    steps = _steps(api.jobs(run_id)[0])
    assert [steps[n] for n in ("Deploy", "Only afterwards", "Whatever happened")] == [
        "failure",
        "skipped",
        "success",
    ]
    assert deployed() == []


def test_a_push_runs_its_jobs_in_order_and_hides_secrets(api: Api) -> None:
    body = {"message": "Work", "author": "alice", "trigger": True}
    made = api.control(f"repos/{REPOSITORY}/commits", body)
    run = api.finished(made["runs"][0])
    assert (run["event"], run["display_title"], run["head_sha"], run["actor"]["login"]) == (
        "push",
        "Work",
        made["sha"],
        "alice",
    )
    conclusions = {job["name"]: job["conclusion"] for job in api.jobs(run["id"])}
    assert conclusions == {"first": "failure", "second": "skipped", "third": "success"}
    assert run["conclusion"] == "failure"  # true | false fails: pipefail
    page = api.page(f"/{REPOSITORY}/actions/runs/{run['id']}")
    assert "*** of alice" in page
    assert "hush-hush" not in page
    (deployment,) = api.get(f"{REPO}/deployments")
    states = api.get(f"{REPO}/deployments/{deployment['id']}/statuses")
    assert [state["state"] for state in states] == ["success", "in_progress"]


def test_a_run_can_be_started_for_somebody(api: Api) -> None:
    body = {
        "workflow": "deploy.yml",
        "actor": "mallory",
        "inputs": {"model": "fraud", "environment": "production"},
    }
    made = api.control(f"repos/{REPOSITORY}/runs", body)
    run = api.finished(made["id"])
    assert (run["actor"]["login"], run["event"]) == ("mallory", "workflow_dispatch")
    assert run["html_url"] == made["html_url"]
    train = {"workflow": "push.yml", "event": "schedule", "title": "Nightly", "head_sha": "main"}
    nightly = api.run(api.control(f"repos/{REPOSITORY}/runs", train)["id"])
    assert (nightly["event"], nightly["display_title"]) == ("schedule", "Nightly")


def test_queue_max_keeps_the_order_and_cancels_nothing(api: Api, deployed: Deployed) -> None:
    first = api.dispatch(token="1", seconds="0.4")
    others = [api.dispatch(token=str(n)) for n in (2, 3, 4)]
    assert [api.run(run_id)["status"] for run_id in others] == ["pending"] * 3
    beside = api.finished(api.dispatch(token="beside", model="churn"))
    assert beside["conclusion"] == "success"  # another group does not wait
    assert {api.finished(r)["conclusion"] for r in (first, *others)} == {"success"}
    assert [token for token in deployed() if token != "beside"] == ["1", "2", "3", "4"]


def test_by_default_a_newer_run_cancels_the_pending_one(api: Api) -> None:
    runs = [api.dispatch("newest.yml", token=str(n)) for n in (1, 2, 3)]
    ended = [api.finished(run_id)["conclusion"] for run_id in runs]
    assert ended == ["success", "cancelled", "success"]


def test_two_runs_at_a_time(api: Api) -> None:
    runs = [api.dispatch(model=model, seconds="0.5") for model in ("a", "b", "c")]
    statuses = [api.run(run_id)["status"] for run_id in runs]
    assert statuses == ["in_progress", "in_progress", "queued"]
    assert {api.finished(run_id)["conclusion"] for run_id in runs} == {"success"}


def _sleepers() -> set[str]:
    """The process ids of every ``sleep 77``."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[:2] == [b"sleep", b"77"] and f"pid={os.getpid()}".encode() in _environ(entry):
                found.add(entry.name)
    return found


def _environ(entry: Path) -> list[bytes]:
    try:
        return (entry / "environ").read_bytes().replace(b"TOKEN=", b"").split(b"\0")
    except OSError:
        return []


def test_cancelling_ends_the_processes(api: Api, deployed: Deployed) -> None:
    run_id = api.dispatch(seconds="77", token=f"pid={os.getpid()}")
    until(_sleepers, "the step sleeps")
    assert api("POST", f"{REPO}/actions/runs/{run_id}/cancel").status_code == 202
    assert api.finished(run_id)["conclusion"] == "cancelled"
    assert _sleepers() == set()
    assert deployed() == []
    assert _steps(api.jobs(run_id)[0])["Deploy"] == "cancelled"
    assert api("POST", f"{REPO}/actions/runs/{run_id}/cancel").status_code == 409


def test_cancelling_a_waiting_run_lets_the_others_go_on(api: Api, deployed: Deployed) -> None:
    first = api.dispatch(token="1", seconds="0.3")
    second, third = api.dispatch(token="2"), api.dispatch(token="3")
    assert api("POST", f"{REPO}/actions/runs/{second}/cancel").status_code == 202
    assert api.run(second)["conclusion"] == "cancelled"
    for run_id in (first, third):
        assert api.finished(run_id)["conclusion"] == "success"
    assert deployed() == ["1", "3"]


def test_a_step_is_bounded(tmp_path: Path) -> None:
    settings = standin.tiny(tmp_path)
    settings.step_timeout = 0.3
    with serving(settings) as api:
        run_id = api.dispatch(seconds="77")
        assert api.finished(run_id)["conclusion"] == "failure"
        assert "The step has timed out" in api.page(f"/{REPOSITORY}/actions/runs/{run_id}")


def test_running_again_keeps_the_id_and_raises_the_attempt(
    api: Api, deployed: Deployed, receiver: Receiver
) -> None:
    run_id = api.dispatch(token="cs-1", seconds="0.2")
    assert api("POST", f"{REPO}/actions/runs/{run_id}/rerun").status_code == 403
    first = api.finished(run_id)
    api.control(f"repos/{REPOSITORY}/commits", {"message": "Later"})
    assert api("POST", f"{REPO}/actions/runs/{run_id}/rerun").status_code == 201
    again = api.run(run_id)
    assert (again["run_attempt"], again["conclusion"]) == (2, None)
    assert again["head_sha"] == first["head_sha"]  # the commit of the first time
    assert api.finished(run_id)["display_title"] == first["display_title"]
    assert deployed() == ["cs-1", "cs-1"]
    assert api.get(f"{REPO}/actions/runs/{run_id}/attempts/1")["conclusion"] == "success"
    assert api.get(f"{REPO}/actions/runs/{run_id}/attempts/2")["run_attempt"] == 2
    assert api("GET", f"{REPO}/actions/runs/{run_id}/attempts/3").status_code == 404
    assert len(api.jobs(run_id)) == 1
    assert len(api.jobs(run_id, "?filter=all")) == 2
    expected = ["requested", "in_progress", "completed"] * 2
    until(lambda: receiver.actions() == expected, "the webhooks of both attempts")


def test_the_state_outlives_the_server(standin_settings: Settings, deployed: Deployed) -> None:
    with serving(standin_settings) as api:
        done = api.dispatch(token="done")
        api.finished(done)
        api.control(f"repos/{REPOSITORY}/commits", {"message": "Kept"})
        tip = api.get(f"{REPO}/branches/main")["commit"]["sha"]
        api.fault("never_start")
        waiting = api.dispatch(token="waiting")
        before = api.run(done)
        workflow = api.get(f"{REPO}/actions/workflows/deploy.yml")["id"]
    with serving(standin_settings) as api:
        after = api.run(done)
        for key in ("display_title", "conclusion", "updated_at", "head_sha", "run_number"):
            assert after[key] == before[key]
        assert api.get(f"{REPO}/branches/main")["commit"]["sha"] == tip
        assert api.get(f"{REPO}/actions/workflows/deploy.yml")["id"] == workflow
        assert api.run(waiting)["conclusion"] == "cancelled"  # unfinished when the server ended
        newer = api.dispatch(token="newer")
        assert newer > waiting
        assert api.finished(newer)["run_number"] == 3
    assert deployed() == ["done", "newer"]


def test_stopping_the_server_ends_what_runs(standin_settings: Settings) -> None:
    with serving(standin_settings) as api:
        run_id = api.dispatch(seconds="77", token=f"pid={os.getpid()}")
        until(_sleepers, "the step sleeps")
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert _sleepers() == set()
    with serving(standin_settings) as api:
        run = api.run(run_id)
        assert (run["status"], run["conclusion"]) == ("completed", "cancelled")
        assert {job["status"] for job in api.jobs(run_id)} == {"completed"}


def test_a_changed_example_becomes_a_commit(standin_settings: Settings) -> None:
    with serving(standin_settings) as api:
        first = api.get(f"{REPO}/branches/main")["commit"]["sha"]
    (standin_settings.source / "new.txt").write_text("new\n")
    with serving(standin_settings) as api:
        tip = api.get(f"{REPO}/commits/main")
        assert [parent["sha"] for parent in tip["parents"]] == [first]
        assert [file["filename"] for file in tip["files"]] == ["new.txt"]


def test_a_second_server_gets_its_own_port(standin_settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    with Server(standin_settings) as one, Server(standin.tiny(tmp_path / "two")) as two:
        assert one.url != two.url


CONTEXT: dict[str, Any] = {
    "inputs": {"model": "fraud", "empty": "", "my-flag": True},
    "github": {"ref": "refs/heads/main", "event": {"labels": ["a", "b"]}},
    "success()": lambda: False,
    "failure()": lambda: True,
    "always()": lambda: True,
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("inputs.model", "fraud"),
        ("inputs['MODEL']", "fraud"),
        ("inputs.missing", None),
        ("inputs.empty || 'default'", "default"),
        ("inputs.model == 'FRAUD' && 'same'", "same"),
        ("inputs.model != 'fraud' || inputs.my-flag", True),
        ("!inputs.my-flag", False),
        ("1 < 2 && 2 >= 2.0", True),
        ("null == 0", True),
        ("'it''s'", "it's"),
        ("contains(github.event.labels, 'B')", True),
        ("startsWith(github.ref, 'refs/heads/') && !endsWith(github.ref, 'x')", True),
        ("format('{0}-{1}', inputs.model, 3)", "fraud-3"),
        ("github.event.labels[1]", "b"),
        ("fromJSON('{\"a\": [1]}').a[0]", 1),
        ("(false || (true && inputs.model))", "fraud"),
    ],
)
def test_expressions(text: str, value: Any) -> None:
    assert expressions.evaluate(text, CONTEXT) == value
    assert expressions.fill(f"<${{{{ {text} }}}}>", CONTEXT) == f"<{expressions.to_text(value)}>"


@pytest.mark.parametrize("text", ["nothing.x", "inputs.", "a b", "1 +", "nothing()", "(1", "'open"])
def test_wrong_expressions(text: str) -> None:
    with pytest.raises(expressions.ExpressionError):
        expressions.evaluate(text, CONTEXT)


def test_a_condition_asks_for_success_unless_it_says_otherwise() -> None:
    assert not expressions.condition(None, CONTEXT)
    assert not expressions.condition("inputs.model == 'fraud'", CONTEXT)
    assert expressions.condition("failure() && inputs.model == 'fraud'", CONTEXT)
    assert expressions.condition("${{ always() }}", CONTEXT)


def test_yaml_is_read_as_github_reads_it() -> None:
    text = (
        "on: {workflow_dispatch: {inputs: {a: {type: choice, options: [yes, no, on]}}}}\njobs: {}"
    )
    file = workflows.read("x.yml", text)
    assert file.dispatch_inputs["a"]["options"] == ["yes", "no", "on"]
    assert workflows.read("x.yml", "on: [push, workflow_dispatch]\njobs: {}").triggers.keys() == {
        "push",
        "workflow_dispatch",
    }
    for broken in ("on: push", "[]", "on: {", "jobs: {}"):
        with pytest.raises(workflows.InvalidError):
            workflows.read("x.yml", broken)
