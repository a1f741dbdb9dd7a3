"""The stand-in for GitHub: its REST answers, dispatch refusals, ETags, pages of lists, sign-in."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import github
import pytest
import requests

from sandbox.github.settings import INSTALLATION_ID
from tests.sandbox import conftest_github as standin
from tests.sandbox.conftest_github import DISPATCH, INPUTS, REPO, REPOSITORY, Api

receiver, standin_settings, api = standin.receiver, standin.standin_settings, standin.api
untouched = standin.untouched

Client = Callable[[str], github.Github]


@pytest.fixture
def client(api: Api) -> Iterator[Client]:
    """PyGithub clients of the stand-in, with no waits and no retries."""
    made: list[github.Github] = []

    def make(prefix: str = "") -> github.Github:
        made.append(
            github.Github(
                auth=github.Auth.Token(api.token),
                base_url=api.url + prefix,
                retry=None,
                seconds_between_requests=0,
                seconds_between_writes=0,
            )
        )
        return made[-1]

    yield make
    for one in made:
        one.close()


READS = [
    "/user",
    "/rate_limit",
    "/app",
    REPO,
    f"{REPO}/branches/main",
    f"{REPO}/commits/main",
    f"{REPO}/compare/main~1...main",
    f"{REPO}/compare/main...main",
    f"{REPO}/contents/.github/workflows",
    f"{REPO}/contents/README.md?ref=main",
    f"{REPO}/git/ref/heads/main",
    f"{REPO}/actions/workflows",
    f"{REPO}/actions/workflows/deploy.yml",
    f"{REPO}/actions/workflows/deploy.yml/runs",
    f"{REPO}/environments",
    f"{REPO}/environments/staging",
    f"{REPO}/deployments",
]


def test_every_read_is_answered_as_github_describes_it(api: Api) -> None:
    api.control(f"repos/{REPOSITORY}/commits", {"message": "More", "author": "bob"})
    for path in READS:
        answer = api("GET", path)  # the client checks the request and the answer
        assert answer.status_code == 200, path
        assert answer.headers["X-GitHub-Request-Id"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{REPO}/branches/nothing", 404),
        (f"{REPO}/commits/nothing", 422),
        (f"{REPO}/contents/nothing", 404),
        (f"{REPO}/git/ref/heads/nothing", 404),
        (f"{REPO}/environments/nothing", 404),
        (f"{REPO}/actions/workflows/nothing.yml", 404),
        (f"{REPO}/actions/runs/1", 404),
        ("/repos/acme/nothing", 404),
    ],
)
def test_what_is_not_there(untouched: Api, path: str, status: int) -> None:
    assert untouched("GET", path).status_code == status


def test_a_commit_is_a_real_git_commit(api: Api) -> None:
    body = {"message": "Tune\n\nWhy.", "author": "bob", "files": {"a/b.txt": "one\ntwo\n"}}
    sha = api.control(f"repos/{REPOSITORY}/commits", body)["sha"]
    commit = api.get(f"{REPO}/commits/{sha}")
    assert commit["commit"]["message"] == "Tune\n\nWhy."
    assert commit["author"]["login"] == "bob"
    assert [(f["filename"], f["status"], f["additions"]) for f in commit["files"]] == [
        ("a/b.txt", "added", 2)
    ]
    assert api.get(f"{REPO}/branches/main")["commit"]["sha"] == sha
    parent = commit["parents"][0]["sha"]
    ahead = api.get(f"{REPO}/compare/{parent}...{sha}")
    assert (ahead["status"], ahead["ahead_by"], len(ahead["files"])) == ("ahead", 1, 1)
    assert api.get(f"{REPO}/compare/{sha}...{parent}")["status"] == "behind"
    assert api.get(f"{REPO}/contents/a/b.txt")["size"] == 8


def test_pygithub_dispatches_and_reads(api: Api, client: Client) -> None:
    for prefix in ("", "/api/v3"):
        repo = client(prefix).get_repo(REPOSITORY)
        workflow = repo.get_workflow("deploy.yml")
        run = workflow.create_dispatch(
            "main", {**INPUTS, "token": "cs-1"}, throw=True, return_run_details=True
        )
        assert run.display_title == "Deploy fraud to staging [cs-1]"
        api.finished(run.id)
        assert run.update()
        assert (run.status, run.conclusion, run.event) == (
            "completed",
            "success",
            "workflow_dispatch",
        )
        assert run.actor.login == "countersign[bot]"
        assert [job.name for job in run.jobs()] == ["deploy"]
        assert run.id in [one.id for one in workflow.get_runs(event="workflow_dispatch")]
        deployment = repo.create_deployment(
            "main", environment="staging", auto_merge=False, required_contexts=[]
        )
        deployment.create_status("success", description="done")
        assert [s.state for s in deployment.get_statuses()] == ["success"]
        text = repo.get_contents("README.md")
        assert not isinstance(text, list)
        assert text.decoded_content == b"# Tiny\n"


REFUSED: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("missing", "deploy.yml", {"ref": "main", "inputs": {"model": "fraud"}}, 422,
     "Required input 'environment' not provided"),
    ("empty", "deploy.yml", {"ref": "main", "inputs": {**INPUTS, "model": ""}}, 422,
     "Required input 'model' not provided"),
    ("unexpected", "deploy.yml", {"ref": "main", "inputs": {**INPUTS, "x": "1"}}, 422,
     'Unexpected inputs provided: ["x"]'),
    ("not a choice", "deploy.yml", {"ref": "main", "inputs": {**INPUTS, "environment": "prod"}},
     422, "not in the list of allowed values"),
    ("no ref", "deploy.yml", {"inputs": INPUTS}, 422, "wasn't supplied"),
    ("unknown ref", "deploy.yml", {"ref": "nothing", "inputs": INPUTS}, 422,
     "No ref found for: nothing"),
    ("many inputs", "deploy.yml", {"ref": "main", "inputs": {f"i{n}": "" for n in range(26)}},
     422, "No more than 25"),
    ("unknown field", "deploy.yml", {"ref": "main", "inputs": INPUTS, "x": 1}, 422,
     "is not a permitted key"),
    ("not dispatchable", "push.yml", {"ref": "main"}, 422,
     "Workflow does not have 'workflow_dispatch' trigger"),
    ("unknown workflow", "nothing.yml", {"ref": "main"}, 404, "Not Found"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "body", "status", "words"),
    [pytest.param(*case, id=name) for name, *case in REFUSED],
)
def test_a_refused_dispatch_starts_nothing(
    untouched: Api, file: str, body: dict[str, Any], status: int, words: str
) -> None:
    path = f"{REPO}/actions/workflows/{file}/dispatches"
    answer = untouched("POST", path, body, described=False)
    assert (answer.status_code, words in answer.json()["message"]) == (status, True), answer.text
    assert untouched.titles() == []
    assert untouched.control("deliveries") == []


def test_a_sha_is_no_ref_for_a_dispatch(untouched: Api) -> None:
    sha = untouched.get(f"{REPO}/branches/main")["commit"]["sha"]
    assert untouched("POST", DISPATCH, {"ref": sha, "inputs": INPUTS}).status_code == 422
    assert untouched.titles() == []


def test_without_being_asked_a_dispatch_answers_204(api: Api) -> None:
    answer = api("POST", DISPATCH, {"ref": "main", "inputs": INPUTS})
    assert (answer.status_code, answer.content) == (204, b"")
    assert api.titles() == ["Deploy fraud to staging [none]"]


def test_a_token_is_asked_for(untouched: Api) -> None:
    for header in ("Bearer wrong", "token wrong", "Basic wrong", ""):
        assert untouched("GET", REPO, Authorization=header).status_code == 401
    refused = untouched(
        "POST", DISPATCH, {"ref": "main", "inputs": INPUTS}, Authorization="Bearer no"
    )
    assert refused.status_code == 401
    assert untouched.titles() == []


def test_an_app_gets_an_installation_token(untouched: Api) -> None:
    path = f"/app/installations/{INSTALLATION_ID}/access_tokens"
    issued = untouched("POST", path, {}, Authorization="Bearer a.b.c")
    assert issued.status_code == 201
    token = issued.json()["token"]
    assert untouched("GET", REPO, Authorization=f"token {token}").status_code == 200
    assert untouched("GET", REPO, Authorization="Bearer a.b.c").status_code == 401


def test_an_unchanged_answer_is_a_304_free_of_charge(api: Api) -> None:
    path = f"{REPO}/actions/runs"
    first = api("GET", path)
    again = api("GET", path, If_None_Match=first.headers["ETag"])
    assert (again.status_code, again.content) == (304, b"")
    left = [int(one.headers["X-RateLimit-Remaining"]) for one in (first, again)]
    assert left[0] == left[1]
    api.dispatch()
    changed = api("GET", path, If_None_Match=first.headers["ETag"])
    assert changed.status_code == 200
    assert int(changed.headers["X-RateLimit-Remaining"]) < left[1]


def test_lists_come_in_pages(api: Api) -> None:
    body = {"message": "Work", "author": "alice", "trigger": True}
    runs = [api.control(f"repos/{REPOSITORY}/commits", body)["runs"][0] for _ in range(5)]
    path, seen = f"{REPO}/actions/runs?per_page=2", []
    while path:
        answer = api("GET", path)
        assert answer.json()["total_count"] == 5
        seen += [run["id"] for run in answer.json()["workflow_runs"]]
        path = answer.links.get("next", {}).get("url", "").removeprefix(api.url)
    assert seen == sorted(runs, reverse=True)
    assert answer.links["first"]["url"].endswith("page=1")
    assert api.get(f"{REPO}/actions/runs?page=9")["workflow_runs"] == []


def test_runs_are_found_by_what_is_asked(api: Api) -> None:
    one = api.dispatch()
    other = api.control(f"repos/{REPOSITORY}/commits", {"author": "bob", "trigger": True})
    api.finished(one)
    api.finished(other["runs"][0])

    def found(query: str) -> list[int]:
        runs = api.get(f"{REPO}/actions/runs?{query}")["workflow_runs"]
        return [run["id"] for run in runs]

    pushed = other["runs"]
    assert found("event=push") == pushed
    assert found("actor=bob") == pushed
    assert found(f"head_sha={other['sha']}") == pushed
    assert found("status=failure") == pushed
    assert found("status=success") == [one]
    assert found("status=completed&branch=main") == [*pushed, one]
    assert found("branch=other") == []
    assert found("created=%3E2020-01-01") == [*pushed, one]
    assert found("created=2020-01-01..2020-12-31") == []
    day = api.run(one)["created_at"][:10]
    assert found(f"created={day}") == found(f"created=%2A..{day}") == [*pushed, one]


def test_a_success_makes_the_deployment_before_it_inactive_but_not_in_production(api: Api) -> None:
    states = {}
    for environment in ("staging", "production"):
        ids = []
        for _ in range(2):
            body = {"ref": "main", "environment": environment, "auto_merge": False}
            ids.append(api("POST", f"{REPO}/deployments", body).json()["id"])
            path = f"{REPO}/deployments/{ids[-1]}/statuses"
            assert api("POST", path, {"state": "success"}).status_code == 201
        found = api.get(f"{REPO}/deployments/{ids[0]}/statuses")
        states[environment] = [status["state"] for status in found]
    assert states == {"staging": ["inactive", "success"], "production": ["success"]}
    path = f"{REPO}/deployments/{ids[0]}/statuses"
    assert api("POST", path, {"state": "great"}, described=False).status_code == 422


def test_a_page_elsewhere_cannot_use_the_switches(untouched: Api) -> None:
    path = f"{untouched.url}/_sandbox/repos/{REPOSITORY}/commits"
    for headers in (
        {"Origin": "http://evil.example"},
        {"Host": "evil.example"},
        {"Origin": "null"},
    ):
        assert requests.post(path, json={}, headers=headers, timeout=5).status_code in (400, 403)
    assert len(untouched.get(f"{REPO}/compare/main...main")["commits"]) == 0
    assert untouched.get(f"{REPO}/commits/main")["parents"] == []


def test_every_html_link_opens(api: Api) -> None:
    run_id = api.dispatch(token="<b>cs</b>", model="bad")
    api.finished(run_id)
    sha = api.control(f"repos/{REPOSITORY}/commits", {"author": "bob"})["sha"]
    links = {api.url + "/_sandbox", f"{api.url}/{REPOSITORY}/compare/main~1...main"}

    def collect(value: Any) -> None:
        if isinstance(value, dict):
            links.update(v for k, v in value.items() if k in ("html_url", "html") and v)
            value = list(value.values())
        if isinstance(value, list):
            for item in value:
                collect(item)

    for path in [*READS, f"{REPO}/commits/{sha}", f"{REPO}/actions/runs/{run_id}/jobs"]:
        collect(api.get(path))
    for link in sorted(links):
        page = api.page(link.removeprefix(api.url))
        assert "Sandbox: a stand-in for GitHub" in page, link
    page = api.page(f"/{REPOSITORY}/actions/runs/{run_id}")
    assert "&lt;b&gt;cs&lt;/b&gt;" in page
    assert "<b>cs" not in page
    assert "no such model" in page


def test_the_buttons_work(api: Api) -> None:
    def press(path: str, **form: str) -> str:
        answer = requests.post(
            f"{api.url}/_sandbox/ui/{path}", data=form, timeout=5, headers={"Origin": api.url}
        )
        assert answer.status_code == 200, answer.text
        return answer.url.rsplit("/", 1)[-1]

    form = {f"input-{name}": value for name, value in INPUTS.items()}
    workflow = api.get(f"{REPO}/actions/workflows/deploy.yml")["id"]
    run_id = int(press("dispatch", workflow=str(workflow), actor="mallory", **form))
    assert api.finished(run_id)["actor"]["login"] == "mallory"
    press(f"runs/{run_id}/rerun", actor="bob")
    assert api.finished(run_id)["run_attempt"] == 2
    press("faults", fault="error_before", on="yes", times="2")
    assert api.control("faults")["error_before"]["times"] == 2
    press("faults", fault="error_before", on="no")
    assert not api.control("faults")["error_before"]["on"]


def test_the_requests_are_kept_without_secrets(api: Api, tmp_path: Path) -> None:
    api.dispatch()
    assert api.posts() == 1
    assert api.token not in str(api.control("requests"))
    api.control("requests", method="DELETE")
    assert api.posts() == 0
